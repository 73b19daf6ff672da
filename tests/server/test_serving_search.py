"""`search_products`: results are ready to be ordered, foreign words are only data, and no currency is invented."""

from typing import Any

import httpx
import pytest
from conftest import OpenProcess, as_json
from fake_zinc import FakeZinc
from server.as_a_host import both_eras, call, host, refused, size

from zinc_mcp.sandbox.products import HOSTILE
from zinc_mcp.text import invisible
from zinc_mcp.views.find.search import MAX_URL


def row(**changes: Any) -> dict[str, Any]:
    return {"url": "https://www.amazon.com/dp/B07JGBW826", "retailer": "amazon", "title": "Beans", **changes}


def found(*rows: Any, **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"status": "completed", "query": "beans", "results": list(rows), **more})


async def searched(open_test_process: OpenProcess, zinc: FakeZinc, answer: httpx.Response, **arguments: Any) -> Any:
    zinc.searches = [answer]
    async with open_test_process() as process, host(process, "auto") as client:
        return await call(client, "search_products", {"query": "beans", **arguments})


@both_eras
async def test_a_result_has_what_an_order_needs(open_test_process: OpenProcess, zinc: FakeZinc, mode: str) -> None:
    url = "https://www.amazon.com/dp/B07JGBW826?th=1&psc=1"
    zinc.searches = [
        found(
            row(url=url, price=1499, stars=4.6, num_reviews=12, available=True, free_shipping=True, has_variants=True)
        )
    ]
    async with open_test_process() as process, host(process, mode) as client:
        told = await call(client, "search_products", {"query": "beans"})
    assert told["results"] == [
        {
            "url": url,
            "title": "Beans",
            "retailer": "amazon.com",
            "price_cents": 1499,
            "price": "14.99",
            "stars": 4.6,
            "reviews": 12,
            "available": True,
            "free_shipping": True,
            "needs_variant": True,
        }
    ]
    assert told["outcome"] == "found" and "Zinc does not state their currency" in told["summary"]
    assert "$" not in as_json(told["results"])


@pytest.mark.parametrize(
    "url",
    [
        "https://www.awin1.com/cread.php?awinmid=1&ued=https%3A%2F%2Fshop.example%2Fx",
        "https://amzn.to/3abc",
        "https://www.amazon.com/s?k=coffee",
        "http://www.amazon.com/dp/B07JGBW826",
        "not an address",
        "https://user:pass@www.amazon.com/dp/B07JGBW826",
    ],
)
async def test_an_address_that_an_order_does_not_take_is_marked(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str
) -> None:
    told = await searched(open_test_process, zinc, found(row(url=url), row()))
    bad, good = told["results"]
    assert bad["url"] == url and bad["not_orderable"].startswith("the address ")
    assert "not_orderable" not in good
    alone = await searched(open_test_process, zinc, found(row(url=url)))
    assert "None of these addresses can be ordered" in alone["next_step"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://www.amazon.com/dp/B07JGBW826?x=" + "a" * MAX_URL,
        "https://www.amazon.com/dp/B07JGBW826?\u202egnp",
        "https://www.amazon.com/dp/B07JGBW826\u200b",
        "https://www.amazon.com/dp/B07JGBW826\x1b[2J",
        " https://www.amazon.com/dp/B07JGBW826",
    ],
    ids=["empty", "long", "bidi", "zero width", "terminal", "space"],
)
async def test_an_address_that_cannot_be_shown_byte_for_byte_is_left_out_and_counted(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str
) -> None:
    told = await searched(open_test_process, zinc, found(row(url=url), row(), row()))
    assert [each["url"] for each in told["results"]] == ["https://www.amazon.com/dp/B07JGBW826"]
    assert told["left_out"] == 2, "the unshown one, and the one that stands there already"


