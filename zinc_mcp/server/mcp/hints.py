"""Hints for arguments that we do not know: the name that was meant, wherever it belongs.

A model does what a hint says. So a hint names the field that means the same, or says that there is none and that the
user has to know: an argument that is just left out may have been the one that mattered.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache

from pydantic import BaseModel

from zinc_mcp.zinc.orders import Address, OrderCreate, OrderProduct

_NOTES = {
    "max_price": "US cents, 6000 for $60.00: the most for items, tax and shipping together",
    "quantity": "how many pieces of that product",
    "variant": 'a list such as [{"label": "Color", "value": "Black"}], spelled as on the page',
    "url": "the page of exactly that product, seller and variant",
    "condition_in": "a list: buy only these conditions",
    "condition_not_in": "a list: never buy these conditions",
    "handling_days_max": "whole days until the seller ships; carrier and speed cannot be chosen",
    "metadata": "your own notes: the retailer does not see them",
    "is_gift": "true or false",
    "wait_seconds": "whole seconds, at most 25",
    "since": "a day such as 2026-11-21, or a moment such as 2026-11-21T08:00:00Z",
    "until": "the day or moment before which an order was made",
    "page": "next_page of the result before",
}
"""By field: the note that a hint adds when it names that field."""
_OWN_NOTES: Mapping[str, Mapping[str, str]] = {
    "Search": {"min_price": "US cents", "max_price": "US cents, 2000 for $20.00", "retailers": "a list of names"},
    "Check": {"details": "true or false", "offers": "true or false"},
}
"""By the model's name: its own notes, used instead of `_NOTES`."""

_ALIASES: Mapping[str, Mapping[str, str]] = {
    "OrderCreate": {
        "products": "items item product line_items lines cart goods",
        "shipping_address": "address ship_to shipping delivery delivery_address destination recipient ship_address",
        "max_price": "price budget max_cost max_total max_amount max_spend limit price_limit total cost amount ceiling "
        "maximum_price max_price_cents price_cents spend_limit max",
        "idempotency_key": "key idempotency request_id client_order_id client_key dedupe_key",
        "is_gift": "gift",
        "gift_message": "gift_note message gift_text",
        "metadata": "note notes meta comment comments tags",
        "po_number": "po purchase_order purchase_order_number",
        "handling_days_max": "max_handling_days handling_days handling shipping_speed shipping_method delivery_days "
        "max_delivery_days expedited",
        "retailer_credentials_id": "retailer_credentials credentials_id retailer_account",
        "fulfillment": "fulfilment fulfillment_preferences preferences",
    },
    "OrderProduct": {
        "url": "link product_url uri href page product_link asin sku product_id id seller seller_id merchant offer_id",
        "quantity": "qty qnty count units pieces how_many copies",
        "variant": "variants options option selected_options attributes variation variations variant_options specs "
        "color colour size style flavor flavour pattern model edition material scent format capacity",
        "condition_in": "condition conditions allowed_conditions",
        "condition_not_in": "exclude_conditions excluded_conditions forbidden_conditions not_conditions",
    },
    "V1Order": {
        "retailer": "store shop site merchant_code",
        "products": "items item product line_items lines cart goods",
        "shipping_address": "address ship_to delivery delivery_address destination recipient ship_address",
        "max_price": "price budget max_cost max_total max_amount max_spend limit price_limit total cost amount ceiling "
        "maximum_price max_price_cents price_cents spend_limit max",
        "shipping_method": "ship_method method delivery_method speed shipping_speed",
        "is_gift": "gift",
        "gift_message": "gift_note message gift_text",
        "client_notes": "metadata note notes meta comment comments tags",
        "promo_codes": "promo_code coupon coupons codes voucher vouchers",
        "max_delivery_days": "delivery_days days",
        "zma_priority_bid": "priority_bid bid priority",
        "zma_discount": "discount",
        "addax_queue_timeout": "queue_timeout timeout",
        "po_number": "po purchase_order purchase_order_number",
        "idempotency_key": "key idempotency request_id client_order_id client_key dedupe_key",
        "retailer_account": "account profile retailer_credentials_id",
    },
    "V1Product": {
        "product_id": "asin sku id item_id url link product product_url number",
        "quantity": "qty qnty count units pieces how_many copies",
        "seller_selection_criteria": "criteria seller_criteria seller sellers",
    },
    "V1Address": {
        "first_name": "given_name forename",
        "last_name": "family_name surname",
        "address_line1": "street address address1 street1 line1 addr1 street_address address_line addr",
        "address_line2": "address2 street2 line2 addr2 apt apartment unit suite floor company",
        "zip_code": "postal_code zip zipcode postcode post_code postal plz",
        "city": "town locality municipality",
        "state": "province region state_code state_province",
        "country": "country_code country_iso nation",
        "phone_number": "phone telephone tel mobile cell phone_no",
        "instructions": "delivery_instructions delivery_notes",
    },
    "ProductVariant": {
        "label": "name key option attribute title dimension",
        "value": "val choice selection text option_value",
    },
    "Address": {
        "first_name": "given_name forename",
        "last_name": "family_name surname",
        "address_line1": "street address address1 street1 line1 addr1 street_address address_line addr",
        "address_line2": "address2 street2 line2 addr2 apt apartment unit suite floor company line3 address_line3",
        "city": "town locality municipality",
        "state": "province region state_code state_province",
        "postal_code": "zip zipcode zip_code postcode post_code postal plz",
        "phone_number": "phone telephone tel mobile cell phone_no",
        "country": "country_code country_iso nation",
    },
    "OrderPayment": {"mode": "type kind", "payment_method": "method payment_method_id", "customer": "customer_id"},
    "MarginSpec": {"type": "kind mode", "value": "amount cents percent"},
    "CustomerNotifications": {"email": "mail email_address address e_mail"},
    "FulfillmentPreferences": {
        "excluded_merchants": "excluded_sellers exclude_sellers blocked_merchants blocked_sellers exclude_merchants"
    },
    "Search": {
        "query": "q search text term terms keyword keywords words product name",
        "min_price": "price_min min minimum_price min_price_cents",
        "max_price": "price_max max maximum_price max_price_cents price budget price_limit",
        "retailers": "retailer store stores shop shops site sites merchant merchants",
        "sort": "sort_by order order_by",
        "limit": "count max_results n size top per_page num_results results",
    },
    "Check": {
        "url": "link product_url product page href uri",
        "country": "country_code ship_to destination",
        "details": "detail variants with_details include_details",
        "offers": "offer sellers with_offers include_offers",
    },
    "OrderLookup": {
        "order_id": "id order key idempotency_key order_key reference",
        "wait_seconds": "wait timeout seconds wait_time wait_sec max_wait",
        "timeline": "history milestones steps events",
    },
    "OrderCancel": {"order_id": "id order key idempotency_key order_key reference"},
    "OrdersWanted": {
        "since": "from after start start_date created_after from_date newer_than",
        "until": "to before end end_date created_before to_date older_than",
        "status": "state outcome",
        "retailer": "store shop merchant site",
        "text": "query q search product title name item",
        "tracking": "tracking_status delivery shipping shipment",
        "limit": "count max size page_size per_page",
        "page": "cursor next_page offset",
    },
    "Return": {
        "order_id": "id order key order_key reference",
        "items": "item products lines line_items",
        "reason": "why cause return_reason code",
        "notes": "note message comment comments description text explanation",
    },
    "Item": {
        "number": "item index position line item_number item_index",
        "order_item_id": "id item_id order_item line_item_id",
        "quantity": "qty count units pieces how_many",
    },
    "Problem": {
        "order_id": "id order key order_key reference",
        "reason": "why cause type category topic subject",
        "message": "body text notes note description comment details words",
        "close": "closed resolve done",
    },
}
"""By the model's name: other names of its fields."""

