"""The server over HTTP: Streamable HTTP at /mcp, SSE at /sse and /messages/, and the paths for watchdogs."""

import importlib.util
import logging
import signal
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.checkout.hints import Hints
from zinc_mcp.errors import SettingsError
from zinc_mcp.invocation import command, install_command
from zinc_mcp.owner.members import Members
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.places import FILE, UnconfirmedError
from zinc_mcp.proxies import is_loopback
from zinc_mcp.server.http.access import TOKEN_FILE, LocalToken, local_token
from zinc_mcp.server.http.bounded_server import BoundedServer, Listener
from zinc_mcp.server.http.connections import raise_file_limit
from zinc_mcp.server.http.kept_members import kept_up_to_date, members_of
from zinc_mcp.server.http.known import KnownCallers
from zinc_mcp.server.http.oauth.challenges import metadata_routes
from zinc_mcp.server.http.oauth.issuer import Issuer
from zinc_mcp.server.http.oauth.sign_in import SignIn
from zinc_mcp.server.http.oauth.terms import terms_of
from zinc_mcp.server.http.oauth.tokens import AccessTokens
from zinc_mcp.server.http.readiness import Readiness
from zinc_mcp.server.http.replicas import NamedSessions, log_missing_settings, messages_path
from zinc_mcp.server.http.requests import HEALTH_PATH, READY_PATH, REDIRECT_PATH, Bodies, Hosts, RequestCheck
from zinc_mcp.server.http.shares import SESSION_IDLE_SECONDS, Shares
from zinc_mcp.server.http.webhooks import Webhooks
from zinc_mcp.server.log import log_to_stderr
from zinc_mcp.server.mcp.server import Server, build_server
from zinc_mcp.server.messages import MOST_MESSAGE_BYTES
from zinc_mcp.server.pages.approval import ApprovalPage
from zinc_mcp.server.pages.browser import BrowserPage, Show
from zinc_mcp.server.pages.visits import Visits
from zinc_mcp.telemetry import watched

if TYPE_CHECKING:
    from zinc_mcp.process import Process
    from zinc_mcp.server.http.metrics import Metrics
    from zinc_mcp.server.mcp.asking import Page
    from zinc_mcp.server.opening import Opener

    MakeServer = Callable[[Process, Page], Server]

GRACE_SECONDS = 35
"""The longest time for which requests may delay a stop; a tool answers within 25 seconds (`Clocks.answer_seconds`).
Streams do not delay it. The stop always waits for an order on the wire."""

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

logger = logging.getLogger("zinc_mcp")


def serve_http(
    settings: Settings,
    host: str,
    port: int,
    *,
    allowed_hosts: Sequence[str] = (),
    tls: tuple[Path, Path] | None = None,
    behind_proxy: bool = False,
    members: Path | None = None,
    metrics: tuple[str, int] | None = None,
    opener: "Opener | None" = None,
    make_server: "MakeServer" = build_server,
) -> None:
    """Serve until a signal says stop; orders on the wire are finished first.

    Args:
        settings: the owner's settings.
        host: the address to listen on.
        port: its port.
        allowed_hosts: the names by which clients reach this server, if not by loopback.
        tls: certificate chain and private key, PEM.
        behind_proxy: a proxy in front ends TLS.
        members: the file of members; by default those in the journal's database on PostgreSQL, else `members.json` in
            the home.
        metrics: the address and port for the metrics; None: they are not shown.
        opener: opens the process in another way than `open_process`, as a fault campaign does.
        make_server: makes the MCP server in another way, as the conformance suite needs more tools than ours.

    Raises:
        SettingsError: a condition of serving off loopback is not met, or the address or a file cannot be used.
    """
    log_to_stderr(settings.log)
    known = members_of(settings, members)
    exposed = behind_proxy or bool(allowed_hosts) or not is_loopback(host)
    has_members = _has_members(known)
    terms_of(settings, "")  # a mistake in them is told before anything listens
    if exposed:
        has_people = has_members or (settings.oauth_issuer is not None and settings.oauth_everyone)
        no_members = None if has_people or known.copy is not None else members or settings.home / FILE
        _check_exposed(no_members, allowed_hosts, tls, behind_proxy)
        if not has_people:  # they are added to the database beside a server that runs, as in its container
            logger.warning("there are no members yet, so nobody is let in: %s", command("members", "add", "NAME"))
    if tls is not None:
        _check_tls(*tls)
    raise_file_limit()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it writes a line for each broken request
    logger.setLevel(logging.INFO)
    local = None if has_members or exposed else local_token(settings.home)
    names = [*allowed_hosts, *(f"{name}:{port}" for name in _LOOPBACK)]
    hosts = Hosts(names, schemes=("https",) if exposed else ("http", "https"))
    if metrics is not None:
        _check_metrics()
    with _listening(host, port) as listener, _listening(*metrics) if metrics else nullcontext() as for_metrics:
        base = _base(listener.getsockname(), allowed_hosts, tls is not None, exposed)
        shown = None if metrics is None or for_metrics is None else (metrics[0], for_metrics)
        anyio.run(_serve, settings, listener, hosts, known, local, tls, opener, base, shown, make_server)


