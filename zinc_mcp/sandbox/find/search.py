"""The endpoints that search products: across retailers, and at one of them."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.catalogue import ITEMS, Item
from zinc_mcp.sandbox.find.faults import without_marks
from zinc_mcp.sandbox.find.parameters import SHOPIFY, invalid, number, required, retailer_in_query, switch
from zinc_mcp.sandbox.find.usage import metered
from zinc_mcp.sandbox.products import SCENARIOS, title_of, unit_price

_Json = dict[str, Any]

_ACROSS = frozenset(
    "amazon bestbuy bhphotovideo chewy costco homedepot kohls lowes macys newegg staples target walmart wayfair "
    "zinc".split()
)
"""The retailers of `GET /search` (SDK 2026.10.16), and Zinc's own test products."""
_SORTS = ("relevance", "price_asc", "price_desc", "rating")
_STOP = frozenset("a an and below for from in of on or the to under with".split())
_WORD = re.compile(r"[a-z0-9]+")


async def search(sandbox: Sandbox, request: Request) -> Response:
    """`GET /search`: across retailers; Etsy and Shopify shops only when they are named."""
    return metered(sandbox, request, "search", lambda: search_content(sandbox, request))


def search_content(sandbox: Sandbox, request: Request) -> _Json:
    """Return the content of a search.

    Raises:
        AnsweredError: with a 422.
    """
    query = without_marks(required(sandbox, request, "q"))
    low, high = (number(sandbox, request, name, 0, 10**9) for name in ("min_price", "max_price"))
    limit = number(sandbox, request, "limit", 1, 50) or 20
    sort = request.query_params.get("sort", "relevance")
    if sort not in _SORTS:
        raise invalid(sandbox, "sort", "Input should be " + ", ".join(_SORTS))
    named = request.query_params.getlist("retailer")
    shops = {name: SHOPIFY[name].domain if name in SHOPIFY else name for name in named}
    for name in named:
        if name not in _ACROSS | {"etsy"} and name not in SHOPIFY:
            raise invalid(sandbox, "retailer", "unknown retailer")
    found = [row for row in _matching(query) if row["retailer"] in (shops.values() if named else _ACROSS)]
    in_range = [row for row in found if _in_range(row["price"], low, high)]
    shown = _sorted(in_range[:limit], sort)
    content: _Json = {"status": "completed", "query": query, "results": shown}
    clamped = low is not None or high is not None
    content["excluded_by_price"] = len(found) - len(in_range) if clamped else None
    content["hint"] = None
    if not shown and found:
        content["hint"] = "Every match is outside the price range. Widen min_price and max_price."
    elif not shown and not named and any(_matching(query)):
        content["hint"] = "Matches are at retailers that are searched only when named. Name etsy or the shop."
    return content


async def search_one(sandbox: Sandbox, request: Request) -> Response:
    """`GET /products/search`: one retailer."""
    return metered(sandbox, request, "product_search", lambda: search_one_content(sandbox, request))


def search_one_content(sandbox: Sandbox, request: Request) -> _Json:
    """Return the content of a search at one retailer.

    Raises:
        AnsweredError: with a 422.
    """
    query, retailer = without_marks(required(sandbox, request, "query")), retailer_in_query(sandbox, request)
    page = number(sandbox, request, "page", 1, 10**6) or 1
    if switch(request, "free_shipping") and retailer in SHOPIFY:
        raise invalid(sandbox, "free_shipping", "free_shipping is not supported for this retailer")
    items = [(score, item) for item in ITEMS if item.retailer == retailer and (score := _score(query, _words_of(item)))]
    rows = [
        {
            "product_id": item.product_id,
            "title": title_of(item.url),
            "brand": item.brand,
            "price": item.price,
            "stars": item.stars,
            "num_reviews": item.reviews,
            "available": item.available,
            "url": item.url,
            "currency_code": item.currency,
            "has_variants": bool(item.variants),
        }
        for _, item in sorted(items, key=lambda each: -each[0])
    ]
    # The endpoint's own text: Best Buy and Etsy are paged. The page after the last one is empty.
    paged = retailer in ("bestbuy", "etsy")
    return {
        "status": "completed",
        "results": rows if page == 1 else [],
        "next_page": 2 if paged and rows and page == 1 else None,
    }


def _matching(query: str) -> list[_Json]:
    """Return every product that matches at least half of the words, the best first."""
    rows = [
        (score, _row(item))
        for item in ITEMS
        if item.retailer not in ("amazon-de",) and (score := _score(query, _words_of(item)))
    ]
    rows += [
        (score, _test_row(scenario.url, title_of(scenario.url)))
        for scenario in SCENARIOS.values()
        if scenario.refusal is None and (score := _score(query, scenario.title))
    ]
    return [row for _, row in sorted(rows, key=lambda each: -each[0])]


def _score(query: str, text: str) -> int:
    wanted = [word for word in _WORD.findall(query.lower()) if word not in _STOP]
    words = set(_WORD.findall(text.lower()))
    score = sum(word in words for word in wanted)
    return score if score and 2 * score >= len(wanted) else 0


def _words_of(item: Item) -> str:
    return f"{item.title} {item.brand} {item.words}"


def _row(item: Item) -> _Json:
    return {
        "url": item.is_listed_elsewhere or item.url,
        "retailer": item.retailer,
        "title": title_of(item.url),
        "image": None,
        "brand": item.brand,
        "price": item.price,
        "stars": item.stars,
        "num_reviews": item.reviews,
        "available": item.available,
        "free_shipping": True if item.free_shipping else None,
        "has_variants": True if item.retailer == "etsy" and item.variants else None,
    }


def _test_row(url: str, title: str) -> _Json:
    return {
        "url": url,
        "retailer": "zinc",
        "title": title,
        "image": None,
        "brand": "Zinc",
        "price": unit_price(url),
        "stars": None,
        "num_reviews": None,
        "available": True,
        "free_shipping": None,
        "has_variants": None,
    }


def _in_range(price: int | None, low: int | None, high: int | None) -> bool:
    if low is None and high is None:
        return True
    return price is not None and (low is None or price >= low) and (high is None or price <= high)


def _sorted(rows: list[_Json], sort: str) -> list[_Json]:
    """Sort the most relevant rows; a missing price or rating goes last."""
    name, sign = {"price_asc": ("price", 1), "price_desc": ("price", -1), "rating": ("stars", -1)}.get(sort, ("", 0))
    return sorted(rows, key=lambda row: (row[name] is None, sign * (row[name] or 0))) if name else rows
