"""google-adk: the declarations that go to Gemini, and the result of a call."""

from typing import Any
from unittest.mock import MagicMock

from google.adk.tools._gemini_schema_util import _to_gemini_schema
from google.adk.tools.mcp_tool import mcp_session_manager as connections
from google.adk.tools.mcp_tool.mcp_toolset import McpToolset
from google.genai._mcp_utils import mcp_to_gemini_tool
from steps import Facts, Plan, offered, run, taken


async def drive(plan: Plan) -> Facts:
    if plan["transport"] == "stdio":
        from mcp import StdioServerParameters

        server = StdioServerParameters(command=plan["command"], args=plan["args"], env=plan["env"])
        wire: Any = connections.StdioConnectionParams(server_params=server, timeout=60)
    elif plan["transport"] == "sse":
        wire = connections.SseConnectionParams(url=plan["url"], headers=plan["headers"])
    else:
        wire = connections.StreamableHTTPConnectionParams(url=plan["url"], headers=plan["headers"])
    toolset = McpToolset(connection_params=wire)
    tools: dict[str, Any] = {tool.name: tool for tool in await toolset.get_tools()}

    async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
        try:
            result = await tools[tool].run_async(args=arguments, tool_context=MagicMock())
        except Exception as error:
            return str(error), type(error).__name__
        return result, "isError" if isinstance(result, dict) and result.get("isError") else ""

    calls = await taken(plan, call)
    schemas = {name: declared(tool) for name, tool in tools.items()}
    also = {
        "google-adk, older form": {name: older(tool.raw_mcp_tool) for name, tool in tools.items()},
        "google-genai": {name: by_genai(tool.raw_mcp_tool) for name, tool in tools.items()},
    }
    got = await offered(plan, resources=lambda named: everything(toolset))
    await toolset.close()
    return {"tools": schemas, "also": also, "calls": calls, "asked": [], "offered": got}


async def everything(toolset: McpToolset) -> Any:
    """Return each listed resource with its content; the toolset reads no other."""
    names = await toolset.list_resources()
    return [(await toolset.get_resource_info(name), await toolset.read_resource(name)) for name in names]


def older(tool: Any) -> Any:
    return _to_gemini_schema(tool.input_schema).model_dump(mode="json", exclude_none=True)


def by_genai(tool: Any) -> Any:
    try:
        converted = mcp_to_gemini_tool(tool)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return converted.function_declarations[0].parameters.model_dump(mode="json", exclude_none=True)


def declared(tool: Any) -> Any:
    declaration = tool._get_declaration()
    schema = declaration.parameters_json_schema or declaration.parameters
    return schema if isinstance(schema, dict) else schema.model_dump(mode="json", exclude_none=True)


run(drive)
