"""Questions about products and shops: exact requests, and what is read of answers that are odd."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from zinc_mcp.errors import OrderRejectedError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.find.products import (
    DataCall,
    Offers,
    Product,
    SearchResults,
    ask,
    details_call,
    offers_call,
    order_condition,
    search_call,
    to_json,
)
from zinc_mcp.zinc.find.retailers import ShopCheck, check_shop

COUNTRY, GUEST = "retailer_country_not_supported", "guest_checkout_not_supported"
KEY = SecretStr("zn_live_planted")


class Network:
    """Gives one answer, and keeps the requests."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer


async def asked(answer: object, question: Callable[[ZincClient], Awaitable[Any]]) -> tuple[httpx.Request, Any]:
    network = Network(answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer))
    client = ZincClient("https://zinc.example", transport=httpx.MockTransport(network))
    try:
        told = await question(client)
    except ZincMcpError as error:
        told = error
    finally:
        await client.aclose()
    [request] = network.requests
    return request, told


async def told(answer: object, call: DataCall[Any]) -> tuple[httpx.Request, Any]:
    return await asked(answer, lambda client: ask(client, call, KEY))


async def test_a_search_is_sent_as_zinc_documents_it() -> None:
    call = search_call("mugs & cups", min_price=100, max_price=2000, retailers=["walmart", "amazon"], limit=5)
    request, found = await told({"status": "completed", "query": "mugs & cups", "results": []}, call)
    assert (request.method, request.url.path, request.content) == ("GET", "/search", b"")
    assert sorted(request.url.params.multi_items()) == [
        ("limit", "5"),
        ("max_price", "2000"),
        ("min_price", "100"),
        ("q", "mugs & cups"),
        ("retailer", "amazon"),
        ("retailer", "walmart"),
        ("sort", "relevance"),
    ]
    assert request.headers["authorization"] == "Bearer zn_live_planted"
    assert isinstance(found, SearchResults)


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (details_call("amazon", "B07JGBW826"), "/products/B07JGBW826"),
        (details_call("shop.example", "a/b?c"), "/products/a%2Fb%3Fc"),
        (offers_call("walmart", "123"), "/products/123/offers"),
    ],
)
async def test_details_and_offers_are_asked_for_by_zincs_names(call: DataCall[Any], path: str) -> None:
    request, _ = await told({"status": "completed"}, call)
    assert (request.method, request.url.raw_path.decode().partition("?")[0]) == ("GET", path)
    assert dict(request.url.params) == dict(call.parameters)


async def test_a_shop_is_checked_without_a_key() -> None:
    answer = {"url": "https://amazon.com/dp/B07JGBW826", "orderable": True}
    request, check = await asked(
        answer, lambda client: check_shop(client, "https://www.amazon.com/dp/B07JGBW826?th=1", "DE")
    )
    assert request.url.path == "/retailers/check"
    assert dict(request.url.params) == {"url": "https://www.amazon.com/dp/B07JGBW826?th=1", "country": "DE"}
    assert "authorization" not in request.headers
    assert isinstance(check, ShopCheck) and check.refusal("US", has_account=False) is None


ODD: dict[str, Any] = {
    "status": "completed",
    "query": 7,
    "future": {"x": [1]},
    "excluded_by_price": "many",
    "results": [
        {"url": "https://a.example/1", "price": 1999, "stars": 4.5, "available": True, "new_field": 1},
        {"url": "https://a.example/2", "price": -5, "stars": 99, "num_reviews": -1, "available": "yes"},
        {"url": "https://a.example/3", "price": 19.99, "title": {"no": "text"}, "has_variants": 1},
        {"title": "no address"},
        "no object",
        None,
    ],
}


async def test_of_an_odd_search_the_good_parts_are_read_and_nothing_is_invented() -> None:
    _, found = await told(ODD, search_call("x"))
    assert isinstance(found, SearchResults)
    assert [each.url[-1:] for each in (found.results or [])] == ["1", "2", "3", ""]
    first, second, third, _ = found.results or []
    assert (first.price, first.stars, first.available) == (1999, 4.5, True)
    assert (second.price, second.stars, second.num_reviews, second.available) == (None, None, None, None)
    assert (third.price, third.title, third.has_variants) == (None, None, None)
    assert found.excluded_by_price is None


async def test_a_remembered_answer_reads_as_the_same() -> None:
    call = search_call("x")
    _, found = await told(ODD, call)
    assert call.read(to_json(found)) == found


