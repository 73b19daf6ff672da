"""Products as `GET /products/{id}` shows them.

A look-up costs one cent with a live key (SDK 2026.9.18) and nothing with a test key.
"""

from zinc_mcp.zinc.answers import Amount, Answer, Text

LOOK_UP_CENTS = 1


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
