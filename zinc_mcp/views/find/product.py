"""The view of one product: whether it can be ordered, its details, and its offers.

Options are shown in exactly the words that an order takes, or not at all. Other foreign words are cleaned, cut and in
fields of their own. A price has a currency only if Zinc states one.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

from zinc_mcp.errors import OrderRejectedError, ZincMcpError
from zinc_mcp.process import ProductFacts
from zinc_mcp.text import plain, printed, without_currency
from zinc_mcp.views.find.search import cost_told
from zinc_mcp.views.parts import View, short
from zinc_mcp.zinc.failures import meaning_of
from zinc_mcp.zinc.find.products import Offer, Offers, Product, order_condition
from zinc_mcp.zinc.find.retailers import ShopCheck
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress

MAX_DESCRIPTION = 400
MAX_FEATURES = 5
MAX_VARIANTS = 20
MAX_OPTIONS = 10
"""Options of one variant. A variant with more is left out."""
MAX_OPTION = 100
"""Characters of the label or the value of an option. A variant with a longer one is left out."""
MAX_OFFERS = 10
MAX_COUNTRIES = 60

_TAG = re.compile(r"<[^<>]{0,300}>")
_DEFAULT = [{"label": "Title", "value": "Default Title"}]
"""The name that Shopify gives to the only variant of a product without variants."""

Outcome = Literal["orderable", "not_orderable", "unknown"]


class DetailsView(View):
    title: str | None
    brand: str | None
    price_cents: int | None
    price: str | None
    currency: str | None
    seller: str | None
    available: bool | None
    download: bool | None
    zinc_cannot_buy: bool | None
    """True: Zinc says of this product that it cannot be bought."""
    needs_variant: bool | None
    variant_of_this_page: list[dict[str, str]]
    variants: list[dict[str, Any]]
    variants_left_out: int | None
    description: str | None
    features: list[str]


class ProductView(View):
    """The result of `check_product`."""

    outcome: Outcome
    summary: str
    next_step: str
    url: str
    retailer: str
    country: str
    code: str | None
    """The code with which Zinc would refuse the order."""
    support: str | None
    ships_there: bool | None
    """None: Zinc makes no claim."""
    ships_to: list[str]
    needs_retailer_account: bool | None
    zinc_says: str | None
    """Zinc's own words about the shop."""
    details: DetailsView | None
    offers: list[dict[str, Any]]
    offers_left_out: int | None
    not_read: dict[str, str]
    """The reasons why details or offers are missing, by their names."""
    cost_cents: int
    remembered: list[str]
    """Those of details and offers for which Zinc was not asked this time."""


@dataclass(slots=True)
class _Told:
    """The sentences that are collected for a view."""

    said: list[str] = field(default_factory=list[str])
    steps: list[str] = field(default_factory=list[str])


def product_view(facts: ProductFacts) -> ProductView:
    """Return the view of the facts about a product."""
    shop = facts.shop if isinstance(facts.shop, ShopCheck) else None
    details = facts.details if isinstance(facts.details, Product) else None
    offers = facts.offers if isinstance(facts.offers, Offers) else None
    not_read = {
        name: reason
        for name, answer in (("details", facts.details), ("offers", facts.offers))
        if (reason := _why_missing(answer)) is not None
    }
    shown = None if details is None or "details" in not_read else _details(details, facts.address)
    rows = [] if offers is None or "offers" in not_read else (offers.offers or [])[:MAX_OFFERS]
    ships = None if shop is None else shop.ships(facts.country)
    code = None if shop is None else shop.refusal(facts.country, has_account=True)
    told = _Told()
    outcome = _judged(facts, shop, code, ships, shown, told)
    if outcome == "orderable" and _finds_none(facts.details):
        told.steps = ["Check the address first: Zinc finds no such product there."]
    _about_details(shown, facts.address, told)
    if offers is not None and "offers" not in not_read and not rows:
        told.said.append("Zinc lists no offers.")
    if rows:
        told.said.append(
            "order_with is what an order can ask for: condition_in in products[], handling_days_max beside it. It "
            "cannot ask for a seller: Zinc chooses among the offers that fit, and does not state their currency."
        )
    told.said += [f"{name.capitalize()} are missing: {reason}" for name, reason in not_read.items()]
    if facts.mode is not None:
        told.said.append(cost_told(facts.cost_cents, facts.age_seconds, facts.mode))
    return ProductView(
        outcome=outcome,
        summary=" ".join(told.said),
        next_step=" ".join(told.steps) or "Tell the user.",
        url=facts.address.url,
        retailer=facts.address.retailer,
        country=facts.country,
        code=code,
        support=short(shop.support, 40) if shop else None,
        ships_there=ships,
        ships_to=shop.countries[:MAX_COUNTRIES] if shop is not None and ships is False else [],
        needs_retailer_account=True if shop is not None and shop.needs_account else None,
        zinc_says=short(shop.support_detail or shop.how_to_order, 200) if shop else None,
        details=shown,
        offers=[_offer(each) for each in rows],
        offers_left_out=_left_out(offers, len(rows)) or None,
        not_read=not_read,
        cost_cents=facts.cost_cents,
        remembered=list(facts.remembered),
    )


