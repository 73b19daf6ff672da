"""The check that an order which Zinc shows is ours. Any other order changes nothing.

If Zinc shows our own metadata, the metadata decides: a key belongs to one order, and the twin digest covers ship-to and
lines. Without metadata, everything that Zinc shows must agree: the price ceiling, the products and the place. A
concession that Zinc reports is no difference (SDK 2026.9.18, "fulfillment").
"""

import hashlib
import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from zinc_mcp.errors import OrderOutcomeUnknownError, UnreadableAnswerError
from zinc_mcp.journal.records.entry import Draft, Entry
from zinc_mcp.journal.records.twin import KEY_FIELD, TWIN_FIELD
from zinc_mcp.zinc.orders import Address
from zinc_mcp.zinc.places.reading import place_of
from zinc_mcp.zinc.product_urls.reading import comparable
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.texts.notes import notes_in
from zinc_mcp.zinc.v1.products import page_in

logger = logging.getLogger(__name__)

ANOTHER_ORDER = "another_order"
"""The reason of a doubt, and the code of an entry's problem: Zinc answered with an order that is not the one sent."""


_KEY = re.compile("[!-~]{1,36}")
_ANY = "*"
"""The mark of a concession that names no product, and so may be about any."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parts of our order that an answer is compared with."""

    key: str | None
    """None for any key: then an order of another journal is looked for."""
    twin: str | None
    """The twin digest as it was sent, by the rules of that time. None after a purge: then the key is enough."""
    ceiling_cents: int | None
    sent: Mapping[str, Any]
    """The order as it was sent; empty after a purge, and if the bytes cannot be read."""

    @property
    def body(self) -> Mapping[str, Any]:
        """Products and ship-to as they were sent, for answers that do not show our metadata.

        Empty if it is no order: then nothing is compared.
        """
        return _by_pages(self.sent) if _is_order(self.sent) else {}


def sent_in(content: bytes | None) -> Mapping[str, Any]:
    """Return the order that was sent with these bytes; nothing if there are none, or if they cannot be read."""
    try:
        body: object = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return cast(Mapping[str, Any], body) if isinstance(body, dict) else {}


def _is_order(parts: Mapping[str, object]) -> bool:
    products: object = parts.get("products") or []
    address: object = parts.get("shipping_address") or {}
    return (
        isinstance(products, list)
        and isinstance(address, dict)
        and all(
            isinstance(each, dict) and type(cast(dict[str, Any], each).get("quantity", 1)) is int
            for each in cast(list[object], products)
        )
    )


