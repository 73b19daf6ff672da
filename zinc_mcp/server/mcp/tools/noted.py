"""A call of a tool with its line in the log, and with the reference by which a failed one is found there."""

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, InputRequiredResult

from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.server.http.access import caller_in
from zinc_mcp.server.log import CALLS, FACTS
from zinc_mcp.server.mcp.listing import OpenService
from zinc_mcp.server.mcp.results import with_reference
from zinc_mcp.server.mcp.tools.bodies import call_tool

if TYPE_CHECKING:
    from zinc_mcp.telemetry.watch import Watch

_OURS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

logger = logging.getLogger(CALLS)


async def call_and_note(
    name: str, service: OpenService, watch: "Watch | None", given: Mapping[str, Any], ctx: Context
) -> CallToolResult | InputRequiredResult:
    """Answer a call of a tool, and log its caller, ending and duration; tell `watch` of it, too.

    A call that failed is logged even if the others are not, because its result names the line.
    """
    began = time.perf_counter()
    try:
        result = await call_tool(name, service, given, ctx)
    except BaseException:
        _note(logging.INFO, name, watch, ctx, began, ending="interrupted")
        raise
    if not isinstance(result, CallToolResult):
        _note(logging.INFO, name, watch, ctx, began, ending="asked")
        return result
    facts: dict[str, Any] = result.structured_content or {}
    if result.is_error:
        reference = facts.get("reference") or secrets.token_hex(4)
        _note(logging.WARNING, name, watch, ctx, began, facts=facts, code=facts.get("code"), reference=reference)
        return with_reference(result, reference)
    _note(logging.INFO, name, watch, ctx, began, facts=facts)
    return result


def _note(
    level: int,
    name: str,
    watch: "Watch | None",
    ctx: Context,
    began: float,
    *,
    facts: Mapping[str, Any] | None = None,
    **more: object,
) -> None:
    if watch is None and not logger.isEnabledFor(level):
        return
    seconds = time.perf_counter() - began
    facts = facts or {}
    request = ctx.request_context.request
    line = {
        "caller": LOCAL if request is None else caller_in(request.scope),
        "tool": name,
        "ending": facts.get("outcome"),
        "milliseconds": round(seconds * 1000),
        "key": _shown(facts.get("key")),
        **more,
    }
    if watch is not None:
        watch.called(line, seconds)
    logger.log(level, "call", extra={FACTS: {each: value for each, value in line.items() if value is not None}})


def _shown(key: object) -> str | None:
    """Return a key as it may be logged. A key that a host has chosen may say anything, so a digest stands for it."""
    if not isinstance(key, str):
        return None
    return key if _OURS.fullmatch(key) else f"sha256:{hashlib.sha256(key.encode()).hexdigest()[:12]}"
