"""A case with Zinc's support about an order: opened, given a message, or closed. An order has one open case at most."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from zinc_mcp.aftercare.look_up import changes_of, kept_id
from zinc_mcp.aftercare.placed import PlacedOrder, read_placed, reading
from zinc_mcp.aftercare.request import ChangeWish, request
from zinc_mcp.consent.change_question import Action, ChangeQuestion, fields_of, label
from zinc_mcp.errors import InvalidArgumentsError, OrderRejectedError, Problem, RefusedError, ZincMcpError
from zinc_mcp.journal.records.entry import OPEN, Draft, Entry
from zinc_mcp.journal.records.twin import change_digest
from zinc_mcp.process import Answer, Process
from zinc_mcp.text import plain
from zinc_mcp.zinc.aftercare.cases import CLOSED, Case
from zinc_mcp.zinc.aftercare.changes import Change
from zinc_mcp.zinc.credits import CaseSummary
from zinc_mcp.zinc.responses import is_a_segment

MAX_ITEMS = 10
"""The number of items that the question about a case shows, so that a person recognises the order."""
MAX_MESSAGE = 2_000
"""The most characters of a message to Zinc's support (the documents name no limit)."""


_STANDS = {
    "waiting": ("waits for the user's decision: no case is open yet", "Ask the user to decide about that one."),
    "in doubt": ("is in doubt: Zinc may have it, and a case may be open", "Call get_order to see how that one ends."),
}
"""The words about an earlier report that may not be at Zinc, and the step that comes first."""


@dataclass(frozen=True, slots=True)
class Report:
    """A caller's wish to report a problem, to say more about it, or to close it."""

    caller: str
    order: str
    """Zinc's order id, or our key."""
    reason: str | None = None
    message: str | None = None
    close: bool = False


@dataclass(frozen=True, slots=True)
class _Standing:
    """The case of an order that is open, as far as Zinc or the journal knows."""

    id: str
    reason: str | None
    as_of: str | None
    """The time of its last change. So, once it was opened again, to close it again is another wish."""


async def report_problem(process: Process, report: Report) -> Answer:
    """Open, continue or close a case as a report says, unless that was done already.

    If a person must be asked first, the answer's entry is `waiting`.

    Raises:
        RefusedError: nothing was sent; the sentence says why.
        ZincMcpError: as `read_placed` and `request`.
    """
    deadline = time.monotonic() + process.clocks.answer_seconds
    with reading(process):
        wish = await _wished(process, report)
    return await request(process, wish, deadline)


async def _wished(process: Process, report: Report) -> ChangeWish:
    placed = await read_placed(process, report.caller, report.order)
    changes = await changes_of(process, placed)
    listed = await _listed(placed)
    standing = _standing(placed, listed, changes)
    if standing is not None:
        return _closing(report, placed, standing) if report.close else await _message(report, placed, standing, listed)
    if not report.close and report.reason is not None:
        return _opening(report, placed, listed, report.reason)
    _admit_opening(changes)  # if a case may be open, neither sentence below is true
    if report.close:
        raise RefusedError(
            "No case about this order is open, so nothing was sent.", "Call get_order to see the order's cases."
        )
    needed = Problem("reason", "is required, because no case about this order is open")
    raise InvalidArgumentsError("One argument must change. Nothing was sent.", problems=[needed])


async def _listed(placed: PlacedOrder) -> list[CaseSummary]:
    """Return the cases of an order: those that it shows, and those of Zinc's list."""
    found: dict[str, CaseSummary] = {case.id: case for case in placed.order.cases}
    try:
        found |= {case.id: case for case in await placed.after_sale.cases(placed.order.id)}
    except OrderRejectedError:
        if placed.rail.on_v1 is not None:  # v1 shows cases nowhere else
            raise
        # An order's own key may not be good for the list.
    return list(found.values())


def _standing(placed: PlacedOrder, listed: Sequence[CaseSummary], changes: Sequence[Entry]) -> _Standing | None:
    ours = {entry.facts.get("zinc_id"): entry for entry in changes if entry.facts.get("action") == "open"}
    for case in listed:
        if case.status.casefold() != CLOSED and is_a_segment(case.id):
            opened = ours.get(kept_id(case.id))  # v1 has fewer reasons than were given here
            reason = case.reason if opened is None else str(opened.facts.get("reason"))
            return _Standing(case.id, reason, case.updated_at.isoformat() if case.updated_at else None)
    known = {case.id for case in listed}
    for entry in changes:  # Zinc's list may lag behind what it has answered
        case_id = str(entry.facts.get("zinc_id") or "")
        if entry.facts.get("action") == "open" and entry.state == "placed" and case_id and case_id not in known:
            return _Standing(case_id, str(entry.facts.get("reason")), None)
    return None


