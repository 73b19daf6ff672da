"""The owner's policy holds for orders of Zinc's v1 as for any other: limits, twins, approval, pause, shops, places."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from on_v1 import ASIN, Practice, arguments, way
from server.as_a_host import both_eras, call, refused, said, usually_one_era
from wanted import ADDRESS

from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.consent.approval import question_of
from zinc_mcp.server.mcp.server import build_server

PAGE = f"https://www.amazon.com/dp/{ASIN}"


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        ({"max_price": 10_001}, 10_001),
        ({"max_price": 9_800, "zma_priority_bid": 201}, 10_001),
        ({"max_price": 9_100, "zma_discount": -10}, 10_010),
        ({"max_price": 9_000, "zma_discount": -10, "zma_priority_bid": 101}, 10_001),
    ],
)
async def test_bid_and_surcharge_count_against_the_limit_of_one_order(
    home: Path, mode: str, changes: dict[str, Any], cost: int
) -> None:
    zinc = Practice(home, "[policy]\nmax_order = 10000\n")
    async with zinc.host(mode) as client:
        answer = await refused(client, "place_v1_order", arguments(**changes))
        assert (answer["code"], answer["facts"]["limit_cents"]) == ("limit_exceeded", 10_000)
        assert f"${cost / 100:,.2f}" in answer["summary"]
        largest = answer["facts"]["largest_max_price_cents"]
        await call(client, "place_v1_order", arguments(**{**changes, "max_price": largest}))
    assert zinc.posts() == ["created"]


@usually_one_era
async def test_orders_of_both_services_share_the_limit_of_a_day(home: Path, mode: str) -> None:
    zinc = Practice(home, "[policy]\nmax_day = 12000\n")
    by_page = {"products": [{"url": PAGE}], "shipping_address": ADDRESS, "max_price": 5000}
    async with zinc.host(mode) as client:
        await call(client, "place_order", by_page)
        answer = await refused(client, "place_v1_order", arguments("B0SNDBXC01", max_price=7000))
        assert answer["facts"]["left_cents"] == 12_000 - 5_100
        await call(client, "place_v1_order", arguments("B0SNDBXC01", max_price=6_900))
    assert zinc.posts() == ["created", "created"]


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize(
    ("config", "why"),
    [
        ('rails = ["account", "agent"]', "ordering through Zinc's v1"),
        ('retailers_blocked = ["amazon.com"]', "blocks the retailer amazon.com"),
        ('retailers_allowed = ["walmart.com"]', "does not allow the retailer amazon.com"),
        ('countries = ["CA"]', "does not ship to US"),
        ('ship_to = "saved"', "ships to saved addresses only"),
    ],
)
async def test_the_policy_s_shops_places_and_rails_hold(home: Path, mode: str, config: str, why: str) -> None:
    zinc = Practice(home, f"[policy]\n{config}\n")
    async with zinc.host(mode) as client:
        answer = await refused(client, "place_v1_order", arguments())
    assert answer["code"] == "not_allowed" and why in answer["summary"]
    assert zinc.posts() == []


@usually_one_era
async def test_a_policy_that_names_v1_alone_allows_it(home: Path, mode: str) -> None:
    zinc = Practice(home, '[policy]\nrails = ["v1"]\n')
    async with zinc.host(mode) as client:
        await call(client, "place_v1_order", arguments())
        by_page = {"products": [{"url": "https://www.amazon.com/dp/B0SNDBXC01"}], "shipping_address": ADDRESS}
        answer = await refused(client, "place_order", {**by_page, "max_price": 900})
    assert answer["code"] == "not_allowed"
    assert zinc.posts() == ["created"]


@usually_one_era
async def test_a_pause_stops_v1_as_well(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.opened() as process:
        await process.journal.run(lambda journal: journal.pause("the owner said so", None))
        async with Client(build_server(process), mode=mode) as client:
            answer = await refused(client, "place_v1_order", arguments())
    assert answer["code"] == "paused"
    assert zinc.posts() == []


@usually_one_era
async def test_a_saved_address_is_given_by_its_name(home: Path, mode: str) -> None:
    lines = "\n".join(f'{name} = "{text}"' for name, text in ADDRESS.items())
    zinc = Practice(home, f'[policy]\nship_to = "saved"\n[addresses.home]\n{lines}\n')
    async with zinc.host(mode) as client:
        answer = await call(client, "place_v1_order", arguments(shipping_address={"saved": "home"}))
    assert answer["ship_to"]["saved"] == "home"
    [sent] = zinc.sandbox.placed()
    assert sent["body"]["shipping_address"]["zip_code"] == ADDRESS["postal_code"]
    assert "postal_code" not in sent["body"]["shipping_address"]


# A person's yes


class Person:
    """Answers a host's questions, and keeps what it read."""

    def __init__(self, answer: bool) -> None:
        self.read: list[str] = []
        self._answer = answer

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.read.append(params.message)
        return ElicitResult(action="accept", content={"approve": self._answer})


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize("says", [True, False])
async def test_a_person_decides_and_only_a_yes_buys(home: Path, mode: str, says: bool) -> None:
    zinc = Practice(home, '[policy]\napproval = "auto"\n')
    person = Person(says)
    async with zinc.opened() as process:
        async with Client(build_server(process), mode=mode, elicitation_callback=person) as client:
            answer = said(await client.call_tool("place_v1_order", arguments(zma_priority_bid=300, zma_discount=-10)))
    assert answer["outcome"] == ("accepted" if says else "declined")
    assert zinc.posts() == (["created"] if says else [])
    [shown] = person.read
    assert "Buy from amazon.com for at most $102.00?" in shown
    assert "$90.00 for items, tax and shipping, $3.00 for going first in the queue" in shown
    assert "$9.00 for what the discount of -10 per cent may add" in shown
    assert "v1 does not tell it" in shown and "for Zinc." not in shown
    assert "only Prime offers of new goods, handed over within 6 days" in shown
    assert "an account at the retailer that Zinc manages (ZMA)" in shown
    assert f"product {ASIN} at amazon.com" in shown and PAGE in shown