_IN_AN_ADDRESS = {
    **dict.fromkeys(
        ("name", "fullname", "contactname", "recipientname"),
        "is not an argument; did you mean first_name and last_name?",
    ),
    "county": "is not an argument; did you mean country? (a county belongs in state)",
}
_SPECIAL = {
    **dict.fromkeys(
        ("dryrun", "test", "preview", "simulate", "confirm", "confirmed", "approve", "approved", "sandbox", "live"),
        "does not exist: every call orders, and only the user can confirm. Ask the user before you call without it",
    ),
    **dict.fromkeys(
        ("email", "emailaddress"), "is not needed: an order takes no e-mail address. The user need not give one"
    ),
    **dict.fromkeys(
        ("retailer", "store", "site", "shop", "merchantname"),
        "is not needed where it is the retailer of the product pages: products[].url says where it is bought",
    ),
    **dict.fromkeys(
        ("instructions", "deliveryinstructions", "deliverynotes"),
        "cannot be given to the retailer. Tell the user before you order without it",
    ),
    "currency": "cannot be chosen: money is US cents. Convert max_price, 6000 for $60.00",
}
"""By the squeezed name: hints for wishes that no field can express."""

_OTHERS = frozenset({"Return", "Item", "Problem"})
"""Models of tools that buy nothing, by name."""
_ASK_FIRST = "to what is asked for, ask the user before you call"

_PLACES: Mapping[type[BaseModel], str] = {OrderCreate: "", OrderProduct: "products[].", Address: "shipping_address."}
"""The models in which a misplaced field is looked for, with their paths. Models that spend outside the limits are left
out."""

