"""The products of v1's retailers: a retailer's code and a product's number, and the page of the same product.

v2 names a product by its page, v1 by its number. Both are one product here, so an order of either is known again.
The codes are those of Zinc's older documentation, which does not say what numbers each shop has.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress, ProductUrlError

V1Retailer = Literal[
    "amazon", "amazon_uk", "amazon_ca", "amazon_de", "amazon_mx", "walmart", "costco", "homedepot", "aliexpress"
]
RETAILERS: tuple[V1Retailer, ...] = get_args(V1Retailer)
AMAZON = frozenset(code for code in RETAILERS if code.startswith("amazon"))


@dataclass(frozen=True, slots=True)
class _Shop:
    page: str
    example: str


_SHOPS: dict[V1Retailer, _Shop] = {
    "amazon": _Shop("https://www.amazon.com/dp/{}", "B07JGBW826"),
    "amazon_uk": _Shop("https://www.amazon.co.uk/dp/{}", "B07JGBW826"),
    "amazon_ca": _Shop("https://www.amazon.ca/dp/{}", "B07JGBW826"),
    "amazon_de": _Shop("https://www.amazon.de/dp/{}", "B07JGBW826"),
    "amazon_mx": _Shop("https://www.amazon.com.mx/dp/{}", "B07JGBW826"),
    "walmart": _Shop("https://www.walmart.com/ip/{}", "123456789"),
    "costco": _Shop("https://www.costco.com/.product.{}.html", "100381350"),
    "homedepot": _Shop("https://www.homedepot.com/p/{}", "205594063"),
    "aliexpress": _Shop("https://www.aliexpress.com/item/{}.html", "1005006123456789"),
}
MAX_NUMBER = 20
"""Characters of a product's number."""


def page_of(retailer: V1Retailer, number: str) -> str:
    """Return the address of a product's page."""
    return _SHOPS[retailer].page.format(number)


def page_in(retailer: str, number: str) -> str:
    """Return the address of a product's page by a retailer's code that need not be known."""
    return page_of(retailer, number) if retailer in _SHOPS else f"{retailer}/{number}"


def address_of(retailer: V1Retailer, number: str) -> ProductAddress:
    """Return a product's page, as the address of a v2 order would be read. `objection` has accepted the number."""
    return read_product_url(page_of(retailer, number))


def domain_of(retailer: V1Retailer) -> str:
    """Return the registrable domain of a retailer."""
    return address_of(retailer, _SHOPS[retailer].example).retailer


def objection(retailer: V1Retailer, number: str) -> str | None:
    """Say why a text is no product's number at a retailer; None if it is one there, by the forms of its pages."""
    if number.isascii() and number.isalnum() and len(number) <= MAX_NUMBER:
        try:
            found = address_of(retailer, number).product_id
        except ProductUrlError:
            found = None
        if found is not None:
            return None
    return f"is no product number of {retailer}; one looks like {_SHOPS[retailer].example}"
