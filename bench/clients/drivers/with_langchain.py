"""langchain-mcp-adapters: tools as LangChain gives them to a model, and the message that answers a call."""

from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.client import MultiServerMCPClient
from steps import Facts, Plan, offered, run, taken


async def drive(plan: Plan) -> Facts:
    if plan["transport"] == "stdio":
        server: Any = {"transport": "stdio", "command": plan["command"], "args": plan["args"], "env": plan["env"]}
    else:
        name = "sse" if plan["transport"] == "sse" else "streamable_http"
        server = {"transport": name, "url": plan["url"], "headers": plan["headers"]}
    client = MultiServerMCPClient({"zinc": server})
    tools = {tool.name: tool for tool in await client.get_tools()}

    async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
        asked = {"type": "tool_call", "id": "1", "name": tool, "args": arguments}
        try:
            message = await tools[tool].ainvoke(asked)
        except Exception as error:
            return str(error), type(error).__name__
        return message.content, 'status "error"' if message.status == "error" else ""

    async def read(uri: str | None) -> Any:
        return [
            {"uri": str(each.metadata["uri"]), "text": each.as_string()}
            for each in await client.get_resources("zinc", uris=uri)
        ]

    calls = await taken(plan, call)
    schemas = {name: convert_to_openai_tool(tool)["function"]["parameters"] for name, tool in tools.items()}
    also = await offered(
        plan,
        resources=lambda named: read(None),
        resource=lambda named: read(named["resource"]),
        prompt=lambda named: client.get_prompt("zinc", named["prompt"], arguments=named["arguments"]),
    )
    return {"tools": schemas, "calls": calls, "asked": [], "offered": also}


run(drive)
