"""llama-index-tools-mcp: function tools as LlamaIndex gives them to a model, and the output of a call."""

from typing import Any

from llama_index.tools.mcp import BasicMCPClient, McpToolSpec
from steps import Facts, Plan, offered, run, taken


async def drive(plan: Plan) -> Facts:
    if plan["transport"] == "stdio":
        client = BasicMCPClient(plan["command"], args=plan["args"], env=plan["env"], timeout=60)
    else:
        client = BasicMCPClient(plan["url"], headers=plan["headers"], timeout=60)
    tools = {tool.metadata.name: tool for tool in await McpToolSpec(client=client).to_tool_list_async()}

    async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
        try:
            output = await tools[tool].acall(**arguments)
        except Exception as error:
            return str(error), type(error).__name__
        return output.content, "is_error" if output.is_error else ""

    calls = await taken(plan, call)
    also = await offered(
        plan,
        resources=lambda named: client.list_resources(),
        resource=lambda named: client.read_resource(named["resource"]),
        prompts=lambda named: client.list_prompts(),
        prompt=lambda named: client.get_prompt(named["prompt"], named["arguments"]),
    )
    schemas = {name: tool.metadata.to_openai_tool()["function"]["parameters"] for name, tool in tools.items()}
    return {"tools": schemas, "calls": calls, "asked": [], "offered": also}


run(drive)
