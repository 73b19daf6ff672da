"""The digests by which two orders are one intention, and the idempotency key that is derived from them."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.zinc.goods import Comparable, Goods
from zinc_mcp.zinc.orders import Address, OrderCreate, canonical
from zinc_mcp.zinc.places.reading import near_place_of, place_of
from zinc_mcp.zinc.texts.notes import RESERVED_METADATA, notes_field

if TYPE_CHECKING:
    from zinc_mcp.zinc.v1.order import V1Order

KEY_FIELD = f"{RESERVED_METADATA}key"
TWIN_FIELD = f"{RESERVED_METADATA}twin"
ANCHOR_FIELD = f"{RESERVED_METADATA}anchor"
"""Holds the anchor of the order (`consent.anchor`)."""

_NAMESPACE = uuid.UUID("6f1f2f0e-3d0b-5d0e-9a55-2a1c0f6f7b11")
"""The namespace of this program alone, so that no other program derives the same keys."""


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests by which an order is compared with others."""

    twin: str
    """See `twin_digest`."""
    near: tuple[str, ...]
    """See `near_digests`."""
    body: str
    """See `body_digest`."""


def digests(caller: str, mode: str, order: Comparable) -> Digests:
    """Return all digests of an order; its addresses are read once."""
    goods, ship_to, wished = order.goods(), order.ship_to, order.wished()
    return Digests(_twin(caller, goods, ship_to), _near(caller, mode, goods, ship_to), _digest(_essence(wished)))


def twin_digest(caller: str, order: Comparable) -> str:
    """Return the digest that is equal for the same intention: caller, place, products, variants and quantities.

    Rail, key, price, metadata, purchase order number and gift text do not count, nor does the telephone number. A
    product that is named by its number counts as its page.
    """
    return _twin(caller, order.goods(), order.ship_to)


def near_digests(caller: str, mode: str, order: Comparable) -> tuple[str, ...]:
    """Return a digest for each product: equal for orders that may be one wish in other words.

    A digest is over caller, mode, place and product. Another quantity, variant or seller, or another product beside it,
    changes nothing. Nor does a likely other spelling of the place or of the product's address.
    """
    return _near(caller, mode, order.goods(), order.ship_to)


def digests_of_body(caller: str, mode: str, body: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Return the twin digest and the near digests of an order that was sent earlier, by today's rules.

    None if today's rules do not take it for an order.
    """
    try:
        found = digests(caller, mode, _order_in(body))
    except (ValueError, RecursionError):  # bytes of an earlier version may hold what is refused today
        return None
    return found.twin, found.near


def order_of(entry: Entry) -> OrderCreate:
    """Return the v2 order in an entry's bytes.

    Raises:
        RefusedError: they were purged, cannot be read, or an older version took what this one does not.
    """
    order = any_order_of(entry)
    if not isinstance(order, OrderCreate):
        raise RefusedError("The order is one of Zinc's v1, which cannot be read as another, so it is not sent.")
    return order


def any_order_of(entry: Entry) -> "OrderCreate | V1Order":
    """Return the order in an entry's bytes, of v2 or of v1.

    Raises:
        RefusedError: they were purged, cannot be read, or an older version took what this one does not.
    """
    if entry.body is None:
        raise RefusedError("The order's content was purged, so it cannot be sent.")
    try:
        return _order_in(entry.body)
    except (ValueError, RecursionError) as error:
        if not isinstance(error, ValidationError):
            raise RefusedError("The order's content in the journal cannot be read, so it is not sent.") from None
        raise RefusedError(
            "The order was written by an older version with something that is refused today, so it is not sent.",
            "Place the order again; the answer says what to change.",
        ) from None


def _order_in(sent: bytes) -> "OrderCreate | V1Order":
    read: object = json.loads(sent)
    if not isinstance(read, dict):
        raise ValueError("no order")
    body = cast(dict[str, Any], read)
    if "retailer" in body:  # only v1 names it: v2 takes the retailer from the addresses of the products
        from zinc_mcp.zinc.v1.order import V1Order  # only here: most processes have no order of v1

        return V1Order.from_body(body)
    told: object = body.pop("metadata", None) or {}
    metadata = cast(dict[str, Any], told if isinstance(told, dict) else {})
    theirs = {name: value for name, value in metadata.items() if not name.startswith(RESERVED_METADATA)}
    return OrderCreate.model_validate({**body, **({"metadata": theirs} if theirs else {})})


def change_digest(parts: Sequence[object]) -> str:
    """Return the digest that is equal for the same change: the same caller, mode, order and content."""
    return _digest(["change", *parts])


def body_digest(order: Comparable) -> str:
    """Return the digest of everything the caller asked for, but the idempotency key.

    A field that is left out and a field with its default are one wish.
    """
    return _digest(_essence(order.wished()))


def derived_key(caller: str, mode: str, twin: str, earlier: int) -> str:
    """Return the idempotency key of the `earlier`+1st entry with this twin digest (a UUIDv5, 36 characters)."""
    return str(uuid.uuid5(_NAMESPACE, canonical([caller, mode, twin, earlier])))


def given_key(caller: str, key: str) -> str:
    """Return the key to use on the wire for a key that the caller gave: unchanged for the owner, derived for a member.

    Members share one Zinc account, so the orders of two members who both give `order-1` would be taken for one.
    """
    return key if caller == "local" else str(uuid.uuid5(_NAMESPACE, canonical(["given", caller, key])))


def to_bytes(order: Comparable, key: str, twin: str, anchor: Callable[[Mapping[str, Any]], str] | None = None) -> bytes:
    """Return the exact bytes to send: the order, its key, and the notes by which it can be found again.

    `anchor` gets the order with its key, and returns the anchor that stands beside these notes.
    """
    body = order.body(key, {KEY_FIELD: key, TWIN_FIELD: twin})
    if anchor is not None:
        field = notes_field(body)
        body[field] = {**body[field], ANCHOR_FIELD: anchor(body)}
    return canonical(body).encode()


def _twin(caller: str, goods: Sequence[Goods], ship_to: Address) -> str:
    wanted: dict[str, int] = {}
    for each in goods:
        line = canonical([each.product, each.options])
        wanted[line] = wanted.get(line, 0) + each.quantity
    return _digest([caller, place_of(ship_to), sorted(wanted.items())])


def _near(caller: str, mode: str, goods: Sequence[Goods], ship_to: Address) -> tuple[str, ...]:
    place = near_place_of(ship_to)
    products = sorted({each.likely for each in goods})
    return tuple(_digest(["near", caller, mode, place, product]) for product in products)


def _essence(value: Any) -> Any:
    """Return plain data without the parts that say nothing: null, empty text, empty lists and objects."""
    if isinstance(value, dict):
        parts = {name: _essence(part) for name, part in cast(dict[str, Any], value).items()}
        return {name: part for name, part in parts.items() if part or isinstance(part, int | float)}
    if isinstance(value, list):
        return [_essence(part) for part in cast(list[Any], value)]
    return value


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:40]