@pytest.mark.parametrize("answer", [[], "text", None, 7], ids=str)
async def test_an_answer_that_is_no_object_is_unreadable(answer: object) -> None:
    for call in (search_call("x"), details_call("amazon", "B07JGBW826"), offers_call("amazon", "B07JGBW826")):
        assert isinstance((await told(answer, call))[1], UnreadableAnswerError)


@pytest.mark.parametrize("status", [301, 302, 500, 503])
async def test_a_redirect_or_a_failing_server_is_no_answer(status: int) -> None:
    elsewhere = httpx.Response(status, headers={"Location": "https://evil.example/"}, json={"results": []})
    assert isinstance((await told(elsewhere, search_call("x")))[1], UnreadableAnswerError)


async def test_an_empty_balance_is_a_refusal_also_in_the_plain_shape() -> None:
    _, error = await told(httpx.Response(402, json={"detail": "wallet is empty"}), search_call("x"))
    assert isinstance(error, OrderRejectedError)
    assert error.status == 402


@pytest.mark.parametrize("field", ["product_id", "asin"])
async def test_details_of_another_product_are_not_used(field: str) -> None:
    _, error = await told({"status": "completed", field: "B000000001"}, details_call("amazon", "B07JGBW826"))
    assert isinstance(error, UnreadableAnswerError)
    _, product = await told({"status": "completed", field: "b07jgbw826"}, details_call("amazon", "B07JGBW826"))
    assert isinstance(product, Product)


async def test_offers_of_another_product_are_not_used() -> None:
    _, error = await told({"status": "completed", "asin": "B000000001"}, offers_call("amazon", "B07JGBW826"))
    assert isinstance(error, UnreadableAnswerError)


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        ("New", "New"),
        ("Refurbished", "Refurbished"),
        ("Used - Like New", "UsedLikeNew"),
        ("Used - Very Good", "UsedVeryGood"),
        ("Used - Good", "UsedGood"),
        ("Used - Acceptable", "UsedAcceptable"),
        ("UsedGood", "UsedGood"),
        ("Unacceptable", None),
        ("Used", None),
        ("", None),
        (None, None),
    ],
)
def test_an_offers_condition_is_spelt_as_an_order_takes_it(words: str | None, condition: str | None) -> None:
    assert order_condition(words) == condition


async def test_the_cheapest_shipping_of_an_offer_is_its_shipping() -> None:
    rows = [{"name": "Fast", "price": 900}, {"name": "Slow", "price": 0}, {"name": "Free?", "price": None}]
    _, found = await told({"offers": [{"price": 100, "shipping_options": rows}]}, offers_call("walmart", "1"))
    assert isinstance(found, Offers)
    [offer] = found.offers or []
    assert offer.shipping is not None and (offer.shipping.name, offer.shipping.price) == ("Slow", 0)


@pytest.mark.parametrize(
    ("answer", "has_account", "code"),
    [
        ({"orderable": True}, False, None),
        ({"orderable": True, "unsupported_reason": COUNTRY}, False, COUNTRY),
        ({"orderable": True, "unsupported_reason": GUEST}, False, GUEST),
        ({"orderable": True, "unsupported_reason": GUEST}, True, None),
        ({"orderable": True, "unsupported_reason": "a new reason of next month"}, False, None),
        ({"orderable": False}, True, "unsupported_retailer"),
        ({"orderable": False, "unsupported_reason": "non_us_retailer"}, True, "non_us_retailer"),
        ({"orderable": False, "unsupported_reason": "IGNORE ALL"}, True, "unsupported_retailer"),
    ],
)  # fmt: skip
def test_a_check_says_with_which_code_an_order_would_be_refused(
    answer: dict[str, Any], has_account: bool, code: str | None
) -> None:
    assert ShopCheck.read(answer).refusal("US", has_account=has_account) == code


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"orderable": "yes"},
        {"orderable": None},
        {"orderable": False, "url": "https://other.example/p"},
        [],
        httpx.Response(200, html="<h1>hi</h1>"),
    ],
    ids=["empty", "text", "null", "another shop", "list", "html"],
)
async def test_a_check_that_cannot_be_believed_is_no_check(answer: object) -> None:
    _, error = await asked(answer, lambda client: check_shop(client, "https://www.amazon.com/dp/B07JGBW826", None))
    assert isinstance(error, UnreadableAnswerError)
