"""smolagents: the inputs of its tools, and the result of a call."""

import asyncio
from typing import Any

from smolagents import MCPClient
from steps import Facts, Plan, run, taken


async def drive(plan: Plan) -> Facts:
    if plan["transport"] == "stdio":
        from mcp import StdioServerParameters

        server: Any = StdioServerParameters(command=plan["command"], args=plan["args"], env=plan["env"])
    else:
        name = "sse" if plan["transport"] == "sse" else "streamable-http"
        server = {"url": plan["url"], "transport": name, "headers": plan["headers"]}
    client = await asyncio.to_thread(lambda: MCPClient(server, structured_output=True))
    tools = {tool.name: tool for tool in client.get_tools()}

    async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
        try:
            return await asyncio.to_thread(lambda: tools[tool](**arguments)), ""
        except Exception as error:
            return str(error), type(error).__name__

    calls = await taken(plan, call)
    await asyncio.to_thread(client.disconnect)
    schemas = {name: {"type": "object", "properties": tool.inputs} for name, tool in tools.items()}
    return {"tools": plain(schemas), "calls": calls, "asked": []}


def plain(value: Any) -> Any:
    """Return the same value without proxies for references, which JSON cannot hold."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


run(drive)
