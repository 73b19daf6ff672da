"""The retailers of Zinc v1 in the sandbox, the v2 address of a product id, and the products to practise on.

A product id is the one of the catalogue's item at the same shop, so that a v1 order and a v2 order can name the same
product. Ids that start with `V1` (at Amazon) or `98` (elsewhere) are for practice: `V1POST0001` is refused with the
first code of `codes.FINAL`, an order of `V1FAIL0001` fails with it, and one of `V1WAYS0001` has the first course of
`WAYS`.
`GET /v1/practice/products` lists them.
"""

import re
from dataclasses import dataclass
from math import inf
from typing import Literal

from zinc_mcp.sandbox.catalogue import Item, Seller, item_at
from zinc_mcp.sandbox.products import title_of, unit_price
from zinc_mcp.sandbox.v1.rules.codes import FINAL, MESSAGES
from zinc_mcp.zinc.product_urls.reading import comparable

PLACED_SECONDS = 3.0
"""The age at which an order is decided, at pace 1. v1 really takes 5 to 15 minutes at Amazon (older pages)."""
PRACTICE_PRICE = 4500
"""Cents of every practice product."""


@dataclass(frozen=True, slots=True)
class Retailer:
    """A retailer of v1 (older pages)."""

    form: str
    """The product's address at v2."""
    ids: str
    """The form of its product ids, as a regular expression."""
    currency: str = "USD"


_ASIN = "[A-Z0-9]{10}"
RETAILERS = {
    "amazon": Retailer("https://www.amazon.com/dp/{}", _ASIN),
    "amazon_uk": Retailer("https://www.amazon.co.uk/dp/{}", _ASIN, "GBP"),
    "amazon_ca": Retailer("https://www.amazon.ca/dp/{}", _ASIN, "CAD"),
    "amazon_de": Retailer("https://www.amazon.de/dp/{}", _ASIN, "EUR"),
    "amazon_mx": Retailer("https://www.amazon.com.mx/dp/{}", _ASIN, "MXN"),
    "walmart": Retailer("https://www.walmart.com/ip/{}", "[1-9][0-9]{3,14}"),
    "costco": Retailer("https://www.costco.com/p/-/x/{}", "[1-9][0-9]{5,11}"),
    "homedepot": Retailer("https://www.homedepot.com/p/{}", "[1-9][0-9]{5,11}"),
    "aliexpress": Retailer("https://www.aliexpress.com/item/{}.html", "[1-9][0-9]{7,16}"),
}


@dataclass(frozen=True, slots=True)
class Course:
    """The course of an order of a product. Times are ages in seconds at pace 1."""

    name: str
    title: str
    refusal: str | None = None
    """The code with which the POST is answered; no order is created."""
    failure: str | None = None
    """The code with which the order ends."""
    bought: bool = False
    """Whether something was bought although the order ends with an error."""
    decided_at: float = PLACED_SECONDS
    """The age at which it is placed or has failed, after any time in the queue."""
    looks: int = 0
    """The number of GETs that find it processing, whatever its age."""
    reviewed_until: float = 0.0
    """From the first second to this age it is `manual_review_required`."""
    queue_seconds: float = 0.0
    """The time for which a managed order waits for an account."""
    abort: Literal["at_once", "later", "never"] = "at_once"
    parcels: int = 1
    gift_option: bool = True
    delivery_days: int = 5
    taxed: bool = True
    expired: bool = False
    """Whether the id is an old one, which the retailer redirects to `SUCCESSOR`."""
    cancelled_at: float | None = None
    """The age at which the seller cancels the placed order."""
    priced: bool = True
    response_type: str = "order_response"
    hostile: bool = False


ORDINARY = Course("ordinary", "")

WAYS = (
    Course("placed", "Practice: placed"),
    Course("slow", "Practice: placed after a minute", decided_at=60.0),
    Course("never_decided", "Practice: processed for ever", decided_at=inf),
    Course("looks", "Practice: three looks find it processing", looks=3, decided_at=0.0),
    Course("manual_review", "Practice: reviewed by hand, then placed", decided_at=6.0, reviewed_until=6.0),
    Course("manual_review_stays", "Practice: reviewed for ever", decided_at=inf, reviewed_until=inf),
    Course("queue", "Practice: waits 10 s for a managed account", queue_seconds=10.0),
    Course("queue_full", "Practice: no managed account comes", queue_seconds=inf),
    Course("probably_placed", "Practice: probably placed, and it was", failure="order_probably_placed", bought=True),
    Course("probably_not_placed", "Practice: probably placed, and it was not", failure="order_probably_placed"),
    Course("abort_later", "Practice: placed after a minute; an abort takes 2 s", decided_at=60.0, abort="later"),
    Course("abort_refused", "Practice: placed after 6 s; an abort has no effect", decided_at=6.0, abort="never"),
    Course("two_parcels", "Practice: two orders at the retailer", parcels=2),
    Course("no_gift_option", "Practice: no gift option", gift_option=False),
    Course("expired", "Practice: an old product id", expired=True),
    Course("slow_delivery", "Practice: delivered after 20 days", delivery_days=20),
    Course("untaxed", "Practice: no tax", taxed=False),
    Course("cancelled_by_seller", "Practice: placed, then cancelled by the seller", cancelled_at=8.0),
    Course("no_price", "Practice: placed without any price", priced=False),
    Course("hostile_text", "Practice: hostile text wherever a retailer can put text", hostile=True),
    Course("hostile_failure", "Practice: fails with hostile prose", failure="product_unavailable", hostile=True),
    Course("unknown_code", "Practice: fails with a code that no document names", failure="retailer_on_strike"),
    Course("unknown_type", "Practice: a `_type` that no document names", response_type="order_held"),
    Course("six_parcels", "Practice: six orders at the retailer", parcels=6),
)
"""The courses of orders besides a failure with one code."""

