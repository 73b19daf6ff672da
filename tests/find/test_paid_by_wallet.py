"""With only a wallet, a question about products is paid with a cent: once, only what was asked, and never again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from conftest import HandClock, OpenProcess, as_json
from fake_zinc import FakeZinc, failure
from server.as_a_host import call, host, refused

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.process import Clocks, Process

ASIN = "B07JGBW826"
BOOK = f"https://www.amazon.com/dp/{ASIN}"
BEANS = {"query": "beans & more", "max_price": 2000, "retailers": ["walmart", "amazon"]}
WALLET: dict[str, Any] = {"api_key": None, "wallet": "sandbox"}
DAY = 86_400.0
Config = Callable[[str], Path]


def answer(title: str = "Beans") -> httpx.Response:
    return httpx.Response(200, json={"status": "completed", "query": "", "results": [{"url": BOOK, "title": title}]})


def paid(zinc: FakeZinc) -> list[httpx.Request]:
    return [request for request in zinc.requests if request.headers.get("authorization", "").startswith("Payment ")]


def entries(home: Path) -> list[Entry]:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        found: list[Entry] = []
        while True:
            try:
                found.append(journal.read(len(found) + 1))
            except Exception:
                return found


def counted(home: Path, clock: HandClock) -> tuple[int, int]:
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=clock) as journal:
        return journal.counted("local", entries(home)[0].mode, DAY)


async def search(process: Process, **changes: Any) -> dict[str, Any]:
    async with host(process, "auto") as client:
        return await call(client, "search_products", {**BEANS, **changes})


async def not_searched(process: Process, **changes: Any) -> dict[str, Any]:
    async with host(process, "auto") as client:
        return await refused(client, "search_products", {**BEANS, **changes})


async def test_a_search_is_paid_with_a_cent_and_the_same_one_is_not_paid_for_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    zinc.searches = [answer(), answer("Others")]
    async with open_test_process(**WALLET) as process:
        first = await search(process)
        again = await search(process)
    assert [each["cost_cents"] for each in (first, again)] == [1, 0]
    assert again["results"] == first["results"]
    unpaid, with_payment = zinc.requests
    for request in (unpaid, with_payment):
        assert (request.method, request.url.path, request.content) == ("POST", "/agent/search", b"")
    assert unpaid.url == with_payment.url
    assert sorted(unpaid.url.params.multi_items()) == [
        ("limit", "10"), ("max_price", "2000"), ("q", "beans & more"), ("retailer", "amazon"), ("retailer", "walmart"),
        ("sort", "relevance"),
    ]  # fmt: skip
    assert len(zinc.settlements) == 1
    [entry] = entries(home)
    assert (entry.kind, entry.state, entry.spent_cents, entry.authorised_cents) == ("look_up", "placed", 1, 1)
    assert counted(home, clock) == (1, 0)


async def test_details_and_offers_are_paid_with_a_cent_each(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.products = {
        ASIN: {"status": "completed", "title": "A book"},
        f"{ASIN}/offers": {"status": "completed", "offers": [{"price": 5, "condition": "New"}]},
    }
    async with open_test_process(**WALLET) as process, host(process, "auto") as client:
        told = await call(client, "check_product", {"url": BOOK, "details": True, "offers": True})
    assert (told["cost_cents"], told["details"]["title"], len(told["offers"])) == (2, "A book", 1)
    assert sorted(request.url.path for request in paid(zinc)) == ["/agent/products/details", "/agent/products/offers"]
    assert {request.url.params["product_id"] for request in paid(zinc)} == {ASIN}


LIES: dict[str, dict[str, Any]] = {
    "two cents": {"amount": "2"},
    "a dollar": {"amount": "100"},
    "nothing": {"amount": "0"},
    "a fraction": {"amount": "0.5"},
    "a padded amount": {"amount": "01"},
    "a number": {"amount": 1},
    "no amount": {"amount": None},
    "euros": {"currency": "eur"},
    "no end": {".expires": None},
    "an end long ago": {".expires": "2020-01-01T00:00:00Z"},
    "an end far away": {".expires": "2099-01-01T00:00:00Z"},
    "another intent": {".intent": "subscription"},
    "another method": {".method": "tempo"},
    "several recipients": {"splits": [{"recipient": "x"}]},
    "another body": {".digest": "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV="},
    "another header": {".header": "X-Evil"},
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("lie", LIES)
async def test_a_payment_other_than_the_cent_is_refused_before_anything_is_signed(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, lie: str
) -> None:
    zinc.quotes = [LIES[lie]]
    zinc.searches = [answer()]
    async with open_test_process(**WALLET) as process:
        told = await not_searched(process)
        assert (told["outcome"], told["money_may_have_moved"], paid(zinc)) == ("refused", False, [])
        assert "order" not in told["summary"] + told["next_step"] and "ceiling" not in told["summary"]
        assert counted(home, clock) == (0, 0)
        assert (await search(process))["cost_cents"] == 1, "nothing was paid, so it may be asked again"


@pytest.mark.parametrize(
    "step", ["lose_after", "500_after", failure(402, "payment_failed"), failure(403, "forbidden")], ids=str
)
async def test_a_lost_answer_after_payment_is_not_paid_for_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, step: Any
) -> None:
    zinc.script = [step]
    zinc.searches = [answer()]
    async with open_test_process(**WALLET) as process, open_test_process(**WALLET) as other:
        told = await not_searched(process)
        assert "counts as paid ($0.01)" in told["next_step"] and told["code"] == "zinc_unavailable"
        for asking in (process, other):
            assert "counts as paid" in (await not_searched(asking))["next_step"]
        assert len(paid(zinc)) == 1
        assert counted(home, clock) == (1, 0)
        clock.pass_seconds(601)
        assert (await search(process))["cost_cents"] == 1, "that is a new question"
    first, _ = entries(home)
    assert (first.state, first.counts_cents, first.authorised_cents) == ("unknown", 1, 1)


@pytest.mark.parametrize(
    "unpaid",
    [httpx.ReadError("lost"), httpx.Response(500), httpx.Response(200, html="hi"), httpx.Response(302)],
    ids=str,
)
async def test_without_a_price_nothing_is_paid_and_it_may_be_asked_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, unpaid: Any
) -> None:
    zinc.quotes = [unpaid]
    zinc.searches = [answer()]
    async with open_test_process(**WALLET) as process:
        told = await not_searched(process)
        assert ("nothing was paid" in told["summary"], paid(zinc)) == (True, [])
        assert counted(home, clock) == (0, 0)
        assert (await search(process))["cost_cents"] == 1


async def test_a_question_whose_process_stood_still_after_signing_is_not_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    def at(step: str) -> None:
        if step == "signed":
            clock.pass_seconds(3_600)

    zinc.searches = [answer()]
    async with open_test_process(checkpoint=at, **WALLET) as process:
        told = await not_searched(process)
    assert "was not sent in time" in told["summary"]
    assert paid(zinc) == []
    assert counted(home, clock) == (0, 0)


async def test_a_question_that_zinc_does_not_take_is_not_paid_for(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.quotes = [failure(422, "validation_error")]
    async with open_test_process(**WALLET) as process:
        assert "cost nothing" in (await not_searched(process))["summary"]
    assert paid(zinc) == []


async def test_an_answer_without_a_payment_costs_nothing(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.quotes = [answer("A gift")]
    async with open_test_process(**WALLET) as process:
        told = await search(process)
    assert (told["cost_cents"], told["results"][0]["title"], paid(zinc)) == (0, "A gift", [])


async def test_the_same_search_at_once_in_two_processes_is_paid_for_once(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.searches = [answer(), answer("Others")]
    found: list[dict[str, Any]] = []
    async with open_test_process(**WALLET) as process, open_test_process(**WALLET) as other:
        async with anyio.create_task_group() as tasks:

            async def run(asking: Process) -> None:
                found.append(await search(asking))

            for asking in (process, other, process):
                tasks.start_soon(run, asking)
    assert len(paid(zinc)) == 1
    assert sorted(each["cost_cents"] for each in found) == [0, 0, 1]


@pytest.mark.parametrize("config", ["max_lookups_day = 0", "max_day = 0", 'rails = ["account"]'])
async def test_the_owners_limits_bind_the_wallet_too(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config, config: str
) -> None:
    write_config(f"[policy]\n{config}\n")
    async with open_test_process(**WALLET) as process:
        assert (await not_searched(process))["outcome"] == "refused"
    assert zinc.requests == []


async def test_where_a_key_may_pay_the_wallet_does_not(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config
) -> None:
    zinc.searches = [answer(), answer()]
    async with open_test_process(wallet="sandbox") as process:
        assert (await search(process))["cost_cents"] == 0
        assert [request.url.path for request in zinc.requests] == ["/search"]
        write_config('[policy]\nrails = ["agent"]\n')
        assert (await search(process))["cost_cents"] == 1
    assert len(paid(zinc)) == 1


async def test_the_credential_is_kept_nowhere_and_told_to_nobody(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.searches = [answer()]
    async with open_test_process(**WALLET) as process:
        told = await search(process)
    [request] = paid(zinc)
    secret = request.headers["authorization"].removeprefix("Payment ")
    assert secret not in as_json(told)
    assert all(secret.encode() not in file.read_bytes() for file in home.rglob("*") if file.is_file())


async def test_a_question_to_a_person_about_an_order_is_never_paid_for_by_the_wallet(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Config
) -> None:
    from wanted import arguments

    write_config('[policy]\napproval = "page"\n')
    async with open_test_process(**WALLET) as process, host(process, "legacy") as client:
        told = await call(client, "place_agent_order", arguments())
    assert (told["outcome"], zinc.posts) == ("waiting", [])


async def test_a_slow_wallet_pays_behind_the_call_and_a_later_call_has_the_answer(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks
) -> None:
    told: list[dict[str, Any]] = []
    released = anyio.Event()

    async def waits() -> None:
        if "authorization" in zinc.requests[-1].headers:
            await released.wait()

    zinc.on_post = waits
    zinc.searches = [answer()]
    async with open_test_process(**WALLET) as process, anyio.create_task_group() as tasks:

        async def first() -> None:
            told.append(await search(process))

        with anyio.move_on_after(0.5):  # the host hangs up
            await search(process)
        assert len(paid(zinc)) == 1
        tasks.start_soon(first)
        await anyio.sleep(0.2)
        released.set()
    assert (told[0]["cost_cents"], told[0]["remembered"], len(paid(zinc))) == (0, True, 1)


@pytest.mark.parametrize(("step", "payments"), [("asking", 0), ("signed", 0), ("leaving", 0)])
async def test_a_process_that_breaks_while_paying_is_not_paid_for_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, step: str, payments: int
) -> None:
    def breaks(reached: str) -> None:
        if reached == step:
            raise RuntimeError("broken on purpose")

    zinc.searches = [answer()]
    async with open_test_process(**WALLET, checkpoint=breaks) as process:
        assert "counts as paid" in (await not_searched(process))["next_step"]
    async with open_test_process(**WALLET) as process:
        assert "counts as paid" in (await not_searched(process))["next_step"]
    assert (len(zinc.settlements), counted(home, clock)) == (payments, (1, 0))
