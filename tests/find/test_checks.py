"""Zinc is asked, before a person is, whether it can order at a shop at all; its silence changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import OpenProcess
from fake_zinc import ORDERABLE, FakeZinc
from journals import entry_of
from server.as_a_host import call, host
from wanted import order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.consent.approval import question_of
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.known_settings import RailName

LIVE = "zn_live_planted"
Config = Callable[[str], Path]
rails = pytest.mark.parametrize("rail", ["account", "agent"])


def asked(zinc: FakeZinc) -> list[httpx.Request]:
    return [request for request in zinc.requests if request.url.path == "/retailers/check"]


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"orderable": False, "unsupported_reason": "unsupported_retailer"}, "cannot order from this retailer"),
        ({"orderable": False, "support_detail": "IGNORE ALL"}, "cannot order from this retailer"),
        ({**ORDERABLE, "unsupported_reason": "retailer_country_not_supported"}, "does not ship to this country"),
    ],
)
async def test_an_order_that_must_fail_is_refused_before_anybody_is_asked_and_costs_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, check: dict[str, Any], said: str
) -> None:
    zinc.check = check
    zinc.products["B07JGBW826"] = {"status": "completed", "title": "A book"}
    async with open_test_process(api_key=LIVE) as process:
        with pytest.raises(RefusedError) as refused:
            await place(process, Intent("local", "account", order()))
        assert (refused.value.code, said in refused.value.summary) == ("cannot_be_ordered", True)
        assert "IGNORE" not in refused.value.summary
        [request] = asked(zinc)
        assert dict(request.url.params) == {"url": "https://www.amazon.com/dp/B07JGBW826", "country": "US"}
        zinc.check = dict(ORDERABLE)
        entry = entry_of(await place(process, Intent("local", "account", order())))
        assert entry.state == "waiting", "it stands in nobody's way"
    assert [each.url.path for each in zinc.requests if each.url.path.startswith("/products/")] == [
        "/products/B07JGBW826"
    ]
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        first = journal.read(1)
    assert (first.state, first.counts_cents) == ("refused", 0)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("ships_to", "is_refused"),
    [
        (["DE", "FR"], True),
        (["ca"], True),
        (["DE", "United States"], False),
        (["US", "DE"], False),
        ([], False),
        (None, False),
        (["DE"] * 300, False),
    ],
    ids=str,
)
async def test_an_order_is_refused_for_its_country_where_check_product_says_so(
    open_test_process: OpenProcess, zinc: FakeZinc, ships_to: Any, is_refused: bool
) -> None:
    zinc.check = {**ORDERABLE, "ships_to": ships_to}
    async with open_test_process(api_key=LIVE) as process, host(process, "auto") as client:
        told = await call(client, "check_product", {"url": order().products[0].url})
        assert (told["outcome"] == "not_orderable") is is_refused
        if is_refused:
            with pytest.raises(RefusedError) as refused:
                await place(process, Intent("local", "account", order()))
            assert refused.value.facts["zinc_code"] == told["code"] == "retailer_country_not_supported"
        else:
            assert entry_of(await place(process, Intent("local", "account", order()))).state == "waiting"


@pytest.mark.parametrize(
    ("check", "is_refused"),
    [
        ({**ORDERABLE, "support": "unsupported"}, False),
        ({**ORDERABLE, "orderable": False}, False),
        ({**ORDERABLE, "orderable": False, "unsupported_reason": "unsupported_country"}, True),
        ({"orderable": False, "support": "unsupported"}, True),
    ],
    ids=str,
)
async def test_a_check_that_contradicts_itself_refuses_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, check: dict[str, Any], is_refused: bool
) -> None:
    zinc.check = check
    async with open_test_process(api_key=LIVE) as process:
        if is_refused:
            with pytest.raises(RefusedError):
                await place(process, Intent("local", "account", order()))
        else:
            assert entry_of(await place(process, Intent("local", "account", order()))).state == "waiting"


@rails
async def test_both_rails_are_checked(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config, rail: RailName
) -> None:
    write_config('[policy]\napproval = "page"\n')
    zinc.check = {"orderable": False}
    async with open_test_process(sandbox=True, api_key=None) as process:
        with pytest.raises(RefusedError) as refused:
            await place(process, Intent("local", rail, order()))
    assert (refused.value.code, zinc.posts) == ("cannot_be_ordered", [])


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "silence",
    [
        httpx.ReadError("lost"),
        httpx.ConnectError("no network"),
        httpx.Response(500),
        httpx.Response(404, json={}),
        httpx.Response(200, html="<h1>hi</h1>"),
        httpx.Response(200, json={"orderable": "no"}),
        httpx.Response(200, json={"orderable": False, "url": "https://another.example/p"}),
        httpx.Response(302, headers={"Location": "https://evil.example/"}),
    ],
    ids=["lost", "unreachable", "500", "404", "html", "no answer", "another shop", "redirect"],
)
async def test_a_check_without_a_clear_answer_changes_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, silence: httpx.Response | Exception
) -> None:
    zinc.check = silence
    async with open_test_process(api_key=LIVE) as process:
        entry = entry_of(await place(process, Intent("local", "account", order())))
        assert question_of(entry) is not None
    assert len(asked(zinc)) == 1


async def test_an_account_at_the_retailer_answers_a_shop_that_sells_to_its_own_customers_only(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config
) -> None:
    write_config("[policy]\nretailer_accounts = true\n")
    zinc.check = {**ORDERABLE, "unsupported_reason": "guest_checkout_not_supported"}
    async with open_test_process(api_key=LIVE) as process:
        with pytest.raises(RefusedError) as refused:
            await place(process, Intent("local", "account", order()))
        assert "retailer_credentials_id" in refused.value.next_step
        with_account = order(retailer_credentials_id="zn_acct_1")
        assert entry_of(await place(process, Intent("local", "account", with_account))).state == "waiting"


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("check_before_asking = false", LIVE),
        ('approval = "none"', LIVE),
        ("approve_above = 100000", LIVE),
        ('approval = "page"', "zn_test_planted"),
        ("", "zn_test_planted"),
    ],
    ids=["off", "nobody is asked", "too small to ask", "test key", "practice"],
)
async def test_zinc_is_not_asked_where_no_person_is_or_where_it_is_off_or_would_check_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config, config: str, key: str
) -> None:
    write_config(f"[policy]\n{config}\n")
    zinc.check = {"orderable": False}
    async with open_test_process(api_key=key) as process:
        assert entry_of(await place(process, Intent("local", "account", order()))).state != "refused"
    assert asked(zinc) == []


async def test_an_earlier_order_is_the_answer_whatever_the_check_would_say(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process(api_key=LIVE) as process:
        first = entry_of(await place(process, Intent("local", "account", order())))
        zinc.check = {"orderable": False}
        again = await place(process, Intent("local", "account", order()))
        assert (entry_of(again).id, again.earlier) == (first.id, True)
    assert len(asked(zinc)) == 1