_BY_SUPPORT: Mapping[str, str] = {
    "observed": "Zinc has tried to order from this shop and would try again",
    "untested": "Zinc has never ordered from this shop and would try",
}


def _finds_none(details: Product | ZincMcpError | None) -> bool:
    """Say whether Zinc says that there is no such product."""
    if isinstance(details, OrderRejectedError):
        return details.status == HTTPStatus.NOT_FOUND
    return isinstance(details, Product) and details.code == "product_not_found"


def _left_out(offers: Offers | None, shown: int) -> int:
    return 0 if offers is None else len(offers.offers or []) - shown + offers.rows_cut.get("offers", 0)


def _judged(
    facts: ProductFacts,
    shop: ShopCheck | None,
    code: str | None,
    ships: bool | None,
    details: DetailsView | None,
    told: _Told,
) -> Outcome:
    """Say whether it can be ordered, and why not."""
    no = _why_not(facts, code, ships, details)
    if no is not None:
        told.said.append(no[0])
        told.steps.append(no[1])
        return "not_orderable"
    if shop is None:
        reason = facts.shop.summary if isinstance(facts.shop, ZincMcpError) else ""
        told.said.append(f"It is not known whether it can be ordered: {reason}")
        told.steps.append("Call again in a minute, or order it and see.")
        return "unknown"
    if shop.contradicts_itself:
        told.said.append("It is not known whether it can be ordered: Zinc's answer about this shop contradicts itself.")
        told.steps.append("Order it and see, or offer the user another shop.")
        return "unknown"
    there = f"the shop ships to {facts.country}" if ships else f"Zinc makes no claim about shipping to {facts.country}"
    can = _BY_SUPPORT.get(shop.support or "", "Zinc can order from this shop")
    told.said.append(f"{can}, and {there}. Only an order shows whether it is in stock.")
    if shop.needs_account:
        told.said.append("The shop sells to its own customers only.")
        told.steps.append(
            "The order must carry retailer_credentials_id, the user's account there as Zinc knows it; ask the user."
        )
    else:
        told.steps.append("Order it with this url, unchanged.")
    return "orderable"


def _about_details(details: DetailsView | None, address: ProductAddress, told: _Told) -> None:
    if details is None or details.download:
        return
    if details.available is False:
        told.said.append("Zinc says that it is not available now.")
        told.steps = ["Offer the user another product, or ask whether to try it all the same."]
    if details.price_cents is None:
        told.said.append("Zinc states no price.")
    elif details.currency is None:
        told.said.append("Zinc does not state the currency of the price.")
    elif details.currency != "USD":
        told.said.append(f"The price is in {details.currency} and not converted; max_price is in US cents.")
    if details.price_cents is not None and (address.chooses_seller or address.chooses_variant):
        told.said.append("The price is the page's own: the address chooses another offer or variant, which may differ.")
    if details.needs_variant:
        told.said.append("A variant must be chosen.")
        told.steps.append(
            "Give products[].variant one of variants, word by word."
            if details.variants
            else "Zinc does not list the options: ask the user for the words on the page."
        )


def _why_not(
    facts: ProductFacts, code: str | None, ships: bool | None, details: DetailsView | None
) -> tuple[str, str] | None:
    """Return why it cannot be ordered, and the next step; None if it may be."""
    if details is not None and details.download:
        return "It cannot be ordered: it is a download, and nothing is shipped.", "Offer the user another product."
    if details is not None and details.zinc_cannot_buy:
        return "It cannot be ordered: Zinc says that it cannot buy this product.", "Offer the user another product."
    if ships is False and isinstance(facts.shop, ShopCheck) and facts.shop.unsupported_reason is None:
        return (
            f"It cannot be ordered to {facts.country}: Zinc lists the countries that the shop ships to.",
            "Offer the user another shop, or ask for an address in one of ships_to.",
        )
    if code is not None:
        sentence, next_step = meaning_of(code)
        return f"It cannot be ordered. {sentence}", next_step
    if facts.objection is not None:
        return f"It cannot be ordered from here. {facts.objection.summary}", facts.objection.next_step
    return None