def _by_pages(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an order of v1 with the pages of its products, and its place, as v2 would name them."""
    if "retailer" not in body:
        return body
    products = [
        {**product, "url": page_in(str(body["retailer"]), str(product.get("product_id")))}
        for product in cast(list[dict[str, Any]], body.get("products") or [])
    ]
    address = cast(dict[str, Any], body.get("shipping_address") or {})
    place = {name: address.get(name) for name in Address.model_fields} | {"postal_code": address.get("zip_code")}
    return {"products": products, "shipping_address": {name: text for name, text in place.items() if text is not None}}


def wanted(of: Entry | Draft) -> Wanted:
    """Return the parts that an answer about this entry must agree with. For a draft, any price agrees."""
    if isinstance(of, Draft):
        return Wanted(None, of.twin, None, sent_in(of.to_bytes("")))
    sent = sent_in(of.body)
    return Wanted(of.key, None if of.body is None else _sent_twin(sent, of), of.ceiling_cents, sent)


def _sent_twin(sent: Mapping[str, Any], entry: Entry) -> str:
    """Return the twin digest that Zinc was told. The entry's own may follow newer rules (`schema`, version 6)."""
    told: object = notes_in(sent).get(TWIN_FIELD)
    return told if isinstance(told, str) else entry.twin


def is_named(order: Order, order_id: str) -> bool:
    """Say whether an order is the one with this id. Zinc's ids are UUIDs, which are compared without case."""
    return order.id.casefold() == order_id.casefold()


def may_be(order: Order, wish: Wanted) -> bool:
    """Say whether an order may be ours: nothing in it contradicts that. An answer to our request needs no more."""
    if wish.ceiling_cents is not None and order.max_price is not None and order.max_price != wish.ceiling_cents:
        return False
    shown = order.metadata
    if wish.twin is not None and TWIN_FIELD in shown and shown[TWIN_FIELD] != wish.twin:
        return False
    if KEY_FIELD in shown and wish.key is not None:
        return told_key(order) == wish.key
    if not order.items and not order.shipping_address:
        return True  # it shows nothing to compare
    body = wish.body
    return _same_products(order, body) and _same_place(order, body)


def must_be(order: Order, wish: Wanted) -> bool:
    """Say whether an order that was found is ours: it may be ours, and something in it shows that it is."""
    return may_be(order, wish) and _shows_ours(order, wish)


def _shows_ours(order: Order, wish: Wanted) -> bool:
    return KEY_FIELD in order.metadata or bool(order.items and wish.sent)


def told_key(order: Order) -> str:
    """Return the key of a listed order, or another name for the order if a person could not type the key."""
    for told in (order.metadata.get(KEY_FIELD), order.id):
        if isinstance(told, str) and _KEY.fullmatch(told):
            return told
    return hashlib.sha256(order.id.encode()).hexdigest()[:36]


def as_answer(order: Order, entry: Entry) -> Order:
    """Return the order in the answer to a placing request, if it is the order that was sent.

    Raises:
        OrderOutcomeUnknownError: it is another order, so the outcome of ours is not known.
    """
    wish = wanted(entry)
    # If an answer shows nothing of ours, its word that the order ended is not believed: an end would free the money.
    is_ours = may_be(order, wish) and (order.named_stage not in ("failed", "cancelled") or _shows_ours(order, wish))
    if is_ours and (entry.order_id is None or is_named(order, entry.order_id)):
        return order
    raise another_order(entry)


def another_order(entry: Entry) -> OrderOutcomeUnknownError:
    """Return the error of a request that Zinc answered with another order."""
    logger.error("Zinc answered %s with another order", entry.key)
    return OrderOutcomeUnknownError(
        "The order was sent, and Zinc answered with another one.", facts={"reason": ANOTHER_ORDER}
    )


def as_read(order: Order, order_id: str, entry: Entry | None = None) -> Order:
    """Return the order in the answer to a read, if it has the id that was asked for. With an entry, it must be ours.

    Raises:
        UnreadableAnswerError: it is another order.
    """
    if is_named(order, order_id) and (entry is None or may_be(order, wanted(entry))):
        return order
    logger.error("Zinc answered a read of %s with another order", order_id[:100])
    raise UnreadableAnswerError(
        "Zinc answered with another order than the one that was asked for.", facts={"reason": ANOTHER_ORDER}
    )


def _same_products(order: Order, body: Mapping[str, Any]) -> bool:
    products = cast(list[Mapping[str, Any]], body.get("products") or [])
    if not order.items or not products:
        return True
    if "items" in order.rows_cut:
        return False  # the rows that were not read may hold anything
    asked: Counter[str] = Counter()
    for product in products:
        asked[comparable(str(product.get("url")))] += int(product.get("quantity", 1))
    shown: Counter[str] = Counter()
    try:
        for item in order.items:
            shown[comparable(item.url)] += item.quantity
        left_out, fewer = _conceded(order)
    except (ValueError, UnicodeError):
        return False
    for url, quantity in asked.items():
        there = shown.get(url, 0)
        is_left_out = there == 0 and not left_out.isdisjoint((url, _ANY))
        is_fewer = 0 < there < quantity and not (left_out | fewer).isdisjoint((url, _ANY))
        if there != quantity and not is_left_out and not is_fewer:
            return False
    return shown.keys() <= asked.keys()


def _conceded(order: Order) -> tuple[set[str], set[str]]:
    """Return the products that Zinc reports as left out, and those of which it reports fewer pieces."""
    left_out: set[str] = set()
    fewer: set[str] = set()
    urls = {item.id: item.url for item in order.items if item.id}
    for concession in order.fulfillment.concessions if order.fulfillment else []:
        url = concession.url or urls.get(concession.item_id or "")
        if concession.concern in ("items", "quantity"):
            (left_out if concession.concern == "items" else fewer).add(comparable(url) if url else _ANY)
    return left_out, fewer


def _same_place(order: Order, body: Mapping[str, Any]) -> bool:
    asked = cast(Mapping[str, Any], body.get("shipping_address") or {})
    shown = {name: order.shipping_address.get(name) for name in Address.model_fields if name != "phone_number"}
    shown = {name: text for name, text in shown.items() if isinstance(text, str) and text.strip()}
    if not shown or not asked:
        return True
    overlaid = {**asked, **shown}
    if "address_line1" in shown and "address_line2" not in shown:
        overlaid.pop("address_line2", None)  # it may stand in the first line
    try:
        return place_of(Address.model_validate(overlaid)) == place_of(Address.model_validate(dict(asked)))
    except ValidationError:
        return False
