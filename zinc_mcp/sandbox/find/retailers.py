"""The endpoints about shops, which are public and free: the list, and the check of one shop."""

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.catalogue import REFUSALS, SHOPS, Shop, shop_at
from zinc_mcp.sandbox.checks import AnsweredError
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.find.faults import due_check_fault
from zinc_mcp.sandbox.find.parameters import invalid, number, required
from zinc_mcp.sandbox.products import scenario_of
from zinc_mcp.zinc.texts.countries import ALPHA_2


async def list_retailers(sandbox: Sandbox, request: Request) -> Response:
    """`GET /retailers`: public and free."""
    limit = number(sandbox, request, "limit", 1, 500) or 50
    offset = number(sandbox, request, "offset", 0, 10**6) or 0
    name = request.query_params.get("name", "").casefold()
    shops = [shop for shop in SHOPS.values() if name in shop.name.casefold() and shop.support != "unsupported"]
    rows = [
        {
            "retailer": shop.retailer,
            "display_name": shop.name,
            "base_url": f"https://www.{shop.domain}",
            "no_account_needed": shop.guest_checkout,
            "use_your_account": True,
            "supported_countries": list(shop.ships_to),
            "free_shipping": None,
            "free_shipping_threshold_cents": None,
            "support": shop.support,
        }
        for shop in shops[offset : offset + limit]
    ]
    platforms = [{"platform": "shopify", "orderable": True}]
    coverage = {"policy": "open", "summary": "Nearly any US shop can be ordered from.", "platforms": platforms}
    return checks.as_json({"retailers": rows, "total": len(shops), "coverage": coverage})


async def check_retailer(sandbox: Sandbox, request: Request) -> Response:
    """`GET /retailers/check`: public and free; the same gate as `POST /orders`."""
    fault = due_check_fault(sandbox, request)
    if fault is not None:
        answer = Response() if not fault.accepts else _checked(sandbox, request)
        return spoil(sandbox, fault, answer)
    return _checked(sandbox, request)


def _checked(sandbox: Sandbox, request: Request) -> Response:
    url, country = required(sandbox, request, "url"), request.query_params.get("country")
    if country is not None and country.upper() not in ALPHA_2:
        raise invalid(sandbox, "country", "country must be an ISO 3166-1 alpha-2 code")
    shop = shop_at(url)
    refusal = scenario_of(url).refusal
    if refusal is not None and refusal.code == "unsupported_retailer":
        shop = Shop(shop.domain, shop.retailer, shop.name, "unsupported")
    is_supported = shop.support != "unsupported"
    # Without an account an order is taken or not by what it carries, so that is no reason here.
    reason = shop.refusal(country.upper() if country else None, has_account=True)
    refuses_country = reason is not None and is_supported
    if refuses_country and sandbox.dialect.refused_country == "error_400":
        raise AnsweredError(checks.error(sandbox.dialect, 400, str(reason), "The shop does not ship there."))
    return checks.as_json(
        {
            "url": url,
            "domain": shop.domain or None,
            # About the shop and not about one request: a country that it does not ship to shows only as the reason.
            "orderable": is_supported and not (refuses_country and sandbox.dialect.refused_country == "not_orderable"),
            "support": shop.support,
            "support_detail": _DETAILS[shop.support],
            "how_to_order": "Send the product's URL to POST /orders." if is_supported else "Do not submit an order.",
            "retailer": {
                "retailer": shop.retailer,
                "brand": shop.name,
                "display_name": shop.name,
                "country": "US",
            }
            if shop.domain in SHOPS
            else None,
            "platform": shop.platform,
            "checkout": {"guest_checkout": shop.guest_checkout, "use_your_account": True},
            "ships_to": list(shop.ships_to) or None,
            "evidence": {"orders_placed": shop.support in ("verified", "active"), "last_order_at": None},
            "unsupported_reason": reason,
        }
    )


_DETAILS = {
    "verified": "A test order is placed there every day.",
    "active": "Orders were placed there within 90 days.",
    "observed": "Orders were tried there.",
    "untested": "Never seen; an order is tried.",
    "unsupported": REFUSALS["unsupported_retailer"],
}
