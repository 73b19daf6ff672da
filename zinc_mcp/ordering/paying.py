"""Paying by wallet: asked once, one credential for ever, and what proves whether money moved.

Once a credential has left this process, only the same credential, body and URL may go again, while it can settle; a
second 402 is never paid. A 402 or any other no after the credential proves nothing by itself.
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from pydantic import SecretStr

from zinc_mcp.api.responses import Order
from zinc_mcp.errors import (
    OrderAlreadyExistsError,
    OrderOutcomeUnknownError,
    OrderRejectedError,
    RefusedError,
    UnreadableAnswerError,
    ZincMcpError,
    ZincUnreachableError,
)
from zinc_mcp.ordering.entry import Entry
from zinc_mcp.ordering.lease import FREE
from zinc_mcp.ordering.payment import Payment
from zinc_mcp.ordering.proof import find_paid, forget_credential, paid_no_order, proven, with_reference
from zinc_mcp.ordering.rail import OnHeaders, PayingRail, Quote, WalletSilentError
from zinc_mcp.ordering.same_order import as_answer, told_loudly
from zinc_mcp.ordering.settling import Attempt, Settling

logger = logging.getLogger(__name__)


class Payer:
    """Takes an entry of a paying rail from its quote to an answer."""

    def __init__(self, settling: Settling) -> None:
        self._settling = settling
        self._writer = settling.writer
        self._clocks = settling.clocks
        self._clock = settling.clock
        self._checkpoint = settling.checkpoint

    async def marked(self, entry: Entry, rail: PayingRail, **changes: Any) -> Entry:
        """Make it durable that the wallet is going to be asked.

        Raises:
            StaleEntryError, RefusedError: as `Journal.move`.
        """
        lease = self._settling.lease(self._clocks.wire + rail.sign_seconds + self._clocks.lease_margin)
        admission = self._settling.admission
        marked = await self._writer.move(
            entry, "signing", "asking for the price", admission=admission, **lease, **changes
        )
        self._checkpoint("signing")
        return marked

    async def may_repeat(self, entry: Entry) -> bool:
        """Say whether the credential may still go again."""
        payment = await self._payment(entry)
        return payment is not None and payment.may_go_again(self._clock())

    async def paid(self, attempt: Attempt, rail: PayingRail) -> bool:
        """Get the price, check it, and have the wallet sign once; say whether there is something to send.

        An entry whose wallet has been asked before is never quoted or signed again.
        """
        if attempt.entry.state == "sending":
            return True
        quote = await self._quoted(attempt, rail)
        if quote is None:
            return False
        entry = attempt.entry
        payment = Payment(entry.id, self._clock(), recovery=quote.recovery)
        await self._write(payment)
        self._checkpoint("asking")
        try:
            signed = await rail.sign(quote)
        except WalletSilentError as silent:
            await self._write(dataclasses.replace(payment, recovery={**quote.recovery, **silent.recovery}))
            # Whatever it may have made lets as much go, and nobody can take it back here.
            authorised = {} if rail.signs_only else {"authorised_cents": quote.amount_cents}
            await self._settling.doubted(attempt, "the wallet gave no clear answer", **authorised)
            await self.prove(attempt, rail)
            if attempt.entry.state == "unknown":
                await self._settling.settle(attempt, "unknown", "left in doubt", **FREE)
            return False
        except RefusedError as error:
            await self._settling.ended(attempt, "refused", "the wallet did not pay", error)
            return False
        payment = dataclasses.replace(
            payment, credential=signed.credential, settle_by=signed.settle_by, recovery=signed.recovery
        )
        await self._write(payment)
        self._checkpoint("signed")
        try:
            attempt.entry = await self._marked_sending(entry, quote)
        except RefusedError as error:  # paused, or not allowed any more; the credential has not left us
            await self._unused(payment, rail)
            await self._settling.ended(attempt, "refused", f"not sent: {error.code}", error)
            return False
        self._checkpoint("sending")
        return True

    async def send(self, attempt: Attempt, rail: PayingRail) -> None:
        """Send the bytes with their one credential, and sort the answer by what it proves."""
        entry = attempt.entry
        payment = await self._payment(entry)
        if payment is None or payment.credential is None or entry.body is None:
            await self._settling.doubted(attempt, "the credential is not there any more")
            return
        attempt.error = None
        try:
            keep, keep_of_conflict = self._keep(entry), self._keep(entry, accepted=False)
            order = as_answer(await rail.send_paid(entry.body, payment.credential, keep, keep_of_conflict), entry)
        except ZincUnreachableError as error:
            if entry.attempts > 1:
                await self._settling.doubted(attempt, "no connection for the repeat")
                return
            await self._unused(payment, rail)
            await self._settling.ended(attempt, "refused", "no connection: the credential was not sent", error)
        except (OrderRejectedError, OrderOutcomeUnknownError) as error:
            self._checkpoint("answered")
            reason = error.facts.get("zinc_code") or error.facts.get("reason")
            await self._settling.doubted(attempt, f"no order for the payment: {reason}", **told_loudly(error))
            if isinstance(error, OrderAlreadyExistsError):
                await self._named(entry, error.identifiers)
            await self._reopened(attempt)
            found = await self._found(entry, rail)
            if found is not None:
                facts = await with_reference(self._writer, entry)
                await self._settling.accepted(attempt, rail, found, "found at Zinc", facts=facts)
        else:
            self._checkpoint("answered")
            facts = await with_reference(self._writer, entry)
            await self._settling.accepted(attempt, rail, order, "paid and accepted by Zinc", facts=facts)
        if attempt.entry.order_id is not None:
            await forget_credential(self._writer, attempt.entry.id)

    async def prove(self, attempt: Attempt, rail: PayingRail) -> None:
        """Find out what became of a payment without an order, and settle the entry if that can be told."""
        entry = attempt.entry
        ending, order = await proven(self._writer, rail, entry, self._clock())
        if order is not None:
            facts = await with_reference(self._writer, entry)
            await self._settling.accepted(attempt, rail, order, "found at Zinc", facts=facts)
        elif ending == "settled":
            known = await paid_no_order(self._writer, entry)
            await self._settling.settle(attempt, "paid_no_order", "paid, and no order is known", **known)
        elif ending == "unpaid":
            await self._released(entry, rail)
            error = OrderRejectedError(
                "Zinc did not take the payment, and it can no longer be taken: nothing was bought.",
                "Call again to try it with a new payment.",
                status=402,
                zinc_code="payment_failed",
                facts={"key": entry.key},
            )
            await self._settling.ended(attempt, "rejected", "the payment was not taken", error)
        if attempt.entry.state not in ("sending", "unknown"):
            await forget_credential(self._writer, attempt.entry.id)

    async def _quoted(self, attempt: Attempt, rail: PayingRail) -> Quote | None:
        entry = attempt.entry
        if entry.body is None:
            raise RefusedError("The order's content was purged, so it cannot be sent.")
        try:
            quote = await rail.quote(entry.body, entry.ceiling_cents, entry.fee_cents, self._keep(entry))
            if isinstance(quote, Order):
                quote = as_answer(quote, entry)
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
        payment = await self._payment(attempt.entry)
        if payment is None or payment.order_key is None:
            return False
        await self._settling.doubted(attempt, f"an order without a payment: {reason}")
        found = await self._found(attempt.entry, rail)
        if found is not None:
            await self._settling.accepted(attempt, rail, found, "found at Zinc")
        else:
            await self._settling.settle(attempt, "unknown", "left in doubt", **FREE)
        return True

    async def _marked_sending(self, entry: Entry, quote: Quote) -> Entry:
        now = self._clock()
        payment = {"method": quote.method, "authorised_cents": quote.amount_cents, "fee_cents": quote.fee_cents}
        return await self._writer.move(
            entry,
            "sending",
            "sending with the payment",
            admission=self._settling.admission,
            attempts=1,
            first_sent_at=now,
            counted_at=max(now, entry.counted_at),
            fee_cents=quote.fee_cents,
            authorised_cents=quote.amount_cents,
            **self._settling.lease(self._clocks.wire + self._clocks.lease_margin),
            facts={**entry.facts, "payment": payment},
        )

    def _keep(self, entry: Entry, *, accepted: bool = True) -> OnHeaders:
        async def keep(order_key: SecretStr | None, receipt: str | None) -> None:
            """Save what came with the headers: without it a lost body would lose the order."""

            def kept(payment: Payment | None) -> Payment:
                payment = payment or Payment(entry.id, self._clock())
                return payment.with_headers(order_key, receipt, accepted=accepted)

            await self._writer.run(lambda journal: journal.change_payment(entry.id, kept))
            self._checkpoint("headers")

        return keep

    async def _named(self, entry: Entry, order_ids: Sequence[str]) -> None:
        """Keep the ids under which a 409 said that the order is to be found."""

        def named(payment: Payment | None) -> Payment | None:
            found = [order_id for order_id in order_ids if order_id != entry.key]
            if payment is None or not found:
                return None
            return dataclasses.replace(payment, recovery={**payment.recovery, "named": found})

        await self._writer.run(lambda journal: journal.change_payment(entry.id, named))

    async def _reopened(self, attempt: Attempt) -> None:
        """Put an entry in doubt again whose payment somebody took for lost before its order's key came."""
        payment = await self._payment(attempt.entry)
        if attempt.entry.state == "paid_no_order" and payment is not None and payment.order_key is not None:
            attempt.entry = await self._writer.move(
                attempt.entry, "unknown", "the order's key came after all", problem=None
            )

    async def _found(self, entry: Entry, rail: PayingRail) -> Order | None:
        try:
            return await find_paid(self._writer, rail, entry)
        except ZincMcpError as trouble:
            logger.info("the look-up after a lost answer failed: %s", trouble.code)
            return None

    async def _released(self, entry: Entry, rail: PayingRail) -> None:
        payment = await self._payment(entry)
        if payment is not None:
            await self._unused(payment, rail)

    async def _unused(self, payment: Payment, rail: PayingRail) -> None:
        """Take back an authorisation whose credential never left this process."""
        try:
            await rail.release(payment.recovery, payment.credential)
        except ZincMcpError as trouble:
            logger.info("an unused authorisation could not be taken back: %s", trouble.code)
        await forget_credential(self._writer, payment.entry_id)

    async def _payment(self, entry: Entry) -> Payment | None:
        return await self._writer.run(lambda journal: journal.payment(entry.id))

    async def _write(self, payment: Payment) -> None:
        await self._writer.run(lambda journal: journal.write_payment(payment))
