"""Looking up a change of an order at Zinc. Looking up sends nothing."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio

from zinc_mcp.aftercare.placed import PlacedOrder, after_sale_for
from zinc_mcp.checkout.look_up import clear_abandoned, is_ours
from zinc_mcp.errors import OrderRejectedError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.journal.records.clocks import APART_SECONDS, FREE
from zinc_mcp.journal.records.entry import CHANGES, Entry, Mode, State
from zinc_mcp.network import NetworkAnswer
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.rails.after_sale import AfterSale
from zinc_mcp.spending.in_turn import Sought, Turn
from zinc_mcp.spending.looking import found_in_time, move_if_current
from zinc_mcp.zinc.aftercare.cases import CLOSED, Case
from zinc_mcp.zinc.aftercare.changes import Change, unproved
from zinc_mcp.zinc.aftercare.returns import DENIED, is_return
from zinc_mcp.zinc.credits import CaseSummary, ReturnSummary
from zinc_mcp.zinc.responses import Order, is_a_segment

logger = logging.getLogger(__name__)

MOST_SWEPT = 200
"""The number of changes of one rail that one sweep looks at."""
_IN_DOUBT: frozenset[State] = frozenset({"sending", "unknown"})
_TO_LOOK_UP = Sought("change", frozenset({"waiting", *_IN_DOUBT}), CHANGES)


@dataclass(frozen=True, slots=True)
class Filed:
    """A return or a case as Zinc has it."""

    zinc_id: str
    status: str

    def changes(self, entry: Entry) -> dict[str, Any]:
        """Return the columns that change in the entry of the change that it came from, the state too."""
        facts = {**entry.facts, "zinc_id": kept_id(self.zinc_id)}
        return {"facts": facts, **_standing(entry, self.status)}


def _standing(entry: Entry, status: str) -> dict[str, Any]:
    """Return the columns with the state of a change that is at Zinc, by the status that Zinc gives it."""
    if entry.kind == "return" and status.casefold() in DENIED:
        problem = {"code": "return_denied", "summary": "Zinc denied the return."}
        return {"state": "failed", "status": status[:60], "problem": problem}
    return {"state": "placed", "status": status[:60], "problem": None}


def kept_id(zinc_id: str) -> str:
    """Return an id of Zinc's as the journal keeps and compares it. Zinc's ids are UUIDs."""
    return zinc_id[:100]


def read_answer(entry: Entry, change: Change, answer: NetworkAnswer, after_sale: AfterSale) -> Filed:
    """Return the return or the case that Zinc's answer to a change shows.

    Raises:
        ChangeRejectedError: Zinc answered no.
        ChangeOutcomeUnknownError: the answer proves nothing about this change.
    """
    wanted, before = after_sale.wanted(change, entry.order_id or ""), entry.facts.get("before") or ()
    if entry.kind == "return":
        filed = after_sale.filed_return(answer, wanted)
        if kept_id(filed.id) in before:
            raise unproved("Zinc answered with an earlier return", "another_return")
        return Filed(filed.id, filed.status)
    action, case_id = entry.facts.get("action"), _case_id(entry)
    reason = wanted.get("reason") if action == "open" else None
    case = after_sale.answered_case(answer, entry.order_id or "", None if action == "open" else case_id, reason)
    if action == "open" and kept_id(case.id) in before:
        raise unproved("Zinc answered with an earlier case", "another_case")
    if action == "close" and case.status != CLOSED:
        raise unproved("Zinc still shows the case as open", "still_open")
    return Filed(case.id, case.status)


async def find(process: Process, entry: Entry, after_sale: AfterSale, order: Order | None = None) -> Filed | None:
    """Look for the return or the case of a change in doubt: in Zinc's list, and in the order if it was read.

    Raises:
        ZincMcpError: Zinc could not be asked.
    """
    if entry.body is None or entry.order_id is None:
        return None
    wanted = after_sale.wanted(Change.from_bytes(entry.body), entry.order_id)
    others = await process.journal.run(
        lambda journal: journal.changes_of(entry.order_id or "", entry.caller, entry.mode)
    )
    # Messages to a case, and its closing, name the case as well: only a change of the same kind can have taken it.
    same = [each for each in others if each.id != entry.id and each.facts.get("action") == entry.facts.get("action")]
    taken = {str(each.facts["zinc_id"]) for each in same if each.facts.get("zinc_id")}
    if entry.kind == "return":
        return await _find_return(entry, after_sale, wanted, taken, order)
    if entry.facts.get("action") == "open":
        return await _find_case(entry, after_sale, wanted, taken)
    case = await after_sale.case(_case_id(entry))
    if entry.facts.get("action") == "close":
        return Filed(case.id, case.status) if case.status == CLOSED else None
    known = set(map(str, entry.facts.get("before") or ()))
    for message in case.messages:
        theirs = message.author == "zinc" or kept_id(message.id) in known
        if not theirs and _same_text(message.body, wanted["body"]) and _is_since(entry, message.created_at):
            return Filed(case.id, case.status)
    return None


async def _find_return(
    entry: Entry, after_sale: AfterSale, wanted: Mapping[str, Any], taken: set[str], order: Order | None
) -> Filed | None:
    rows: Sequence[ReturnSummary] = () if order is None else order.returns
    found = _new_return(entry, rows, wanted, taken)
    if found is None:
        try:
            found = _new_return(entry, await after_sale.returns(entry.order_id or ""), wanted, taken)
        except OrderRejectedError:  # an order's own key may not be good for the list
            if order is None:
                raise
    return found


def _new_return(
    entry: Entry, rows: Iterable[ReturnSummary], wanted: Mapping[str, Any], taken: set[str]
) -> Filed | None:
    known = taken | set(map(str, entry.facts.get("before") or ()))
    found = [
        row
        for row in rows
        if row.id and kept_id(row.id) not in known and is_return(row, wanted) and _is_since(entry, row.created_at)
    ]
    # Of several, such as one that was filed by hand later, the one with our words is ours, and otherwise the oldest.
    found.sort(key=lambda row: (not _same_text(row.notes or "", wanted.get("notes") or ""), _age(row.created_at)))
    return Filed(found[0].id, found[0].status) if found else None


async def _find_case(entry: Entry, after_sale: AfterSale, wanted: Mapping[str, Any], taken: set[str]) -> Filed | None:
    known = taken | set(map(str, entry.facts.get("before") or ()))
    for row in await after_sale.cases(entry.order_id or ""):
        if kept_id(row.id) in known or row.reason != wanted["reason"] or not _is_since(entry, row.created_at):
            continue
        case: Case = row if row.messages else await after_sale.case(row.id)
        if any(message.author != "zinc" and _same_text(message.body, wanted["body"]) for message in case.messages):
            return Filed(case.id, case.status)
    return None


def _age(created: datetime | None) -> float:
    return created.timestamp() if created is not None else float("inf")


def _same_text(shown: str, sent: str) -> bool:
    return shown.split() == sent.split()


def _is_since(entry: Entry, created: datetime | None) -> bool:
    """Say whether something at Zinc can have come from this change: it is not older than its sending."""
    sent = entry.zinc_at or entry.first_sent_at
    return created is None or sent is None or created.timestamp() >= sent - APART_SECONDS


def _case_id(entry: Entry) -> str:
    return str(entry.facts.get("case_id") or "")


# Bringing up to date


async def refresh(process: Process, entry: Entry, order: Order | None = None) -> Entry:
    """Bring a change up to date with Zinc. `order` is its order, if that was read just now.

    Raises:
        ZincMcpError: Zinc could not be asked just now.
    """
    if entry.state == "waiting":
        await clear_abandoned(process, entry)
        return await process.journal.read(entry.id)
    rail = process.rails.get(entry.rail)
    if rail is None or not is_ours(entry, rail) or entry.id in process.attempts:
        return entry
    if process.unwritten.known(entry.id) is not None and not await process.unwritten.written(entry.id):
        return entry
    if entry.state not in _IN_DOUBT:
        return entry if order is None else await _with_news(process, entry, order)
    if process.leases.is_held(entry):
        return await process.journal.read(entry.id)
    if entry.state == "sending":
        entry = await move_if_current(process, entry, "unknown", "the sending process did not come back", **FREE)
    if entry.state != "unknown" or entry.order_id is None:
        return entry
    after_sale = await after_sale_for(process, rail, entry.order_id, entry.caller, entry.mode)
    if after_sale is None:
        return entry
    found = await find(process, entry, after_sale, order)
    if found is None:
        return await _still_open(process, entry)
    entry = await move_if_current(process, entry, what="found at Zinc", **found.changes(entry), sender=None, **FREE)
    return entry if order is None else await _with_news(process, entry, order)


async def _still_open(process: Process, entry: Entry) -> Entry:
    """End the doubt about a closing, once Zinc shows the case as open although no request can be on its way any more.

    Closing a case twice does the same as closing it once (SDK 2026.10.16), so that it may be asked for again.
    """
    age = process.times.clock() - (entry.first_sent_at or entry.updated_at)
    if entry.facts.get("action") != "close" or age < 2 * process.clocks.wire_seconds:
        return entry
    problem = {"code": "still_open", "summary": "Zinc still shows the case as open."}
    return await move_if_current(
        process, entry, "rejected", "the case is still open", sender=None, problem=problem, **FREE
    )


async def thread_of(
    process: Process, order: Order, caller: str, rail: Rail, mode: Mode
) -> Case | UnreadableAnswerError | None:
    """Return the open case of an order, or else a closed one, with its messages; or why it could not be read."""
    open_first = sorted(order.cases, key=lambda case: case.status.casefold() == CLOSED)
    chosen = next((case for case in open_first if is_a_segment(case.id)), None)
    if chosen is None or isinstance(chosen, Case):  # v1 shows a case with its messages
        return chosen
    case: Case | None = None
    with anyio.move_on_after(process.clocks.refresh_seconds):
        try:
            after_sale = await after_sale_for(process, rail, order.id, caller, mode)
            case = None if after_sale is None else await after_sale.case(chosen.id)
        except ZincMcpError as error:
            return UnreadableAnswerError(error.summary)
    if case is None:
        return UnreadableAnswerError("Zinc did not show its messages in time.")
    if case.order_id.lower() not in ("", order.id.lower()):
        return UnreadableAnswerError("Zinc answered with a case of another order.")
    return case


async def await_news(process: Process, entries: Sequence[Entry], deadline: float) -> None:
    """Wait until one of these changes has moved on, or the deadline (`time.monotonic`)."""
    while time.monotonic() < deadline:
        for entry in entries:
            current = await process.journal.read(entry.id)
            if (current.state, current.status) != (entry.state, entry.status):
                return
        await anyio.sleep(min(process.clocks.peek_seconds, max(0.0, deadline - time.monotonic())))


async def refreshed(process: Process, entry: Entry, order: Order | None = None) -> Entry:
    """Bring a change up to date as `refresh` does, within `Clocks.refresh_seconds`. If Zinc cannot say, it stays."""
    found = await found_in_time(process, refresh(process, entry, order))
    return found or await process.journal.read(entry.id)


async def changes_of(process: Process, placed: PlacedOrder) -> list[Entry]:
    """Return a caller's changes of an order, brought up to date, the newest first."""
    mode = placed.rail.mode if placed.entry is None else placed.entry.mode
    return await changes_about(process, placed.order, placed.caller, mode)


