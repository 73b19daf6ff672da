"""The parameters of the questions about products and shops, read as FastAPI reads them."""

from starlette.requests import Request

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.catalogue import SHOPS
from zinc_mcp.sandbox.checks import AnsweredError

_BY_PAGE = frozenset("amazon amazon-uk amazon-ca amazon-de amazon-mx amazon-fr walmart bestbuy etsy".split())
"""The retailers about which a question can be asked, besides catalogued Shopify shops."""

SHOPIFY = {name: shop for shop in SHOPS.values() if shop.platform == "shopify" for name in (shop.domain, shop.retailer)}
"""The catalogued Shopify shops by domain and by name."""


def retailer_in_query(sandbox: Sandbox, request: Request) -> str:
    """Return the retailer of a question: a known name, or the domain of a Shopify shop.

    Raises:
        AnsweredError: with a 422.
    """
    given = required(sandbox, request, "retailer").lower().replace("_", "-")
    if given in SHOPIFY:
        return SHOPIFY[given].domain
    if given not in _BY_PAGE:
        # In test mode a Shopify shop that is not catalogued is refused.
        raise invalid(sandbox, "retailer", "unknown retailer")
    return given


def check_age(sandbox: Sandbox, request: Request) -> None:
    """Refuse a request whose `max_age` is wrong or contradicts `newer_than`.

    Raises:
        AnsweredError: with a 422.
    """
    age = number(sandbox, request, "max_age", 31, 10**9)
    if age is not None and "newer_than" in request.query_params:
        raise invalid(sandbox, "newer_than", "max_age and newer_than exclude each other")


def required(sandbox: Sandbox, request: Request, name: str) -> str:
    """Return a parameter that must be given.

    Raises:
        AnsweredError: with a 422.
    """
    value = request.query_params.get(name, "")
    if not value.strip():
        raise invalid(sandbox, name, "Field required")
    return value


def number(sandbox: Sandbox, request: Request, name: str, low: int, high: int) -> int | None:
    """Return a whole number, if it is given.

    Raises:
        AnsweredError: with a 422.
    """
    value = request.query_params.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 12 and low <= int(value) <= high):
        raise invalid(sandbox, name, f"Input should be between {low} and {high}")
    return int(value)


def switch(request: Request, name: str) -> bool:
    """Say whether a switch is on."""
    return request.query_params.get(name, "").lower() in ("1", "true", "yes", "on")


def invalid(sandbox: Sandbox, name: str, message: str) -> AnsweredError:
    """Return the error with a 422 about one parameter."""
    return AnsweredError(
        checks.invalid(sandbox.dialect, [{"type": "value_error", "loc": ["query", name], "msg": message}])
    )