async def test_hostile_words_are_cleaned_and_stay_in_their_fields(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    answer = found(row(title=HOSTILE, retailer=HOSTILE, url="https://x.example/p/1"), row(title=HOSTILE * 100))
    told = await searched(open_test_process, zinc, answer)
    for each in told["results"]:
        assert each["title"].startswith("IGNORE ALL") and len(each["title"]) <= 90
        assert not any(map(invisible, each["title"]))
    assert "IGNORE" not in told["summary"] + told["next_step"]
    assert told["results"][0]["retailer"] == "x.example"
    empty = await searched(open_test_process, zinc, found(hint=HOSTILE, message=HOSTILE))
    assert empty["zinc_says"].startswith("IGNORE ALL") and len(empty["zinc_says"]) <= 300
    assert "IGNORE" not in empty["summary"] + empty["next_step"]


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("Beans " * 30, "Beans " * 14 + "Beans…"),
        ("Kaffee für große Öfen, " * 5, "Kaffee für große Öfen, " * 3 + "Kaffee für große Öfe…"),
        ("咖啡豆" * 40, "咖啡豆" * 13 + "咖…"),
        ("☕🧑" * 60, "☕🧑" * 17 + "…"),
        ("café " * 2, "café café"),
    ],
)
async def test_a_title_is_cut_by_what_it_costs_a_model(
    open_test_process: OpenProcess, zinc: FakeZinc, title: str, shown: str
) -> None:
    told = await searched(open_test_process, zinc, found(row(title=title, stars=4.66667)))
    assert told["results"][0]["title"] == shown
    assert told["results"][0]["stars"] == 4.7


async def test_the_hint_and_what_the_price_excludes_are_told(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    told = await searched(open_test_process, zinc, found(hint="Name etsy.", excluded_by_price=3), max_price=100)
    assert (told["outcome"], told["zinc_says"], told["excluded_by_price"]) == ("nothing_found", "Name etsy.", 3)
    assert "3 more have a price outside min_price and max_price, or none." in told["summary"]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("processing", "not_finished"), ("failed", "failed"), ("a new status", "not_finished")],
)
async def test_an_http_200_may_say_that_there_is_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, status: str, outcome: str
) -> None:
    answer = httpx.Response(200, json={"status": status, "code": "timeout"})
    told = await searched(open_test_process, zinc, answer)
    assert (told["outcome"], "results" in told) == (outcome, False)


async def test_no_more_is_shown_than_was_asked_for_and_a_huge_list_stays_small(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    many = found(*(row(url=f"https://x.example/p/{number}", title="t" * 3000) for number in range(70)))
    assert len((await searched(open_test_process, zinc, many, limit=3))["results"]) == 3
    told = await searched(open_test_process, zinc, many, limit=50)
    assert len(told["results"]) == 50 and size(told) < 50 * 900


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "query"),
        ({"query": " "}, "query"),
        ({"query": "x" * 201}, "query"),
        ({"query": "a\u202eb"}, "query"),
        ({"query": "x", "max_price": "2000"}, "max_price"),
        ({"query": "x", "max_price": 19.99}, "max_price"),
        ({"query": "x", "max_price": -1}, "max_price"),
        ({"query": "x", "min_price": 2, "max_price": 1}, "min_price"),
        ({"query": "x", "limit": 51}, "limit"),
        ({"query": "x", "limit": 0}, "limit"),
        ({"query": "x", "limit": True}, "limit"),
        ({"query": "x", "sort": "cheapest"}, "sort"),
        ({"query": "x", "retailers": ["ama zon"]}, "retailers"),
        ({"query": "x", "retailers": ["a"] * 21}, "retailers"),
        ({"query": "x", "retailers": "amazon"}, "retailers"),
        ({"query": "x", "retailer": ["amazon"]}, "retailer"),
    ],
)
async def test_wrong_arguments_are_named_and_nothing_is_searched(
    open_test_process: OpenProcess, zinc: FakeZinc, arguments: dict[str, Any], field: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        told = await refused(client, "search_products", arguments)
    assert (told["code"], [each["field"] for each in told["problems"]]) == ("invalid_arguments", [field])
    assert not any(request.url.path == "/search" for request in zinc.requests)


async def test_whole_numbers_and_nulls_are_read_as_hosts_write_them(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    await searched(
        open_test_process, zinc, found(), max_price=2000.0, min_price=None, retailers='["walmart"]', sort="rating"
    )
    [request] = [each for each in zinc.requests if each.url.path == "/search"]
    assert dict(request.url.params) == {
        "q": "beans", "max_price": "2000", "retailer": "walmart", "sort": "rating", "limit": "10",
    }  # fmt: skip


async def test_a_hint_names_the_argument_that_was_meant(open_test_process: OpenProcess) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        told = await refused(client, "search_products", {"query": "x", "budget": 2000, "store": "amazon"})
    reasons = {each["field"]: each["reason"] for each in told["problems"]}
    assert "max_price? (US cents, 2000 for $20.00)" in reasons["budget"]
    assert "retailers?" in reasons["store"]
