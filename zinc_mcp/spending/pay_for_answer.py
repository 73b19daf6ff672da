"""Paying by wallet for a question about products: once for each entry, and never a second time.

The credential is sent once and kept nowhere. If the answer is lost, the question counts as paid.
"""

import logging
from typing import TYPE_CHECKING

from zinc_mcp.errors import RefusedError, UnreadableAnswerError, ZincMcpError, ZincUnreachableError
from zinc_mcp.journal.records.entry import Entry, StaleEntryError
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.process import Process
from zinc_mcp.rails import LeaseOverError, Quote, Signed, WalletSilentError
from zinc_mcp.spending.outcome import about_to_send
from zinc_mcp.text import printed
from zinc_mcp.zinc.find.products import LOOK_UP_CENTS, A, DataCall

if TYPE_CHECKING:
    from zinc_mcp.rails.agent import AgentRail

logger = logging.getLogger(__name__)


def seconds_to_pay(process: Process, rail: "AgentRail") -> float:
    """Return the longest time, in seconds, that asking for the price, signing and sending may take together."""
    return 2 * process.clocks.wire_seconds + rail.sign_seconds + process.clocks.lease_margin_seconds


async def pay_for_answer(process: Process, rail: "AgentRail", entry: Entry, call: DataCall[A]) -> tuple[A, int]:
    """Ask a question, pay what Zinc asks for it, and return the answer with the cents that were paid.

    Raises:
        RefusedError: nothing was paid.
        ZincUnreachableError: nothing was asked, and nothing was paid.
        OrderRejectedError: Zinc refused to answer, and nothing was paid.
        UnreadableAnswerError: it may have been paid, and no answer came.
    """
    try:
        quote = await rail.quote_answer(call, LOOK_UP_CENTS)
    except ZincUnreachableError as error:
        raise _nothing_paid(error) from error
    except RefusedError as refusal:
        raise _about_a_question(refusal) from refusal
    if not isinstance(quote, Quote):
        return quote, 0
    entry = await _marked(process, entry, rail, quote)
    try:
        signed = await rail.sign(quote)
    except WalletSilentError as silent:
        raise UnreadableAnswerError(
            "The payment wallet was asked to pay for the question and gave no clear answer."
        ) from silent
    except RefusedError as refusal:
        raise _about_a_question(refusal) from refusal
    process.checkpoint("signed")

    def leaving() -> None:
        if process.leases.left(entry) <= 0.0:
            raise LeaseOverError
        process.checkpoint("leaving")

    try:
        return await rail.send_paid_question(call, signed.credential, leaving), quote.amount_cents
    except LeaseOverError as late:
        await _take_back(rail, signed, late)
        raise RefusedError("The question was not sent in time, so it was not paid for.", "Call again.") from late
    except ZincUnreachableError as error:
        await _take_back(rail, signed, error)
        raise _nothing_paid(error) from error


def _nothing_paid(error: ZincUnreachableError) -> ZincUnreachableError:
    return ZincUnreachableError(f"{error.summary} Nothing was asked, and nothing was paid.", error.next_step)


async def _marked(process: Process, entry: Entry, rail: "AgentRail", quote: Quote) -> Entry:
    """Write down that the wallet is being asked, in a commit that succeeds only if nobody has moved the entry.

    Raises:
        RefusedError: `paused`, or it was moved; the wallet was not asked.
    """
    payment = Payment(entry.id, process.times.clock(), recovery=quote.recovery)
    marks = about_to_send(process, seconds_to_pay(process, rail))
    try:
        marked = await process.journal.run(
            lambda journal: journal.move(entry, "sending", "asking the wallet", to_send=True, payment=payment, **marks)
        )
    except StaleEntryError as stale:
        raise RefusedError("The question was taken over, so it was not paid for.", "Call again.") from stale
    process.checkpoint("asking")
    return marked


def _about_a_question(refusal: RefusedError) -> RefusedError:
    """Return the refusal of a payment in words about a question. The refusal itself speaks of an order."""
    return RefusedError(
        _SENTENCES.get(str(refusal.facts.get("reason")), refusal.summary),
        "Nothing was paid. Tell the user, or go on without it.",
        code=refusal.code,
        facts=refusal.facts,
    )


_SENTENCES = {
    "amount": f"Zinc asked for another price than {printed(LOOK_UP_CENTS)} for the question. Nothing was paid.",
    "digest": "The payment was asked for something else than the question. Nothing was paid.",
    "funds": "The payment wallet does not hold enough for the question. Nothing was paid.",
}
"""By the reason of a refusal: the sentence about a question, for those that speak of an order."""


async def _take_back(rail: "AgentRail", signed: Signed, why: Exception) -> None:
    """Take back an authorisation whose credential never left.

    Raises:
        UnreadableAnswerError: the wallet may have moved money by itself all the same.
    """
    ending = "open"
    try:
        ending = await rail.release(signed.recovery, signed.credential)
    except ZincMcpError as trouble:
        logger.info("an unused authorisation could not be taken back: %s", trouble.code)
    if ending != "unpaid" and not (rail.signs_only and ending == "open"):
        raise UnreadableAnswerError("The question was not sent, and the wallet may have paid for it.") from why