async def changes_about(process: Process, order: Order, caller: str, mode: Mode) -> list[Entry]:
    """Return a caller's changes of an order, brought up to date, the newest first."""
    entries = await process.journal.run(lambda journal: journal.changes_of(order.id, caller, mode))
    with anyio.move_on_after(process.clocks.refresh_seconds):  # all together take no longer than one may
        for place, entry in enumerate(entries):
            entries[place] = await refreshed(process, entry, order)
    return entries


async def sweep(process: Process, rail: Rail) -> None:
    """Look up changes in doubt, and clear away those that were never sent."""
    changes = Turn(process, rail, _TO_LOOK_UP, MOST_SWEPT)
    while entries := await changes.next():
        for entry in entries:
            try:
                await refresh(process, entry)
            except ZincMcpError as error:
                logger.info("a look-up has to wait: %s", error.code)
            except Exception as error:
                logger.error("entry %d could not be looked up (%s)", entry.id, type(error).__name__)


async def _with_news(process: Process, entry: Entry, order: Order) -> Entry:
    """Write down the status that an order shows for a change that is at Zinc."""
    shown: Sequence[ReturnSummary | CaseSummary] = order.returns if entry.kind == "return" else order.cases
    status = next((each.status for each in shown if each.id and kept_id(each.id) == entry.facts.get("zinc_id")), None)
    if status is None or entry.state not in ("placed", "failed"):
        return entry
    standing = _standing(entry, status)
    if (standing["state"], standing["status"]) == (entry.state, entry.status):
        return entry
    return await move_if_current(process, entry, what=f"Zinc says {status[:60]}", **standing)
