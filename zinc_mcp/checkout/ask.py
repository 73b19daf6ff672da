"""The question about an order: it is made of all that would be sent, and frozen in the entry."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zinc_mcp.checkout.look_up import refuse
from zinc_mcp.consent.anchor import anchored
from zinc_mcp.consent.approval import AnyQuestion, age_and_state, described, kept_question, second_yes_noted
from zinc_mcp.consent.question import digest_of, question_about
from zinc_mcp.errors import RefusedError
from zinc_mcp.find.check import refuse_before_asking
from zinc_mcp.find.details import look_up_order
from zinc_mcp.journal.records.decision import SECOND_YES, new_question_id, noted
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.records.twin import any_order_of
from zinc_mcp.owner.objection import limits_of
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.spending.own_account import ACCOUNT
from zinc_mcp.zinc.wish import Wish

MOST_WAITING = 6
"""Questions of one caller that may wait at once: few enough that a person can read them."""


async def ask(process: Process, entry: Entry, order: Wish, policy: Policy, *, saved_as: str | None) -> Entry:
    """Freeze the question in the entry. It can be answered once, within `Clocks.approval_seconds`.

    It shows what Zinc tells about the products, if Zinc can be asked.

    Raises:
        RefusedError: `cannot_be_ordered`, `too_many_waiting`, `order_too_large`.
    """
    # With a test key Zinc checks no shop, and the check is about the shops of v2 alone.
    if policy.check_before_asking and entry.mode != "test" and entry.rail != "v1":
        await refuse_before_asking(process, order)
    looked = await look_up_order(process, entry.caller, order, _rail_to_ask(process, entry), policy)
    limits = limits_of(policy, entry.caller, entry.role)
    left = await process.journal.run(lambda journal: journal.left(entry, limits))
    now = process.times.clock()
    before = await process.journal.run(lambda journal: journal.near_twins(entry, process.clocks.twin_seconds))
    twin = next((each for each in before if each.twin == entry.twin), None)
    needs_second = await process.journal.run(lambda journal: journal.needs_second_yes(entry, limits))
    question = question_about(
        order,
        looked.products,
        rail=entry.rail,
        mode=entry.mode,
        fee_cents=entry.fee_cents,
        left_day_cents=left.day_cents,
        left_month_cents=left.month_cents,
        left_orders_day=left.orders_day,
        saved_as=saved_as,
        twin=None if twin is None else age_and_state(twin, now),
        near=[described(each, now) for each in before if twin is None or each.twin != entry.twin],
        look_up_cents=looked.cost_cents,
        account=entry.facts.get(ACCOUNT),
        notes=second_yes_noted(entry, policy) if needs_second else (),
    )
    if doubt := entry.facts.get("clock_uncertain"):
        clock = ("The clock is uncertain", f"{doubt}: what was bought before may not be counted rightly")
        question = question.model_copy(update={"extras": (clock, *question.extras)})
    shown = question.model_dump(mode="json")
    body = anchored(entry, shown)
    consent = {
        "how": "asked",
        "id": new_question_id(),
        "digest": digest_for(question, replace(entry, body=body), entry),
        "question": shown,
        "noted": noted(before),
        **({SECOND_YES: True} if needs_second else {}),
        **until(process),
    }
    return await freeze(process, entry, consent, body)


def _rail_to_ask(process: Process, entry: Entry) -> Rail | None:
    """Return the rail to ask about the products of a question: the entry's own, or for v1 an API key for such money."""
    rail = process.rails.get(entry.rail)
    if rail is not None and rail.on_v1 is not None:
        rail = process.rails.get("account")
        return rail if rail is not None and rail.mode == entry.mode else None
    return rail


async def freeze(process: Process, entry: Entry, consent: Mapping[str, Any], body: bytes | None = None) -> Entry:
    """Write a question down in its entry, with the bytes that a yes would send if the question changes them.

    Raises:
        RefusedError: `too_many_waiting`.
    """
    asked = await process.journal.run(lambda journal: journal.ask(entry, consent, MOST_WAITING, body=body))
    process.asked.set()
    return asked


async def ask_anew(process: Process, entry: Entry) -> None:
    """Ask again about an entry whose question has become untrue."""
    ship_to: Mapping[str, Any] = entry.facts.get("ship_to") or {}
    try:
        await ask(process, entry, any_order_of(entry), process.policy(), saved_as=ship_to.get("saved"))
    except RefusedError as error:
        await refuse(process, entry, f"refused: {error.code}", error.code, error.summary)


def digest_for(question: AnyQuestion, entry: Entry, by: Entry | Rail) -> str:
    """Return the digest for sending an entry by its own columns, or by a rail of this process."""
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
    """Say whether a rail of this process would send exactly what the entry's question showed."""
    return (entry.consent or {}).get("digest") == digest_for(kept_question(entry), entry, rail)


def until(process: Process) -> dict[str, Any]:
    """Return the times at which a consent that begins now is over, by our clock and by Zinc's."""
    seconds, zinc = process.clocks.approval_seconds, process.times.zinc()
    return {"until": process.times.clock() + seconds, "zinc_until": None if zinc is None else zinc + seconds}
