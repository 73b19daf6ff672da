"""Placing an order: read, check the policy, open, ask, send, answer. The only way to a new purchase."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from zinc_mcp.checkout.ask import ask
from zinc_mcp.checkout.hear_the_time import hear_the_time
from zinc_mcp.checkout.look_up import refuse
from zinc_mcp.checkout.readiness import check_policy, rail_for
from zinc_mcp.checkout.repeats import (
    adopt_listed,
    find_earlier,
    find_earlier_without_journal,
    make_room,
    possible_duplicate,
    take_for_answer,
)
from zinc_mcp.checkout.send import await_attempt, first_marks, send_marked, start
from zinc_mcp.consent.anchor import SALT, SALT_BYTES, anchor_of
from zinc_mcp.errors import JournalError, LimitExceededError, PolicyDiffersError, RefusedError, TimeUnknownError
from zinc_mcp.journal.records.entry import Draft, Entry, Mode, Resembling, StaleEntryError, Standing, Wanted
from zinc_mcp.journal.records.twin import body_digest, digests, given_key, to_bytes, twin_digest
from zinc_mcp.known_settings import RailName, Role
from zinc_mcp.owner.addresses import named_addresses
from zinc_mcp.owner.objection import addresses_for, limits_of, objection
from zinc_mcp.owner.policy import Policy
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.process import Answer, Attempt, Process
from zinc_mcp.rails import Rail
from zinc_mcp.spending.own_account import facts_of_account
from zinc_mcp.zinc.wish import Wish

_ABOUT_NEW_ORDERS = frozenset(
    {
        "paused",
        "not_allowed",
        "limit_exceeded",
        "policy_invalid",
        "policy_differs",
        "account_not_configured",
        "wallet_not_configured",
        "wallet_unavailable",
        "too_many_waiting",
    }
)
"""Codes of refusals that say nothing about an order that was placed before."""

_WARM_SECONDS = 10.0
"""The longest time to wait for the library of the payment wallet; without it the order is opened all the same."""
_BELOW = "below approve_above"
"""The consent of small orders; it does not cover one that resembles an earlier order."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A caller's wish to buy: the order with its address resolved, and the way to pay for it."""

    caller: str
    rail: RailName
    order: Wish
    saved_as: str | None = None
    """The name under which the owner saved the shipping address, when the caller used one."""


async def place(process: Process, intent: Intent) -> Answer:
    """Buy the order of an intent, unless it was bought already; answer within `Clocks.answer_seconds`.

    If a person must be asked first, the answer's entry is `waiting` and has its question (`question_of`), and `decide`
    takes the decision. Sending goes on if the answer cannot wait for it, and if this call is cancelled.

    Raises:
        RefusedError: nothing was sent; the sentence says why.
        ZincUnreachableError: nothing was sent.
        OrderRejectedError: Zinc said no; nothing was bought.
        JournalError: the journal failed; `money_may_have_moved` says whether something was sent.
    """
    try:
        return await _bought(process, intent)
    except RefusedError as refusal:
        earlier = await _find_earlier(process, refusal, intent)
        if earlier is None:
            raise
        return earlier


async def _bought(process: Process, intent: Intent) -> Answer:
    deadline = time.monotonic() + process.clocks.answer_seconds
    if intent.rail == "agent":
        with anyio.move_on_after(_WARM_SECONDS):
            await process.warmed.wait()
    rail = rail_for(process, intent.rail)
    policy = process.policy()
    fee_cents = await rail.fee_cents()
    role = None if intent.caller == LOCAL else process.role_of(intent.caller)
    named = addresses_for(policy, intent.caller)
    refusal = objection(
        policy,
        intent.order,
        caller=intent.caller,
        rail=rail.name,
        mode=rail.mode,
        saved=intent.saved_as is not None,
        role=role,
        allowed=None if named is None else await named_addresses(process.settings, process.journal, named),
        fee_cents=fee_cents,
    )
    if refusal is not None:
        await check_policy(process, policy)
        raise refusal
    account: Mapping[str, Any] = {}
    if intent.order.profile is not None:
        account = await facts_of_account(process, intent.order, rail)
    draft = _draft(intent, rail, role, fee_cents, account)
    if not process.times.agree:
        await hear_the_time(process, rail)
    try:
        return await _placed(process, draft, intent, rail, policy, deadline)
    except JournalError as error:
        if error.is_told:
            raise
        return await find_earlier_without_journal(process, error, draft)


