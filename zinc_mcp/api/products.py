"""Products as `GET /products/{id}` shows them, and which of them a product URL names.

A look-up costs one cent with a live key (SDK 2026.9.18) and nothing with a test key.
"""

import re
from urllib.parse import urlsplit

from zinc_mcp.api.answers import Amount, Answer, Text
from zinc_mcp.api.retailer import retailer_of

LOOK_UP_CENTS = 1

_AMAZON = {
    "amazon.com": "amazon",
    "amazon.co.uk": "amazon-uk",
    "amazon.ca": "amazon-ca",
    "amazon.de": "amazon-de",
    "amazon.com.mx": "amazon-mx",
    "amazon.fr": "amazon-fr",
}
_ASIN = re.compile(r"/(?:dp|gp/product|gp/aw/d)/([A-Za-z0-9]{10})(?:/|$)")
_WALMART = re.compile(r"/ip/(?:[^/]+/)?(\d{4,14})/?$")
_BEST_BUY = re.compile(r"/product/[^/]+/([A-Z0-9]{8,12})/?$")


class Product(Answer):
    """What a product page says, as far as Zinc can tell. `price` is cents, without shipping."""

    status: Text = "completed"
    title: Text | None = None
    brand: Text | None = None
    price: Amount | None = None
    seller_name: Text | None = None
    shop_name: Text | None = None
    currency_code: Text | None = None

    @property
    def seller(self) -> str | None:
        """Who sells it, where that is told."""
        return self.seller_name or self.shop_name


def product_of(url: str) -> tuple[str, str] | None:
    """Return Zinc's (retailer, product id) for a product page, or None when its address does not name one."""
    path = urlsplit(url).path
    retailer = retailer_of(url)
    if retailer in _AMAZON and (found := _ASIN.search(path)):
        return _AMAZON[retailer], found[1].upper()
    if retailer == "walmart.com" and (found := _WALMART.search(path)):
        return "walmart", found[1]
    if retailer == "bestbuy.com" and (found := _BEST_BUY.search(path)):
        return "bestbuy", found[1]
    return None
