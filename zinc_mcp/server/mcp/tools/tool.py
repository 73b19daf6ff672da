"""The common part of every tool: its published form, its caller, and the bound on the calls of one caller."""

import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations

from zinc_mcp.errors import Problem, RefusedError
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.server.http.access import caller_in
from zinc_mcp.server.mcp.arguments import must_change
from zinc_mcp.server.mcp.asking import Page
from zinc_mcp.server.mcp.dialogue import Dialogues
from zinc_mcp.server.mcp.listing import AsGiven
from zinc_mcp.server.mcp.results import output_schema

if TYPE_CHECKING:
    from zinc_mcp.process import Process

logger = logging.getLogger("zinc_mcp")

Body = Callable[[Mapping[str, Any], Context], Awaitable[CallToolResult | InputRequiredResult]]

MOST_CALLS = 100
"""Calls of one caller that run at once in one process. A call goes on when its client hangs up, so the bound on
requests (`server.http.shares`) does not bound calls."""


class Calls:
    """Bounds the tool calls of one caller that run in this process."""

    def __init__(self, running: Counter[str]) -> None:
        """Count them in `running`, by caller."""
        self._running = running

    @contextmanager
    def one_more(self, caller: str) -> Generator[None]:
        """Count a call while inside.

        Raises:
            RefusedError: `too_many_calls`: `MOST_CALLS` calls of the caller run already.
        """
        if self._running[caller] >= MOST_CALLS:
            raise RefusedError(
                f"{MOST_CALLS} calls of yours are still running, so this one did nothing.",
                "Wait until some of them have answered; then call again.",
                code="too_many_calls",
            )
        self._running[caller] += 1
        try:
            yield
        finally:
            self._running[caller] -= 1
            if not self._running[caller]:
                del self._running[caller]


@dataclass(frozen=True, slots=True)
class Service:
    """The objects that the tools of one server share."""

    process: "Process"
    page: Page
    """The page on which people decide when the host cannot ask them."""
    dialogues: Dialogues
    """The dialogues that are open in hosts."""
    calls: Calls
    host_asks: bool = False
    """Whether the owner trusts the host's own prompt, so that the host has to ask on every call."""
    tools: frozenset[str] = frozenset()
    """The names of the tools that are listed."""
    bodies: dict[str, Body] = field(default_factory=dict[str, Body])
    """The bodies of the tools that have been called, by name."""


def published(
    body: Body,
    name: str,
    title: str,
    description: str,
    *,
    arguments: Mapping[str, Any],
    shows: Mapping[str, str],
    reads: bool = False,
    repeats: bool = False,
    destroys: bool | None = None,
    meta: dict[str, Any] | None = None,
) -> Tool:
    """Return a tool with our own schemas instead of those that the SDK derives from the signature of its body.

    Args:
        body: does the work.
        name: for the model.
        title: for people.
        description: for the model.
        arguments: the input schema.
        shows: the fields that its result promises, with their JSON types.
        reads: whether it changes nothing.
        repeats: whether it changes something, but a second call changes nothing more.
        destroys: whether it may change what cannot be undone; None: it does unless it only reads.
        meta: for hosts, under `_meta`.
    """
    tool = Tool.from_function(
        body,
        name=name,
        title=title,
        description=description,
        annotations=ToolAnnotations(
            title=title,
            read_only_hint=reads,
            destructive_hint=not reads if destroys is None else destroys,
            idempotent_hint=reads or repeats,
            open_world_hint=True,
        ),
        meta=meta,
        structured_output=False,
    )
    described = AsGiven(arg_model=tool.fn_metadata.arg_model, output_schema=output_schema(shows))
    return tool.model_copy(update={"parameters": dict(arguments), "fn_metadata": described})


def caller_of(ctx: Context) -> str:
    """Return the caller: `local` on stdio; over HTTP the one whose token came with this very message.

    The caller is never taken from the session, because other people may know its id.

    Raises:
        RefusedError: a message over HTTP came without a token, so that its caller is not known.
    """
    request = ctx.request_context.request
    if request is None:
        return LOCAL
    caller = caller_in(request.scope)
    if caller is None:
        raise RefusedError("This connection carries no token, so nothing was done.", "Connect with the server's token.")
    return caller


def handle_in(text: str) -> str:
    """Return an order's id or key as it was given.

    Raises:
        InvalidArgumentsError: it has characters that no id or key has.
    """
    if any(not 33 <= ord(character) <= 126 for character in text):
        raise must_change([Problem("order_id", "must be an id or a key, without spaces")])
    return text


def logged(error: Exception) -> str:
    """Log an unforeseen failure; return the reference that finds it in the log."""
    reference = secrets.token_hex(4)
    logger.error("unexpected failure %s", reference, exc_info=error)
    return reference
