"""Paying by wallet: the wallet is asked once for each entry, and makes one credential, never a second.

After a credential has left this process, only the same credential, body and URL may be sent again, and only while the
credential can settle. A second 402 is never paid. A 402 or another no after the credential proves nothing by itself.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup
from pydantic import SecretStr

from zinc_mcp.errors import (
    JournalError,
    OrderAlreadyExistsError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    RefusedError,
    UnreadableAnswerError,
    ZincMcpError,
)
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.entry import Entry, StaleEntryError
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.process import Attempt, Process
from zinc_mcp.rails import Ending, Quote, Signed, WalletSilentError
from zinc_mcp.spending.outcome import (
    UNSENT_PROBLEM,
    about_to_send,
    accept,
    check_answer,
    doubt,
    end,
    hold,
    never_left,
    placed_before,
    settle,
)
from zinc_mcp.spending.proof import find_paid, paid_no_order, proven, with_reference, without_credential
from zinc_mcp.zinc.client import OnPaidHeaders
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.rails.agent import AgentRail

logger = logging.getLogger(__name__)


async def mark(process: Process, entry: Entry, rail: "AgentRail", **changes: Any) -> Entry:
    """Write down that the price is asked for and the order is going to be paid.

    Raises:
        StaleEntryError, RefusedError: as `Journal.move`.
    """
    marks = about_to_send(
        process, process.clocks.wire_seconds + rail.sign_seconds + process.clocks.lease_margin_seconds
    )
    admission = process.admission
    marked = await process.journal.move(
        entry, "signing", "asking for the price", admission=admission, **marks, **changes
    )
    process.checkpoint("signing")
    return marked


async def may_repeat(process: Process, entry: Entry) -> bool:
    """Say whether the credential may still be sent again."""
    payment = await process.unwritten.payment(entry.id)
    return payment is not None and payment.may_go_again(process.times.latest())


async def pay(process: Process, attempt: Attempt, rail: "AgentRail") -> bool:
    """Get the price, check it, and have the wallet sign once; say whether there is a credential to send.

    If the wallet was asked before, nothing is quoted or signed again.
    """
    if attempt.entry.state == "sending":
        return True
    quote = await _ask_the_price(process, attempt, rail)
    if quote is None:
        return False
    signed = await _sign(process, attempt, rail, quote)
    if signed is None:
        return False
    payment = attempt.payment = Payment(
        attempt.entry.id, process.times.clock(), signed.credential, signed.settle_by, signed.recovery
    )
    process.checkpoint("signed")
    try:
        attempt.entry = await _mark_sending(process, attempt.entry, quote, payment)
    except StaleEntryError as stale:
        await take_back_unsent(process, attempt, rail, stale.current)
        return False
    except (RefusedError, JournalError) as error:  # paused, not allowed any more, or it cannot be written down
        await end_unsent(process, attempt, rail, f"not sent: {error.code}", error, quote.amount_cents)
        return False
    process.checkpoint("sending")
    return True


async def prove(process: Process, attempt: Attempt, rail: "AgentRail") -> None:
    """Look for a proof about a payment without an order, and settle the entry if there is one."""
    entry = attempt.entry
    ending, order = await proven(process, rail, entry)
    if order is not None:
        facts = with_reference(entry, await process.unwritten.payment(entry.id))
        await accept(process, attempt, rail, order, "found at Zinc", facts=facts)
    elif ending == "settled":
        known = paid_no_order(entry, await process.unwritten.payment(entry.id))
        await settle(process, attempt, "paid_no_order", "paid, and no order is known", **known)
    elif ending == "unpaid":
        attempt.payment = await process.unwritten.payment(entry.id)
        await take_back(process, attempt, rail)
        error = OrderRejectedError(
            "Zinc did not take the payment, and it can no longer be taken: nothing was bought.",
            "Call again to try it with a new payment.",
            status=402,
            zinc_code="payment_failed",
            facts={"key": entry.key},
        )
        await end(process, attempt, "rejected", "the payment was not taken", error, code="payment_not_taken")


async def _ask_the_price(process: Process, attempt: Attempt, rail: "AgentRail") -> Quote | None:
    entry = attempt.entry
    if entry.body is None:
        raise RefusedError("The order's content was purged, so it cannot be sent.")
    try:
        quote = await rail.quote(entry.body, entry.ceiling_cents, entry.fee_cents, keep_headers(process, attempt))
        if isinstance(quote, Order):
            quote = await check_answer(process, quote, entry)
    except OrderAlreadyExistsError as error:
        # This is no rejection: the order exists already. Only the order itself, or the owner, can say who bought it.
        await _leave_in_doubt(process, attempt, rail, "Zinc has had this key before", error.identifiers)
        return None
    except OrderRejectedError as error:
        error.facts["key"] = entry.key
        await end(process, attempt, "rejected", f"Zinc rejected it: {error.zinc_code}", error)
        return None
    except OrderOutcomeUnknownError as error:
        reason = str(error.facts.get("reason"))
        if await _keep_what_was_given(process, attempt, rail, reason):
            return None
        # The request carried no payment, so no answer to it can have cost anything.
        unread = UnreadableAnswerError(
            "Zinc gave no readable price for the order, so nothing was paid.",
            "Call again in a minute with the same arguments.",
            facts={"reason": reason},
        )
        await end(process, attempt, "refused", f"no price: {reason}", unread)
        return None
    except ZincMcpError as error:
        await end(process, attempt, "refused", f"not paid: {error.facts.get('reason', error.code)}", error)
        return None
    if isinstance(quote, Order):
        await accept(process, attempt, rail, quote, "accepted by Zinc without a payment")
        return None
    return quote


async def _keep_what_was_given(process: Process, attempt: Attempt, rail: "AgentRail", reason: str) -> bool:
    """Say whether the order's own key came although the answer was lost. If it came, keep the entry in doubt.

    Either Zinc gave the order without a payment, or the order existed before.
    """
    if attempt.payment is None or attempt.payment.order_key is None:
        return False
    if attempt.payment.is_key_proof:
        await _leave_in_doubt(process, attempt, rail, f"an order without a payment: {reason}")
    else:
        await _leave_in_doubt(process, attempt, rail, "Zinc has had this key before", ())
    return True


async def _leave_in_doubt(
    process: Process, attempt: Attempt, rail: "AgentRail", what: str, before: Sequence[str] | None = None
) -> None:
    """Keep an entry in doubt whose order exists at Zinc although nothing was paid, and look for that order.

    `before`: the order existed before, and may be found by these ids.
    """
    attempt.left = True
    known = {} if before is None else {"problem": placed_before(before)}
    await doubt(process, attempt, what, **known)
    await keep_identifiers(process, attempt, before or ())
    found = await find(process, attempt.entry, rail)
    if found is not None:
        await accept(process, attempt, rail, found, "found at Zinc")
    elif attempt.entry.state == "unknown":
        await settle(process, attempt, "unknown", "left in doubt", **FREE)


async def _sign(process: Process, attempt: Attempt, rail: "AgentRail", quote: Quote) -> Signed | None:
    """Have the wallet make its one credential; if it makes none, write that down and return None.

    Before the wallet is asked, a commit marks the entry as asking. The commit succeeds only if nobody has moved the
    entry. So no process asks a second time, not even this one after it stood still: it finds the entry moved.
    """
    entry = attempt.entry
    payment = Payment(entry.id, process.times.clock(), recovery=quote.recovery)
    seconds = rail.sign_seconds + process.clocks.wire_seconds
    marks = about_to_send(process, seconds + process.clocks.lease_margin_seconds)
    try:
        attempt.entry = await process.journal.run(
            lambda journal: journal.move(entry, "signing", "asking the wallet", to_send=True, payment=payment, **marks)
        )
        process.checkpoint("asking")
        await hold(process, attempt, rail.sign_seconds)
        attempt.left = True
        process.checkpoint("leaving")
        return await rail.sign(quote)
    except StaleEntryError as stale:
        await never_left(process, attempt, stale.current)
    except WalletSilentError as silent:
        await _keep_recovery(process, attempt, silent.recovery)
        # There may be a credential for this amount, and it cannot be taken back here.
        authorised = {} if rail.signs_only else {"authorised_cents": quote.amount_cents}
        what = "the wallet gave no clear answer"
        await doubt(process, attempt, what, problem=UNSENT_PROBLEM, **authorised)
        if attempt.entry.state == "unknown":  # else it was taken over
            await prove(process, attempt, rail)
        if attempt.entry.state == "unknown":
            await settle(process, attempt, "unknown", "left in doubt", **FREE)
    except RefusedError as error:
        what = "the wallet did not pay" if attempt.left else f"{error.code} before the wallet was asked"
        await end(process, attempt, "refused", what, error, unsent=not attempt.left)
    return None


async def _mark_sending(process: Process, entry: Entry, quote: Quote, payment: Payment) -> Entry:
    """Write the credential down and mark its entry for sending, in one commit, before the credential leaves.

    If the journal fails, this is tried again for a while.

    Raises:
        StaleEntryError, RefusedError, JournalError: as `Journal.move`.
    """
    now = process.times.clock()
    told = {"method": quote.method, "authorised_cents": quote.amount_cents, "fee_cents": quote.fee_cents}
    changes: dict[str, Any] = {
        "attempts": 1,
        "first_sent_at": now,
        "counted_at": max(process.times.latest(), entry.counted_at),
        "zinc_at": process.times.zinc() or entry.zinc_at,
        "fee_cents": quote.fee_cents,
        "authorised_cents": quote.amount_cents,
        "facts": {**entry.facts, "payment": told},
        **about_to_send(process, process.clocks.wire_seconds + process.clocks.lease_margin_seconds),
    }
    for pause in (0.05, 0.2, 1.0, None):
        try:
            return await process.journal.run(
                lambda journal: journal.move(
                    entry,
                    "sending",
                    "sending with the payment",
                    to_send=True,
                    admission=process.admission,
                    payment=payment,
                    **changes,
                )
            )
        except JournalError:
            if pause is None:
                raise
            await anyio.sleep(pause)
    raise AssertionError


def keep_headers(process: Process, attempt: Attempt, writing: TaskGroup | None = None) -> OnPaidHeaders:
    """Return a call that saves an answer's headers: without them a lost body would lose the order.

    With `writing`, they are saved while the body is read.
    """
    entry = attempt.entry

    async def keep(order_key: SecretStr | None, receipt: str | None, accepted: bool) -> None:
        def kept(payment: Payment | None) -> Payment:
            payment = payment or Payment(entry.id, process.times.clock())
            return payment.with_headers(order_key, receipt, accepted=accepted)

        async def save() -> None:
            await process.unwritten.change_payment(entry.id, kept)
            process.checkpoint("headers")

        attempt.payment = kept(attempt.payment)
        if writing is None:
            await save()
        else:
            writing.start_soon(save)

    return keep


async def keep_identifiers(process: Process, attempt: Attempt, order_ids: Sequence[str]) -> None:
    """Keep the ids of the order that a 409 named."""
    found = [order_id for order_id in order_ids if order_id != attempt.entry.key]
    if found and attempt.payment is not None:
        await _keep_recovery(process, attempt, {"named": found})


async def _keep_recovery(process: Process, attempt: Attempt, recovery: Mapping[str, Any]) -> None:
    def learnt(payment: Payment | None) -> Payment:
        payment = payment or Payment(attempt.entry.id, process.times.clock())
        return dataclasses.replace(payment, recovery={**payment.recovery, **recovery})

    attempt.payment = learnt(attempt.payment)
    await process.unwritten.change_payment(attempt.entry.id, learnt)


async def reopen(process: Process, attempt: Attempt) -> None:
    """Put an entry in doubt again if another process took its payment for lost before the order's key came."""
    if attempt.entry.state == "paid_no_order" and attempt.payment is not None and attempt.payment.order_key:
        try:
            attempt.entry = await process.journal.move(
                attempt.entry, "unknown", "the order's key came after all", problem=None
            )
        except StaleEntryError as stale:
            attempt.entry = stale.current


