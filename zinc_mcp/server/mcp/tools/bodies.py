"""The body of each tool, loaded by its first call."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.known_settings import PROFILES
from zinc_mcp.server.mcp.listing import OpenService
from zinc_mcp.server.mcp.results import crashed, failed, with_unlisted
from zinc_mcp.server.mcp.tools.tool import Body, Service, logged
from zinc_mcp.views.sentences import Call


async def call_tool(
    name: str, service: OpenService, given: Mapping[str, Any], ctx: Context
) -> CallToolResult | InputRequiredResult:
    """Answer a call of a tool, also if the process cannot be opened for it."""
    try:
        opened = await service()
        body = body_of(name, opened)
    except ZincMcpError as error:
        return failed(error, _call(name))
    except Exception as error:
        return crashed(logged(error), _call(name), reached_checkout=False, key=None)
    result = await body(given, ctx)
    return with_unlisted(result, opened.tools) if isinstance(result, CallToolResult) else result


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
