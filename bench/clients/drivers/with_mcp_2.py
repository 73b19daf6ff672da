"""The Python SDK, 2.x: `Client`, which asks for the newer protocol first."""

from contextlib import AsyncExitStack
from typing import Any

import httpx2
from mcp import Client, types
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from steps import Facts, Plan, offered, run, taken


async def drive(plan: Plan) -> Facts:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"approve": True})

    mode = "legacy" if plan["era"] == "older" else "auto"
    async with AsyncExitStack() as stack:
        if plan["transport"] == "stdio":
            wire = stdio_client(StdioServerParameters(command=plan["command"], args=plan["args"], env=plan["env"]))
        elif plan["transport"] == "sse":
            wire = sse_client(plan["url"], headers=plan["headers"])
        else:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=plan["headers"], timeout=60))
            wire = streamable_http_client(plan["url"], http_client=http)
        client = await stack.enter_async_context(Client(wire, mode=mode, elicitation_callback=answer))
        tools = (await client.list_tools()).tools

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
            result = await client.call_tool(tool, arguments)
            return result, "isError" if result.is_error else ""

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
