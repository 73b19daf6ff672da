"""The comparison of the journal with what Zinc shows of the same account. It decides nothing and changes nothing.

An order and an entry belong together by Zinc's id, or by our key in the order's metadata. Two orders for one intention
are a difference unless each of them has an entry of its own: then a person or the policy has allowed the second.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from pydantic import ValidationError

from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.entry import DAY_SECONDS, FOREVER, WITHOUT_ORDER, Entry, RailIdentity
from zinc_mcp.journal.records.money import NOT_BOUGHT, OWNERS_WORD
from zinc_mcp.journal.records.twin import KEY_FIELD, TWIN_FIELD
from zinc_mcp.known_settings import RailName
from zinc_mcp.spending.outcome import news
from zinc_mcp.spending.same_order import may_be, must_be, wanted
from zinc_mcp.zinc.orders import Address
from zinc_mcp.zinc.places.reading import place_of
from zinc_mcp.zinc.product_urls.reading import comparable
from zinc_mcp.zinc.responses import Order

IN_FLIGHT_SECONDS = 600.0
"""An order that began to be sent within this time may just be on its way, so nothing is said about it."""

Kind = Literal[
    "unknown_order",
    "other_journal",
    "missing_order",
    "same_key_twice",
    "same_intention_twice",
    "same_goods_twice",
    "shared_order",
    "not_what_was_sent",
    "found_in_doubt",
    "bought_after_no",
    "status_differs",
    "unclear_at_zinc",
    "total_differs",
    "above_ceiling",
    "unknown_credit",
    "credit_gone",
    "balance_unexplained",
]

_MONEY: frozenset[Kind] = frozenset(
    {
        "unknown_order",
        "other_journal",
        "same_key_twice",
        "same_intention_twice",
        "same_goods_twice",
        "shared_order",
        "not_what_was_sent",
        "bought_after_no",
        "above_ceiling",
        "credit_gone",
        "balance_unexplained",
    }
)
"""Differences that always concern money. The others say so where they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One difference. Amounts are US cents; None stands for what one side does not know."""

    kind: Kind
    keys: tuple[str, ...] = ()
    order_ids: tuple[str, ...] = ()
    here: str | None = None
    at_zinc: str | None = None
    here_cents: int | None = None
    zinc_cents: int | None = None
    money: bool | None = None
    """Whether money left, or may leave, otherwise than the journal says; None goes by the kind."""

    @property
    def concerns_money(self) -> bool:
        """Whether money left, or may leave, otherwise than the journal says."""
        return self.kind in _MONEY if self.money is None else self.money


@dataclass(slots=True)
class Reconciled:
    """The result of a comparison, and what it could not cover."""

    differences: list[Difference] = field(default_factory=list[Difference])
    orders: int = 0
    """Orders that Zinc showed."""
    entries: int = 0
    """Entries of this account that were compared."""
    unread: ZincMcpError | None = None
    """The reason why Zinc's list could not be read, or not all of it."""
    list_cut: bool = False
    """Whether Zinc's list was longer than what was read of it."""
    journal_cut: bool = False
    """Whether the journal holds more entries of this account than were compared."""
    unreadable: int = 0
    """Rows of Zinc's list that are no orders."""
    unsettled: int = 0
    """Orders that had to be read one by one and could not be."""
    rail: RailName = "account"
    """The payer that was compared."""
    paid_by_wallet: int = 0
    other_service: int = 0
    """Orders of Zinc's v1, where its v2 was compared, or the other way round."""
    other_accounts: int = 0
    in_doubt: int = 0
    """Orders in doubt that Zinc's list does not show, which proves nothing."""
    balance_cents: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all was compared that can be: only then no difference means that all is well."""
        is_cut = self.list_cut or self.journal_cut or self.unreadable > 0 or self.unsettled > 0
        return self.unread is None and not is_cut


@dataclass(frozen=True, slots=True)
class Shown:
    """The orders and the balance that Zinc shows of an account."""

    orders: Mapping[str, Order]
    """Its list, by the ids in lower case."""
    read: Mapping[str, Order | None] = field(default_factory=dict[str, Order | None])
    """Orders that were read one by one; None: Zinc says that there is none."""

    def order(self, order_id: str) -> Order | None:
        """Return an order as Zinc showed it last."""
        name = order_id.casefold()
        return self.read.get(name) or self.orders.get(name)


@dataclass(slots=True)
class Books:
    """The entries that are compared, and the ids of the orders that other keys or origins placed."""

    entries: Sequence[Entry]
    elsewhere: Collection[str] = ()
    by_order: dict[str, list[Entry]] = field(init=False)
    by_key: dict[str, list[Entry]] = field(init=False)

    def __post_init__(self) -> None:
        """Index the entries."""
        self.by_order, self.by_key = defaultdict(list), defaultdict(list)
        for entry in self.entries:
            self.by_key[entry.key].append(entry)
            if entry.order_id is not None:
                self.by_order[entry.order_id.casefold()].append(entry)

    def owner(self, order: Order) -> Entry | None:
        """Return the entry of an order: the one with its id, or the one with its key, if it is what was sent."""
        for entry in self.by_order.get(order.id.casefold(), ()):
            if may_be(order, wanted(entry)):
                return entry
        for entry in self.by_key.get(key_of(order) or "", ()):
            if entry.order_id is None and must_be(order, wanted(entry)):
                return entry
        return None


def belongs(entry: Entry, by: RailIdentity) -> bool:
    """Say whether an entry was placed with this account's key at this origin."""
    same = (entry.rail, entry.mode, entry.origin) == (by.name, by.mode, by.origin)
    return same and entry.account in (by.account, by.former_account)


