"""`check_product`: whether a product can be ordered, its variants in an order's words, its offers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import HandClock, OpenProcess, as_json
from fake_zinc import ORDERABLE, FakeZinc, failure
from server.as_a_host import both_eras, call, host, refused, size
from wanted import ADDRESS, arguments

from zinc_mcp.sandbox.products import HOSTILE
from zinc_mcp.text import invisible

ASIN = "B07JGBW826"
Config = Callable[[str], Path]
BOOK = f"https://www.amazon.com/dp/{ASIN}"
SHOP = "https://roasters.example/products/house-blend"


async def checked(open_test_process: OpenProcess, url: str = BOOK, **arguments: Any) -> Any:
    async with open_test_process() as process, host(process, "auto") as client:
        return await call(client, "check_product", {"url": url, **arguments})


def paths(zinc: FakeZinc) -> list[str]:
    return [request.url.path for request in zinc.requests]


@both_eras
async def test_the_check_alone_is_free_and_needs_no_key(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process(api_key=None) as process, host(process, mode) as client:
        told = await call(client, "check_product", {"url": BOOK, "country": "de"})
    assert (told["outcome"], told["cost_cents"], told["country"]) == ("orderable", 0, "DE")
    assert "makes no claim about shipping to DE" in told["summary"]
    assert "ships_there" not in told
    assert paths(zinc) == ["/retailers/check"]


@pytest.mark.parametrize(
    ("ships_to", "ships"),
    [
        (["US", "CA"], True),
        (["us"], True),
        (["DE"], False),
        ([], None),
        (None, None),
        (["United States"], None),
        (7, None),
    ],
)
async def test_only_a_list_of_countries_is_a_claim_about_shipping(
    open_test_process: OpenProcess, zinc: FakeZinc, ships_to: Any, ships: bool | None
) -> None:
    zinc.check = {**ORDERABLE, "ships_to": ships_to}
    told = await checked(open_test_process)
    assert told.get("ships_there") is ships
    assert told["outcome"] == ("not_orderable" if ships is False else "orderable")
    assert told.get("ships_to") == (ships_to if ships is False else None)


@pytest.mark.parametrize(
    ("support", "said"),
    [
        ("verified", "can order"),
        ("untested", "never ordered"),
        ("observed", "would try again"),
        ("new word", "can order"),
    ],
)
async def test_zincs_words_about_a_shop_are_not_overstated(
    open_test_process: OpenProcess, zinc: FakeZinc, support: str, said: str
) -> None:
    zinc.check = {**ORDERABLE, "support": support}
    assert said in (await checked(open_test_process))["summary"]


async def test_a_shop_for_its_own_customers_needs_an_account_in_the_order(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.check = {
        **ORDERABLE,
        "checkout": {"guest_checkout": False, "use_your_account": True},
        "unsupported_reason": "guest_checkout_not_supported",
    }
    told = await checked(open_test_process)
    assert (told["outcome"], told["needs_retailer_account"]) == ("orderable", True)
    assert "retailer_credentials_id" in told["next_step"]


async def test_the_reason_against_an_order_is_said_in_our_words_and_zincs_are_marked(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.check = {"orderable": False, "support": HOSTILE, "support_detail": HOSTILE, "unsupported_reason": HOSTILE}
    told = await checked(open_test_process)
    assert (told["outcome"], told["code"]) == ("not_orderable", "unsupported_retailer")
    assert "IGNORE" not in told["summary"] + told["next_step"]
    assert told["zinc_says"].startswith("IGNORE") and not any(map(invisible, told["zinc_says"]))


async def test_an_unanswered_check_is_an_error_alone_and_unknown_beside_details(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.check = httpx.ReadError("lost")
    zinc.products[ASIN] = {"status": "completed", "title": "A book", "price": 999}
    async with open_test_process() as process, host(process, "auto") as client:
        alone = await refused(client, "check_product", {"url": BOOK})
    assert (alone["code"], alone["outcome"]) == ("zinc_unavailable", "not_read")
    told = await checked(open_test_process, details=True)
    assert (told["outcome"], told["details"]["title"]) == ("unknown", "A book")


@pytest.mark.parametrize(
    ("key", "config", "said"),
    [
        (None, "", "Neither a Zinc API key nor a usable payment wallet"),
        ("zn_live_planted", "rails = []", "allows no way to pay for questions"),
        ("zn_live_planted", 'rails = ["agent"]', "allows no way to pay for questions"),
        ("zn_live_planted", "max_day = never", "policy cannot be used"),
    ],
)
async def test_details_that_cannot_be_asked_for_leave_the_free_check_as_it_is(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config, key: str | None, config: str, said: str
) -> None:
    async with open_test_process(api_key=key) as process, host(process, "auto") as client:
        write_config(f"[policy]\n{config}\n")
        told = await call(client, "check_product", {"url": BOOK, "details": True, "offers": True})
    assert set(told["not_read"]) == {"details", "offers"} and said in told["not_read"]["details"]
    assert (told["support"], told["cost_cents"], paths(zinc)) == ("verified", 0, ["/retailers/check"])


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('retailers_blocked = ["amazon.com"]', "blocks the retailer"),
        ('retailers_allowed = ["walmart.com"]', "does not allow the retailer"),
        ('countries = ["DE", "FR"]', "does not ship to US"),
        ("max_day = never", "policy cannot be used"),
    ],
)
async def test_a_product_that_the_owners_policy_forbids_is_not_told_as_orderable(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config, config: str, said: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        write_config(f"[policy]\n{config}\n")
        told = await call(client, "check_product", {"url": BOOK})
        order = await refused(client, "place_order", {**arguments(), "products": [{"url": BOOK}]})
    assert (told["outcome"], said in told["summary"]) == ("not_orderable", True)
    assert "Order it" not in told["next_step"] and told["support"] == "verified"
    assert said in order["summary"], "as the order would be told"


@pytest.mark.parametrize("config", ['countries = ["US"]', 'retailers_blocked = ["walmart.com"]', 'ship_to = "saved"'])
async def test_a_product_that_the_policy_allows_is_told_as_zinc_says(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config, config: str
) -> None:
    write_config(f"[policy]\n{config}\n")
    assert (await checked(open_test_process))["outcome"] == "orderable"


@pytest.mark.parametrize(
    "check",
    [
        {**ORDERABLE, "support": "unsupported"},
        {**ORDERABLE, "orderable": False},
        {**ORDERABLE, "orderable": False, "support": "untested", "unsupported_reason": "a new word"},
    ],
    ids=str,
)
async def test_a_check_that_contradicts_itself_is_neither_yes_nor_no(
    open_test_process: OpenProcess, zinc: FakeZinc, check: dict[str, Any]
) -> None:
    zinc.check = check
    told = await checked(open_test_process)
    assert told["outcome"] == "unknown" and "contradicts itself" in told["summary"]


@pytest.mark.parametrize("code", ["unsupported_country", "retailer_country_not_supported", "url_unreachable"])
@pytest.mark.parametrize("status", [400, 422])
async def test_a_refused_check_is_a_no_if_its_code_says_so(
    open_test_process: OpenProcess, zinc: FakeZinc, status: int, code: str
) -> None:
    zinc.check = failure(status, code)
    told = await checked(open_test_process)
    assert (told["outcome"], told["code"], told["cost_cents"]) == ("not_orderable", code, 0)


@pytest.mark.parametrize("answer", [failure(422, "validation_error"), httpx.Response(400, json={})], ids=["422", "400"])
async def test_a_check_that_zinc_does_not_take_is_not_to_be_repeated(
    open_test_process: OpenProcess, zinc: FakeZinc, answer: httpx.Response
) -> None:
    zinc.check = answer
    async with open_test_process() as process, host(process, "auto") as client:
        told = await refused(client, "check_product", {"url": BOOK})
    assert "does not say whether it can be ordered" in told["summary"]
    assert "again" not in told["next_step"]


@pytest.mark.parametrize("retailer", ["walmart", "amazon-de", "amazon_ca"])
@pytest.mark.parametrize("wanted", ["details", "offers"])
async def test_an_answer_about_another_retailer_is_not_used(
    open_test_process: OpenProcess, zinc: FakeZinc, retailer: str, wanted: str
) -> None:
    zinc.products[ASIN] = {"status": "completed", "retailer": retailer, "title": "Another"}
    zinc.products[f"{ASIN}/offers"] = {"status": "completed", "retailer": retailer, "offers": [{"price": 1}]}
    arguments: dict[str, Any] = {wanted: True}
    told = await checked(open_test_process, BOOK, **arguments)
    assert "another product" in told["not_read"][wanted] and wanted not in told


async def test_a_retailer_with_underscores_is_the_same(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.products[ASIN] = {"status": "completed", "retailer": "Amazon_DE", "title": "Ein Buch"}
    told = await checked(open_test_process, f"https://www.amazon.de/dp/{ASIN}", details=True)
    assert told["details"]["title"] == "Ein Buch"


@pytest.mark.parametrize("rows", [[], [7, None]])
async def test_no_offers_are_told_as_none(open_test_process: OpenProcess, zinc: FakeZinc, rows: list[Any]) -> None:
    zinc.products[f"{ASIN}/offers"] = {"status": "completed", "offers": rows}
    told = await checked(open_test_process, offers=True)
    assert "Zinc lists no offers." in told["summary"] and "not_read" not in told
    zinc.products[f"{ASIN}/offers"] = {"status": "completed"}
    told = await checked(open_test_process, offers=True)
    assert "no list of offers" in told["not_read"]["offers"] and "lists no offers" not in told["summary"]


async def test_unfinished_details_say_when_they_may_be_asked_for_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.products[ASIN] = {"status": "processing"}
    async with open_test_process(api_key="zn_live_planted") as process, host(process, "auto") as client:
        for passed, left in ((0, 10), (240, 6), (300, 1)):
            clock.pass_seconds(passed)
            told = await call(client, "check_product", {"url": BOOK, "details": True})
            assert f"Ask again after {left} minute" in told["not_read"]["details"]
        clock.pass_seconds(60)
        assert (await call(client, "check_product", {"url": BOOK, "details": True}))["cost_cents"] == 1
    free = await checked(open_test_process, details=True)
    assert "Ask again after 1 minute." in free["not_read"]["details"]


async def test_details_and_offers_cost_a_cent_each_once(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.products[ASIN] = {"status": "completed", "title": "A book", "price": 999}
    zinc.products[f"{ASIN}/offers"] = {"status": "completed", "offers": [{"price": 999, "condition": "New"}]}
    async with open_test_process(api_key="zn_live_planted") as process, host(process, "auto") as client:
        first = await call(client, "check_product", {"url": BOOK, "details": True})
        both = await call(client, "check_product", {"url": f"{BOOK}?ref=x", "details": True, "offers": True})
        again = await call(client, "check_product", {"url": BOOK, "details": True, "offers": True})
    assert [first["cost_cents"], both["cost_cents"], again["cost_cents"]] == [1, 1, 0]
    assert [each.get("remembered") for each in (first, both, again)] == [None, ["details"], ["details", "offers"]]
    assert again["details"] == first["details"]
    assert sorted(paths(zinc)).count(f"/products/{ASIN}") == 1


async def test_a_lost_answer_is_told_with_what_it_cost(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.products[ASIN] = httpx.Response(500)
    zinc.products[f"{ASIN}/offers"] = {"status": "completed", "offers": [{"price": 999}]}
    async with open_test_process(api_key="zn_live_planted") as process, host(process, "auto") as client:
        told = await call(client, "check_product", {"url": BOOK, "details": True, "offers": True})
        again = await call(client, "check_product", {"url": BOOK, "details": True, "offers": True})
    assert (told["cost_cents"], "This cost $0.02." in told["summary"]) == (2, True)
    assert "counts as paid ($0.01)" in told["not_read"]["details"]
    assert (again["cost_cents"], again["remembered"]) == (0, ["offers"])


def sibling(number: str, **options: str) -> dict[str, Any]:
    specifics = [{"dimension": name, "value": value} for name, value in options.items()]
    return {"product_id": number, "variant_specifics": specifics}


async def test_variants_are_in_the_words_of_an_order(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.products[ASIN] = {
        "status": "completed",
        "title": "Shirt",
        "all_variants": [sibling("B000000001", Size="M", Color="Navy / Red"), sibling("B000000002", Size="L")],
    }
    told = await checked(open_test_process, details=True)
    assert told["details"]["needs_variant"] is True
    variants = [each["variant"] for each in told["details"]["variants"]]
    assert variants[0] == [{"label": "Size", "value": "M"}, {"label": "Color", "value": "Navy / Red"}]
    async with open_test_process() as process, host(process, "auto") as client:
        wanted = {"products": [{"url": BOOK, "variant": variants[0]}], "shipping_address": ADDRESS, "max_price": 5000}
        await call(client, "place_order", wanted)
    assert zinc.bodies()[0]["products"][0]["variant"] == variants[0]


async def test_a_page_that_is_one_variant_needs_none(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    own = sibling(ASIN, Size="M")
    zinc.products[ASIN] = {"status": "completed", "all_variants": [own], "variant_specifics": own["variant_specifics"]}
    told = await checked(open_test_process, details=True)
    assert told["details"]["needs_variant"] is False
    assert told["details"]["variant_of_this_page"] == [{"label": "Size", "value": "M"}]


@pytest.mark.parametrize("word", [HOSTILE, "x" * 101, "a\u200bb", " M", "M\u202e"], ids=str)
async def test_an_option_that_cannot_be_shown_word_by_word_is_left_out_and_counted(
    open_test_process: OpenProcess, zinc: FakeZinc, word: str
) -> None:
    rows = [sibling("1", Size=word), sibling("2", Size="M"), sibling("3", **{word: "M"})]
    zinc.products[ASIN] = {"status": "completed", "all_variants": rows}
    details = (await checked(open_test_process, details=True))["details"]
    assert [each["variant"] for each in details["variants"]] == [[{"label": "Size", "value": "M"}]]
    assert (details["variants_left_out"], details["needs_variant"]) == (2, True)


async def test_shopify_and_etsy_variants_and_empty_lists(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.check = {**ORDERABLE, "platform": "shopify"}
    default = {"variants": [{"title": "Default Title", "properties": [{"name": "Title", "value": "Default Title"}]}]}
    zinc.products["house-blend"] = {"status": "completed", **default}
    assert (await checked(open_test_process, SHOP, details=True))["details"] == {"needs_variant": False}
    assert dict(zinc.requests[-1].url.params) == {"retailer": "roasters.example"}
    etsy = "https://www.etsy.com/listing/123456/mug"
    zinc.products["123456"] = {"status": "completed", "variants": [], "has_variations": True}
    told = await checked(open_test_process, etsy, details=True)
    assert told["details"] == {"needs_variant": True}
    assert "ask the user for the words on the page" in told["next_step"]
    zinc.products["123456"] = {"status": "completed", "variants": []}
    assert "needs_variant" not in (await checked(open_test_process, etsy, details=True)).get("details", {})


@pytest.mark.parametrize(
    ("product", "price", "currency", "said"),
    [
        ({"price": 1999}, "19.99", None, "does not state the currency"),
        ({"price": 2600, "currency_code": "eur"}, "€26.00", "EUR", "is in EUR and not converted"),
        ({"price": 2600, "currency_code": "JPY"}, "JPY 2,600", "JPY", "is in JPY and not converted"),
        ({"price": 500, "currency_code": "USD"}, "$5.00", "USD", ""),
        ({"price": 500, "currency_code": "<b>$</b>"}, "5.00", None, "does not state the currency"),
        ({"price": -500}, None, None, "states no price"),
        ({"price": 19.99}, None, None, "states no price"),
        ({}, None, None, "states no price"),
    ],
)
async def test_a_price_has_the_currency_that_zinc_states_or_none(
    open_test_process: OpenProcess, zinc: FakeZinc, product: dict[str, Any], price: str, currency: str, said: str
) -> None:
    zinc.products[ASIN] = {"status": "completed", "title": "A", **product}
    told = await checked(open_test_process, details=True)
    assert (told["details"].get("price"), told["details"].get("currency")) == (price, currency)
    assert said in told["summary"]


@pytest.mark.parametrize(
    ("why", "marks"),
    [
        ({"digital": True}, {"download": True}),
        ({"listing_type": "download"}, {"download": True}),
        ({"buyapi_hint": False}, {"zinc_cannot_buy": True}),
        ({"buyapi_hint": False, "digital": False}, {"zinc_cannot_buy": True}),
        ({"buyapi_hint": False, "digital": True}, {"download": True, "zinc_cannot_buy": True}),
    ],
    ids=str,
)
async def test_a_product_that_zinc_cannot_buy_is_called_a_download_only_if_it_is_one(
    open_test_process: OpenProcess, zinc: FakeZinc, why: dict[str, Any], marks: dict[str, bool]
) -> None:
    zinc.products[ASIN] = {"status": "completed", "title": "An e-book", **why}
    told = await checked(open_test_process, details=True)
    found = {name: told["details"][name] for name in ("download", "zinc_cannot_buy") if name in told["details"]}
    assert (told["outcome"], found) == ("not_orderable", marks)
    assert ("download" in told["summary"]) is ("download" in marks)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": "failed", "code": "product_not_found", "message": HOSTILE}, "no such product"),
        ({"status": "failed", "code": HOSTILE}, "could not find them out."),
        ({"status": "processing"}, "not finished"),
        ({"status": "completed", "asin": "B000000009"}, "another product"),
        (httpx.Response(404, json={}), "knows no such product"),
        (httpx.Response(500), "readable answer"),
    ],
    ids=["not found", "failed", "processing", "another", "404", "500"],
)
async def test_missing_details_are_told_and_the_check_stands(
    open_test_process: OpenProcess, zinc: FakeZinc, answer: Any, said: str
) -> None:
    zinc.products[ASIN] = answer
    told = await checked(open_test_process, details=True)
    assert told["outcome"] == "orderable" and "details" not in told
    assert said in told["not_read"]["details"] and said in told["summary"]
    assert "IGNORE" not in as_json(told)


async def test_foreign_words_are_cut_to_what_a_buyer_needs(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.products[ASIN] = {
        "status": "completed",
        "title": HOSTILE,
        "brand": HOSTILE,
        "description": f"<p>Roasted &amp; <b>ground</b></p><script>{HOSTILE}</script>" + "x" * 9000,
        "feature_bullets": [HOSTILE] * 300,
        "shop_name": HOSTILE,
    }
    told = await checked(open_test_process, details=True)
    details = told["details"]
    assert details["description"].startswith("Roasted & ground") and len(details["description"]) <= 400
    assert len(details["features"]) == 5
    assert not any(map(invisible, as_json(details)))
    assert "IGNORE" not in told["summary"] + told["next_step"]


async def test_a_product_of_huge_lists_stays_small(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    many = [sibling(str(number), **{f"Option {n}": "x" * 90 for n in range(9)}) for number in range(150)]
    zinc.products[ASIN] = {"status": "completed", "all_variants": many, "feature_bullets": ["y" * 2000] * 20}
    zinc.products[f"{ASIN}/offers"] = {
        "status": "completed",
        "offers": [{"price": 1, "seller": {"name": "z" * 900}}] * 190,
    }
    zinc.check = {**ORDERABLE, "ships_to": ["CA", "GB"] * 90, "support_detail": "w" * 2000}
    told = await checked(open_test_process, details=True, offers=True)
    assert (told["details"]["variants_left_out"], told["offers_left_out"]) == (130, 180)
    assert size(told) < 45_000
    zinc.products[ASIN] = {"status": "completed", "all_variants": [sibling("1", **{f"O{n}": "x" for n in range(11)})]}
    assert (await checked(open_test_process, details=True))["details"]["variants_left_out"] == 1


async def test_offers_say_what_to_put_into_an_order_and_no_more(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.products[f"{ASIN}/offers"] = {
        "status": "completed",
        "offers": [
            {
                "price": 820,
                "condition": "Used - Very Good",
                "seller": {"name": HOSTILE, "first_party": False},
                "handling_days": {"min": 0, "max": 3},
                "shipping_options": [{"name": "Std", "price": 399, "delivery_days": {"min": 2, "max": 5}}],
                "international": True,
            },
            {"price": 300, "condition": "Unacceptable", "handling_days": {"max": 0}},
            {"price": "7.00", "condition": "Brand new sealed"},
        ],
    }
    told = await checked(open_test_process, offers=True)
    used, bad, unknown = told["offers"]
    assert used["order_with"] == {"condition_in": ["UsedVeryGood"], "handling_days_max": 3}
    assert (used["price"], used["total_cents"], used["total"]) == ("8.20", 1219, "12.19")
    assert (used["handling_days"], used["delivery_days"]) == ({"min": 0, "max": 3}, {"min": 2, "max": 5})
    assert used["from_abroad"] is True
    assert (bad["order_with"], bad["condition_cannot_be_asked_for"]) == ({"handling_days_max": 1}, True)
    assert unknown == {"condition": "Brand new sealed", "condition_cannot_be_asked_for": True}
    assert "cannot ask for a seller" in told["summary"] and "state their currency" in told["summary"]
    assert "IGNORE" not in told["summary"] + told["next_step"]


@pytest.mark.parametrize("url", ["https://www.etsy.com/listing/123456/mug", SHOP])
async def test_shops_without_offers_are_not_asked_for_them(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str
) -> None:
    zinc.check = {**ORDERABLE, "platform": "shopify"}
    told = await checked(open_test_process, url, offers=True)
    assert "no offers for this shop" in told["not_read"]["offers"]
    assert paths(zinc) == ["/retailers/check"]


async def test_best_buys_offers_come_from_its_details(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    url = "https://www.bestbuy.com/product/headphones/J3SNDBX001"
    zinc.products["J3SNDBX001"] = {
        "status": "completed",
        "offers": [{"condition": "Refurbished", "price": 5599, "seller": "Best Buy", "new": False}],
    }
    told = await checked(open_test_process, url, offers=True)
    assert told["offers"][0]["order_with"] == {"condition_in": ["Refurbished"]}
    assert paths(zinc) == ["/retailers/check", "/products/J3SNDBX001"] and "details" not in told


async def test_a_shop_whose_products_have_no_known_number_is_not_asked_for_details(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    told = await checked(open_test_process, "https://www.target.com/p/-/A-99900001", details=True, offers=True)
    assert set(told["not_read"]) == {"details", "offers"}
    assert (told["cost_cents"], paths(zinc)) == (0, ["/retailers/check"])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "url"),
        ({"url": "https://amzn.to/3abc"}, "url"),
        ({"url": "amazon.com"}, "url"),
        ({"url": BOOK, "country": "USA"}, "country"),
        ({"url": BOOK, "details": "true"}, "details"),
        ({"url": BOOK, "offers": 1}, "offers"),
        ({"url": BOOK, "variants": True}, "variants"),
    ],
)
async def test_wrong_arguments_are_named_and_nothing_is_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, arguments: dict[str, Any], field: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        told = await refused(client, "check_product", arguments)
    assert (told["code"], [each["field"] for each in told["problems"]]) == ("invalid_arguments", [field])
    assert paths(zinc) == []
