"""The orders of a caller: Zinc's lists of its payers, joined with what the journal knows. Nothing is written down.

An order that both know is one row. Orders of the account that the journal does not know are the local caller's: a
member sees the journal's own entries only. The newest come first, in whatever order Zinc lists them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

import anyio
from anyio import lowlevel

from zinc_mcp.checkout.look_up import is_ours
from zinc_mcp.consent.approval import asked_question
from zinc_mcp.errors import UnreadableAnswerError, ZincMcpError
from zinc_mcp.journal.records.entry import DOUBTFUL, FOREVER, WITHOUT_ORDER, Entry, Mode, State
from zinc_mcp.journal.records.twin import KEY_FIELD
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.process import Answer, Process
from zinc_mcp.rails import Rail
from zinc_mcp.spending.outcome import news
from zinc_mcp.spending.same_order import may_be, must_be, wanted
from zinc_mcp.zinc.placed.order_list import OrderList
from zinc_mcp.zinc.product_urls.reading import retailer_in
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.v1.answers import BY_KEY

MOST_ENTRIES = 500
"""The number of entries of the journal that one list looks at."""
LIST_SECONDS = 10.0
"""Zinc's list is read for at most this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """The orders that are asked for. Times are seconds since the epoch; None and an empty text ask for all."""

    since: float | None = None
    until: float | None = None
    status: State | None = None
    """`unknown` stands for all that is in doubt."""
    retailer: str = ""
    text: str = ""
    tracking: str | None = None
    limit: int = 10
    after: tuple[float, str] | None = None
    """The place of the last row that was shown before."""


@dataclass(slots=True)
class Listing:
    """The rows that were found, newest first, and the reasons why some may be missing."""

    matched: list[Answer] = field(default_factory=list[Answer])
    shown: list[Answer] = field(default_factory=list[Answer])
    next_page: tuple[float, str] | None = None
    unasked: ZincMcpError | None = None
    """The reason why Zinc could not be asked for its list, or not for all of it."""
    has_account: bool = False
    """True if there is an account at Zinc whose list can be read."""
    zinc_cut: bool = False
    journal_cut: bool = False
    unreadable: int = 0
    """Rows of Zinc's list that are no orders."""
    parcels_unread: int = 0
    """Placed orders that a filter by tracking left out, because their parcels were not read."""


async def list_orders(process: Process, caller: str, wish: OrderFilter) -> Listing:
    """List a caller's orders of this process's modes; see `Listing`.

    Raises:
        JournalError: the journal cannot be read.
    """
    modes: tuple[Mode, ...] = tuple({each.mode for each in process.rails.values()}) or get_args(Mode)
    entries = await process.journal.run(
        lambda journal: journal.listed(caller, modes, wish.since, wish.until, MOST_ENTRIES + 1)
    )
    listing = Listing(journal_cut=len(entries) > MOST_ENTRIES)
    entries = [_as_known(process, entry) for entry in entries[:MOST_ENTRIES]]
    found: dict[int, Order] = {}
    others: list[Answer] = []
    rails = [rail for rail in process.rails.values() if rail.lists is not None]
    for rail in rails if caller == LOCAL or entries else ():
        listing.has_account = True
        listed = OrderList()
        await _read(rail, listed, wish, listing, LIST_SECONDS / len(rails))
        own, strays = await _joined(entries, list(listed.orders.values()), rail)
        found |= own
        if caller == LOCAL:
            others += await _with_entries(process, strays, rail, caller)
    rows = [*(Answer(_now(entry, found.get(entry.id)), found.get(entry.id)) for entry in entries), *others]
    for row in rows:
        await lowlevel.checkpoint()
        if _matches(row, wish, listing):
            listing.matched.append(row)
    listing.matched.sort(key=_place)
    left = [row for row in listing.matched if wish.after is None or _place(row) > (-wish.after[0], wish.after[1])]
    listing.shown = left[: wish.limit]
    if len(left) > wish.limit:
        last = listing.shown[-1]
        listing.next_page = (made_at(last), name_of(last))
    return listing


def made_at(row: Answer) -> float:
    """Return the time at which an order was made: by Zinc's clock, or by ours until Zinc has told it."""
    if row.order is not None and row.order.created_at is not None:
        return row.order.created_at.timestamp()
    if row.entry is not None:
        return row.entry.opened_at if row.entry.zinc_at is None else row.entry.zinc_at
    return 0.0


def name_of(row: Answer) -> str:
    """Return the id of an order, or the key of an entry without one."""
    if row.order is not None:
        return row.order.id
    return "" if row.entry is None else row.entry.order_id or row.entry.key


def state_of(row: Answer) -> State:
    """Return the state of an order, in our words."""
    return row.entry.state if row.entry is not None else row.order.stage if row.order is not None else "unknown"


def _place(row: Answer) -> tuple[float, str]:
    return -made_at(row), name_of(row)


def _as_known(process: Process, entry: Entry) -> Entry:
    known = process.unwritten.known(entry.id)
    return entry if known is None else known.entry


