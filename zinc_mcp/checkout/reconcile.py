"""The reads of an account at Zinc, to compare it with the journal. They change nothing."""

import time
from collections.abc import Callable, Sequence

import anyio

from zinc_mcp.errors import OrderNotFoundError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.periods import MOST_COMPARED
from zinc_mcp.journal.records.entry import DOUBTFUL, NOTHING_SENT
from zinc_mcp.rails.account import ORDER_FEE_CENTS, AccountRail
from zinc_mcp.rails.v1 import V1Rail
from zinc_mcp.spending.reconcile import Books, Difference, Reconciled, Shown, belongs, compare, key_of, to_read
from zinc_mcp.zinc.answers import MAX_CENTS
from zinc_mcp.zinc.placed.order_list import OrderList
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.v1.answers import BY_KEY

LIST_SECONDS = 60.0
"""Zinc's list is read for at most this time."""
MOST_READ = 50
"""The number of orders that are read one by one, because the list does not settle them."""


Payer = AccountRail | V1Rail


async def reconcile(
    rail: Payer,
    journal: Journal,
    since: float,
    *,
    balance_was_cents: int | None = None,
    clock: Callable[[], float] = time.time,
) -> Reconciled:
    """Compare an account's orders from `since` on with the journal.

    Zinc is read first. So an order that is placed meanwhile is in the journal and not in the list, and is then read by
    its id. `balance_was_cents` is the Zinc balance at `since`, if the owner knows it.

    Raises:
        JournalError: the journal cannot be read.
    """
    found, began = Reconciled(rail=rail.name), clock()
    listed = OrderList()
    try:
        with anyio.move_on_after(LIST_SECONDS):
            await rail.read_list(listed, since, None)
    except ZincMcpError as error:
        found.unread = error
    found.list_cut, found.unreadable = not listed.is_whole, listed.unreadable
    in_period = {name: order for name, order in listed.orders.items() if _is_since(order, since)}
    if rail.on_v1 is not None:
        in_period = _by_their_ids(journal, rail, in_period, since)
    books = _books(journal, rail, in_period, since, found)
    read = await _read(rail, to_read(books.entries, in_period, since, began), found)
    shown = Shown(in_period, read)
    found.orders = len(in_period)
    found.differences = compare(books, shown, clock())
    balance = await _balance(rail, found)
    if balance is not None and balance_was_cents is not None and found.is_whole:
        gone = balance_was_cents - balance
        explained = _most_taken(books, shown) + journal.looked_up_cents(rail, since)
        if gone > explained:
            lost = Difference(kind="balance_unexplained", here_cents=explained, zinc_cents=gone)
            found.differences.insert(0, lost)
    return found


def _by_their_ids(journal: Journal, rail: Payer, orders: dict[str, Order], since: float) -> dict[str, Order]:
    """Return orders by the ids that entries know. v1 may list an order without its id, which then stands by our key."""
    ids = {entry.key: entry.order_id for entry in journal.of_account(rail, since) if entry.order_id is not None}
    found: dict[str, Order] = {}
    for order in orders.values():
        order_id = ids.get(order.id.removeprefix(BY_KEY)) if order.id.startswith(BY_KEY) else None
        known = order if order_id is None else order.model_copy(update={"id": order_id})
        found.setdefault(known.id.casefold(), known)
    return found


def _is_since(order: Order, since: float) -> bool:
    return order.created_at is None or order.created_at.timestamp() >= since


def _books(journal: Journal, rail: Payer, orders: dict[str, Order], since: float, found: Reconciled) -> Books:
    entries = journal.of_account(rail, since)
    found.journal_cut = len(entries) > MOST_COMPARED
    known = {entry.order_id.casefold() for entry in entries if entry.order_id is not None}
    named = journal.of_orders([order.id for name, order in orders.items() if name not in known])
    entries = [*entries[:MOST_COMPARED], *(entry for entry in named if belongs(entry, rail))]
    elsewhere = {each.order_id.casefold() for each in named if each.order_id is not None and not belongs(each, rail)}
    found.entries = len(entries)
    found.paid_by_wallet, found.other_service, found.other_accounts = journal.not_of_account(rail, since)
    keys = {key_of(order) for order in orders.values()}
    doubtful = [entry for entry in entries if entry.state in DOUBTFUL and entry.order_id is None]
    found.in_doubt = sum(entry.key not in keys for entry in doubtful)
    return Books(entries, elsewhere)


async def _read(rail: Payer, order_ids: Sequence[str], found: Reconciled) -> dict[str, Order | None]:
    """Read orders one by one; None for those that Zinc does not know."""
    read: dict[str, Order | None] = {}
    for order_id in order_ids[:MOST_READ]:
        try:
            order = await rail.read(order_id)
        except OrderNotFoundError:
            read[order_id.casefold()] = None
        except ZincMcpError:
            found.unsettled += 1
        else:
            if order.id.casefold() == order_id.casefold():
                read[order_id.casefold()] = order
            else:
                found.unsettled += 1  # an answer about another order says nothing
    found.unsettled += max(0, len(order_ids) - MOST_READ)
    return read


async def _balance(rail: Payer, found: Reconciled) -> int | None:
    """Return Zinc's balance, if it is one that orders are debited from."""
    if rail.on_balance is None:
        return None
    try:
        told = await rail.on_balance.wallet()
    except ZincMcpError:
        return None
    balance = told.get("balance")
    if type(balance) is not int or abs(balance) > MAX_CENTS or told.get("billed_by_invoice") is True:
        return None
    found.balance_cents = balance
    return balance


def _most_taken(books: Books, shown: Shown) -> int:
    """Return the most that orders can have taken from the balance: the price where it is known, else the ceiling."""
    most = 0
    for order in shown.orders.values():
        owner = books.owner(order)
        fee = ORDER_FEE_CENTS if owner is None else owner.fee_cents
        priced = order.job_result.price_components if order.job_result is not None else None
        charged = priced.charged_cents if priced is not None else None
        ceiling = order.max_price if order.max_price is not None else owner.ceiling_cents if owner else 0
        most += (ceiling if charged is None else charged) + fee
    unshown = [each for each in books.entries if each.order_id is None or shown.order(each.order_id) is None]
    return most + sum(each.counts_cents for each in unshown if each.state not in NOTHING_SENT and each.attempts)
