"""Tool results: text and structure from the same facts, for answers and for every failure that we foresee.

Half of the hosts show the model the text, the other half the structure, so both hold all facts.
"""

import json
import re
from collections.abc import Mapping, Set
from typing import Any, Literal

from mcp.types import CallToolResult, TextContent

from zinc_mcp.errors import (
    ChangeOutcomeUnknownError,
    ChangeRejectedError,
    InvalidArgumentsError,
    OrderNotFoundError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    RefusedError,
    ZincMcpError,
)
from zinc_mcp.invocation import command
from zinc_mcp.known_settings import TOOLS
from zinc_mcp.text import bounded_facts, plain
from zinc_mcp.views.order import OrderView, compact
from zinc_mcp.views.parts import View
from zinc_mcp.views.sentences import Call

Ending = Literal["refused", "declined", "rejected", "not_sent", "unknown", "not_found", "not_read"]


class ErrorView(View):
    """The result of a failed tool call."""

    code: str
    outcome: Ending
    summary: str
    next_step: str
    money_may_have_moved: bool
    key: str | None = None
    order_id: str | None = None
    reference: str | None = None
    problems: list[dict[str, str]] | None = None
    facts: dict[str, Any] | None = None


ALWAYS = {"outcome": "string", "summary": "string", "next_step": "string"}
"""Fields that every result shows, and their JSON types; deriving them would build whole schemas at every start."""