_OF_V1 = ("V1Order", "V1Product", "V1Address", "SellerCriteria")
_SECRETS = {
    **dict.fromkeys(
        ("retailercredentials", "paymentmethod", "billingaddress", "credentials", "card", "creditcard", "password"),
        "cannot be given here: it is a secret of the owner's, who keeps it in a profile that retailer_account names. "
        "Without it an account of Zinc's buys. Ask the user",
    ),
    **dict.fromkeys(
        ("addax", "zma", "managed"), "follows from retailer_account: without it an account of Zinc's buys (ZMA)"
    ),
    **dict.fromkeys(("webhooks", "webhook"), "is the owner's setting: the user is told in the way that they set up"),
}
"""By the squeezed name: fields of v1 that are no arguments."""


def _places_of(model: type[BaseModel]) -> Mapping[type[BaseModel], str]:
    """Return the models of one order in which a misplaced field is looked for, with their paths."""
    if model.__name__ not in _OF_V1:
        return _PLACES
    from zinc_mcp.zinc.v1.address import V1Address  # few owners order through v1
    from zinc_mcp.zinc.v1.order import V1Order, V1Product
    from zinc_mcp.zinc.v1.sellers import SellerCriteria

    criteria = "products[].seller_selection_criteria."
    return {V1Order: "", V1Product: "products[].", V1Address: "shipping_address.", SellerCriteria: criteria}


_LEAST = frozenset("min minimum least".split())
_ONLY = frozenset("include included includes only allow allowed preferred want wanted".split())
_NO = frozenset("not no non exclude excluded except without never blocked forbidden avoid".split())


def hint(name: str, model: type[BaseModel] | None) -> str:
    """Return the hint for an argument that a model does not know: the end of a sentence that begins with its name."""
    if model is None:
        return "is not known beside saved: give the name of a saved address alone, or the whole address"
    not_taken: Mapping[str, str] = getattr(model, "not_taken", {})
    if name in not_taken:
        return f"is not taken here: {not_taken[name]}"
    squeezed = _squeezed(name)
    if model.__name__ in ("Address", "V1Address") and squeezed in _IN_AN_ADDRESS:
        return _IN_AN_ADDRESS[squeezed]
    found = _called(model).get(squeezed)
    notes = _OWN_NOTES.get(model.__name__, _NOTES)
    if found is not None:
        return _meant(found, notes=notes)
    if model.__name__ in _OF_V1 and squeezed in _SECRETS:
        return _SECRETS[squeezed]
    places = _places_of(model)
    if model in places and squeezed in _SPECIAL:
        return _SPECIAL[squeezed]
    if model in places:
        for other, place in places.items():
            if other is not model and (found := _called(other).get(squeezed)) is not None:
                return _meant(found, place, beside=not place)
    near = _nearest(name, model)
    if near is not None:
        return _meant(near, notes=notes)
    matters = "to what is bought, ask the user before you order" if model.__name__ not in _OTHERS else _ASK_FIRST
    return f"is not known here; there are {', '.join(model.model_fields)}. If it matters {matters} without it"


def _meant(field: str, place: str = "", *, beside: bool = False, notes: Mapping[str, str] = _NOTES) -> str:
    note = f" ({notes[field]})" if field in notes else ""
    where = ", beside products" if beside else ""
    return f"is not an argument{' here' if place or beside else ''}; did you mean {place}{field}{where}?{note}"


@cache
def _called(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the fields of a model by their squeezed names and those that others give them."""
    also = {
        _squeezed(word): field for field, words in _ALIASES.get(model.__name__, {}).items() for word in words.split()
    }
    return {**also, **{_squeezed(field): field for field in model.model_fields}}


def _nearest(name: str, model: type[BaseModel]) -> str | None:
    by_name = {_squeezed(field): field for field in model.model_fields}
    # The nearest that does not say the opposite: `min_price` is not `max_price`, nor `merchants` those to exclude.
    for candidate in difflib.get_close_matches(_squeezed(name)[:60], list(by_name), n=3, cutoff=0.7):
        if not _opposite(name[:60], by_name[candidate]):
            return by_name[candidate]
    return None


def _opposite(name: str, field: str) -> bool:
    words, theirs = set(_words(name)), set(_words(field))
    if words & _LEAST or _digits(name) - _digits(field) or (words & _ONLY and theirs & _NO):
        return True
    slip = difflib.SequenceMatcher(None, _squeezed(name), _squeezed(field)).ratio() >= 0.88
    return bool(words & _NO) != bool(theirs & _NO) and not (slip and not words & _NO)


def _words(name: str) -> Iterator[str]:
    for part in re.findall(r"[A-Za-z][a-z]*|[0-9]+", name):
        yield part.lower()


def _digits(name: str) -> set[str]:
    return set(re.findall("[0-9]", name))


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
