"""Shops as Zinc describes them: whether it can order at an address, and ship to a country. It is free, without a key.

`GET /retailers/check` is "the same gate as POST /orders" (SDK 2026.10.16). The answer is about the shop: a product may
be sold out all the same.
"""

from http import HTTPStatus

from pydantic import ValidationError

from zinc_mcp.errors import OrderRejectedError, UnreadableAnswerError
from zinc_mcp.zinc.answers import Answer, Rows, Switch, Text
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.product_urls.reading import retailer_in
from zinc_mcp.zinc.texts.countries import ALPHA_2

ABOUT_A_SHOP = frozenset(
    "unsupported_retailer non_us_retailer unsupported_country retailer_country_not_supported "
    "guest_checkout_not_supported url_unreachable shipping_unavailable".split()
)
"""Codes of `POST /orders` that say why nothing can be ordered at a shop, or shipped from it to a country."""


class Checkout(Answer):
    guest_checkout: Switch | None = None
    """False: the order must carry `retailer_credentials_id`."""
    use_your_account: Switch | None = None


class ShopCheck(Answer):
    """The answer to `GET /retailers/check`."""

    url: Text | None = None
    domain: Text | None = None
    orderable: Switch
    support: Text | None = None
    support_detail: Text | None = None
    how_to_order: Text | None = None
    platform: Text | None = None
    checkout: Checkout | None = None
    ships_to: Rows[Text] | None = None
    """Countries; None: Zinc makes no claim."""
    unsupported_reason: Text | None = None
    """The code with which Zinc would refuse the order."""

    @property
    def needs_account(self) -> bool:
        """Whether the order must carry `retailer_credentials_id`."""
        return self.checkout is not None and self.checkout.guest_checkout is False

    @property
    def contradicts_itself(self) -> bool:
        """Whether tier and `orderable` differ without a reason: a shop is orderable in every tier but `unsupported`."""
        known = self.support in _TIERS and self._reason is None
        return known and self.orderable is (self.support == "unsupported")

    @property
    def countries(self) -> list[str]:
        """The countries that it ships to, in the codes that are known."""
        return [code for code in map(str.upper, self.ships_to or []) if code in ALPHA_2]

    def ships(self, country: str) -> bool | None:
        """Say whether the shop ships to a country (alpha-2). No list, or one in other words, is no claim."""
        if country in self.countries:
            return True
        is_whole = bool(self.countries) and len(self.countries) == len(self.ships_to or [])
        return False if is_whole and "ships_to" not in self.rows_cut else None

    def refusal(self, country: str, *, has_account: bool) -> str | None:
        """Return the code with which Zinc would refuse every order there; None if it may take one.

        `has_account` says whether the order names an account of the buyer's at the retailer.
        """
        if self.contradicts_itself:
            return None
        if not self.orderable:
            return self._reason or "unsupported_retailer"
        if self._reason == "guest_checkout_not_supported" and has_account:
            return None
        return self._reason or ("retailer_country_not_supported" if self.ships(country) is False else None)

    @property
    def _reason(self) -> str | None:
        return self.unsupported_reason if self.unsupported_reason in ABOUT_A_SHOP else None


_TIERS = frozenset({"verified", "active", "observed", "untested", "unsupported"})


async def check_shop(client: ZincClient, url: str, country: str | None) -> ShopCheck:
    """Ask `GET /retailers/check` about a product page and a country (alpha-2).

    Raises:
        ZincUnreachableError, OrderRejectedError: Zinc was not reached, or did not answer.
        UnreadableAnswerError: the answer cannot be used, or is about another shop.
    """
    parameters = {"url": url} if country is None else {"url": url, "country": country}
    try:
        check = ShopCheck.read(await client.get_json("/retailers/check", parameters=parameters))
    except OrderRejectedError as error:
        if error.zinc_code in ABOUT_A_SHOP:  # the answer for a country that Zinc refuses is not documented
            return ShopCheck(orderable=False, unsupported_reason=error.zinc_code)
        if error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise OrderRejectedError(
                f"Zinc does not say whether it can be ordered (HTTP {error.status}).",
                "Check whether the address and the country are right; if they are, only an order can show it.",
                status=error.status,
                zinc_code=error.zinc_code,
                facts=error.facts,
                problems=error.problems,
            ) from error
        raise
    except ValidationError as error:
        raise UnreadableAnswerError("Zinc did not give a readable answer just now.") from error
    if check.url is not None and retailer_in(check.url) != retailer_in(url):
        raise UnreadableAnswerError("Zinc answered about another shop, so its answer was not used.")
    return check
