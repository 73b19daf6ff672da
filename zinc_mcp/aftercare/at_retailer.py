"""Cancelling a placed order of v1 at its retailer: for each of the retailer's orders one request, then its outcome.

A request gives the id of its outcome, which the entry keeps. If the answer was lost, another call of `cancel_order`
asks with the same key, and v1 then gives the first answer again. `attempting_to_cancel` is neither a yes nor a no.
A cancellation proves no refund: the order's money is left as it is.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import anyio

from zinc_mcp.aftercare.cancellation import ASKED, seconds_for_the_wire
from zinc_mcp.errors import (
    ChangeOutcomeUnknownError,
    ChangeRejectedError,
    JournalError,
    RefusedError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.journal.records.cancellation import MAX_PARTS, PARTS, How
from zinc_mcp.journal.records.entry import Entry, StaleEntryError
from zinc_mcp.process import Process
from zinc_mcp.rails.v1 import V1Rail
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.v1.aftercare.cancellations import CHANGED_AT, key_of
from zinc_mcp.zinc.v1.answers import BY_KEY

Part = Mapping[str, Any]
"""One of the retailer's orders: its number, how many requests there were, the id of the outcome, and the outcome."""
_Outcome = Literal["sent", "asked", "cancelled", "refused", "not_taken"]


async def cancel_at_retailer(
    process: Process, entry: Entry, order: Order, rail: V1Rail, deadline: float
) -> tuple[How, Entry]:
    """Ask Zinc to cancel a placed order at its retailer, and read the outcome until the deadline.

    Raises:
        ZincUnreachableError: nothing was sent.
        StaleEntryError: somebody else moved the entry first; nothing was sent for it.
        RefusedError: this process does not know the caller as the journal does; nothing was sent.
        JournalError: nothing was sent.
    """
    if entry.facts.get("retailer") not in CHANGED_AT:
        return "not_there", entry
    if not order.merchant_order_ids or "merchant_order_ids" in order.rows_cut:
        return "no_number", entry
    if order.id.startswith(BY_KEY):
        return "ask_zinc", entry
    is_first = True
    for number in order.merchant_order_ids[:MAX_PARTS]:
        if _part(entry, number).get("outcome") in ("asked", "cancelled"):
            continue
        seconds = seconds_for_the_wire(process, deadline)
        if seconds <= 0:
            if is_first:
                return "no_time", entry
            break
        try:
            entry = await _ask(process, entry, order.id, number, rail, seconds)
        except (ZincUnreachableError, StaleEntryError, JournalError, RefusedError):
            if is_first:
                raise
            break
        is_first = False
    process.checkpoint("cancel_answered")
    until = min(deadline, time.monotonic() + process.clocks.proof_seconds)
    while True:
        with suppress(JournalError):
            entry = await with_outcomes(process, entry, rail)
        left = until - time.monotonic()
        if left <= 0 or not any(part["outcome"] == "asked" for part in parts_of(entry)):
            return _how(entry, order.merchant_order_ids), entry
        await anyio.sleep(min(process.clocks.poll_seconds, left))


async def with_outcomes(process: Process, entry: Entry, rail: V1Rail) -> Entry:
    """Read the outcomes of an order's cancellations that were not decided, and write them down.

    Raises:
        JournalError: it could not be written down.
    """
    for part in parts_of(entry):
        if part["outcome"] != "asked":
            continue
        try:
            outcome = await rail.cancellation(str(part["id"]), str(part["number"]))
        except ZincMcpError:
            continue
        if outcome != "asked":
            what = f"Zinc says of the cancellation: {outcome}"
            entry = await _note(process, entry, str(part["number"]), {**part, "outcome": outcome}, what)
    return entry


def parts_of(entry: Entry) -> Sequence[Part]:
    """Return the retailer's orders that were asked to be cancelled."""
    return entry.facts.get(PARTS) or ()


def _part(entry: Entry, number: str) -> Part:
    none: Part = {}
    return next((part for part in parts_of(entry) if part["number"] == number), none)


async def _ask(process: Process, entry: Entry, order_id: str, number: str, rail: V1Rail, seconds: float) -> Entry:
    """Ask Zinc to cancel one of the retailer's orders. The journal says so before the request leaves."""
    before = _part(entry, number)
    nth = int(before.get("nth", 0)) + (0 if before.get("outcome") == "sent" else 1)
    part = {"number": number, "nth": nth, "id": None, "outcome": "sent"}
    entry = await process.journal.move(entry, entry.state, ASKED, by_caller=True, facts=_with(entry, number, part))
    process.checkpoint("cancelling")
    found: dict[str, Any] = {}
    with anyio.move_on_after(seconds), suppress(ChangeOutcomeUnknownError):
        try:
            found = {"id": await rail.cancel(order_id, number, key_of(entry.key, number, nth)), "outcome": "asked"}
        except ChangeRejectedError:
            found = {"outcome": "not_taken"}
        except ZincUnreachableError:
            with suppress(JournalError):
                await _note(process, entry, number, before, "nothing was sent")
            raise
    if found:
        with suppress(JournalError):  # it was sent all the same
            what = f"the cancellation was {found['outcome']}"
            entry = await _note(process, entry, number, {**part, **found}, what)
    return entry


async def _note(process: Process, entry: Entry, number: str, part: Part, what: str) -> Entry:
    while True:
        try:
            return await process.journal.move(entry, entry.state, what, facts=_with(entry, number, part))
        except StaleEntryError as stale:
            entry = stale.current


def _with(entry: Entry, number: str, part: Part) -> dict[str, Any]:
    """Return an entry's facts with one of the retailer's orders as it is now; empty: it was never asked for."""
    others = [each for each in parts_of(entry) if each["number"] != number]
    return {**entry.facts, PARTS: [*others, dict(part)] if part else others}


def _how(entry: Entry, numbers: Sequence[str]) -> How:
    outcomes = [_part(entry, number).get("outcome") for number in numbers]
    if all(each == "cancelled" for each in outcomes):
        return "retailer_cancelled"
    for outcome, how in _BY_OUTCOME:
        if outcome in outcomes:
            return how
    return "retailer_refused"


_BY_OUTCOME: Sequence[tuple[_Outcome, How]] = (
    ("cancelled", "partly"),
    ("asked", "attempting"),
    ("sent", "not_known"),
    ("not_taken", "not_taken"),
)
"""If the parts have several outcomes, the first of these decides about the whole."""
