"""Asking a person about an entry: the question is made, and frozen in the entry."""

from collections.abc import Mapping
from typing import Any, cast

from zinc_mcp.consent.approval import ago, kept_question
from zinc_mcp.consent.question import Question, digest_of, question_about
from zinc_mcp.find.details import look_up
from zinc_mcp.journal.decision import new_question_id, noted
from zinc_mcp.journal.entry import DAY_SECONDS, MONTH_SECONDS, Entry
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Process
from zinc_mcp.rails.rail import Rail
from zinc_mcp.text import printed
from zinc_mcp.zinc.orders import OrderCreate

MOST_WAITING = 6
"""Questions of one caller that may wait at once: what is put before a person stays little enough to be read."""


async def ask(process: Process, entry: Entry, order: OrderCreate, policy: Policy, *, saved_as: str | None) -> Entry:
    """Freeze the question in the entry. It can be answered once, until `Clocks.approval` seconds from now.

    Where Zinc can be asked on the entry's rail, the question says what it tells about the products.

    Raises:
        RefusedError: `too_many_waiting`, `order_too_large`.
    """
    looked = await look_up(process, entry.caller, order, process.rails.get(entry.rail), policy)
    held, orders = await process.journal.run(lambda journal: journal.counted(entry.caller, entry.mode, DAY_SECONDS))
    held_month, _ = await process.journal.run(lambda journal: journal.counted(entry.caller, entry.mode, MONTH_SECONDS))
    now = process.times.clock()
    before = await process.journal.run(lambda journal: journal.near_twins(entry, process.clocks.twin))
    twin = next((each for each in before if each.twin == entry.twin), None)
    question = question_about(
        order,
        looked.products,
        rail=entry.rail,
        mode=entry.mode,
        fee_cents=entry.fee_cents,
        left_day_cents=max(0, policy.max_day - held),
        left_month_cents=None if policy.max_month is None else max(0, policy.max_month - held_month),
        left_orders_day=None if policy.max_orders_day is None else max(0, policy.max_orders_day - orders),
        saved_as=saved_as,
        twin=None if twin is None else _how_it_stands(twin, now),
        near=[_described(each, now) for each in before if twin is None or each.twin != entry.twin],
        look_up_cents=looked.cost_cents,
    )
    if doubt := entry.facts.get("clock_uncertain"):
        clock = ("The clock is uncertain", f"{doubt}: what was bought before may not be counted rightly")
        question = question.model_copy(update={"extras": (clock, *question.extras)})
    consent = {
        "how": "asked",
        "id": new_question_id(),
        "digest": _digest(question, entry, entry),
        "question": question.model_dump(mode="json"),
        "noted": noted(before),
        **until(process),
    }
    asked = await process.journal.run(lambda journal: journal.ask(entry, consent, MOST_WAITING))
    process.asked.set()
    return asked


def _digest(question: Question, entry: Entry, by: Entry | Rail) -> str:
    """Return the digest for sending an entry as the entry says, or as a rail of this process would."""
    return digest_of(
        question,
        entry.body or b"",
        mode=by.mode,
        rail=by.rail if isinstance(by, Entry) else by.name,
        origin=by.origin,
        payer=by.account,
        most_cents=entry.ceiling_cents + entry.fee_cents,
    )


def is_what_was_shown(entry: Entry, rail: Rail) -> bool:
    """Say whether sending an entry by a rail of this process is what its question was about."""
    return (entry.consent or {}).get("digest") == _digest(kept_question(entry), entry, rail)


def _how_it_stands(twin: Entry, now: float) -> str:
    waits = "it still waits for a decision" if twin.state == "waiting" else f"that order is {twin.state}"
    return f"{ago(now - twin.opened_at)}, and {waits}"


def _described(near: Entry, now: float) -> str:
    items = cast(list[Mapping[str, Any]], near.facts.get("items") or [])
    pieces = sum(each for each in (item.get("quantity", 1) for item in items) if isinstance(each, int))
    goods = f"{pieces} {'piece' if pieces == 1 else 'pieces'}" if pieces else "an order"
    return f"{goods} for at most {printed(near.ceiling_cents)}, {_how_it_stands(near, now)}"


def until(process: Process) -> dict[str, Any]:
    """Return, for a consent that begins now, when it is over: by our clock and by Zinc's."""
    seconds, zinc = process.clocks.approval, process.times.zinc()
    return {"until": process.times.clock() + seconds, "zinc_until": None if zinc is None else zinc + seconds}