def made_at(entry: Entry) -> float:
    """Return the time at which an entry's order was made, by Zinc's clock if it has told it."""
    return entry.opened_at if entry.zinc_at is None else entry.zinc_at


def to_read(entries: Sequence[Entry], orders: Mapping[str, Order], since: float, began: float) -> list[str]:
    """Return the ids of orders that a list alone does not settle: not in it, moved on meanwhile, or outdated in it."""
    found: list[str] = []
    for entry in entries:
        if entry.order_id is None:
            continue
        order = orders.get(entry.order_id.casefold())
        if order is None:
            if made_at(entry) >= since:
                found.append(entry.order_id)
        elif entry.updated_at >= began or (order.stage == "accepted" and entry.state in ("placed", *NOT_BOUGHT)):
            found.append(entry.order_id)
    return found


def compare(books: Books, shown: Shown, now: float) -> list[Difference]:
    """Return the differences between entries and orders, those that concern money first."""
    found = [*_orders(books, shown, now), *_entries(books, shown)]
    found += _twice(books, list(shown.orders.values()))
    return sorted(found, key=lambda each: not each.concerns_money)


def key_of(order: Order) -> str | None:
    """Return our key in an order's metadata."""
    key = order.metadata.get(KEY_FIELD)
    return key if isinstance(key, str) else None


def _orders(books: Books, shown: Shown, now: float) -> Iterator[Difference]:
    """Compare each order of the list that no entry names by its id."""
    for name, order in shown.orders.items():
        if name in books.by_order or name in books.elsewhere:
            continue
        key = key_of(order)
        named = books.by_key.get(key or "", [])
        without = [entry for entry in named if entry.order_id is None]
        what: dict[str, Any] = {"order_ids": (order.id,), "at_zinc": order.status, "zinc_cents": order.max_price}
        owner = next((entry for entry in without if must_be(order, wanted(entry))), None)
        if len(without) < len(named):
            continue  # another order has this key: `_twice` tells both
        if owner is not None:
            yield from _found(owner, order, now)
        elif without:
            yield Difference(kind="not_what_was_sent", keys=(without[0].key,), here=without[0].state, **what)
        else:
            may_cost = order.stage in ("accepted", "placed")
            kind: Kind = "unknown_order" if key is None else "other_journal"
            yield Difference(kind=kind, keys=() if key is None else (key,), money=may_cost, **what)


