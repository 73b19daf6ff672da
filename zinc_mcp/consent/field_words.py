"""The names and the words of an order's fields for a person, in place of Zinc's own, and foreign words in quotes."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from zinc_mcp.text import printed
from zinc_mcp.zinc.aftercare.cases import CASE_REASONS
from zinc_mcp.zinc.aftercare.returns import RETURN_REASONS

Labelled = tuple[str, str]

_OUR_QUOTES = str.maketrans({"\u201c": '"', "\u201d": '"'})
_BREAKS = str.maketrans({"\r": None, "\n": "\u23ce"})


def visible(text: str) -> str:
    """Return a text on one line. A sign stands in the place of each line break."""
    return text.translate(_BREAKS)


def quoted(text: str) -> str:
    """Return foreign words in quotes that they cannot close."""
    return f"“{visible(text).translate(_OUR_QUOTES)}”"


_LABELS = {
    "idempotency_key": "Key of this order",
    "retailer_credentials_id": "Bought with the retailer account",
    "po_number": "Purchase order number",
    "handling_days_max": "Only sellers who hand it over within this many days",
    "is_gift": "Sent as a gift",
    "gift_message": "Gift message",
    "payment.mode": "Way of payment",
    "payment.payment_method": "Your customer's card",
    "payment.customer": "Your customer",
    "payment.margin.type": "Your markup is",
    "payment.margin.value": "Your markup",
    "customer_notifications.email": "E-mails about it, which Zinc charges for, to",
    "fulfillment.gift": "Bought even where it cannot be a gift",
    "fulfillment.items": "Bought even where some items cannot be",
    "fulfillment.quantity": "Bought even where fewer pieces can be had",
    "fulfillment.excluded_merchants": "Never bought from",
    "condition_in": "Only in condition",
    "condition_not_in": "Never in condition",
    "shipping_method": "Way of shipping",
    "shipping.order_by": "Of the ways of shipping, chosen by",
    "shipping.max_days": "Shipping in fewer days than",
    "shipping.max_price": "Shipping for at most",
    "amazon_day": "Amazon's delivery day",
    "require_gift": "Not bought if an item cannot be a gift",
    "max_delivery_days": "Not bought if it arrives later than in so many days",
    "strict_expired_product_id": "Not bought if the product's number has expired",
    "fail_if_taxed": "Not bought if tax is charged",
    "take_buybox_offers": "The page's own offer, whoever sells it",
    "force_offers_postal_code": "Offers are looked for at the postal code",
    "addax_queue_timeout": "Given up after so many seconds without a free account",
    "zma_prime_optout": "Without Prime",
    "zma_discount": "Per cent below face value (with a minus: above) that you pay",
    "zma_priority_bid": "Paid on top to go first",
    "promo_codes.code": "Promotion code",
    "promo_codes.optional": "Bought even if that code is refused",
    "promo_codes.merchant_id": "Promotion code of the seller",
    "promo_codes.discount_amount": "Discount of that code",
    "promo_codes.discount_percentage": "Discount of that code in per cent",
    "promo_codes.cost_override": "Price with that code",
    "seller_selection_criteria.addon": "The offer is to be an add-on",
    "seller_selection_criteria.buy_box": "The offer is to be the page's own",
    "seller_selection_criteria.condition_in": "Only in condition",
    "seller_selection_criteria.condition_not_in": "Never in condition",
    "seller_selection_criteria.first_party_seller": "The offer is to be the shop's own",
    "seller_selection_criteria.handling_days_max": "Only sellers who hand it over within this many days",
    "seller_selection_criteria.international": "The offer is to come from abroad",
    "seller_selection_criteria.max_item_price": "Only offers of at most",
    "seller_selection_criteria.merchant_id_in": "Only from the seller",
    "seller_selection_criteria.merchant_id_not_in": "Never from the seller",
    "seller_selection_criteria.min_seller_num_ratings": "Only sellers with at least this many ratings",
    "seller_selection_criteria.min_seller_percent_positive_feedback": "Only sellers with at least this share of good "
    "ratings, in per cent",
    "seller_selection_criteria.prime": "The offer is to be a Prime offer",
    "seller_selection_criteria.allow_oos": "The offer may be out of stock",
}
"""The names of fields for a person. A field that is not here keeps its own name."""


_CONDITIONS = {
    "New": "new",
    "Refurbished": "refurbished",
    "UsedLikeNew": "used, like new",
    "UsedVeryGood": "used, very good",
    "UsedGood": "used, good",
    "UsedAcceptable": "used, acceptable",
}
_SWITCH = {"true": "yes", "false": "no"}
_V1_SWITCHES = (
    "require_gift",
    "strict_expired_product_id",
    "fail_if_taxed",
    "take_buybox_offers",
    "zma_prime_optout",
    "promo_codes.optional",
    *(
        f"seller_selection_criteria.{name}"
        for name in ("addon", "buy_box", "first_party_seller", "international", "prime", "allow_oos")
    ),
)
_CENTS = frozenset(
    {
        "shipping.max_price",
        "promo_codes.discount_amount",
        "promo_codes.cost_override",
        "seller_selection_criteria.max_item_price",
        "zma_priority_bid",
    }
)
"""The fields that are US cents, and are shown as money."""
_WORDS: Mapping[str, Mapping[str, str]] = {
    "condition_in": _CONDITIONS,
    "condition_not_in": _CONDITIONS,
    "is_gift": _SWITCH,
    "payment.mode": {"wallet": "your own wallet", "connect": "your customer's card"},
    "payment.margin.type": {"flat": "in cents", "percent": "in per cent"},
    **{f"fulfillment.{name}": {"best_effort": "yes"} for name in ("gift", "items", "quantity")},
    "seller_selection_criteria.condition_in": _CONDITIONS,
    "seller_selection_criteria.condition_not_in": _CONDITIONS,
    **dict.fromkeys(_V1_SWITCHES, _SWITCH),
    "shipping_method": {
        "cheapest": "the cheapest",
        "fastest": "the fastest",
        "amazon_day": "on one of Amazon's delivery days",
        "free": "only for nothing",
    },
    "shipping.order_by": {"price": "their price", "speed": "their speed"},
    "reason": {each: each.replace("_", " ") for each in (*RETURN_REASONS, *CASE_REASONS)},
}
"""The words for a person in place of the values of those fields that know only a few values."""


def in_words(path: str, value: str) -> str:
    """Return the words for a value of a field that knows only a few values, and money as such; others as they are."""
    if path in _CENTS and value.isascii() and value.isdigit():
        return printed(int(value))
    return _WORDS.get(path, {}).get(value, value)


def label_of(path: str) -> str:
    """Return the name of a field for a person."""
    for notes in ("metadata.", "client_notes."):
        if path.startswith(notes):
            return f"Note {quoted(path.removeprefix(notes))}"
    return _LABELS.get(path) or f"{path.replace('_', ' ').replace('.', ', ').capitalize()}"


def leaves(value: object, path: str = "") -> Iterator[Labelled]:
    """Yield each text, number and switch that would be sent, with its path. The rows of a list share a path."""
    if isinstance(value, Mapping) and value:
        for name, part in cast(Mapping[str, object], value).items():
            yield from leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for part in cast(list[object], value):
            yield from leaves(part, path)
    elif path:
        yield path, in_words(path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def by_account(account: Mapping[str, Any]) -> str:
    """Return the words that say that the owner's own account at a retailer pays. `account` is an entry's fact of it."""
    name = f"by your own account at the retailer, kept here as {quoted(str(account.get('profile')))}"
    if "payment" not in account:
        return name
    from zinc_mcp.owner.retailer_accounts import payment_in_words  # few orders have such an account

    return f"{name}, with {payment_in_words(str(account['payment']), account.get('last_four'))}"
