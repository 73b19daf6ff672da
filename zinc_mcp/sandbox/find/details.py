"""The endpoints about one product: its details and its offers. HTTP 200 may say that the product is not known."""

from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.catalogue import ITEMS, SHOPS, Item
from zinc_mcp.sandbox.checks import AnsweredError
from zinc_mcp.sandbox.find.faults import marked_item
from zinc_mcp.sandbox.find.parameters import check_age, invalid, retailer_in_query, switch
from zinc_mcp.sandbox.find.usage import metered
from zinc_mcp.sandbox.products import HOSTILE, title_of

_Json = dict[str, Any]


async def get_details(sandbox: Sandbox, request: Request) -> Response:
    """`GET /products/{id}`: HTTP 200 even for an unknown product; `processing` if asked asynchronously."""
    product_id = request.path_params["product_id"]
    return metered(
        sandbox, request, "product_details", lambda: details_content(sandbox, request, product_id), product_id
    )


def details_content(sandbox: Sandbox, request: Request, product_id: str) -> _Json:
    """Return the content of a product's details.

    Raises:
        AnsweredError: with a 422.
    """
    retailer = retailer_in_query(sandbox, request)
    check_age(sandbox, request)
    if switch(request, "async"):
        if retailer == "etsy" or retailer in SHOPS:
            raise invalid(sandbox, "async", "async is not supported for this retailer")
        return {"status": "processing", "retailer": retailer, "product_id": product_id}
    item = _item(retailer, product_id)
    if item is None:
        return _unknown(sandbox, retailer, product_id)
    common: _Json = {
        "status": "completed",
        "retailer": retailer,
        "product_id": item.product_id,
        "title": title_of(item.url) if item in ITEMS else item.title,
        "brand": item.brand,
        "price": item.price,
        "available": item.available,
        "stars": item.stars,
        "url": item.url,
        "timestamp": int(sandbox.clock()),
        "main_image": None,
        "images": [],
    }
    if retailer == "etsy" or retailer in SHOPS:
        return {**common, **_by_shop(item, retailer)}
    return {**common, **_by_numbered_pages(item, retailer)}


def _by_shop(item: Item, retailer: str) -> _Json:
    """Return the fields that Shopify shops and Etsy have."""
    variants = item.variants or ((("Title", "Default Title"),),)
    rows = [
        {
            "variant_id": str(number),
            "title": " / ".join(value for _, value in options),
            "price": item.price,
            "currency_code": item.currency,
            "available": True,
            "properties": [{"name": label, "value": value} for label, value in options],
        }
        for number, options in enumerate(variants, 1)
    ]
    common: _Json = {"description": item.description, "variants": rows}
    if retailer != "etsy":
        return {**common, "platform": "shopify", "domain": retailer, "handle": item.product_id}
    return {
        **common,
        "variants": rows if item.variants else [],
        "listing_id": item.product_id,
        "currency_code": item.currency,
        "listing_type": "download" if item.digital else "physical",
        "has_variations": bool(item.variants),
        "shop_name": item.brand,
    }


def _by_numbered_pages(item: Item, retailer: str) -> _Json:
    """Return the fields of the shops where each variant has a number and a page of its own."""

    def specifics(options: Iterable[tuple[str, str]]) -> list[_Json]:
        return [{"dimension": label, "value": value} for label, value in options]

    found: _Json = {
        "product_description": item.description or None,
        "feature_bullets": list(item.features),
        "review_count": item.reviews,
        "variant_specifics": specifics(item.own_options),
        "all_variants": [
            {
                "product_id": item.product_id if options == item.own_options else f"{item.product_id[:-2]}V{number}",
                "variant_specifics": specifics(options),
            }
            for number, options in enumerate(item.variants, 1)
        ],
    }
    if retailer.startswith("amazon"):
        found |= {"asin": item.product_id, "digital": item.digital, "buyapi_hint": not item.digital}
    if retailer == "bestbuy":
        found["offers"] = [
            {
                "condition": seller.condition,
                "price": seller.price,
                "availability": "in_stock",
                "new": seller.condition == "New",
                "seller": seller.name,
            }
            for seller in item.sellers
        ]
    return found


async def get_offers(sandbox: Sandbox, request: Request) -> Response:
    """`GET /products/{id}/offers`: rejected for Shopify and Etsy; `processing` when it is asked for asynchronously."""
    product_id = request.path_params["product_id"]
    return metered(sandbox, request, "product_offers", lambda: offers_content(sandbox, request, product_id), product_id)


def offers_content(sandbox: Sandbox, request: Request, product_id: str) -> _Json:
    """Return the content of a product's offers.

    Raises:
        AnsweredError: with a 422.
    """
    retailer = retailer_in_query(sandbox, request)
    check_age(sandbox, request)
    if retailer == "etsy" or retailer in SHOPS:
        raise invalid(sandbox, "retailer", "offers are not supported for this retailer")
    if switch(request, "async"):
        return {"status": "processing", "retailer": retailer}
    item = _item(retailer, product_id)
    if item is None:
        return _unknown(sandbox, retailer, product_id)
    rows = [
        {
            "offer_id": f"{item.product_id}-{number}",
            "price": seller.price,
            "condition": seller.condition,
            "available": seller.available,
            "minimum_quantity": 1,
            "seller": {
                "id": f"S{number}",
                "name": HOSTILE if item.hostile else seller.name,
                "num_ratings": 1200,
                "percent_positive": 97,
                "first_party": seller.first_party,
            },
            "marketplace_fulfilled": seller.first_party,
            "international": seller.international,
            "handling_days": {"min": seller.handling_days[0], "max": seller.handling_days[1]},
            "shipping_options": [{"name": "Standard", "price": seller.shipping, "delivery_days": {"min": 2, "max": 6}}],
        }
        for number, seller in enumerate(item.sellers, 1)
    ]
    about = {"asin": item.product_id} if retailer.startswith("amazon") else {}
    return {
        "status": "completed", "retailer": retailer, **about, "offers": rows, "timestamp": int(sandbox.clock())
    }  # fmt: skip


def _item(retailer: str, product_id: str) -> Item | None:
    found = next((item for item in ITEMS if (item.retailer, item.product_id) == (retailer, product_id)), None)
    return found or marked_item(retailer, product_id)


def _unknown(sandbox: Sandbox, retailer: str, product_id: str) -> _Json:
    message = f"No product {product_id} at {retailer}."
    if sandbox.dialect.unknown_product == "not_found_404":
        raise AnsweredError(checks.error(sandbox.dialect, 404, "not_found", message))
    return {"status": "failed", "code": "product_not_found", "message": message, "retailer": retailer}
