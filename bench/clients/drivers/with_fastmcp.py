"""FastMCP's client, with its elicitation handler; it raises `ToolError` for an error."""

from typing import Any

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from fastmcp.exceptions import ToolError
from steps import Facts, Plan, offered, run, taken


async def drive(plan: Plan) -> Facts:
    asked: list[str] = []

    async def answer(message: str, response_type: Any, params: Any, context: Any) -> Any:
        asked.append(message)
        return {"approve": True}

    if plan["transport"] == "stdio":
        wire: Any = StdioTransport(plan["command"], plan["args"], env=plan["env"])
    elif plan["transport"] == "sse":
        wire = SSETransport(plan["url"], headers=plan["headers"])
    else:
        wire = StreamableHttpTransport(plan["url"], headers=plan["headers"])
    async with Client(wire, elicitation_handler=answer) as client:
        tools = await client.list_tools()

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
            try:
                result = await client.call_tool(tool, arguments)
            except ToolError as error:
                return str(error), "ToolError"
            content = [block.model_dump(mode="json", exclude_none=True) for block in result.content]
            return {"content": content, "structuredContent": result.structured_content}, ""

        calls = await taken(plan, call)
        also = await offered(
            plan,
            resources=lambda named: client.list_resources(),
            resource=lambda named: client.read_resource(named["resource"]),
            prompts=lambda named: client.list_prompts(),
            prompt=lambda named: client.get_prompt(named["prompt"], named["arguments"]),
        )
    schemas = {tool.name: tool.input_schema for tool in tools}
    return {"tools": schemas, "calls": calls, "asked": asked, "offered": also}


run(drive)
