"""pydantic-ai: an agent whose model is a function, which records all that would reach a model."""

from typing import Any

from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, RetryPromptPart, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from steps import Facts, Plan, offered, run, taken


def toolset_of(plan: Plan, asks: Any) -> MCPToolset[None]:
    if plan["transport"] == "stdio":
        wire: Any = StdioTransport(plan["command"], plan["args"], env=plan["env"])
    elif plan["transport"] == "sse":
        wire = SSETransport(plan["url"], headers=plan["headers"])
    else:
        wire = StreamableHttpTransport(plan["url"], headers=plan["headers"])
    return MCPToolset(wire, max_retries=3, init_timeout=60, elicitation_handler=asks)


async def drive(plan: Plan) -> Facts:
    asked: list[str] = []
    schemas: dict[str, Any] = {}

    async def answer(message: str, response_type: Any, params: Any, context: Any) -> Any:
        asked.append(message)
        return {"approve": True}

    async def call(tool: str, arguments: dict[str, Any]) -> tuple[Any, str]:
        shown: list[tuple[Any, str]] = []

        def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            schemas.update({each.name: each.parameters_json_schema for each in info.function_tools})
            for part in messages[-1].parts:
                if isinstance(part, RetryPromptPart):
                    shown.append((part.model_response(), "retry prompt"))
                elif isinstance(part, ToolReturnPart):
                    shown.append((part.content, "" if part.outcome == "success" else part.outcome))
            return ModelResponse([TextPart("done")] if shown else [ToolCallPart(tool, arguments)])

        await agent.run("go", model=FunctionModel(model))
        return shown[0]

    toolset = toolset_of(plan, answer)
    agent = Agent(toolsets=[toolset])
    async with agent:
        calls = await taken(plan, call)
        if not calls:
            await agent.run("go", model=FunctionModel(listing(schemas)))
        also = await offered(
            plan,
            resources=lambda named: toolset.list_resources(),
            resource=lambda named: toolset.read_resource(named["resource"]),
            prompts=lambda named: toolset.list_prompts(),
            prompt=lambda named: toolset.get_prompt(named["prompt"], named["arguments"]),
        )
    return {"tools": schemas, "calls": calls, "asked": asked, "offered": also}


def listing(schemas: dict[str, Any]) -> Any:
    def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        schemas.update({each.name: each.parameters_json_schema for each in info.function_tools})
        return ModelResponse([TextPart("done")])

    return model


run(drive)
