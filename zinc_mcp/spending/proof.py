"""The proofs about a payment by wallet: first by the order's own key, then by the wallet. This module only reads.

An order's own key that came with a 201 proves that the order exists, even if the order is not found. A key that came
with a 409 proves it only after that key has read the order. After money has moved, the order is not given up while the
same credential may still bring it. A foreign clock alone never proves that a payment can no longer be taken: our clock
must be past the credential's end as well.
"""

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zinc_mcp.errors import OrderNotFoundError, OrderRejectedError, ZincMcpError
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.records.twin import KEY_FIELD
from zinc_mcp.process import Process
from zinc_mcp.rails import Ending
from zinc_mcp.spending.outcome import is_placed_before
from zinc_mcp.spending.same_order import is_named, must_be, wanted
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.rails.agent import AgentRail

logger = logging.getLogger(__name__)


async def find_paid(process: Process, rail: "AgentRail", entry: Entry) -> Order | None:
    """Look for an entry's order with the API key that came with it, if one came.

    Raises:
        ZincMcpError: Zinc could not be asked just now.
    """
    payment = await process.unwritten.payment(entry.id)
    if payment is None or payment.order_key is None or entry.body is None:
        return None
    wish = wanted(entry)
    for order_id in payment.named:
        try:
            order = await rail.read_paid(order_id, payment.order_key)
        except (OrderNotFoundError, OrderRejectedError):
            continue
        if is_named(order, order_id) and must_be(order, wish):
            return order
    try:
        listed = await rail.find_paid(KEY_FIELD, entry.key, payment.order_key)
    except OrderRejectedError:
        if payment.is_key_proof:
            raise
        return None  # the key came with a 409, and Zinc does not know it: it proves nothing
    return next((order for order in listed if must_be(order, wish)), None)


async def proven(process: Process, rail: "AgentRail", entry: Entry) -> tuple[Ending, Order | None]:
    """Return the proof about an entry's payment, and its order if that is found. This only reads."""
    now = process.times.clock()
    try:
        order = await find_paid(process, rail, entry)
        if order is not None:
            return "settled", order
        payment = await process.unwritten.payment(entry.id)
        if is_placed_before(entry):
            return "open", None  # the order exists, so a missing payment proves nothing
        if payment is None:
            return "unpaid", None  # the wallet was never asked
        if payment.is_key_proof:
            return "open", None
        if payment.settle_by is None and rail.signs_only:
            return "unpaid", None  # a credential is on disk before it leaves, and no credential of this entry was
        ending = await rail.fate(payment.recovery, payment.credential)
        too_early = (ending == "settled" and payment.may_go_again(now)) or (
            ending == "unpaid" and payment.may_settle(now)
        )
        return ("open" if too_early else ending), None
    except ZincMcpError as trouble:
        logger.info("what became of a payment cannot be told just now: %s", trouble.code)
        return "open", None


def without_credential(
    payment: Payment | None, recovery: Mapping[str, Any], settle_by: float | None = None
) -> Payment | None:
    """Return a payment without its credential, which never left, and with the facts for looking up its fate.

    `settle_by` is kept if the wallet says that the payment was taken all the same.
    """
    if payment is None:
        return None
    known = {**payment.recovery, **recovery}
    return dataclasses.replace(payment, credential=None, settle_by=settle_by, recovery=known)


def with_reference(entry: Entry, payment: Payment | None) -> Mapping[str, Any]:
    """Return the entry's facts with the payment's reference: the receipt's, or the wallet's own."""
    recovery = _recovery(payment)
    return _with_payment(entry, reference=recovery.get("receipt") or recovery.get("reference"))


def paid_no_order(entry: Entry, payment: Payment | None) -> Mapping[str, Any]:
    """Return the columns that change in an entry whose money moved without a known order, with facts to ask Zinc."""
    recovery = _recovery(payment)
    reference = recovery.get("receipt") or recovery.get("reference")
    facts = _with_payment(entry, reference=reference, challenge_id=recovery.get("challenge_id"))
    return {
        "facts": facts,
        **FREE,
        "problem": {
            "code": "paid_no_order",
            "summary": "The payment was taken, and no order is known for it.",
            "facts": {"key": entry.key, **facts.get("payment", {})},
        },
    }


def _recovery(payment: Payment | None) -> Mapping[str, Any]:
    return {} if payment is None else payment.recovery


def _with_payment(entry: Entry, **known: object) -> Mapping[str, Any]:
    said = {name: value for name, value in known.items() if value}
    return {**entry.facts, "payment": {**entry.facts.get("payment", {}), **said}} if said else entry.facts