SUCCESSOR = "B0SNDBXC01"
"""The product to which a retailer redirects an expired id ("Create Order", `strict_expired_product_id`)."""

_KINDS = {
    "POST": tuple(Course(f"refused_{code}", f"Practice: refused, {code}", refusal=code) for code in FINAL),
    "FAIL": tuple(Course(f"failed_{code}", f"Practice: fails, {code}", failure=code) for code in FINAL),
    "WAYS": WAYS,
}
_NUMBERS = {str(number): courses for number, courses in enumerate(_KINDS.values(), start=1)}
_AT_AMAZON = re.compile(r"V1(POST|FAIL|WAYS)(\d{4})")
_ELSEWHERE = re.compile(r"98([1-3])(\d{7})")


@dataclass(frozen=True, slots=True)
class Product:
    """One product id at a retailer."""

    retailer: str
    product_id: str

    @property
    def url(self) -> str:
        """Its address, as a v2 order names it."""
        return RETAILERS[self.retailer].form.format(self.product_id)

    @property
    def canonical(self) -> str:
        """Its canonical address, which is the same for every v2 address of the product."""
        return comparable(self.url)

    @property
    def item(self) -> Item | None:
        """The item of the catalogue that it is, or None."""
        return item_at(self.url)

    @property
    def course(self) -> Course:
        """The course of an order of it."""
        return practised(self.product_id) or _of_item(self.item)

    @property
    def title(self) -> str:
        """Its title, as its shop prints it."""
        return self.course.title or title_of(self.url)

    @property
    def price(self) -> int:
        """The price of one piece, in minor units of the retailer's currency."""
        return PRACTICE_PRICE if practised(self.product_id) else unit_price(self.url)

    @property
    def has_fixed_price(self) -> bool:
        """Whether it costs the same whatever `max_price` says."""
        return practised(self.product_id) is not None or self.item is not None

    @property
    def offers(self) -> tuple[Seller, ...]:
        """The offers: the sellers of its item, or the shop itself."""
        item = self.item
        if item is not None and item.sellers:
            return item.sellers
        return (Seller("The retailer", self.price, first_party=True),)


def practised(product_id: str) -> Course | None:
    """Return the course of a product to practise on; None if it is another product."""
    if found := _AT_AMAZON.fullmatch(product_id):
        courses, number = _KINDS[found[1]], int(found[2])
    elif found := _ELSEWHERE.fullmatch(product_id):
        courses, number = _NUMBERS[found[1]], int(found[2])
    else:
        return None
    return courses[number - 1] if 1 <= number <= len(courses) else None


def practice_id(name: str, retailer: str = "amazon") -> str:
    """Return the product id with a course, such as `looks`, `refused_invalid_address` or `failed_duplicate_order`.

    Raises:
        LookupError: there is no such course.
    """
    for kind, (word, courses) in enumerate(_KINDS.items(), start=1):
        for number, course in enumerate(courses, start=1):
            if course.name == name:
                return f"V1{word}{number:04}" if retailer.startswith("amazon") else f"98{kind}{number:07}"
    raise LookupError(f"there is no practice product {name!r}")


def listed() -> list[dict[str, str]]:
    """Return the products to practise on, for a person."""
    return [
        {"name": course.name, "amazon": practice_id(course.name), "elsewhere": practice_id(course.name, "walmart"),
         "title": course.title, "message": MESSAGES.get(course.refusal or course.failure or "", "")}
        for courses in _KINDS.values()
        for course in courses
    ]  # fmt: skip


def _of_item(item: Item | None) -> Course:
    if item is None:
        return ORDINARY
    if item.must_choose:
        return Course("parent", "", failure="unsupported_product_id")
    if item.digital:
        return Course("download", "", failure="item_not_supported")
    if item.unreachable or item.available is False:
        return Course("sold_out", "", failure="product_unavailable")
    return Course("ordinary", "", hostile=item.hostile)
