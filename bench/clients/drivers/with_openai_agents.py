"""openai-agents: function tools as the runner gives them to a model, and the result of a call."""

import json
from typing import Any

from agents import Agent, RunContextWrapper
from agents.mcp import MCPServerSse, MCPServerStdio, MCPServerStreamableHttp, MCPUtil
from agents.tool_context import ToolContext
from steps import Facts, Plan, offered, run, taken


async def drive(plan: Plan) -> Facts:
    if plan["transport"] == "stdio":
        parameters: Any = {"command": plan["command"], "args": plan["args"], "env": plan["env"]}
        server: Any = MCPServerStdio(parameters, client_session_timeout_seconds=60)
    else:
        kind = MCPServerSse if plan["transport"] == "sse" else MCPServerStreamableHttp
        server = kind({"url": plan["url"], "headers": plan["headers"]}, client_session_timeout_seconds=60)
    async with server:
        agent = Agent(name="driver", mcp_servers=[server])
        listed = await MCPUtil.get_all_function_tools([server], False, RunContextWrapper(None), agent)
        tools: dict[str, Any] = {tool.name: tool for tool in listed}

        async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
            given = json.dumps(arguments)
            context = ToolContext(None, tool_name=tool, tool_call_id="1", tool_arguments=given)
            try:
                return await tools[tool].on_invoke_tool(context, given), ""
            except Exception as error:
                return str(error), type(error).__name__

        calls = await taken(plan, call)
        got = await offered(
            plan,
            resources=lambda named: server.list_resources(),
            resource=lambda named: server.read_resource(named["resource"]),
            prompts=lambda named: server.list_prompts(),
            prompt=lambda named: server.get_prompt(named["prompt"], named["arguments"]),
        )
        strict = await MCPUtil.get_all_function_tools([server], True, RunContextWrapper(None), agent)
    also = {"openai-agents, strict": {tool.name: tool.params_json_schema for tool in strict}}
    schemas = {name: tool.params_json_schema for name, tool in tools.items()}
    return {"tools": schemas, "also": also, "calls": calls, "asked": [], "offered": got}


run(drive)
