"""Paying by wallet: asked once, one credential for ever, and what proves whether money moved.

Once a credential has left this process, only the same credential, body and URL may go again, while it can settle; a
second 402 is never paid. A 402 or any other no after the credential proves nothing by itself.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from pydantic import SecretStr

from zinc_mcp.api.responses import Order
from zinc_mcp.errors import (
    JournalError,
    OrderAlreadyExistsError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    RefusedError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.ordering.entry import Entry, StaleEntryError
from zinc_mcp.ordering.lease import FREE
from zinc_mcp.ordering.payment import Payment
from zinc_mcp.ordering.proof import find_paid, paid_no_order, proven, with_reference, without_credential
from zinc_mcp.ordering.rail import LeaseOverError, OnHeaders, PayingRail, Quote, Signed, WalletSilentError
from zinc_mcp.ordering.same_order import told_loudly
from zinc_mcp.ordering.settling import Attempt, Settling

logger = logging.getLogger(__name__)


class Payer:
    """Takes an entry of a paying rail from its quote to an answer."""

    def __init__(self, settling: Settling) -> None:
        self._settling = settling
        self._writer = settling.writer
        self._unwritten = settling.unwritten
        self._clocks = settling.clocks
        self._clock = settling.clock
        self._checkpoint = settling.checkpoint

    async def marked(self, entry: Entry, rail: PayingRail, **changes: Any) -> Entry:
        """Make it durable that the order is going to be priced and paid for.

        Raises:
            StaleEntryError, RefusedError: as `Journal.move`.
        """
        marks = self._settling.about_to_send(self._clocks.wire + rail.sign_seconds + self._clocks.lease_margin)
        admission = self._settling.admission
        marked = await self._writer.move(
            entry, "signing", "asking for the price", admission=admission, **marks, **changes
        )
        self._checkpoint("signing")
        return marked

    async def may_repeat(self, entry: Entry) -> bool:
        """Say whether the credential may still go again."""
        payment = await self._payment(entry)
        return payment is not None and payment.may_go_again(self._settling.times.latest())

    async def paid(self, attempt: Attempt, rail: PayingRail) -> bool:
        """Get the price, check it, and have the wallet sign once; say whether there is something to send.

        An entry whose wallet has been asked before is never quoted or signed again.
        """
        if attempt.entry.state == "sending":
            return True
        quote = await self._quoted(attempt, rail)
        if quote is None:
            return False
        signed = await self._signed(attempt, rail, quote)
        if signed is None:
            return False
        payment = attempt.payment = Payment(
            attempt.entry.id, self._clock(), signed.credential, signed.settle_by, signed.recovery
        )
        self._checkpoint("signed")
        try:
            attempt.entry = await self._marked_sending(attempt.entry, quote, payment)
        except RefusedError as error:  # paused, or not allowed any more; the credential has not left us
            await self._unused(attempt, rail)
            await self._settling.ended(attempt, "refused", f"not sent: {error.code}", error)
            return False
        except StaleEntryError as stale:
            await self._overtaken(attempt, rail, stale.current)
            return False
        except JournalError:
            await self._unused(attempt, rail)
            raise
        self._checkpoint("sending")
        return True

    async def send(self, attempt: Attempt, rail: PayingRail) -> None:
        """Send the bytes with their one credential, and sort the answer by what it proves."""
        first = attempt.payment is not None and attempt.entry.attempts == 1
        if not first:
            attempt.payment = await self._payment(attempt.entry)
        payment, body = attempt.payment, attempt.entry.body
        if payment is None or payment.credential is None or body is None:
            await self._settling.doubted(attempt, "the credential is not there any more")
            return
        attempt.error = None
        while True:
            try:
                await self._settling.hold(attempt, self._clocks.wire)
                answer = await self._sent(attempt, rail, body, payment.credential)
                order = await self._settling.as_answer(answer, attempt.entry)
            except LeaseOverError:
                continue
            except StaleEntryError as stale:
                if not first:
                    raise
                await self._overtaken(attempt, rail, stale.current)
            except RefusedError as error:  # paused while we stood still
                if first:
                    await self._unused(attempt, rail)
                    await self._settling.ended(attempt, "refused", "paused before sending", error)
                else:
                    await self._settling.doubted(attempt, "paused before the repeat")
            except ZincUnreachableError as error:
                if first:
                    await self._unused(attempt, rail)
                    await self._settling.ended(attempt, "refused", "no connection: the credential was not sent", error)
                else:
                    await self._settling.doubted(attempt, "no connection for the repeat")
            except (OrderRejectedError, OrderOutcomeUnknownError) as error:
                self._checkpoint("answered")
                reason = error.facts.get("zinc_code") or error.facts.get("reason")
                await self._settling.doubted(attempt, f"no order for the payment: {reason}", **told_loudly(error))
                if isinstance(error, OrderAlreadyExistsError):
                    await self._named(attempt, error.identifiers)
                await self._reopened(attempt)
                found = await self._found(attempt.entry, rail)
                if found is not None:
                    facts = with_reference(attempt.entry, attempt.payment)
                    await self._settling.accepted(attempt, rail, found, "found at Zinc", facts=facts)
            else:
                self._checkpoint("answered")
                facts = with_reference(attempt.entry, attempt.payment)
                await self._settling.accepted(attempt, rail, order, "paid and accepted by Zinc", facts=facts)
            return

    async def prove(self, attempt: Attempt, rail: PayingRail) -> None:
        """Find out what became of a payment without an order, and settle the entry if that can be told."""
        entry = attempt.entry
        ending, order = await proven(self._unwritten, rail, entry, self._clock())
        if order is not None:
            facts = with_reference(entry, await self._payment(entry))
            await self._settling.accepted(attempt, rail, order, "found at Zinc", facts=facts)
        elif ending == "settled":
            known = paid_no_order(entry, await self._payment(entry))
            await self._settling.settle(attempt, "paid_no_order", "paid, and no order is known", **known)
        elif ending == "unpaid":
            attempt.payment = await self._payment(entry)
            await self._unused(attempt, rail)
            error = OrderRejectedError(
                "Zinc did not take the payment, and it can no longer be taken: nothing was bought.",
                "Call again to try it with a new payment.",
                status=402,
                zinc_code="payment_failed",
                facts={"key": entry.key},
            )
            await self._settling.ended(attempt, "rejected", "the payment was not taken", error)

    async def _quoted(self, attempt: Attempt, rail: PayingRail) -> Quote | None:
        entry = attempt.entry
        if entry.body is None:
            raise RefusedError("The order's content was purged, so it cannot be sent.")
        try:
            quote = await rail.quote(entry.body, entry.ceiling_cents, entry.fee_cents, self._keep(attempt))
            if isinstance(quote, Order):
                quote = await self._settling.as_answer(quote, entry)
        except OrderRejectedError as error:
            error.facts["key"] = entry.key
            await self._settling.ended(attempt, "rejected", f"Zinc rejected it: {error.zinc_code}", error)
            return None
        except OrderOutcomeUnknownError as error:
            reason = str(error.facts.get("reason"))
            if await self._given(attempt, rail, reason):
                return None
            # The request carried no payment, so no answer to it can have cost anything.
            unread = UnreadableAnswerError(
                "Zinc gave no readable price for the order, so nothing was paid.",
                "Call again in a minute with the same arguments.",
                facts={"reason": reason},
            )
            await self._settling.ended(attempt, "refused", f"no price: {reason}", unread)
            return None
        except ZincMcpError as error:
            await self._settling.ended(attempt, "refused", f"not paid: {error.facts.get('reason', error.code)}", error)
            return None
        if isinstance(quote, Order):
            await self._settling.accepted(attempt, rail, quote, "accepted by Zinc without a payment")
            return None
        return quote

    async def _given(self, attempt: Attempt, rail: PayingRail, reason: str) -> bool:
        """Keep an order that Zinc gave for nothing, and whose own key came although its answer was lost."""
        if attempt.payment is None or attempt.payment.order_key is None:
            return False
        attempt.left = True
        await self._settling.doubted(attempt, f"an order without a payment: {reason}")
        found = await self._found(attempt.entry, rail)
        if found is not None:
            await self._settling.accepted(attempt, rail, found, "found at Zinc")
        else:
            await self._settling.settle(attempt, "unknown", "left in doubt", **FREE)
        return True

    async def _signed(self, attempt: Attempt, rail: PayingRail, quote: Quote) -> Signed | None:
        """Have the wallet make its one credential; None where there is none, which is written down then.

        That it is being asked is durable before it starts, and only whoever makes it so on the entry as they left it
        asks it: another process, or this one after it stood still, finds the entry moved.
        """
        entry = attempt.entry
        payment = Payment(entry.id, self._clock(), recovery=quote.recovery)
        seconds = rail.sign_seconds + self._clocks.wire
        marks = self._settling.about_to_send(seconds + self._clocks.lease_margin)
        try:
            attempt.entry = await self._writer.run(
                lambda journal: journal.move(
                    entry, "signing", "asking the wallet", to_send=True, payment=payment, **marks
                )
            )
            self._checkpoint("asking")
            await self._settling.hold(attempt, rail.sign_seconds)
            attempt.left = True
            self._checkpoint("leaving")
            return await rail.sign(quote)
        except StaleEntryError as stale:
            await self._settling.never_left(attempt, stale.current)
        except WalletSilentError as silent:
            await self._learnt(attempt, silent.recovery)
            # Whatever it may have made lets as much go, and nobody can take it back here.
            authorised = {} if rail.signs_only else {"authorised_cents": quote.amount_cents}
            await self._settling.doubted(attempt, "the wallet gave no clear answer", **authorised)
            await self.prove(attempt, rail)
            if attempt.entry.state == "unknown":
                await self._settling.settle(attempt, "unknown", "left in doubt", **FREE)
        except RefusedError as error:
            paused = error.code == "paused"
            what = "paused before the wallet was asked" if paused else "the wallet did not pay"
            await self._settling.ended(attempt, "refused", what, error)
        return None

    async def _marked_sending(self, entry: Entry, quote: Quote, payment: Payment) -> Entry:
        """Write the credential down and mark its entry for sending, both or neither: it leaves us after that."""
        now = self._clock()
        told = {"method": quote.method, "authorised_cents": quote.amount_cents, "fee_cents": quote.fee_cents}
        changes = {
            "attempts": 1,
            "first_sent_at": now,
            "counted_at": max(self._settling.times.latest(), entry.counted_at),
            "zinc_at": self._settling.times.zinc() or entry.zinc_at,
            "fee_cents": quote.fee_cents,
            "authorised_cents": quote.amount_cents,
            "facts": {**entry.facts, "payment": told},
            **self._settling.about_to_send(self._clocks.wire + self._clocks.lease_margin),
        }
        return await self._settling.marked(entry, "sending", "sending with the payment", payment, changes)

    async def _sent(self, attempt: Attempt, rail: PayingRail, body: bytes, credential: SecretStr) -> Order:
        """Send once. What came with the head of the answer is written down while its body is read, and kept if not."""
        answer: Order | None = None
        failure: Exception | None = None
        async with anyio.create_task_group() as writing:
            try:
                answer = await rail.send_paid(
                    body,
                    credential,
                    self._keep(attempt, writing),
                    partial(self._settling.leaving, attempt),
                    self._keep(attempt, writing, accepted=False),
                )
            except Exception as error:  # raised below: out of here it would come in a group
                failure = error
        if failure is not None:
            raise failure
        if answer is None:
            raise AssertionError
        return answer

    def _keep(self, attempt: Attempt, writing: TaskGroup | None = None, *, accepted: bool = True) -> OnHeaders:
        entry = attempt.entry

        async def keep(order_key: SecretStr | None, receipt: str | None) -> None:
            """Save what came with the headers: without it a lost body would lose the order."""

            def kept(payment: Payment | None) -> Payment:
                payment = payment or Payment(entry.id, self._clock())
                return payment.with_headers(order_key, receipt, accepted=accepted)

            async def save() -> None:
                await self._unwritten.change_payment(entry.id, kept)
                self._checkpoint("headers")

            attempt.payment = kept(attempt.payment)
            if writing is None:
                await save()
            else:
                writing.start_soon(save)

        return keep

    async def _named(self, attempt: Attempt, order_ids: Sequence[str]) -> None:
        """Keep the ids under which a 409 said that the order is to be found."""
        found = [order_id for order_id in order_ids if order_id != attempt.entry.key]
        if found and attempt.payment is not None:
            await self._learnt(attempt, {"named": found})

    async def _learnt(self, attempt: Attempt, recovery: Mapping[str, Any]) -> None:
        def learnt(payment: Payment | None) -> Payment:
            payment = payment or Payment(attempt.entry.id, self._clock())
            return dataclasses.replace(payment, recovery={**payment.recovery, **recovery})

        attempt.payment = learnt(attempt.payment)
        await self._unwritten.change_payment(attempt.entry.id, learnt)

    async def _reopened(self, attempt: Attempt) -> None:
        """Put an entry in doubt again whose payment somebody took for lost before its order's key came."""
        if attempt.entry.state == "paid_no_order" and attempt.payment is not None and attempt.payment.order_key:
            attempt.entry = await self._writer.move(
                attempt.entry, "unknown", "the order's key came after all", problem=None
            )

    async def _found(self, entry: Entry, rail: PayingRail) -> Order | None:
        try:
            return await find_paid(self._unwritten, rail, entry)
        except ZincMcpError as trouble:
            logger.info("the look-up after a lost answer failed: %s", trouble.code)
            return None

    async def _overtaken(self, attempt: Attempt, rail: PayingRail, current: Entry) -> None:
        """Let go of a credential that never left us, whose entry somebody else has moved on while we stood still."""
        if current.attempts <= 1 and not self._settling.is_held(current):  # else another process may be sending it
            await self._unused(attempt, rail)
        if rail.signs_only:
            await self._settling.never_left(attempt, current)
        else:
            attempt.entry = current  # its wallet may have moved money by itself: that is looked up

    async def _unused(self, attempt: Attempt, rail: PayingRail) -> None:
        """Take back an authorisation whose credential never left this process, and forget the credential."""
        payment = attempt.payment
        if payment is None:
            return
        try:
            await rail.release(payment.recovery, payment.credential)
        except ZincMcpError as trouble:
            logger.info("an unused authorisation could not be taken back: %s", trouble.code)
        attempt.payment = dataclasses.replace(payment, credential=None, settle_by=None)
        await self._unwritten.change_payment(payment.entry_id, partial(without_credential, recovery=payment.recovery))

    async def _payment(self, entry: Entry) -> Payment | None:
        return await self._unwritten.payment(entry.id)