@both_eras
async def test_a_part_of_an_order_by_page_is_named_in_a_question_about_numbers(home: Path, mode: str) -> None:
    zinc = Practice(home)
    by_page = {"products": [{"url": PAGE, "quantity": 2}], "shipping_address": ADDRESS, "max_price": 5000}
    async with zinc.host(mode) as client:
        await call(client, "place_order", by_page)
    (home / "zinc.toml").write_text('[policy]\napproval = "auto"\n', encoding="utf-8")
    person = Person(answer=False)
    async with zinc.opened() as process:
        async with Client(build_server(process), mode=mode, elicitation_callback=person) as client:
            await client.call_tool("place_v1_order", arguments())
    [shown] = person.read
    assert "Part of this was ordered before: 2 pieces for at most $50.00" in shown


@both_eras
async def test_below_approve_above_an_order_like_one_by_page_is_asked_about(home: Path, mode: str) -> None:
    zinc = Practice(home)
    by_page = {"products": [{"url": PAGE, "quantity": 2}], "shipping_address": ADDRESS, "max_price": 5000}
    async with zinc.host(mode) as client:
        await call(client, "place_order", by_page)
    (home / "zinc.toml").write_text('[policy]\napproval = "auto"\napprove_above = 20000\n', encoding="utf-8")
    async with zinc.opened() as process:
        async with Client(build_server(process), mode=mode) as client:
            answer = said(await client.call_tool("place_v1_order", arguments()))
            small = said(await client.call_tool("place_v1_order", arguments("B0SNDBXC01")))
        [entry] = await questions_for(process, "local")
        assert question_of(entry) is not None
    assert (answer["outcome"], small["outcome"]) == ("waiting", "accepted")
    assert zinc.posts() == ["created", "created"]


@usually_one_era
async def test_an_order_that_failed_gives_its_money_back_to_the_limits(home: Path, mode: str) -> None:
    zinc = Practice(home, "[policy]\nmax_day = 10000\n")
    async with zinc.host(mode) as client:
        placed = await call(client, "place_v1_order", arguments(way("hostile_failure")))
        await refused(client, "place_v1_order", arguments("B0SNDBXC01"))
        zinc.clock.now += 10
        failed = await call(client, "get_order", {"order_id": placed["key"]})
        await call(client, "place_v1_order", arguments("B0SNDBXC01"))
    assert failed["outcome"] == "failed"
    assert zinc.posts() == ["created", "created"]
