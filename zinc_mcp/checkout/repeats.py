"""An earlier order for the same intention: it is awaited, brought up to date, and is the answer while it stands."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from zinc_mcp.checkout.look_up import clear_abandoned, refreshed
from zinc_mcp.checkout.send import await_attempt, may_repeat, start
from zinc_mcp.consent.approval import ago, question_of
from zinc_mcp.errors import JournalError, LimitExceededError, RefusedError, ZincMcpError
from zinc_mcp.journal.records.entry import (
    ADOPTED,
    FOREVER,
    STANDING,
    Draft,
    Entry,
    Mode,
    StaleEntryError,
    Standing,
    Wanted,
)
from zinc_mcp.journal.records.twin import TWIN_FIELD
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails import Rail
from zinc_mcp.spending.own_account import ACCOUNT, DIGEST
from zinc_mcp.spending.same_order import must_be, told_key, wanted
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal

_REFRESHED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Repeat:
    """An earlier order that stands, and that could be bought again if a person or the policy says so."""

    twin: Entry


async def take_for_answer(
    process: Process, standing: Standing, draft: Draft, deadline: float
) -> Answer | Repeat | None:
    """Return an earlier order as the answer; None if it does not stand any more, so that an entry is opened anew.

    Raises:
        ZincMcpError: the error with which an attempt of this process at that order ended.
        JournalError: the journal failed while that order is in doubt.
    """
    twin = standing.entry
    try:
        return await _answer(process, standing, draft, deadline)
    except JournalError as error:
        known = process.unwritten.known(twin.id)
        if known is not None:
            return Answer(known.entry, known.order, earlier=True)
        if error.is_told or twin.state in FOREVER:
            raise error.in_doubt("The same order was sent before", twin.key, order_id=twin.order_id) from error
        return Answer(twin, earlier=True)


async def _answer(process: Process, standing: Standing, draft: Draft, deadline: float) -> Answer | Repeat | None:
    twin = standing.entry
    if await clear_abandoned(process, twin):
        return None
    attempt = process.attempts.get(twin.id)
    if attempt is not None:
        return await await_attempt(attempt, deadline, earlier=True)
    twin = await await_move(process, await process.journal.read(twin.id), deadline)
    rail = process.rails.get(twin.rail)  # which need not be the one that the new call would pay by
    order = None
    if rail is not None:
        twin, order = await refreshed(process, twin, rail)
    if twin.state == "unknown":
        answer = await _repeat_doubted(process, twin, rail, deadline)
        if answer is not None:
            return answer
        twin = await process.journal.read(twin.id)
    if twin.state not in STANDING:
        return None
    if twin.state in FOREVER or twin.state == "waiting":
        return Answer(twin, order, earlier=True)
    age = process.times.earliest() - max(twin.opened_at, twin.zinc_at or 0.0)
    if process.times.zinc() is None:  # it may be newer than this machine's clock says
        age = 0.0
    if standing.same_key or twin.body_digest == draft.body_digest or age < process.clocks.repeat_seconds:
        return Answer(twin, order, earlier=True)
    return Repeat(twin)


async def find_earlier(process: Process, refusal: RefusedError, wanted: Wanted, modes: Sequence[Mode]) -> Answer | None:
    """Return the earlier order that stands for a refused intention; None if there is none.

    A refusal of new orders (a pause, a limit, the policy, no way to pay) changes nothing about an order that was
    placed. Nothing is sent, not even the same bytes to end a doubt.
    """
    try:
        for mode in modes:
            found = await process.journal.run(
                partial(_standing, wanted=wanted, mode=mode, window=process.clocks.twin_seconds)
            )
            if found is None or _may_be_bought_again(process, found, wanted):
                continue
            if await clear_abandoned(process, found):
                continue
            rail = process.rails.get(found.rail)
            order = None
            if rail is not None and process.attempts.get(found.id) is None:
                found, order = await refreshed(process, found, rail)
            if found.state in STANDING:
                return Answer(found, order, earlier=True, refusal=refusal)
    except JournalError:
        pass  # the refusal holds in any case
    return None


async def find_earlier_without_journal(process: Process, error: JournalError, draft: Draft) -> Answer:
    """Return the earlier order for the same intention, from this process's memory or a journal that only reads.

    Raises:
        JournalError: `error` with its consequence: nothing was sent (by this call, if the journal cannot even be read),
            or the earlier order is in doubt.
    """
    known = process.unwritten.twin_of(draft)
    if known is not None:
        return Answer(known.entry, known.order, earlier=True)
    try:
        twin = await process.journal.run(lambda journal: journal.standing_twin(draft, process.clocks.twin_seconds))
    except JournalError:
        raise error.before_sending(is_unread=True) from error
    own = twin is not None and twin.state == "waiting" and twin.lease_owner == process.owner  # this call's
    if twin is None or own or process.unwritten.known(twin.id) is not None:  # or known to have bought nothing
        raise error.before_sending() from error
    if twin.state in FOREVER:
        raise error.in_doubt("The same order was sent before", twin.key, order_id=twin.order_id) from error
    return Answer(twin, earlier=True)


def _may_be_bought_again(process: Process, found: Entry, wanted: Wanted) -> bool:
    """Say whether the policy allows the intention as a new order; then the refusal is the answer."""
    age = process.times.earliest() - found.opened_at
    if found.body_digest == wanted.body_digest or age < process.clocks.repeat_seconds or found.state in FOREVER:
        return False
    try:
        return process.policy().repeat == "allow"
    except RefusedError:
        return False


async def await_move(process: Process, entry: Entry, deadline: float) -> Entry:
    """Wait while another process opens or sends an entry, until it has moved on, or time is up, or this one stops."""
    while (
        entry.state in ("waiting", "signing", "sending")
        and process.leases.is_held(entry)
        and time.monotonic() < deadline
        and not process.stopping.is_set()
    ):
        await process.news.wait(entry.id, process.clocks.peek_seconds)
        entry = await process.journal.read(entry.id)
    return entry


async def await_decided(process: Process, entry: Entry, deadline: float) -> Entry:
    """Wait until a person has decided about an entry, here or anywhere, or time is up, or the process stops."""
    while question_of(entry) is not None and time.monotonic() < deadline and not process.stopping.is_set():
        await process.news.wait(entry.id, process.clocks.peek_seconds)
        entry = await process.journal.read(entry.id)
    return entry


def possible_duplicate(process: Process, twin: Entry) -> RefusedError:
    """Return the refusal of a second purchase, where no person can be asked for a yes."""
    return RefusedError(
        f"The same goods were ordered for the same address {ago(process.times.clock() - twin.opened_at)}, so "
        "nothing new was sent.",
        "If the user really wants them a second time, tell them that the policy must allow it (repeat), or wait "
        "until the earlier order is a day old. Otherwise look up the earlier order with get_order.",
        code="possible_duplicate",
        facts={"key": twin.key, "order_id": twin.order_id, "earlier_outcome": twin.state},
    )


async def make_room(process: Process, draft: Draft, full: LimitExceededError) -> None:
    """Ask Zinc about the orders that fill a limit, before the limit refuses: first the open ones, then the newest.

    All together this takes `Clocks.refresh_seconds` at most.
    """
    entries = await process.journal.run(lambda journal: journal.filling(draft, full))
    some_at_once = anyio.CapacityLimiter(_REFRESHED_AT_ONCE)

    async def bring_up_to_date(entry: Entry) -> None:
        rail = process.rails.get(entry.rail)
        # A journal that fails frees nothing, and the next call to it says so. Raised here, it would come in a group.
        with suppress(JournalError):
            async with some_at_once:
                if entry.state == "waiting":
                    await clear_abandoned(process, entry)
                elif rail is not None:
                    await refreshed(process, entry, rail)

    with anyio.move_on_after(process.clocks.refresh_seconds):
        async with anyio.create_task_group() as tasks:
            for entry in entries:
                tasks.start_soon(bring_up_to_date, entry)


async def adopt_listed(process: Process, draft: Draft, rail: Rail) -> None:
    """Take over the orders that Zinc lists for this twin: the journal is younger than the window.

    It may be young because an earlier journal was lost.
    """
    try:
        with anyio.fail_after(process.clocks.refresh_seconds):
            listed = await rail.find(TWIN_FIELD, draft.twin)
    except (ZincMcpError, TimeoutError):
        return  # Zinc still answers 409 to a derived key that was used before
    for order in listed:
        if must_be(order, wanted(draft)):
            await _adopt(process, draft, order)


async def _adopt(process: Process, draft: Draft, order: Order) -> None:
    if order.max_price is not None:
        draft = replace(draft, ceiling_cents=order.max_price)  # as it was placed, and not as it is wanted now
    # The account at the retailer is not told with a list: it need not be the one that is wanted now.
    facts = {name: fact for name, fact in draft.facts.items() if name not in (ACCOUNT, DIGEST)}
    draft = replace(draft, facts={**facts, ADOPTED: True})
    now = process.times.earliest()
    created = order.created_at.timestamp() if order.created_at is not None else now
    if order.stage in ("accepted", "placed") and now - created < process.clocks.twin_seconds:
        key = told_key(order)
        await process.journal.run(lambda journal: journal.adopt(draft, key, order.id, order.status, created))


async def _repeat_doubted(process: Process, twin: Entry, rail: Rail | None, deadline: float) -> Answer | None:
    """Send an unanswered order's own bytes again if that is still allowed; None when somebody else moved it."""
    # By this machine's clock alone, an old one may look new enough to be sent again.
    if rail is None or process.times.zinc() is None or not await may_repeat(process, twin, rail):
        return Answer(twin, earlier=True)
    lease_seconds = process.clocks.looking_lease_seconds
    claimed = await process.journal.run(lambda journal: journal.claim(twin, process.owner, lease_seconds))
    if claimed is None:
        return None
    try:
        attempt = await start(process, claimed, rail, what="sending the same bytes again")
    except StaleEntryError:
        return None
    except RefusedError as error:  # paused: the doubt stands, and the caller is told why it is not ended
        return Answer(claimed, earlier=True, refusal=error)
    return await await_attempt(attempt, deadline, earlier=True)


def _standing(journal: "Journal", *, wanted: Wanted, mode: Mode, window: float) -> Entry | None:
    return journal.standing(wanted, mode, window)