async def _read(rail: Rail, listed: OrderList, wish: OrderFilter, listing: Listing, seconds: float) -> None:
    """Read Zinc's list of one payer as far as it goes in time; what was read is kept."""
    if rail.lists is None:
        return
    began = time.monotonic()
    unasked: ZincMcpError | None = None
    try:
        with anyio.move_on_after(seconds):
            await rail.lists.read_list(listed, wish.since, wish.until)
    except ZincMcpError as error:
        unasked = error
    if not listed.orders and not listed.is_whole and unasked is None and time.monotonic() - began > 1:
        unasked = UnreadableAnswerError("Zinc did not show its list of orders in time.")
    listing.unasked = listing.unasked or unasked
    listing.zinc_cut |= not listed.is_whole and bool(listed.orders)
    listing.unreadable += listed.unreadable


async def _joined(
    entries: Sequence[Entry], orders: Sequence[Order], rail: Rail
) -> tuple[dict[int, Order], list[Order]]:
    """Return the orders of a rail's list that belong to entries, by the entry's id, and the orders of no entry."""
    left = {order.id.casefold(): order for order in orders}
    by_key: dict[str, list[Order]] = {}
    for order in orders:
        if isinstance(key := order.metadata.get(KEY_FIELD), str):
            by_key.setdefault(key, []).append(order)
    found: dict[int, Order] = {}
    for entry in entries:
        if entry.order_id is None:
            continue
        own: Order | None = left.pop(entry.order_id.casefold(), None)
        if own is None and (by_our_key := left.pop(f"{BY_KEY}{entry.key}".casefold(), None)) is not None:
            own = by_our_key.model_copy(update={"id": entry.order_id})
        await lowlevel.checkpoint()  # lets other tasks run between two orders
        if own is not None and is_ours(entry, rail) and may_be(own, wanted(entry)):
            found[entry.id] = own
    for entry in entries:
        if entry.order_id is not None or entry.state not in FOREVER | WITHOUT_ORDER:
            continue
        for order in by_key.get(entry.key, ()):
            if order.id.casefold() in left and is_ours(entry, rail) and must_be(order, wanted(entry)):
                found[entry.id] = left.pop(order.id.casefold())
                break
    return found, list(left.values())


def _now(entry: Entry, order: Order | None) -> Entry:
    """Return an entry with the news of its order. Nothing is written down: a look-up of the order does that."""
    changes: dict[str, Any] = {} if order is None else news(entry, order)
    return replace(entry, **changes) if changes else entry


async def _with_entries(process: Process, orders: Sequence[Order], rail: Rail, caller: str) -> list[Answer]:
    """Return the rows of orders, with older entries of the caller; orders of other callers are left out."""
    strangers = {order.id.casefold(): order for order in orders}
    if not strangers:
        return []
    known = await process.journal.run(lambda journal: journal.of_orders([each.id for each in strangers.values()]))
    older = {entry.order_id.casefold(): entry for entry in known if entry.order_id is not None}
    kept: list[Answer] = []
    for order_id, order in strangers.items():
        entry = older.get(order_id)
        if entry is None:
            kept.append(Answer(None, order))
        elif entry.caller == caller and is_ours(entry, rail) and may_be(order, wanted(entry)):
            kept.append(Answer(_now(entry, order), order))
    return kept


def _matches(row: Answer, wish: OrderFilter, listing: Listing) -> bool:
    at, state = made_at(row), state_of(row)
    if (wish.since is not None and at < wish.since) or (wish.until is not None and at >= wish.until):
        return False
    if wish.status is not None and wish.status != ("unknown" if state in DOUBTFUL else state):
        return False
    if wish.retailer and wish.retailer.casefold() not in retailer_of(row).casefold():
        return False
    if wish.text and not any(wish.text.casefold() in text.casefold() for text in _texts(row)):
        return False
    if wish.tracking is None:
        return True
    if row.order is None:
        listing.parcels_unread += state == "placed"
        return False
    return row.order.tracking_state == wish.tracking


def retailer_of(row: Answer) -> str:
    """Return the host of an order's retailer; empty if it is not known."""
    known: object = row.entry.facts.get("retailer") if row.entry is not None else None
    if isinstance(known, str):
        return known
    items = row.order.items if row.order is not None else []
    return (retailer_in(items[0].url) or "") if items else ""


def _texts(row: Answer) -> list[str]:
    """Return the texts in which a product or a text is looked for."""
    texts = [name_of(row)]
    if (order := row.order) is not None:
        priced = order.job_result.price_components if order.job_result else None
        texts += [item.url for item in order.items]
        texts += [each.name or "" for each in (priced.cart_items if priced else None) or []]
        texts += [each.tracking_number for each in order.tracking_numbers]
        texts += [*order.merchant_order_ids, order.po_number or ""]
    if (entry := row.entry) is not None:
        items = cast(list[dict[str, Any]], entry.facts.get("items") or [])
        ship_to = cast(dict[str, Any], entry.facts.get("ship_to") or {})
        question = asked_question(entry)
        texts += [entry.key, *(str(item.get("url")) for item in items)]
        texts += [str(ship_to.get(name) or "") for name in ("name", "city", "saved")]
        texts += [line.title or "" for line in question.lines] if question is not None else []
    return texts
