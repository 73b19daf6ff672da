"""The Python SDK, 2.x: `Client`, which asks for the newer protocol first."""

from contextlib import AsyncExitStack
from typing import Any

import httpx2
from mcp import Client, types
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from steps import Facts, Plan, run, taken


async def drive(plan: Plan) -> Facts:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"approve": True})

    async with AsyncExitStack() as stack:
        if plan["transport"] == "stdio":
            wire = stdio_client(StdioServerParameters(command=plan["command"], args=plan["args"], env=plan["env"]))
        elif plan["transport"] == "sse":
            wire = sse_client(plan["url"], headers=plan["headers"])
        else:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=plan["headers"], timeout=60))
            wire = streamable_http_client(plan["url"], http_client=http)
        client = await stack.enter_async_context(Client(wire, elicitation_callback=answer))
        tools = (await client.list_tools()).tools

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
            result = await client.call_tool(tool, arguments)
            return result, "isError" if result.is_error else ""

        calls = await taken(plan, call)
    return {"tools": {tool.name: tool.input_schema for tool in tools}, "calls": calls, "asked": asked}


run(drive)
