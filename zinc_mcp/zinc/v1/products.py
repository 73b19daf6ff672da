"""The products of v1's retailers: a retailer's code and a product's number, and the page of the same product.

v2 names a product by its page, v1 by its number. Both are one product here, so an order of either is known again.
The codes are those of section 19.1 of Zinc's older documentation; which numbers each shop has, is not documented there.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress

V1Retailer = Literal[
    "amazon", "amazon_uk", "amazon_ca", "amazon_de", "amazon_mx", "walmart", "costco", "homedepot", "aliexpress"
]
RETAILERS: tuple[V1Retailer, ...] = get_args(V1Retailer)
AMAZON = frozenset(code for code in RETAILERS if code.startswith("amazon"))


@dataclass(frozen=True, slots=True)
class _Shop:
    page: str
    number: str
    """What its product numbers look like, as a pattern."""
    example: str


_ASIN = r"[A-Za-z0-9]{10}"
_SHOPS: dict[V1Retailer, _Shop] = {
    "amazon": _Shop("https://www.amazon.com/dp/{}", _ASIN, "B07JGBW826"),
    "amazon_uk": _Shop("https://www.amazon.co.uk/dp/{}", _ASIN, "B07JGBW826"),
    "amazon_ca": _Shop("https://www.amazon.ca/dp/{}", _ASIN, "B07JGBW826"),
    "amazon_de": _Shop("https://www.amazon.de/dp/{}", _ASIN, "B07JGBW826"),
    "amazon_mx": _Shop("https://www.amazon.com.mx/dp/{}", _ASIN, "B07JGBW826"),
    "walmart": _Shop("https://www.walmart.com/ip/{}", r"[0-9]{3,12}", "123456789"),
    "costco": _Shop("https://www.costco.com/.product.{}.html", r"[0-9]{4,12}", "100381350"),
    "homedepot": _Shop("https://www.homedepot.com/p/{}", r"[0-9]{6,12}", "205594063"),
    "aliexpress": _Shop("https://www.aliexpress.com/item/{}.html", r"[0-9]{8,19}", "1005006123456789"),
}


def page_of(retailer: V1Retailer, product_id: str) -> str:
    """Return the address of a product's page."""
    return _SHOPS[retailer].page.format(product_id)


def page_in(retailer: str, product_id: str) -> str:
    """Return the address of a product's page by a retailer's code that need not be known."""
    return page_of(retailer, product_id) if retailer in _SHOPS else f"{retailer}/{product_id}"


def address_of(retailer: V1Retailer, product_id: str) -> ProductAddress:
    """Return a product's page, as the address of a v2 order would be read.

    Raises:
        ProductUrlError: it is no number of a product there.
    """
    return read_product_url(page_of(retailer, product_id))


def domain_of(retailer: V1Retailer) -> str:
    """Return the registrable domain of a retailer."""
    return address_of(retailer, _SHOPS[retailer].example).retailer


def objection(retailer: V1Retailer, product_id: str) -> str | None:
    """Say why a text is no product's number at a retailer; None if it can be one."""
    shop = _SHOPS[retailer]
    if re.fullmatch(shop.number, product_id):
        return None
    return f"is no product number of {retailer}; one looks like {shop.example}"