def build_app(
    process: "Process",
    hosts: Hosts,
    members: Members,
    *,
    base: str,
    local: LocalToken | None = None,
    show: Show | None = None,
    make_server: "MakeServer" = build_server,
) -> ASGIApp:
    """Return the ASGI application for a process, which stays open while the application runs.

    Args:
        process: the process that takes the orders.
        hosts: the names by which clients may reach it.
        members: the people who may use it.
        base: the origin by which people reach the approval page.
        local: the owner's token, which counts while there are no members.
        show: opens the page of a caller on this machine in another way than in the desktop's browser.
        make_server: see `serve_http`.
    """

    async def own_origin() -> str:
        return base

    terms = terms_of(process.settings, base)
    tokens = sign_in = None
    if terms is not None:
        issuer = Issuer(terms.issuer, process.settings.route, process.times.steady)
        tokens = AccessTokens(terms, issuer, members)
        if terms.client is not None:
            sign_in = SignIn(terms, terms.client, issuer, members, f"{base}{REDIRECT_PATH}")
    secret = process.settings.webhook_secret
    visits = Visits(process.times.clock, members, process.journal, None if sign_in is None else terms)
    server = make_server(process, BrowserPage(process, visits, own_origin, show=show))
    security = hosts.for_the_sdk()
    replica = process.settings.replica
    streamable = server.streamable_http_app(
        transport_security=security,
        max_request_body_size=MOST_MESSAGE_BYTES,
        session_idle_timeout=SESSION_IDLE_SECONDS,
        stateless_http=process.settings.stateless,
    )
    sse = server.sse_app(
        message_path=messages_path(replica),
        transport_security=security,
        max_request_body_size=MOST_MESSAGE_BYTES,
    )

    async def healthy(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    readiness = Readiness(process)

    async def ready(request: Request) -> Response:
        code = await readiness.objection()
        return JSONResponse(
            {"status": "ready"} if code is None else {"status": "not ready", "code": code}, 503 if code else 200
        )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with server.session_manager.run(), shares.watched(), kept_up_to_date(process, members):
            yield

    routed = Starlette(
        routes=[
            Route(HEALTH_PATH, healthy),
            Route(READY_PATH, ready),
            ApprovalPage(process, hosts, visits, sign_in, base).route(),
            *([] if terms is None else metadata_routes(terms)),
            *([] if secret is None else [Webhooks(secret, Hints(process).take).route()]),
            *streamable.routes,
            *sse.routes,
        ],
        lifespan=lifespan,
    )
    routed.router.redirect_slashes = False  # both spellings are served
    named = routed if replica is None else NamedSessions(routed, replica)
    bodies = Bodies(_OneAnswer(named), terms)
    known = KnownCallers(members, local, tokens)
    shares = Shares(bodies, known.is_known, known.holds, None if tokens is None else known.renew)
    return RequestCheck(shares, hosts, known)


def _has_members(members: Members) -> bool:
    """Say whether there are members. If the database of the members cannot be asked, there may be some."""
    try:
        return bool(members.known())
    except UnconfirmedError:
        return True


def _base(address: tuple[str, int], allowed_hosts: Sequence[str], tls: bool, exposed: bool) -> str:
    """Return the origin by which people reach this server."""
    host, port = address[:2]
    if not exposed:
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"
    name = allowed_hosts[0]
    # A proxy in front listens on the port that browsers expect. We listen there only if we were told to.
    return f"https://{name}:{port}" if tls and port != 443 and name.rpartition(":")[2] == name else f"https://{name}"


class _OneAnswer:
    """ASGI middleware: makes sure that each request gets exactly one response, with an end.

    The SDK would start a second response to HEAD, and after an SSE stream that was ended from this side, as at every
    stop (mcp 2.3, `MCPServer.sse_app`): then the stream is ended instead. It leaves streams of `/mcp` without an end at
    a stop (sse-starlette 3.7, `EventSourceResponse`). Nothing may follow a response that is complete.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = over = False

        async def once(message: Message) -> None:
            nonlocal started, over
            if over:
                return
            if message["type"] == "http.response.start" and started:
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            started = True
            over = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, once if scope["type"] == "http" else send)
            if started and not over:
                await once({"type": "http.response.body", "body": b"", "more_body": False})
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            if not over:
                raise
            # The SDK answers a message over SSE before it hands it on: the client's stream has ended in between.


def _check_exposed(
    no_members: Path | None,
    allowed_hosts: Sequence[str],
    tls: tuple[Path, Path] | None,
    behind_proxy: bool,
) -> None:
    missing: list[str] = []
    if no_members is not None:
        missing.append(f"members ({command('members', 'add', 'NAME')}; {no_members} has none)")
    if not allowed_hosts:
        missing.append("the names clients reach it by (--allow-host)")
    if tls is None and not behind_proxy:
        missing.append("TLS (--tls-cert and --tls-key) or a proxy that ends it (--behind-proxy)")
    if missing:
        raise SettingsError(
            f"The server is not started where others can reach it without {'; '.join(missing)}.",
            "Add what is missing, or listen on 127.0.0.1 alone.",
        )


def _check_tls(certificate: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError("The TLS certificate or its key cannot be used.", "Give both as PEM files.") from error


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "not an address of this machine"
        raise SettingsError(f"Cannot listen on {host}:{port} ({reason}).", "Choose another address or port.") from error
    with listener:
        # Accepted connections inherit it. asyncio sets it only where the listener names its protocol, and without it
        # an answer in two pieces waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Listener.of(listener)


async def _serve(
    settings: Settings,
    listener: socket.socket,
    hosts: Hosts,
    members: Members,
    local: LocalToken | None,
    tls: tuple[Path, Path] | None,
    opener: "Opener | None",
    base: str,
    metrics: tuple[str, socket.socket] | None,
    make_server: "MakeServer",
) -> None:
    from zinc_mcp.wiring import open_process

    # The process is opened once, around the server, so that an order on the wire is finished after the last connection.
    shown = None if metrics is None else _metrics()
    async with (
        watched(shown) as watch,
        (opener or partial(open_process, members=members))(settings, watch=watch) as process,
    ):
        server = BoundedServer(
            build_app(process, hosts, members, local=local, base=base, make_server=make_server),
            lifespan="on",
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
            timeout_graceful_shutdown=GRACE_SECONDS,
            on_stop=process.stopping.set,
            is_working=lambda: process.calls.total() > 0,
        )
        address = listener.getsockname()
        logger.info(
            "serving %s orders on %s://%s:%d/mcp (and /sse)",
            settings.mode,
            "https" if tls else "http",
            f"[{address[0]}]" if ":" in address[0] else address[0],
            address[1],
        )
        process.tasks.start_soon(log_missing_settings, process)  # not awaited: the journal may be away for a while
        if local is not None:
            logger.info(
                'clients send the header "Authorization: Bearer TOKEN"; the token is in the file %s, which only you '
                "can read, and stays the same until you remove that file",
                settings.home / TOKEN_FILE,
            )
        with _signals_survived():
            async with nullcontext() if shown is None or metrics is None else shown.served(*metrics):
                await server.serve(sockets=[listener])


def _metrics() -> "Metrics":
    from zinc_mcp.server.http.metrics import Metrics  # its library is an extra

    return Metrics()


def _check_metrics() -> None:
    if importlib.util.find_spec("prometheus_client") is None:
        raise SettingsError(
            "Metrics need the extra `metrics`.", f"Install it and start again: {install_command('metrics')}"
        )


@contextmanager
def _signals_survived() -> Generator[None]:
    """Outlive the signal that stopped uvicorn, which raises it again when it is done: orders may be on the wire."""
    stopping = (signal.SIGINT, signal.SIGTERM)
    before = {each: signal.signal(each, lambda number, frame: None) for each in stopping}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
