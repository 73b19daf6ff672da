"""The Python SDK, 1.x: `ClientSession`, with its form elicitation."""

from contextlib import AsyncExitStack
from typing import Any

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl
from steps import Facts, Plan, offered, run, taken


async def drive(plan: Plan) -> Facts:
    asked: list[str] = []

    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"approve": True})

    async with AsyncExitStack() as stack:
        if plan["transport"] == "stdio":
            server = StdioServerParameters(command=plan["command"], args=plan["args"], env=plan["env"])
            streams = await stack.enter_async_context(stdio_client(server))
        elif plan["transport"] == "sse":
            streams = await stack.enter_async_context(sse_client(plan["url"], headers=plan["headers"]))
        else:
            streams = await stack.enter_async_context(streamablehttp_client(plan["url"], headers=plan["headers"]))
        session = await stack.enter_async_context(ClientSession(*streams[:2], elicitation_callback=answer))
        await session.initialize()
        tools = (await session.list_tools()).tools

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
            result = await session.call_tool(tool, arguments)
            return result, "isError" if result.isError else ""

        calls = await taken(plan, call)
        also = await offered(
            plan,
            resources=lambda named: session.list_resources(),
            resource=lambda named: session.read_resource(AnyUrl(named["resource"])),
            prompts=lambda named: session.list_prompts(),
            prompt=lambda named: session.get_prompt(named["prompt"], named["arguments"]),
        )
    schemas = {tool.name: tool.inputSchema for tool in tools}
    return {"tools": schemas, "calls": calls, "asked": asked, "offered": also}


run(drive)