def output_schema(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the published schema of a result: open, and no deeper than its first level.

    Zinc adds fields and statuses monthly and clients validate results: every promise here must stay true.
    """
    properties = {name: {"type": kind} for name, kind in fields.items()}
    return {"type": "object", "properties": properties, "required": list(ALWAYS)}


_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_WORD = re.compile(r"[a-z_0-9]+")
_ERROR = "Error:"
"""The first word of a failure. Several clients hand a result on without `isError` (docs/clients.md)."""


def shown(view: View, *, failed: bool = False) -> CallToolResult:
    """Return both halves of a result from one view. The text of a failure begins with `Error:`."""
    facts = compact(view)
    if failed:
        facts["summary"] = f"{_ERROR} {facts['summary']}"
    return _result(facts, failed=failed)


def with_unlisted(result: CallToolResult, listed: Set[str]) -> CallToolResult:
    """Return a result whose next step adds which of its tools this server does not list.

    The steps are written for all tools, but the owner may have left some out (`ZINC_MCP_TOOLS`).
    """
    unlisted = [name for name in TOOLS if name not in listed]
    if not unlisted:
        return result
    facts = dict(result.structured_content or {})
    named = set(_WORD.findall(str(facts.get("next_step", ""))))
    missing = [name for name in unlisted if name in named]
    if not missing:
        return result
    facts["next_step"] += f" This server does not offer {' or '.join(missing)}: there, tell the user instead."
    return _result(facts, failed=bool(result.is_error))


def with_reference(result: CallToolResult, reference: str) -> CallToolResult:
    """Return the result of a failed call with the reference by which it is found in the log."""
    facts: dict[str, Any] = result.structured_content or {}
    return result if facts.get("reference") == reference else _result({**facts, "reference": reference}, failed=True)


def _result(facts: Mapping[str, Any], *, failed: bool) -> CallToolResult:
    rest = {name: value for name, value in facts.items() if name not in ("summary", "next_step")}
    text = f"{facts['summary']} {facts['next_step']}\n{_JSON(rest)}"
    structure = dict(facts)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structure, is_error=failed)


def failed(error: ZincMcpError, call: Call) -> CallToolResult:
    """Return the result for a failure that we foresaw."""
    facts = dict(error.facts)
    key, order_id = facts.pop("key", None), facts.pop("order_id", None)
    return shown(
        ErrorView(
            # A read that Zinc refuses is not an order that Zinc rejected.
            code="zinc_unavailable" if call != "place" and isinstance(error, OrderRejectedError) else error.code,
            outcome=_ending(error, call),
            summary=_summary(error, call),
            next_step=error.next_step,
            money_may_have_moved=error.money_may_have_moved,
            key=None if key is None else plain(key, 100),
            order_id=None if order_id is None else plain(order_id, 100),
            problems=[
                {"field": plain(each.field, 120), "reason": plain(each.reason, 400)} for each in error.problems[:10]
            ],
            facts=bounded_facts(facts) or None,
        ),
        failed=True,
    )


def in_doubt(view: OrderView) -> CallToolResult:
    """Return the result of a placing call whose order is in doubt: sent and not answered, or bought before."""
    code = "outcome_unknown" if view.money_may_have_moved else "order_exists"
    return shown(
        ErrorView(
            code="paid_no_order" if view.outcome == "paid_no_order" else code,
            outcome="unknown",
            summary=view.summary,
            next_step=view.next_step,
            money_may_have_moved=view.money_may_have_moved,
            key=view.key,
            order_id=view.order_id,
            facts={"new_order": view.new_order},
        ),
        failed=True,
    )


def crashed(
    reference: str, call: Call, *, reached_checkout: bool, key: str | None, unchanged: str | None = None
) -> CallToolResult:
    """Return the result for an unforeseen failure; `reference` finds it in the log.

    `unchanged` is the end of the summary if the call is about no order: it says what was not changed.
    """
    moved = call == "place" and reached_checkout
    if call == "change" and reached_checkout:
        summary = "Something unexpected went wrong; the request may or may not have reached Zinc."
        next_step = f"Call get_order before you ask for it again, and tell the user the reference {reference}."
    elif moved:
        summary = "Something unexpected went wrong after the order was handed on: money may have moved."
        next_step = (
            f"Do not order again. Call get_order with order_id {key}, and tell the user the reference {reference}."
            if key
            else f"Do not order again. Tell the user the reference {reference}, and that {command('orders')} lists "
            "what was sent."
        )
    else:
        usual = "nothing was bought by this call" if call == "place" else "the order is not changed by that"
        unchanged = unchanged or usual
        summary = f"Something unexpected went wrong; {unchanged}."
        next_step = f"Tell the user the reference {reference}, which finds it in the server's log."
    return shown(
        ErrorView(
            code="internal_error",
            outcome="not_read" if call == "look" else "unknown" if reached_checkout else "not_sent",
            summary=summary,
            next_step=next_step,
            money_may_have_moved=moved,
            key=key if reached_checkout else None,
            reference=reference,
        ),
        failed=True,
    )


_SAID = re.compile(r"(?i)nothing (new )?(was|is) (sent|bought)|nothing was paid|was not sent")


def _summary(error: ZincMcpError, call: Call) -> str:
    """Return the error's summary and, for a placing call that sent nothing, a sentence that says so.

    Errors with which a look-up can end as well do not say so themselves, because a look-up sends nothing.
    """
    answered = ChangeRejectedError | ChangeOutcomeUnknownError if call == "change" else OrderRejectedError
    sent = error.money_may_have_moved or isinstance(error, answered | OrderNotFoundError) or "key" in error.facts
    if call == "look" or sent or _SAID.search(error.summary):
        return error.summary
    return f"{error.summary} Nothing was sent."


def _ending(error: ZincMcpError, call: Call) -> Ending:
    in_doubt = isinstance(error, OrderOutcomeUnknownError | ChangeOutcomeUnknownError)
    if in_doubt or error.money_may_have_moved or error.code == "outcome_unknown":
        return "unknown"
    if isinstance(error, ChangeRejectedError):
        return "rejected"
    if isinstance(error, OrderNotFoundError):
        return "not_found"
    if isinstance(error, InvalidArgumentsError):
        return "refused"
    if call != "place":
        return "refused" if isinstance(error, RefusedError) else "not_read" if call == "look" else "not_sent"
    if isinstance(error, OrderRejectedError):
        return "rejected" if call == "place" else "not_sent"
    if isinstance(error, RefusedError):
        return "declined" if error.code == "declined" else "refused"
    return "not_sent"
