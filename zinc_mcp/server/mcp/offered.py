"""What the server says it has: only what there is, in both eras of the protocol."""

from collections.abc import Mapping, Set
from typing import Any, cast

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS

_OPENING = frozenset({"initialize", "server/discover"})
_CAPABILITIES = "capabilities"


def only_what_there_is(server: MCPServer[Any]) -> ServerMiddleware[Any]:
    """Return a middleware that takes back what the SDK says for every server, whether it has any or not (mcp 2.3).

    An empty list of prompts or resources is no capability, so it is not advertised; a host that asks all the same gets
    the empty list. A prompt or a tool that there is not is -32602 (MCP, "Prompts" and "Tools", "Error Handling").
    """

    async def answer(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "prompts/get":
            _check(ctx.params, {prompt.name for prompt in await server.list_prompts()}, "Unknown prompt")
        elif ctx.method == "tools/call":
            _check(ctx.params, {tool.name for tool in await server.list_tools()}, "Unknown tool; nothing was done")
        result = await call_next(ctx)
        if ctx.method in _OPENING and isinstance(result, dict):
            result[_CAPABILITIES] = await _there(server, cast(dict[str, Any], result.get(_CAPABILITIES, {})))
        return result

    return answer


async def _there(server: MCPServer[Any], advertised: Mapping[str, Any]) -> dict[str, Any]:
    has = {
        "tools": bool(await server.list_tools()),
        "prompts": bool(await server.list_prompts()),
        "resources": bool(await server.list_resources() or await server.list_resource_templates()),
        "experimental": bool(advertised.get("experimental")),
        "extensions": bool(advertised.get("extensions")),
    }
    return {name: value for name, value in advertised.items() if has.get(name, True)}


def _check(params: Mapping[str, Any] | None, there: Set[str], otherwise: str) -> None:
    name = (params or {}).get("name")
    if isinstance(name, str) and name not in there:
        raise MCPError(code=INVALID_PARAMS, message=otherwise)
