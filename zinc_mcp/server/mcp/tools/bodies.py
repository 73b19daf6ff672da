"""The body of each tool, loaded by its first call."""

from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult

from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.known_settings import PROFILES, rights_for
from zinc_mcp.owner.team.places import let_in
from zinc_mcp.server.http.access import access_in
from zinc_mcp.server.mcp.listing import OpenService
from zinc_mcp.server.mcp.results import crashed, failed, with_unlisted
from zinc_mcp.server.mcp.tools.tool import Body, Service, logged
from zinc_mcp.spending.own_secrets import refuse_secrets, secrets_in
from zinc_mcp.views.sentences import Call


async def call_tool(
    name: str, service: OpenService, given: Mapping[str, Any], ctx: Context
) -> CallToolResult | InputRequiredResult:
    """Answer a call of a tool, also if the process cannot be opened for it."""
    try:
        opened = await service()
        offered = _offered(name, opened, ctx)
        body = body_of(name, opened)
        refuse_secrets(given, secrets_in(opened.process.settings))
    except ZincMcpError as error:
        return failed(error, _call(name))
    except Exception as error:
        return crashed(logged(error), _call(name), reached_checkout=False, key=None)
    request = ctx.request_context.request
    access = None if request is None else access_in(request.scope)
    with nullcontext() if access is None else let_in(access.caller, access.mark):
        result = await body(given, ctx)
    return with_unlisted(result, offered) if isinstance(result, CallToolResult) else result


def _offered(name: str, service: Service, ctx: Context) -> frozenset[str]:
    """Return the tools that are listed for the caller of a tool.

    Raises:
        RefusedError: the caller may not call this one.
    """
    request = ctx.request_context.request
    access = None if request is None else access_in(request.scope)
    if access is None:  # stdio; a request without a token is refused by every tool
        return service.tools
    if not access.rights.issuperset(rights_for(name)):
        raise RefusedError(
            "This caller may not use this tool on this server, so nothing was done.",
            "Tell the user; the owner of the server can give them another role.",
            code="not_allowed",
        )
    return frozenset(tool for tool in service.tools if access.may.issuperset(rights_for(tool)))


def body_of(name: str, service: Service) -> Body:
    """Return the body of a tool."""
    body = service.bodies.get(name)
    if body is None:
        body = service.bodies[name] = import_module(f"{__package__}.{name}").tool(service).fn
    return body


def _call(name: str) -> Call:
    if name.startswith("place_"):
        return "place"
    return "look" if "read" in PROFILES[name] else "change"