async def _placed(
    process: Process, draft: Draft, intent: Intent, rail: Rail, policy: Policy, deadline: float
) -> Answer:
    if await process.journal.may_be_listed(draft, process.clocks.twin_seconds):
        await adopt_listed(process, draft, rail)
    again: dict[int, Entry] = {}
    made_room = uncertain = False
    while True:
        consent = None if uncertain else _consent(draft, policy, again)
        opened: Attempt | Entry | Resembling | Standing | None = None
        try:
            with anyio.CancelScope(shield=True):  # never between opening and sending
                opened = await _opened(process, draft, rail, policy, consent, again)
        except LimitExceededError as full:
            if made_room:
                raise
            made_room = True
            await make_room(process, draft, full)
        except RefusedError as error:
            if error.code != "clock_uncertain" or isinstance(error, TimeUnknownError):
                raise
            await process.journal.run(lambda journal: journal.note_clock())
            if policy.approval in ("host", "none"):  # nobody would be asked by us
                raise
            uncertain = True
        except StaleEntryError:
            continue  # cleared away by somebody whose clock runs ahead: open anew
        if isinstance(opened, Attempt):
            return await await_attempt(opened, deadline, earlier=False)
        if isinstance(opened, Entry | Resembling):
            entry = opened if isinstance(opened, Entry) else opened.entry
            if "clock_uncertain" in entry.facts:
                await process.journal.run(lambda journal: journal.note_clock())
            try:
                return Answer(await _asked(process, entry, intent, policy))
            except StaleEntryError:
                continue  # cleared away while the question was made: open anew
        if opened is not None:
            found = await take_for_answer(process, opened, draft, deadline)
            if isinstance(found, Answer):
                return found
            if found is not None:
                again[found.twin.id] = found.twin
                if not _may_be_bought_again(draft, policy, again):
                    raise possible_duplicate(process, found.twin)


async def _find_earlier(process: Process, refusal: RefusedError, intent: Intent) -> Answer | None:
    """Return the earlier order for an intention that is refused now, if the refusal is about new orders."""
    # Other refusals are about this intention itself, or came after its entry was opened, as those of a payment.
    if (
        type(refusal) not in (RefusedError, LimitExceededError, PolicyDiffersError)
        or refusal.code not in _ABOUT_NEW_ORDERS
    ):
        return None
    key = intent.order.idempotency_key
    wanted = Wanted(
        caller=intent.caller,
        twin=twin_digest(intent.caller, intent.order),
        given_key=None if key is None else given_key(intent.caller, key),
        body_digest=body_digest(intent.order),
    )
    rails = process.rails
    own = rails.get(intent.rail)
    # If the way to pay is not set up, the mode is not known: live comes first.
    modes: dict[Mode, None] = {own.mode: None} if own else {"live": None}
    if own is None:
        modes |= {rail.mode: None for rail in rails.values()}
    return await find_earlier(process, refusal, wanted, list(modes))


# Opening