def _details(product: Product, address: ProductAddress) -> DetailsView:
    currency = _currency(product.currency_code)
    own = _options([(each.dimension, each.value) for each in product.variant_specifics])
    variants, left_out = _variants(product)
    text = product.product_description or product.description
    features = [plain(_words(each), 120) for each in product.feature_bullets[:MAX_FEATURES]]
    return DetailsView(
        title=short(product.title, 120),
        brand=short(product.brand, 60),
        price_cents=product.price,
        price=None if product.price is None else _printed(product.price, currency),
        currency=currency,
        seller=short(product.seller, 80),
        available=product.available,
        download=True if product.digital or product.listing_type == "download" else None,
        zinc_cannot_buy=True if product.buyapi_hint is False else None,
        needs_variant=_needs_variant(product, variants, left_out, address, is_one=bool(product.variant_specifics)),
        variant_of_this_page=own or [],
        variants=variants,
        variants_left_out=left_out or None,
        description=short(_words(text), MAX_DESCRIPTION) if text else None,
        features=[each for each in features if each],
    )


def _variants(product: Product) -> tuple[list[dict[str, Any]], int]:
    """Return the variants in the words that an order takes, and the number of those that are not shown."""
    rows: list[dict[str, Any]] = []
    hidden = product.rows_cut.get("variants", 0) + product.rows_cut.get("all_variants", 0)
    for each in product.variants:
        options = _options([(option.name, option.value) for option in each.properties])
        if options == _DEFAULT:
            continue
        if not options:
            hidden += 1
            continue
        currency = _currency(each.currency_code) or _currency(product.currency_code)
        price = {} if each.price is None else {"price_cents": each.price, "price": _printed(each.price, currency)}
        rows.append({"variant": options, **price, "available": each.available})
    for sibling in product.all_variants:
        options = _options([(option.dimension, option.value) for option in sibling.variant_specifics])
        if options:
            rows.append({"variant": options, "product_id": short(sibling.product_id, 60)})
        else:
            hidden += 1
    return rows[:MAX_VARIANTS], hidden + max(0, len(rows) - MAX_VARIANTS)


def _options(named: Sequence[tuple[str, str]]) -> list[dict[str, str]] | None:
    """Return options word by word; None if one of them cannot be shown so."""
    whole = len(named) <= MAX_OPTIONS and all(
        0 < len(text) <= MAX_OPTION and plain(text, MAX_OPTION) == text for each in named for text in each
    )
    return [{"label": label, "value": value} for label, value in named] if whole else None


def _needs_variant(
    product: Product, variants: Sequence[object], left_out: int, address: ProductAddress, *, is_one: bool
) -> bool | None:
    if address.chooses_variant or is_one or product.has_variations is False:
        return False  # the page, or the address, is of one variant
    if product.has_variations or len(variants) + left_out > 1:
        return True
    return False if product.variants else None


def _offer(offer: Offer) -> dict[str, Any]:
    shipping = offer.shipping
    shipping_cents = None if shipping is None else shipping.price
    total = None if offer.price is None or shipping_cents is None else offer.price + shipping_cents
    condition = order_condition(offer.condition)
    days = offer.handling_days
    longest = None if days is None else days.max
    order_with: dict[str, Any] = {
        "condition_in": None if condition is None else [condition],
        "handling_days_max": max(1, longest) if longest is not None else None,
    }
    return {
        "seller": short(offer.seller.name, 80) if offer.seller else None,
        "sold_by_retailer": True if offer.seller and offer.seller.first_party else None,
        "condition": short(offer.condition, 40),
        "price_cents": offer.price,
        "price": None if offer.price is None else without_currency(offer.price),
        "shipping_cents": shipping_cents,
        "total_cents": total,
        "total": None if total is None else without_currency(total),
        "handling_days": None if days is None else {"min": days.min, "max": days.max},
        "delivery_days": None
        if shipping is None or shipping.delivery_days is None
        else {"min": shipping.delivery_days.min, "max": shipping.delivery_days.max},
        "available": offer.available,
        "from_abroad": True if offer.international else None,
        "prime_only": True if offer.prime_only else None,
        "order_with": {name: value for name, value in order_with.items() if value is not None},
        "condition_cannot_be_asked_for": True if offer.condition and condition is None else None,
    }


def _why_missing(answer: Product | Offers | ZincMcpError | None) -> str | None:
    match answer:
        case None:
            return None
        case ZincMcpError():
            return f"{answer.summary} {answer.next_step}"
        case _ if answer.status == "failed":
            return f"Zinc could not find them out{_codes(answer)}."
        case _:
            return None


_CODES: Mapping[str, str] = {
    "product_not_found": ": the retailer has no such product",
    "invalid_request": ": the retailer or the product's number is not known",
}


def _codes(answer: Product | Offers) -> str:
    return _CODES.get(answer.code or "", "")


def _currency(code: str | None) -> str | None:
    known = code is not None and len(code) == 3 and code.isascii() and code.isalpha()
    return code.upper() if code is not None and known else None


def _printed(cents: int, currency: str | None) -> str:
    return without_currency(cents) if currency is None else printed(cents, currency)


def _words(text: str) -> str:
    """Return a text without the tags of HTML."""
    return html.unescape(_TAG.sub(" ", text))
