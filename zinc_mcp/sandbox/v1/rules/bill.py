"""The bill of an order of Zinc v1: the bought offers, the price and the managed account's cost, or the failing code.

All of it is computed from the order's body, so that every process gives the same answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

from zinc_mcp.sandbox.catalogue import Seller
from zinc_mcp.sandbox.v1.rules.codes import UNDOCUMENTED
from zinc_mcp.sandbox.v1.rules.form import Refusal
from zinc_mcp.sandbox.v1.rules.products import RETAILERS, SUCCESSOR, Course, Product

Json = dict[str, Any]

DEFAULT_CRITERIA: Json = {"prime": True, "handling_days_max": 6, "condition_in": ["New"]}
"""The criteria of a product that has none of its own ("Create Order")."""
BAD_PROMO_CODE = "EXPIRED"
"""The promotion code that is not valid; others are, and take nothing off."""
_TAX, _TAX_OF = 250, 4500
"""The rate of tax, as in the sandbox's v2 orders."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to ship an order."""

    name: str
    days: int
    price: int


@dataclass(frozen=True, slots=True)
class Line:
    """One product as it is bought. `unit` is the price of a piece, in minor units."""

    product: Product
    quantity: int
    unit: int
    seller: str


@dataclass(frozen=True, slots=True)
class Bill:
    """The result of an order. Money is minor units of `currency`.

    `cost` is the amount that a managed order takes from the balance.
    """

    course: Course
    failure: str | None
    data: Json
    """The `data` of the error, where it fails."""
    lines: tuple[Line, ...]
    currency: str
    subtotal: int
    tax: int
    shipping: int
    cost: int
    days: int

    @property
    def total(self) -> int:
        """The amount that the retailer charges."""
        return self.subtotal + self.tax + self.shipping


class _FailedError(Exception):
    def __init__(self, code: str, **data: Any) -> None:
        super().__init__(code)
        self.code = code
        self.data = data


def bill_of(body: Mapping[str, Any]) -> Bill:
    """Return the bill of an order."""
    retailer = str(body["retailer"])
    wanted = [(Product(retailer, each["product_id"]), each) for each in body["products"]]
    courses = [product.course for product, _ in wanted]
    course = next((each for each in courses if each.name != "ordinary"), courses[0])
    currency = RETAILERS[retailer].currency
    try:
        for product, _ in wanted:
            _check_course(product, body)
        lines = tuple(_line(product, each, body) for product, each in wanted)
        method = _method(lines, body, course)
        priced = _priced(lines, method, body, course, currency)
        _check(priced, body, [product.course for product, _ in wanted])
    except _FailedError as failed:
        return Bill(course, failed.code, failed.data, (), currency, 0, 0, 0, 0, 0)
    return priced


def refusal_of(body: Mapping[str, Any]) -> Refusal | None:
    """Return the error with which a POST is answered because of a product, or None."""
    products = (Product(str(body["retailer"]), each["product_id"]) for each in body["products"])
    refused = ((each.course.refusal, each.product_id) for each in products)
    return next(((code, {"product_id": product_id}) for code, product_id in refused if code), None)


def _check_course(product: Product, body: Mapping[str, Any]) -> None:
    course = product.course
    if course.failure and not course.bought:
        raise _FailedError(course.failure, product_id=product.product_id)
    if course.expired and body.get("strict_expired_product_id"):
        raise _FailedError("expired_product_id", product_id=product.product_id)
    if body["is_gift"] and body.get("require_gift") and not course.gift_option:
        raise _FailedError("no_gift_shipping", product_id=product.product_id)


def _line(product: Product, wanted: Mapping[str, Any], body: Mapping[str, Any]) -> Line:
    bought = Product(product.retailer, SUCCESSOR) if product.course.expired else product
    offers = bought.offers
    if body.get("take_buybox_offers"):
        # "Takes whatever the default offer is", so that no criteria count.
        return Line(bought, int(wanted["quantity"]), offers[0].price, offers[0].name)
    given: Json | None = wanted.get("seller_selection_criteria")
    # The default counts "if a seller selection criteria object is not explicitly provided": `{}` fits every offer.
    criteria = DEFAULT_CRITERIA if given is None else given
    fitting = [offer for offer in offers if _fits(offer, criteria, is_first=offer is offers[0])]
    if not fitting:
        raise _FailedError("product_unavailable", product_id=product.product_id)
    cheapest = min(fitting, key=lambda offer: offer.price + offer.shipping)
    return Line(bought, int(wanted["quantity"]), cheapest.price, cheapest.name)