async def find(process: Process, entry: Entry, rail: "AgentRail") -> Order | None:
    """Look for the order of an unanswered entry with the order's own key; None if it is not found or Zinc fails."""
    try:
        return await find_paid(process, rail, entry)
    except ZincMcpError as trouble:
        logger.info("the look-up after a lost answer failed: %s", trouble.code)
        return None


async def take_back_unsent(process: Process, attempt: Attempt, rail: "AgentRail", current: Entry) -> None:
    """Take back a credential that never left, because another process moved the entry while this one stood still."""
    ending: Ending = "open"
    if current.attempts <= 1 and not process.leases.is_held(current):  # else another process may be sending it
        ending = await take_back(process, attempt, rail)
    if _moved_nothing(rail, ending):
        await never_left(process, attempt, current)
    else:
        attempt.entry = current  # the wallet may have moved money by itself: a look-up finds that out


async def end_unsent(
    process: Process,
    attempt: Attempt,
    rail: "AgentRail",
    what: str,
    error: ZincMcpError,
    authorised_cents: int | None = None,
) -> None:
    """End an entry whose credential never left us and never will; if its wallet may have paid, put it in doubt.

    Raises:
        JournalError: it could not be written down yet; see `settle`.
    """
    if _moved_nothing(rail, await take_back(process, attempt, rail)):
        attempt.left = False
        told = error.before_sending() if isinstance(error, JournalError) else error
        await end(process, attempt, "refused", what, told, unsent=True)
        return
    authorised: dict[str, Any] = {} if authorised_cents is None else {"authorised_cents": authorised_cents}
    await settle(process, attempt, "unknown", what, problem=UNSENT_PROBLEM, **authorised, **FREE)


def _moved_nothing(rail: "AgentRail", ending: Ending) -> bool:
    """Say whether the wallet has surely moved no money for a credential that never left us and was taken back."""
    return ending == "unpaid" or (rail.signs_only and ending == "open")


async def take_back(process: Process, attempt: Attempt, rail: "AgentRail") -> Ending:
    """Take back an authorisation whose credential never left, forget the credential, and return what is proved.

    A payment that was taken all the same keeps its `settle_by`, so that look-ups go on.
    """
    payment = attempt.payment
    if payment is None:
        return "open"
    ending: Ending = "open"
    try:
        ending = await rail.release(payment.recovery, payment.credential)
    except ZincMcpError as trouble:
        logger.info("an unused authorisation could not be taken back: %s", trouble.code)
    settle_by = payment.settle_by if ending == "settled" else None
    attempt.payment = dataclasses.replace(payment, credential=None, settle_by=settle_by)
    forgotten = partial(without_credential, recovery=payment.recovery, settle_by=settle_by)
    await process.unwritten.change_payment(payment.entry_id, forgotten)
    return ending
