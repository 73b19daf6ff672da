"""Several servers on one journal behind one proxy: the settings that each needs, and its name for the proxy.

A session of the older protocol, and an SSE connection, live in one process. Its name begins the ids of its sessions
(`one.0123…`) and ends the path of its messages (`/messages/one/`), so that a proxy can route by a fixed rule.
"""

import logging
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zinc_mcp.checkout.readiness import check_policy
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Process

MESSAGES_PATH = "/messages/"

logger = logging.getLogger("zinc_mcp")

_SESSION = b"mcp-session-id"


class NamedSessions:
    """ASGI middleware: begins the ids of sessions with the name of this server, for the proxy in front.

    An id with another name goes on as it is, so that the answer is 404 and the client opens a new session (MCP
    2025-11-25, Transports, "Session Management").
    """

    def __init__(self, app: ASGIApp, replica: str) -> None:
        self._app = app
        self._begins = replica.encode() + b"."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request with its session's id as the SDK knows it, and its answer with the id as clients know it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [
            (name, value.removeprefix(self._begins) if name == _SESSION else value) for name, value in scope["headers"]
        ]

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [
                    (name, self._begins + value if name.lower() == _SESSION else value)
                    for name, value in message.get("headers", ())
                ]
                message = {**message, "headers": given}
            await send(message)

        await self._app({**scope, "headers": headers}, receive, named)


def messages_path(replica: str | None) -> str:
    """Return the path that clients over SSE send their messages to; the proxy routes it to the server of this name."""
    return MESSAGES_PATH if replica is None else f"{MESSAGES_PATH}{replica}/"


async def log_missing_settings(process: Process) -> None:
    """Log the settings that this server lacks among others on its journal, and whether its policy differs from theirs.

    The first server publishes its policy here.
    """
    if not process.settings.is_shared:
        return
    for sentence, step in missing_for_replicas(process.settings):
        logger.warning("%s %s", sentence, step)
    try:
        await check_policy(process, process.policy())
    except ZincMcpError as error:
        logger.warning("%s %s", error.summary, error.owner_step or error.next_step)


def missing_for_replicas(settings: Settings) -> Sequence[tuple[str, str]]:
    """Return the settings that are missing if other servers share this journal: sentences, each with the next step.

    Nothing is missing if the journal is a file, which servers on several machines cannot share.
    """
    if not settings.is_shared:
        return ()
    missing: list[tuple[str, str]] = []
    if not settings.keys("state_keys"):
        missing.append(
            (
                "There are no state keys: if other servers share this journal, an answer in a host's dialogue counts "
                "only at the server that asked.",
                "Give all servers on this journal the same ZINC_MCP_STATE_KEYS.",
            )
        )
    if settings.replica is None:
        which = "connections over SSE" if settings.stateless else "sessions of older hosts and connections over SSE"
        missing.append(
            (
                f"This server has no name: if others share its proxy, the proxy cannot find its {which}.",
                "Give each server a ZINC_MCP_REPLICA of its own.",
            )
        )
    return missing