def _draft(intent: Intent, rail: Rail, role: Role | None, fee_cents: int, account: Mapping[str, Any]) -> Draft:
    order = intent.order
    compared = digests(intent.caller, rail.mode, order)
    key = order.idempotency_key
    # A wallet's order goes out unpaid first, so that Zinc knows its key: another anchor would be other bytes under it.
    salt = None if rail.paying is not None else secrets.token_hex(SALT_BYTES)
    anchor = None if salt is None else partial(anchor_of, question=None, salt=salt)
    address = order.ship_to
    ship_to = {"city": address.city, "country": address.country}
    if intent.saved_as is not None:
        ship_to["saved"] = intent.saved_as
    else:
        ship_to["name"] = f"{address.first_name} {address.last_name}"
    return Draft(
        caller=intent.caller,
        mode=rail.mode,
        origin=rail.origin,
        account=rail.account,
        rail=rail.name,
        twin=compared.twin,
        body_digest=compared.body,
        given_key=None if key is None else given_key(intent.caller, key),
        to_bytes=lambda wire_key: to_bytes(order, wire_key, compared.twin, anchor),
        ceiling_cents=order.ceiling_cents,
        fee_cents=fee_cents,
        facts={
            "retailer": order.domain,
            "items": order.items(),
            "ship_to": ship_to,
            **account,
            **({} if salt is None else {SALT: salt}),
        },
        near=compared.near,
        role=role,
    )


def _consent(draft: Draft, policy: Policy, again: Mapping[int, Entry]) -> Mapping[str, Any] | None:
    """Return the consent to write into the entry if nobody has to be asked now; None if a person must be asked.

    `host` trusts the host's own prompt, `none` the limits. Practice (sandbox and test keys) asks nobody unless a mode
    is set explicitly. If the same was bought before (`again`), only a person can allow it, or `repeat` of the policy.
    """
    if policy.approval in ("host", "none"):
        return {"how": policy.approval}
    if policy.approval is None and draft.mode != "live":
        return {"how": "practice"}
    is_small = policy.approve_above is not None and draft.ceiling_cents + draft.fee_cents <= policy.approve_above
    return {"how": _BELOW} if is_small and (not again or policy.repeat == "allow") else None


def _may_be_bought_again(draft: Draft, policy: Policy, again: Mapping[int, Entry]) -> bool:
    return policy.repeat == "allow" or _consent(draft, policy, again) is None


async def _opened(
    process: Process,
    draft: Draft,
    rail: Rail,
    policy: Policy,
    consent: Mapping[str, Any] | None,
    again: Mapping[int, Entry],
) -> Attempt | Entry | Resembling | Standing:
    """Open an entry and send it, or leave it waiting without consent, or return an earlier one that stands."""
    limits, own_policy = limits_of(policy, draft.caller, draft.role), process.own_policy(policy)
    at_once = consent is not None and rail.paying is None

    def marks() -> Mapping[str, Any]:
        return {**first_marks(process), "consent": dict(consent or {})}

    opened = await process.journal.run(
        lambda journal: journal.open_entry(
            draft,
            limits,
            owner=process.owner,
            lease_seconds=process.clocks.opening_lease_seconds,
            window_seconds=process.clocks.twin_seconds,
            again=frozenset(again),
            sending=marks if at_once else None,
            unless_resembling=consent is not None and consent["how"] == _BELOW,
            unless_second=consent is not None,
            asks=consent is None or consent["how"] == "practice",
            own_policy=own_policy,
        )
    )
    if isinstance(opened, Standing | Resembling):
        return opened
    process.checkpoint("opened")
    if consent is None:
        return opened
    if at_once:
        return send_marked(process, opened, rail)
    try:
        return await start(process, opened, rail, consent=dict(consent))
    except RefusedError as error:  # paused meanwhile: nothing was sent, so the money is free again
        await refuse(process, opened, f"refused: {error.code}", error.code, error.summary)
        raise


async def _asked(process: Process, entry: Entry, intent: Intent, policy: Policy) -> Entry:
    try:
        asked = await ask(process, entry, intent.order, policy, saved_as=intent.saved_as)
    except RefusedError as error:
        await refuse(process, entry, f"refused: {error.code}", error.code, error.summary)
        raise
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            summary = "The call ended before the question was asked."
            await refuse(process, entry, "refused: approval_expired", "approval_expired", summary)
        raise
    process.checkpoint("asked")
    return asked