def _fits(offer: Seller, criteria: Json, *, is_first: bool) -> bool:
    """Say whether an offer passes the criteria. Offers of the shop itself are the Prime offers here."""
    is_there = offer.available or bool(criteria.get("allow_oos"))
    given = ((name, wanted) for name, wanted in criteria.items() if wanted is not None)
    return is_there and all(_passes(offer, name, wanted, is_first=is_first) for name, wanted in given)


def _passes(offer: Seller, name: str, wanted: Any, *, is_first: bool) -> bool:
    is_so = {
        "first_party_seller": offer.first_party,
        "international": offer.international,
        "buy_box": is_first,
        "addon": False,
    }
    match name:
        case "first_party_seller" | "international" | "buy_box" | "addon":
            return is_so[name] is wanted
        case "prime":
            return offer.first_party or not wanted
        case "condition_in":
            return offer.condition in wanted
        case "condition_not_in":
            return offer.condition not in wanted
        case "merchant_id_in":
            return offer.name in wanted
        case "merchant_id_not_in":
            return offer.name not in wanted
        case "handling_days_max":
            return float(wanted) >= offer.handling_days[1]
        case "max_item_price":
            return float(wanted) >= offer.price
        case _:  # ratings of sellers, of which the sandbox has none
            return True


def _method(lines: Sequence[Line], body: Mapping[str, Any], course: Course) -> Method:
    is_free = all(line.product.item is not None and line.product.item.free_shipping for line in lines)
    slow = Method("standard", course.delivery_days, 0 if is_free else 150)
    methods = (slow, Method("express", min(2, course.delivery_days), 599))
    if (named := body.get("shipping_method")) is not None:
        if named == "free" and not is_free:
            raise _FailedError("no_free_shipping")
        return methods[1] if named == "fastest" else slow
    wishes: Mapping[str, Any] = body["shipping"]
    most_days, most_price = wishes.get("max_days"), wishes.get("max_price")
    fitting = [
        each
        for each in methods
        # "Fewer than 5 days" where max_days is 5 ("Create Order").
        if (most_days is None or each.days < most_days) and (most_price is None or each.price <= most_price)
    ]
    if not fitting:
        raise _FailedError("shipping_method_unavailable")
    return min(fitting, key=lambda each: each.price if wishes["order_by"] == "price" else each.days)


def _priced(lines: tuple[Line, ...], method: Method, body: Mapping[str, Any], course: Course, currency: str) -> Bill:
    subtotal = sum(line.unit * line.quantity for line in lines)
    tax = subtotal * _TAX // _TAX_OF if course.taxed else 0
    total, most = subtotal + tax + method.price, body.get("max_price")
    if most is not None and total > most:
        if most < 1 or any(line.product.has_fixed_price for line in lines):
            raise _FailedError("max_price_exceeded", price=total, max_price=most)
        # The price of an unknown page is made up, and lowered to fit `max_price`, as in the sandbox's v2 orders.
        fitting = max(1, most * 95 // 100)
        subtotal, tax = subtotal * fitting // total, tax * fitting // total
        method = Method(method.name, method.days, fitting - subtotal - tax)
        total = fitting
    cost = cost_of(total, body)
    return Bill(course, None, {}, lines, currency, subtotal, tax, method.price, cost, method.days)


def cost_of(total: int, body: Mapping[str, Any]) -> int:
    """Return the amount that a managed order takes from the balance, in minor units.

    A `zma_discount` of -6 per cent "would offer $106 for a $100 order" (older pages).
    """
    discount, bid = body.get("zma_discount") or 0, body.get("zma_priority_bid") or 0
    return ceil(Fraction(total) * (100 - Fraction(str(discount))) / 100) + ceil(Fraction(str(bid)))


def _check(bill: Bill, body: Mapping[str, Any], courses: Sequence[Course]) -> None:
    if body.get("fail_if_taxed") and bill.tax:
        raise _FailedError(UNDOCUMENTED, tax=bill.tax)
    longest = body.get("max_delivery_days")
    if longest is not None and body["retailer"].startswith("amazon") and bill.days > longest:
        raise _FailedError("max_delivery_days_exceeded", days=bill.days, max_delivery_days=longest)
    promo_codes: list[Json] = body.get("promo_codes") or []
    if any(promo["code"] == BAD_PROMO_CODE and not promo.get("optional") for promo in promo_codes):
        raise _FailedError("invalid_promo_code", promo_code=BAD_PROMO_CODE)
