"""The MCP server: a factory from a process to its tools."""

import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, cast

from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.request_state import RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, InputRequiredResult, ResourceTemplate
from pydantic import ValidationError

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.known_settings import TOOLS, rights_for
from zinc_mcp.known_settings.kinds import LEAST_KEY_BYTES
from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.server.http.access import access_in, caller_in
from zinc_mcp.server.mcp.instructions import instructions_for
from zinc_mcp.server.mcp.listing import OpenService, listed_tools
from zinc_mcp.server.mcp.prompts import prompts
from zinc_mcp.server.mcp.resources import ORDERS, order_in, order_template, orders_resource, read_order, read_orders

if TYPE_CHECKING:
    from pydantic import AnyUrl

    from zinc_mcp.process import Process
    from zinc_mcp.server.mcp.asking import Page
    from zinc_mcp.server.mcp.tools.tool import Service
    from zinc_mcp.server.stdio import Incoming, Outgoing
    from zinc_mcp.telemetry.watch import Watch


class Server(MCPServer[Any]):
    """The SDK's server, on streams of ours."""

    service: OpenService | None = None
    offered: frozenset[str] = frozenset()
    """The names of the tools that are listed."""

    def __init__(self, *args: Any, **named: Any) -> None:
        """Build it without rich, which the SDK's constructor loads for a log that `server.log` has set up."""
        with _left_out("rich"):
            super().__init__(*args, **named)

    async def read_resource(
        self, uri: "AnyUrl | str", context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read the list of orders or one order, which are each caller's own; a resource of the SDK knows no caller."""
        if self.service is not None and context is not None:
            if str(uri) == ORDERS and "list_orders" in self.offered:
                return await read_orders(self.service, context)
            if (order_id := order_in(str(uri))) is not None and "get_order" in self.offered:
                return await read_order(self.service, context, order_id)
        return await super().read_resource(uri, context)

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        """List the template of one order. The SDK derives its own from functions, which takes longer than all tools."""
        own = [order_template()] if "get_order" in self.offered else []
        return [*own, *await super().list_resource_templates()]

    def has_tool(self, name: str) -> bool:
        """Say whether there is a tool with this name. The SDK's `list_tools` would build the whole list for that."""
        return self._tool_manager.get_tool(name) is not None

    async def serve_streams(self, messages: "Incoming", answers: "Outgoing") -> None:
        """Serve one host until its messages end."""
        server = self._lowlevel_server
        await server.run(messages, answers, server.create_initialization_options())


def build_server(process: "Process", page: "Page | None" = None) -> Server:
    """Return a server for this process, which must stay open while the server runs.

    People decide on `page` when the host cannot ask them; without a page, in a terminal.
    """
    opened = service_of(process, page)

    async def service() -> "Service":
        return opened

    return offer_tools(process.settings, service, process.watch)


def service_of(process: "Process", page: "Page | None" = None) -> "Service":
    """Return the objects that the tools of a process share."""
    from zinc_mcp.server.mcp.asking import Terminal
    from zinc_mcp.server.mcp.dialogue import Dialogues
    from zinc_mcp.server.mcp.tools.tool import Calls, Service

    settings = process.settings
    return Service(
        process,
        page or Terminal(),
        Dialogues(process),
        Calls(process.calls),
        host_asks=_host_asks(settings),
        tools=_names(settings),
    )


def offer_tools(settings: Settings, service: OpenService, watch: "Watch | None" = None) -> Server:
    """Return a server that lists the tools, and opens their process at the first call.

    Args:
        settings: the owner's settings.
        service: see `OpenService`.
        watch: is told of each call.
    """
    names = _names(settings)
    server = Server(
        "zinc",
        title="Zinc",
        instructions=instructions_for(names),
        version=own_version(),
        tools=listed_tools(service, names, host_asks=_host_asks(settings), watch=watch),
        resources=[orders_resource()] if "list_orders" in names else [],
        log_level="WARNING",
        subscriptions=False,
        cache_hints={"tools/list": CacheHint(ttl_ms=300_000, scope="public")},
        request_state_security=_sealing(settings),
    )
    server.service, server.offered = service, names
    for prompt in prompts(names):
        server.add_prompt(prompt)
    server.middleware.append(_corrections(server))
    return server


@contextmanager
def _left_out(library: str) -> Generator[None]:
    """Keep a library that is not loaded yet from being loaded, because the first answer would wait for it."""
    modules = cast(dict[str, Any], sys.modules)
    if library in modules:
        yield
        return
    modules[library] = None  # a module that cannot be imported (Python, "The import system")
    try:
        yield
    finally:
        del modules[library]


@cache
def own_version() -> str:
    """Return the installed version of this package, or `0` when it runs from a bare folder."""
    try:
        return version("zinc-mcp")
    except PackageNotFoundError:
        return "0"


def _corrections(server: Server) -> ServerMiddleware[Any]:
    """Return a middleware that corrects answers of the SDK (mcp 2.3).

    The SDK advertises prompts and resources for every server. An empty list of them is no capability, so it is not
    advertised; a host that asks all the same gets the empty list. An unknown prompt or tool is -32602 (MCP, "Prompts"
    and "Tools", "Error Handling"). A list of tools leaves out those that the role of its caller does not allow. A
    failure that nobody foresaw is -32603 with a reference to the log, and its text is told to nobody.
    """

    async def answer(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "prompts/get":
            listed = {prompt.name for prompt in await server.list_prompts()}
            _check(ctx.params, listed.__contains__, "Unknown prompt")
        elif ctx.method == "tools/call":
            _check(ctx.params, server.has_tool, "Unknown tool; nothing was done")
        try:
            result = await call_next(ctx)
        except (MCPError, ValidationError):
            raise
        except Exception as error:  # in the older era, the SDK would tell its text (mcp 2.3)
            raise MCPError(code=INTERNAL_ERROR, message=_crash(error)) from None
        if ctx.method == "tools/list" and isinstance(result, dict):
            _leave_out(result, ctx)
        if ctx.method in ("initialize", "server/discover") and isinstance(result, dict):
            result["capabilities"] = await _capabilities(server, cast(dict[str, Any], result.get("capabilities", {})))
        return result

    return answer


def _crash(error: Exception) -> str:
    from zinc_mcp.server.mcp.tools.tool import logged

    return (
        "Something unexpected went wrong in this server. "
        f"Tell the user the reference {logged(error)}, which finds it in the server's log."
    )


def _leave_out(listed: dict[str, Any], ctx: ServerRequestContext[Any, Any]) -> None:
    """Leave out of a list the tools that the role of its caller does not allow; such a list is one caller's own.

    The scopes of an access token leave nothing out: a client asks for more of them when a tool is called that needs
    them, and a tool that is not listed is never called.
    """
    access = None if ctx.request is None else access_in(ctx.request.scope)
    if access is None or access.caller == LOCAL:
        return
    listed["tools"] = [tool for tool in listed["tools"] if access.may.issuperset(rights_for(tool["name"]))]
    if "cacheScope" in listed:
        listed["cacheScope"] = "private"


def _check(params: Mapping[str, Any] | None, is_known: Callable[[str], bool], otherwise: str) -> None:
    name = (params or {}).get("name")
    if isinstance(name, str) and not is_known(name):
        raise MCPError(code=INVALID_PARAMS, message=otherwise)


async def _capabilities(server: MCPServer[Any], advertised: Mapping[str, Any]) -> dict[str, Any]:
    has = {
        "tools": bool(await server.list_tools()),
        "prompts": bool(await server.list_prompts()),
        "resources": bool(await server.list_resources() or await server.list_resource_templates()),
        "experimental": bool(advertised.get("experimental")),
        "extensions": bool(advertised.get("extensions")),
    }
    return {name: value for name, value in advertised.items() if has.get(name, True)}


def _names(settings: Settings) -> frozenset[str]:
    """Return the names of the tools that are listed: those that the owner named, where they can work."""
    has_key = settings.api_key is not None or "api_key" in settings.in_keyring
    asks_zinc = settings.sandbox or has_key or settings.wallet is not None
    known = frozenset(TOOLS) - (set() if asks_zinc else {"search_products"})
    known -= set() if settings.has_v1 else {"place_v1_order"}
    return known if settings.tools is None else known & settings.tools


def _host_asks(settings: Settings) -> bool:
    try:
        return read_policy(settings).approval == "host"
    except ZincMcpError:
        return False  # a policy that cannot be read refuses every order later


def _sealing(settings: Settings) -> RequestStateSecurity:
    """Return the protection of sealed state. State of one member is not accepted from another.

    With keys from the settings, every server that has them can open the state, also after a restart. So the audience is
    the program's name, which is the same for all of them. Without such keys, the key lives as long as the process.
    """
    keys = settings.keys("state_keys") or (os.urandom(LEAST_KEY_BYTES),)
    return RequestStateSecurity(keys=keys, bind_principal=_principal, audience="zinc-mcp")


def _principal(ctx: ServerRequestContext[Any, Any]) -> str | None:
    return None if ctx.request is None else caller_in(ctx.request.scope)