def _found(entry: Entry, order: Order, now: float) -> Iterator[Difference]:
    if entry.state in ("signing", "sending") and now - entry.updated_at < IN_FLIGHT_SECONDS:
        return
    what: dict[str, Any] = {"keys": (entry.key,), "order_ids": (order.id,), "here": entry.state}
    if entry.state in FOREVER:
        yield Difference(kind="found_in_doubt", at_zinc=order.status, money=False, **what)
    elif entry.state in WITHOUT_ORDER or entry.state == "waiting":
        yield Difference(
            kind="bought_after_no", at_zinc=order.status, money=order.stage in ("accepted", "placed"), **what
        )


def _entries(books: Books, shown: Shown) -> Iterator[Difference]:
    """Compare each entry with the order that it names."""
    for name, entries in books.by_order.items():
        if len(entries) > 1:
            keys = tuple(entry.key for entry in entries)
            yield Difference(kind="shared_order", keys=keys, order_ids=(entries[0].order_id or name,))
        order = shown.order(name)
        for entry in entries:
            what: dict[str, Any] = {"keys": (entry.key,), "order_ids": (entry.order_id or name,)}
            if order is None:
                if name in shown.read:
                    lost = entry.state not in NOT_BOUGHT
                    yield Difference(
                        kind="missing_order", here=entry.state, here_cents=entry.counts_cents, money=lost, **what
                    )
            elif not may_be(order, wanted(entry)):
                if len(entries) > 1:
                    continue  # told above
                cents: dict[str, Any] = {"here_cents": entry.ceiling_cents, "zinc_cents": order.max_price}
                yield Difference(kind="not_what_was_sent", here=entry.state, at_zinc=order.status, **cents, **what)
            else:
                found = [*_states(entry, order, what, is_read=name in shown.read), *_moneys(entry, order, what)]
                if order.is_unclear and not found:
                    unclear: dict[str, Any] = {"here": entry.state, "at_zinc": order.status, **what}
                    found = [Difference(kind="unclear_at_zinc", money=False, **unclear)]
                yield from found


def _states(entry: Entry, order: Order, what: Mapping[str, Any], *, is_read: bool) -> Iterator[Difference]:
    state = news(entry, order).get("state", entry.state)
    if order.named_stage == "accepted" and entry.state in ("placed", *NOT_BOUGHT):
        if not is_read or not order.is_status_known:
            return  # a list may lag, which a read of the order itself does not; an unknown status says nothing
        state = "accepted"
    if state == entry.state:
        return
    said: dict[str, Any] = {"here": entry.state, "at_zinc": order.status, **what}
    if entry.state in WITHOUT_ORDER:
        yield Difference(kind="bought_after_no", money=order.stage in ("accepted", "placed"), **said)
    elif entry.state in FOREVER:
        yield Difference(kind="found_in_doubt", money=False, **said)
    else:
        # The journal has given the money back, and Zinc may still take it.
        freed = entry.state in NOT_BOUGHT and state not in NOT_BOUGHT
        yield Difference(kind="status_differs", money=freed, **said)