def _opening(report: Report, placed: PlacedOrder, listed: Sequence[CaseSummary], reason: str) -> ChangeWish:
    message = report.message or ""
    return _wish(
        report,
        placed,
        "open",
        change=placed.after_sale.case_change(
            placed.order.id, reason, message, None if placed.entry is None else placed.entry.body
        ),
        same=_same_words(message, listed),
        facts={"reason": reason, "before": [kept_id(case.id) for case in listed]},
    )


async def _message(
    report: Report, placed: PlacedOrder, standing: _Standing, listed: Sequence[CaseSummary]
) -> ChangeWish:
    message = report.message or ""
    before: list[str] = []
    try:
        case: Case = await placed.after_sale.case(standing.id)
        before = [kept_id(each.id) for each in case.messages]
    except ZincMcpError:
        pass  # then only the time tells an earlier message with these words from this one
    return _wish(
        report,
        placed,
        "message",
        change=placed.after_sale.message_change(standing.id, message),
        same=_same_words(message, listed),
        facts={"reason": standing.reason, "case_id": standing.id, "before": before},
        standing=standing,
    )


def _same_words(message: str, listed: Sequence[CaseSummary]) -> Sequence[object]:
    """Return the values that are equal for the same words about an order, in a new case or in an open one.

    A call that is repeated may find the case that its first try has opened. After a case was closed, the same words are
    another report.
    """
    return ["said", message, sum(1 for case in listed if case.status.casefold() == CLOSED)]


def _closing(report: Report, placed: PlacedOrder, standing: _Standing) -> ChangeWish:
    return _wish(
        report,
        placed,
        "close",
        change=placed.after_sale.closing_change(standing.id),
        same=["close", standing.id, standing.as_of],
        facts={"reason": standing.reason, "case_id": standing.id},
        standing=standing,
    )


def _wish(
    report: Report,
    placed: PlacedOrder,
    action: Action,
    *,
    change: Change,
    same: Sequence[object],
    facts: dict[str, object],
    standing: _Standing | None = None,
) -> ChangeWish:
    order, rail = placed.order, placed.rail
    mode = rail.mode if placed.entry is None else placed.entry.mode
    _, _, fields = fields_of(change)
    if standing is not None:
        fields = [(label("case"), standing.id), (label("case_reason"), plain(standing.reason, 60)), *fields]
    body = change.to_bytes()
    question = ChangeQuestion(
        action=action,
        retailer=plain(placed.retailer, 100),
        mode=mode,
        rail=rail.name,
        order_id=order.id,
        fields=fields,
        about=[
            (f"Item {number}", f"{item.quantity} of {plain(item.url, 300)}")
            for number, item in enumerate(order.items[:MAX_ITEMS], start=1)
        ],
        warnings=_warnings(report, action),
    )
    draft = Draft(
        caller=report.caller,
        mode=mode,
        origin=rail.origin,
        account=rail.account,
        rail=rail.name,
        twin=change_digest(["case", report.caller, mode, order.id.lower(), *same]),
        body_digest=hashlib.sha256(body).hexdigest()[:40],
        given_key=None,
        to_bytes=lambda key: body,
        ceiling_cents=0,
        fee_cents=0,
        facts={"action": action, "retailer": placed.retailer, **facts},
        kind="case",
        order_id=order.id,
    )
    is_address = report.reason == "address_change" or (standing is not None and standing.reason == "address_change")
    return ChangeWish(
        draft,
        rail,
        question,
        admits=_admit_opening if action == "open" else _admit,
        needs_a_person=is_address and action != "close",
    )


def _warnings(report: Report, action: Action) -> list[str]:
    if report.reason == "address_change" and action != "close":
        return ["This asks to send the parcel to another address. Read the whole message."]
    return []


def _admit(others: Sequence[Entry]) -> None:
    """Take a message or a closing beside anything else."""


def _admit_opening(others: Sequence[Entry]) -> None:
    """Check that no case about the order is being opened, or may have been.

    Raises:
        RefusedError: one is, or may have been.
    """
    for other in others:
        if other.kind == "case" and other.facts.get("action") == "open" and other.state in OPEN:
            stands, first = _STANDS["waiting" if other.state == "waiting" else "in doubt"]
            raise RefusedError(
                f"An earlier report about this order {stands}. Nothing was sent.",
                f"{first} Then say more about it with report_problem.",
                facts={"key": other.key, "order_id": other.order_id},
            )
