"""One question in other spellings costs once; what a question without an answer says is true, whenever it is told."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from pydantic import SecretStr
from server.as_a_host import call, host, refused
from wanted import arguments

from zinc_mcp.errors import UnreadableAnswerError
from zinc_mcp.find.question import REMEMBERED_SECONDS
from zinc_mcp.process import Clocks, Process
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.find.products import ask, search_call

LIVE = "zn_live_planted"
BEANS = "https://www.amazon.com/dp/B07JGBW826"
FOUND = {"status": "completed", "query": "", "results": [{"url": BEANS, "retailer": "amazon", "title": "Beans"}]}
Config = Callable[[str], Path]
Step = httpx.Response | Exception


def answer() -> httpx.Response:
    return httpx.Response(200, json=FOUND)


def searched(zinc: FakeZinc) -> list[httpx.Request]:
    return [request for request in zinc.requests if request.url.path == "/search"]


async def found(process: Process, **arguments: Any) -> dict[str, Any]:
    async with host(process, "auto") as client:
        return await call(client, "search_products", arguments)


async def not_found(process: Process, **arguments: Any) -> dict[str, Any]:
    async with host(process, "auto") as client:
        return await refused(client, "search_products", arguments)


SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"query": "coffee"}, {"query": "  coffee "}),
    ({"query": "whole bean"}, {"query": "whole   bean"}),
    ({"query": "whole bean"}, {"query": "whole\u00a0bean"}),
    ({"query": "Whole Bean"}, {"query": "whole bean"}),
    ({"query": "STRASSE"}, {"query": "straße"}),
    ({"query": "caf\u00e9"}, {"query": "cafe\u0301"}),
    ({"query": "coffee"}, {"query": "coffee", "sort": "relevance", "limit": 10, "retailers": []}),
    ({"query": "coffee", "retailers": ["amazon"]}, {"query": "coffee", "retailers": ["amazon.com"]}),
    ({"query": "coffee", "retailers": ["etsy"]}, {"query": "coffee", "retailers": ["WWW.Etsy.com", "etsy"]}),
    ({"query": "coffee", "retailers": ["target", "walmart"]}, {"query": "coffee", "retailers": ["walmart", "target"]}),
]
OTHER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"query": "coffee"}, {"query": "coffees"}),
    ({"query": "wholebean"}, {"query": "whole bean"}),
    ({"query": "cafe"}, {"query": "café"}),
    ({"query": "coffee"}, {"query": "coffee", "min_price": 0}),
    ({"query": "coffee"}, {"query": "coffee", "limit": 11}),
    (
        {"query": "coffee", "retailers": ["roasters.example.com"]},
        {"query": "coffee", "retailers": ["roasters.example"]},
    ),
    ({"query": "coffee", "retailers": ["amazon-de"]}, {"query": "coffee", "retailers": ["amazon"]}),
]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("first", "second"), SAME, ids=str)
async def test_the_same_question_in_another_spelling_is_not_paid_for_again(
    open_test_process: OpenProcess, zinc: FakeZinc, first: dict[str, Any], second: dict[str, Any]
) -> None:
    zinc.searches = [answer(), answer()]
    async with open_test_process(api_key=LIVE) as process:
        assert (await found(process, **first))["cost_cents"] == 1
        again = await found(process, **second)
    assert (again["cost_cents"], again["remembered"], len(searched(zinc))) == (0, True, 1)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("first", "second"), OTHER, ids=str)
async def test_another_question_is_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, first: dict[str, Any], second: dict[str, Any]
) -> None:
    zinc.searches = [answer(), answer()]
    async with open_test_process(api_key=LIVE) as process:
        costs = [(await found(process, **each))["cost_cents"] for each in (first, second)]
    assert (costs, len(searched(zinc))) == ([1, 1], 2)


async def test_a_retailer_can_be_named_as_a_result_names_it(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.searches = [answer(), answer()]
    async with open_test_process() as process:
        told = await found(process, query="coffee")
        await found(process, query="coffee", retailers=[told["results"][0]["retailer"]])
    assert searched(zinc)[-1].url.params.get_list("retailer") == ["amazon"]


def minutes(told: dict[str, Any]) -> int:
    match = re.search(r"not asked again for (\d+) minutes?;", told["next_step"])
    assert match is not None, told
    return int(match[1])


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "lost",
    [httpx.ReadError("lost"), httpx.Response(200, html="hi"), httpx.Response(408), httpx.Response(499)],
    ids=["lost", "html", "408", "499"],
)
@pytest.mark.parametrize("passed", [0, 61, 299, 545, 599])
async def test_a_lost_question_says_when_it_was_asked_and_when_it_may_be_asked_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, lost: Step, passed: int
) -> None:
    zinc.searches = [lost, answer()]
    async with open_test_process(api_key=LIVE) as process:
        assert (await not_found(process, query="coffee"))["facts"]["cost_cents"] == 1
        clock.pass_seconds(passed)
        told = await not_found(process, query="coffee")
        ago = "less than a minute ago" if passed < 60 else f"{passed // 60} minute{'s' if passed >= 120 else ''} ago"
        assert f"asked {ago}, and no answer" in told["summary"]
        assert told["facts"]["cost_cents"] == 0
        left = minutes(told)
        assert 60 * (left - 1) < REMEMBERED_SECONDS - passed <= 60 * left
        clock.pass_seconds(60 * left)
        assert (await found(process, query="coffee"))["cost_cents"] == 1, "as it was told"


async def test_a_question_that_is_still_being_asked_is_not_told_as_lost(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await released.wait()
            yield answer().content

    released = anyio.Event()
    zinc.searches = [httpx.Response(200, stream=Slow()), answer()]
    quick = replace(clocks, look_up_seconds=0.3)
    async with (
        open_test_process(api_key=LIVE, clocks=quick) as process,
        open_test_process(api_key=LIVE, clocks=quick) as other,
    ):
        first = await not_found(process, query="coffee")
        assert "takes longer" in first["summary"] and first["facts"]["cost_cents"] == 1
        for asking in (process, other):
            told = await not_found(asking, query="coffee")
            assert "is not answered yet" in told["summary"] and told["facts"]["cost_cents"] == 0
            assert "Call again in a minute with the same arguments" in told["next_step"]
        released.set()
        for asking in (other, process):
            assert (await found(asking, query="coffee"))["cost_cents"] == 0
    assert len(searched(zinc)) == 1


async def test_a_paid_question_may_take_as_long_as_an_order(zinc: FakeZinc) -> None:
    class Late(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await anyio.sleep(0.4)
            yield answer().content

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=Late())

    transport = Slow()
    client = ZincClient("https://api.zinc.com", transport=transport, wire_seconds=5.0, read_seconds=0.1)
    assert (await ask(client, search_call("coffee"), SecretStr(LIVE))).results
    with pytest.raises(UnreadableAnswerError):
        await client.get_json("/wallet/me", SecretStr(LIVE))
    await client.aclose()


@pytest.mark.parametrize(
    ("no", "tool", "said", "unsaid"),
    [
        (failure(404, "not_found"), "search_products", "does not take this question (HTTP 404)", "product"),
        (failure(400, "bad_request"), "search_products", "does not take this question (HTTP 400)", "product"),
        (httpx.Response(402, json={"detail": "x"}), "search_products", "Zinc says that the Zinc balance", "not asked"),
        (failure(404, "not_found"), "check_product", "Zinc knows no such product", "search_products"),
    ],
)
async def test_a_refusal_of_a_question_names_the_cause_and_no_other(
    open_test_process: OpenProcess, zinc: FakeZinc, no: httpx.Response, tool: str, said: str, unsaid: str
) -> None:
    zinc.searches = [no]
    zinc.products["B07JGBW826"] = no
    async with open_test_process(api_key=LIVE) as process, host(process, "auto") as client:
        if tool == "search_products":
            told = await refused(client, tool, {"query": "coffee"})
            assert said in told["summary"] and unsaid not in told["summary"] + told["next_step"]
        else:
            told = await call(client, tool, {"url": BEANS, "details": True})
            assert said in told["summary"] and "Check the address first" in told["next_step"]
            assert told["cost_cents"] == 0


@pytest.mark.parametrize(
    "no",
    [httpx.Response(401, json={}), failure(401, "invalid_token"), failure(403, "forbidden")],
    ids=["401", "invalid_token", "forbidden"],
)
async def test_nobody_is_told_of_an_api_key_that_was_not_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, no: httpx.Response
) -> None:
    zinc.check = no
    zinc.quotes = [no, no]
    async with open_test_process(api_key=None, wallet="sandbox") as process, host(process, "auto") as client:
        check = await refused(client, "check_product", {"url": BEANS})
        search = await refused(client, "search_products", {"query": "coffee"})
        order = await refused(client, "place_agent_order", arguments())
    for told in (check, search, order):
        assert "without an API key" in told["summary"], told
        assert "ZINC_API_KEY" not in told["next_step"]


async def test_an_unreadable_check_names_no_other_tool(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        for silence in (httpx.Response(500), httpx.ReadError("lost"), httpx.Response(200, json=[])):
            zinc.check = silence
            told = await refused(client, "check_product", {"url": BEANS})
            assert told["next_step"] == "Call again in a minute."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"status": "completed"}, "holds no list of results"),
        ({"status": "completed", "results": {"a": 1}}, "holds no list of results"),
        ({"query": "coffee"}, "holds no list of results"),
        ({"status": "completed", "results": None}, "holds no list of results"),
    ],
    ids=str,
)
async def test_an_answer_without_a_list_is_not_told_as_nothing_found(
    open_test_process: OpenProcess, zinc: FakeZinc, content: dict[str, Any], said: str
) -> None:
    zinc.searches = [httpx.Response(200, json=content)]
    async with open_test_process(api_key=LIVE) as process:
        told = await not_found(process, query="coffee")
    assert said in told["summary"] and told["facts"]["cost_cents"] == 1


@pytest.mark.parametrize("status", ["processing", "failed"])
async def test_results_of_an_unfinished_search_are_told_as_part(
    open_test_process: OpenProcess, zinc: FakeZinc, status: str
) -> None:
    zinc.searches = [httpx.Response(200, json={**FOUND, "status": status})]
    async with open_test_process() as process:
        told = await found(process, query="coffee")
    assert told["outcome"] == "found" and "there may be more" in told["summary"]


@pytest.mark.parametrize(
    ("config", "spent", "said"),
    [
        ("max_lookups_day = 2", 2, "The oldest question that counts ages out in 23 hours."),
        ("max_lookups_day = 1", 1, "The oldest question that counts ages out in 24 hours."),
        ("max_lookups_day = 0", 0, "only they can raise max_lookups_day."),
        ("max_day = 1", 1, "wait until what counts has aged out"),
    ],
)
async def test_a_full_budget_says_when_it_frees(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: Config,
    config: str, spent: int, said: str,
) -> None:  # fmt: skip
    write_config(f"[policy]\n{config}\n")
    zinc.searches = [answer(), answer()]
    async with open_test_process(api_key=LIVE) as process:
        for number in range(spent):
            await found(process, query=f"coffee {number}")
            clock.pass_seconds(3_600 if spent == 2 and number == 0 else 10)
        told = await not_found(process, query="tea")
    assert told["code"] == "limit_exceeded" and told["next_step"].endswith(said if said.endswith(".") else f"{said}.")
    assert "earlier orders" not in told["next_step"]


async def test_a_budget_lowered_below_what_was_spent_has_nothing_left(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config
) -> None:
    write_config("[policy]\nmax_lookups_day = 3\n")
    zinc.searches = [answer() for _ in range(3)]
    async with open_test_process(api_key=LIVE) as process:
        for number in range(3):
            await found(process, query=f"coffee {number}")
        write_config("[policy]\nmax_lookups_day = 1\n")
        told = await not_found(process, query="tea")
    assert (told["code"], told["facts"]["left_cents"]) == ("limit_exceeded", 0)
    assert "has $0.00 left" in told["summary"]


async def test_the_balance_tells_what_questions_may_still_cost(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: Config
) -> None:
    write_config("[policy]\nmax_lookups_day = 5\n")
    zinc.searches = [answer() for _ in range(4)]
    async with open_test_process(api_key=LIVE) as process, host(process, "auto") as client:
        for number in range(4):
            await found(process, query=f"coffee {number}")
            clock.pass_seconds(60 if number == 2 else 1)
        told = await call(client, "get_balance", {"limits_only": True})
        assert (await call(client, "get_balance", {}))["account"]["order_fee_cents"] == 100
    day, look_ups = told["modes"][0]["limits"]
    assert (look_ups["limit"], look_ups["used"], look_ups["left"]) == ("max_lookups_day", 4, 1)
    assert [each["cents"] for each in look_ups["frees"]] == [3, 1] == [each["cents"] for each in day["frees"]]
    assert "$0.01 left of max_lookups_day" in told["summary"]


@pytest.mark.parametrize("fee", [-100, -1, 10**13])
async def test_an_absurd_fee_is_not_told(open_test_process: OpenProcess, zinc: FakeZinc, fee: int) -> None:
    zinc.wallets = [httpx.Response(200, json={"balance": 5, "order_fee_cents": fee})]
    async with open_test_process() as process, host(process, "auto") as client:
        told = await call(client, "get_balance", {})
    assert "order_fee_cents" not in told["account"] and "fee" not in told["summary"]