def _moneys(entry: Entry, order: Order, what: Mapping[str, Any]) -> Iterator[Difference]:
    priced = order.job_result.price_components if order.job_result is not None else None
    charged = None if priced is None or priced.is_unclear else priced.charged_cents
    if order.stage == "placed" and charged is not None and charged > entry.ceiling_cents:
        yield Difference(kind="above_ceiling", here_cents=entry.ceiling_cents, zinc_cents=charged, **what)
    elif entry.state == "placed" and order.stage == "placed" and priced is not None:
        at_zinc = None if charged is None else charged + entry.fee_cents
        known = entry.spent_cents
        if at_zinc != known and not (known is None and entry.problem is not None):
            yield Difference(
                kind="total_differs", here_cents=known, zinc_cents=at_zinc, money=known is not None, **what
            )
    if order.credits_are_unclear:
        return
    credited, known_back = order.credited_cents, entry.refunded_cents or 0
    if credited > known_back:
        yield Difference(kind="unknown_credit", here_cents=known_back, zinc_cents=credited, money=False, **what)
    elif credited < known_back and OWNERS_WORD not in entry.facts:
        yield Difference(kind="credit_gone", here_cents=known_back, zinc_cents=credited, **what)


def _twice(books: Books, orders: Sequence[Order]) -> Iterator[Difference]:
    """Find orders that stand for one intention and that the journal did not decide about one by one."""
    told: dict[str, set[Difference]] = defaultdict(set)
    """The differences that name an order already."""

    def tell(difference: Difference, group: Sequence[Order]) -> Difference:
        for order in group:
            told[order.id].add(difference)
        return difference

    def is_new(group: Sequence[Order]) -> bool:
        return not set[Difference].intersection(*(told[order.id] for order in group)) and not _decided(books, group)

    for key, group in _grouped(orders, key_of).items():
        ours = {entry.order_id.casefold(): entry.order_id for entry in books.by_key.get(key, ()) if entry.order_id}
        ids = {**ours, **{order.id.casefold(): order.id for order in group}}
        if len(ids) > 1:
            yield tell(Difference(kind="same_key_twice", keys=(key,), order_ids=tuple(ids.values())), group)
    standing = [order for order in orders if order.stage in ("accepted", "placed")]
    for group in _grouped(standing, _twin_of).values():
        if len(group) > 1 and is_new(group):
            yield tell(_same("same_intention_twice", group), group)
    for group in _grouped(standing, _goods_of).values():
        dated = sorted((order for order in group if order.created_at is not None), key=_created)
        for pair in pairwise(dated):
            if _created(pair[1]) - _created(pair[0]) <= DAY_SECONDS and is_new(pair):
                yield tell(_same("same_goods_twice", pair), pair)


def _same(kind: Kind, group: Sequence[Order]) -> Difference:
    keys = tuple(key for each in group if (key := key_of(each)) is not None)
    return Difference(kind=kind, keys=keys, order_ids=tuple(each.id for each in group))


def _grouped(orders: Sequence[Order], name_of: Any) -> dict[Any, list[Order]]:
    found: dict[Any, list[Order]] = defaultdict(list)
    for order in orders:
        if (name := name_of(order)) is not None:
            found[name].append(order)
    return found


def _decided(books: Books, group: Sequence[Order]) -> bool:
    """Say whether each order has an entry of its own: then each was an intention of its own."""
    owners = [books.owner(order) for order in group]
    return None not in owners and len({owner.id for owner in owners if owner is not None}) == len(group)


def _twin_of(order: Order) -> str | None:
    twin = order.metadata.get(TWIN_FIELD)
    return twin if isinstance(twin, str) else None


def _created(order: Order) -> float:
    return 0.0 if order.created_at is None else order.created_at.timestamp()


def _goods_of(order: Order) -> tuple[Any, ...] | None:
    """Return products with their variants and quantities, and the place; None if they cannot all be read."""
    if not order.items or "items" in order.rows_cut:
        return None
    address = {name: order.shipping_address.get(name) for name in Address.model_fields}
    try:
        place = place_of(Address.model_validate({name: text for name, text in address.items() if text is not None}))
        goods = sorted(
            (comparable(item.url), item.quantity, tuple(sorted((each.label, each.value) for each in item.variant)))
            for item in order.items
        )
    except (ValidationError, ValueError, UnicodeError):
        return None
    return (str(place), *goods)
