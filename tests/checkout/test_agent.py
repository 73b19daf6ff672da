"""The agent rail signs one credential per intention, pays once, and always tells what became of the money."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, Quoted, failure
from journals import entry_of, journal_of
from wanted import book, order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import OrderRejectedError, RefusedError, ZincMcpError


def intent(caller: str = "local", **changes: Any) -> Intent:
    return Intent(caller, "agent", order(**changes))


def paid_requests(zinc: FakeZinc) -> list[httpx.Request]:
    return [request for request in zinc.posts if "authorization" in request.headers]


async def test_an_order_is_priced_signed_once_and_paid(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        answer = await place(process, intent())
        entry = entry_of(answer)
        assert (entry.state, entry.attempts, entry.counts_cents) == ("accepted", 1, 5100)
        zinc.settle(str(entry.order_id), 3000)
        placed = entry_of(await look(process, "local", entry.key))
    assert (placed.state, placed.spent_cents) == ("placed", 3100)
    unpaid, paid = zinc.posts
    assert unpaid.content == paid.content
    assert unpaid.url == paid.url
    assert paid.url.params["method"] == "sandbox"
    assert len(zinc.settlements) == 1
    reads = [request for request in zinc.requests if request.method == "GET" and "/orders/" in request.url.path]
    assert {request.headers["authorization"] for request in reads} == {"Bearer zn_live_order-1"}
    assert entry.facts["payment"] == {
        "method": "sandbox",
        "authorised_cents": 5100,
        "fee_cents": 100,
        "reference": zinc.settlements[0],
    }


async def test_the_same_intention_is_paid_once_on_either_rail(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process(wallet="sandbox") as process:
        first = entry_of(await place(process, intent()))
        again = await place(process, intent(max_price=6000, idempotency_key="other"))
    assert again.earlier
    assert entry_of(again).key == first.key
    assert len(zinc.settlements) == 1


@pytest.mark.parametrize("step", ["lose_after", "500_after", "settled_no_order", "lose_before"])
async def test_an_unknown_payment_is_not_tried_on_the_other_rail(
    open_test_process: OpenProcess, zinc: FakeZinc, step: str
) -> None:
    zinc.script = [step, failure(403, "forbidden")]
    zinc.lists = [httpx.Response(500)] * 4
    async with open_test_process(wallet="sandbox") as process:
        entry = entry_of(await place(process, intent()))
        assert entry.state in ("unknown", "paid_no_order")
        other = await place(process, Intent("local", "account", order(max_price=7000)))
    assert other.earlier
    assert entry_of(other).key == entry.key
    assert not [request for request in zinc.posts if request.url.path == "/orders"]


@pytest.mark.parametrize("step", ["truncated", "lose_after", "500_after"])
async def test_a_lost_answer_after_payment_is_sent_again_only_with_the_same_credential(
    open_test_process: OpenProcess, zinc: FakeZinc, step: str
) -> None:
    zinc.script = [step]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, intent()))
    sent = paid_requests(zinc)
    assert len({request.headers["authorization"] for request in sent}) == 1
    assert len({(request.content, str(request.url)) for request in sent}) == 1
    assert len(zinc.settlements) == 1
    assert len(zinc.orders) == 1
    # With the headers came the order's key, which finds it; without them the chain of proof ends at the payment.
    assert entry.state == ("accepted" if step == "truncated" else "unknown")
    assert entry.counts_cents == 5100


async def test_money_that_moved_is_given_up_only_when_the_same_credential_can_bring_no_order_any_more(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.script = ["lose_after", failure(502, "bad_gateway")]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, intent()))
        looked = entry_of(await look(process, "local", entry.key))
        assert (entry.state, looked.state) == ("unknown", "unknown")
        clock.pass_seconds(500)
        given_up = entry_of(await look(process, "local", entry.key))
        asked_again = await place(process, intent())
    assert (given_up.state, given_up.counts_cents) == ("paid_no_order", 5100)
    assert given_up.problem is not None
    assert given_up.problem["facts"]["reference"] == zinc.settlements[0]
    assert asked_again.earlier
    assert len(paid_requests(zinc)) == 2, "no call sends it after that"


async def test_a_call_again_brings_the_order_of_a_payment_whose_answer_was_lost(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.replays = True
    zinc.script = ["lose_after", failure(502, "bad_gateway")]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        first = entry_of(await place(process, intent()))
        again = await place(process, intent(max_price=6000))
    assert first.state == "unknown"
    assert again.earlier
    assert (entry_of(again).key, entry_of(again).state) == (first.key, "accepted")
    assert len(zinc.settlements) == len(zinc.orders) == 1
    assert len({request.headers["authorization"] for request in paid_requests(zinc)}) == 1


async def test_an_order_whose_key_came_and_that_cannot_be_found_yet_is_never_given_up(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.script = ["truncated", failure(403, "forbidden")]
    zinc.lists = [httpx.Response(200, json={"orders": []})] * 8
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, intent()))
        clock.pass_seconds(500)
        late = entry_of(await look(process, "local", entry.key))
        assert (entry.state, late.state) == ("unknown", "unknown")
        zinc.lists.clear()
        found = entry_of(await look(process, "local", entry.key))
    assert found.state == "accepted"
    assert found.order_id in zinc.orders


async def test_an_order_given_for_nothing_whose_answer_is_cut_short_is_found_by_its_key(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.quotes = ["given_truncated"]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, intent()))
    assert entry.state == "accepted"
    assert entry.order_id in zinc.orders
    assert zinc.settlements == []


async def test_a_second_402_is_never_paid(open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock) -> None:
    fresh = httpx.Response(402, headers={"WWW-Authenticate": 'Payment id="x"'}, json={})
    zinc.script = [fresh, fresh]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, intent()))
        assert entry.state == "unknown", "a no after the credential proves nothing"
        zinc.payments_over = True
        clock.pass_seconds(290)
        early = entry_of(await look(process, "local", entry.key))
        assert early.state == "unknown", "only our own clock says that the payment's time is over"
        clock.pass_seconds(20)
        proved = entry_of(await look(process, "local", entry.key))
        again = await place(process, intent())
    assert (proved.state, proved.counts_cents) == ("rejected", 0)
    assert not again.earlier
    credentials = {request.headers["authorization"] for request in paid_requests(zinc)}
    assert len(credentials) == 2, "one for each entry"
    assert len(zinc.settlements) == 1


async def test_a_fee_within_the_owners_range_is_paid_and_the_most_of_it_is_reserved(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.quotes = [{"amount": "5050"}, {"amount": "5121"}]
    async with open_test_process(api_key=None, wallet="sandbox", wallet_fees=(0, 120)) as process:
        entry = entry_of(await place(process, intent()))
        with pytest.raises(RefusedError) as refused:
            await place(process, intent(products=book(2)))
    assert (entry.state, entry.reserved_cents) == ("accepted", 5120)
    assert entry.facts["payment"]["authorised_cents"] == 5050
    assert refused.value.facts["reason"] == "amount"
    assert len(zinc.settlements) == 1


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"amount": "51000"}, "amount"),
        ({"amount": "5099"}, "amount"),
        ({"amount": 5100}, "amount_syntax"),
        ({"amount": "5_100"}, "amount_syntax"),
        ({"currency": "eur"}, "currency"),
        ({".expires": None}, "no_expiry"),
        ({".expires": "2020-01-01T00:00:00Z"}, "expires_too_soon"),
        ({".expires": "2099-01-01T00:00:00Z"}, "expires_too_late"),
        ({".digest": "sha-256=AAAA"}, "digest"),
        ({".intent": "session"}, "intent"),
        ({".method": "card"}, "method"),
        ({"methodDetails": {"splits": [{"amount": "1"}]}}, "splits"),
        ({".header": "Content-Length"}, "header"),
    ],
    ids=str,
)
async def test_a_lying_402_is_refused_before_the_wallet_is_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, lie: Quoted, reason: str
) -> None:
    zinc.quotes = [lie]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        with pytest.raises(RefusedError) as refused:
            await place(process, intent())
    assert refused.value.facts["reason"] == reason
    assert paid_requests(zinc) == []
    [entry] = journal_of(home)[0]
    assert (entry.state, entry.counts_cents) == ("refused", 0)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(402, json={}),
        httpx.Response(402, headers={"WWW-Authenticate": "Payment nonsense"}, json={}),
        httpx.Response(402, html="<h1>pay here</h1>"),
        httpx.Response(307, headers={"Location": "https://elsewhere.example/"}),
        httpx.Response(502, html="bad gateway"),
        httpx.Response(200, html="hello"),
        httpx.ReadError("lost"),
        httpx.ConnectError("refused"),
    ],
    ids=["no challenge", "nonsense", "html", "redirect", "502", "200 html", "lost", "refused"],
)
async def test_without_a_readable_price_nothing_is_signed_and_the_money_is_free_again(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, answer: Quoted
) -> None:
    zinc.quotes = [answer]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        with pytest.raises(ZincMcpError) as failed:
            await place(process, intent())
        assert not failed.value.money_may_have_moved
        retried = await place(process, intent())
    assert entry_of(retried).state == "accepted"
    entries, _ = journal_of(home)
    assert [(entry.state, entry.counts_cents) for entry in entries] == [("accepted", 5100), ("refused", 0)]
    assert len(zinc.settlements) == 1


async def test_an_invalid_body_costs_nothing(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.quotes = [failure(422, "validation_error")]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        with pytest.raises(OrderRejectedError):
            await place(process, intent())
    assert paid_requests(zinc) == []
    assert zinc.settlements == []


async def test_an_order_that_needs_no_payment_is_taken_as_it_is(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    body: dict[str, Any] = {"id": "free-1", "status": "pending", "items": []}
    zinc.quotes = [httpx.Response(201, json=body, headers={"X-Api-Key": "zn_live_order-x"})]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, intent()))
    assert (entry.state, entry.order_id) == ("accepted", "free-1")
    assert paid_requests(zinc) == []


async def test_no_connection_for_the_credential_pays_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    zinc.script = ["refuse"]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        with pytest.raises(ZincMcpError):
            await place(process, intent())
    assert zinc.settlements == []
    assert [entry.state for entry in journal_of(home)[0]] == ["refused"]


@pytest.mark.parametrize("step", ["signing", "asking", "signed", "sending", "headers", "answered", "accepted"])
async def test_a_process_killed_at_any_step_never_leads_to_a_second_payment(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, step: str
) -> None:
    class KilledError(BaseException):
        pass

    def die(name: str) -> None:
        if name == step:
            raise KilledError

    with pytest.raises(BaseException):  # noqa: B017  # a group of one KilledError
        async with open_test_process(api_key=None, wallet="sandbox", checkpoint=die) as process:
            await place(process, intent())
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        early = await look(process, "local", journal_of(home)[0][0].key)
        assert entry_of(early).state in ("waiting", "signing", "sending", "unknown", "accepted")
        clock.pass_seconds(500)
        zinc.payments_over = True
        for _ in range(3):
            try:
                await place(process, intent())
            except OrderRejectedError:
                pass
    entries, _ = journal_of(home)
    assert len(zinc.settlements) <= 1
    assert len(zinc.orders) <= 1
    assert len({request.headers["authorization"] for request in paid_requests(zinc)}) <= 2
    states = [entry.state for entry in entries]
    if zinc.settlements:
        assert states[0] in ("accepted", "paid_no_order")
    else:
        assert "unknown" not in states


async def test_a_process_killed_while_its_wallet_signs_can_have_paid_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    class KilledError(BaseException):
        pass

    def die(name: str) -> None:
        if name == "asking":
            raise KilledError

    with pytest.raises(BaseException):  # noqa: B017  # a group of one KilledError
        async with open_test_process(api_key=None, wallet="sandbox", checkpoint=die) as process:
            await place(process, intent())
    clock.pass_seconds(500)
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        key = journal_of(home)[0][0].key
        entry = entry_of(await look(process, "local", key))
        while entry.state in ("signing", "unknown"):
            entry = entry_of(await look(process, "local", key, wait_seconds=1))
    assert (entry.state, entry.counts_cents) == ("rejected", 0), "a credential is on disk before it leaves"
    assert paid_requests(zinc) == []


async def test_a_payment_without_a_known_order_stands_for_ever_and_the_owner_resolves_it(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    zinc.script = ["settled_no_order", failure(403, "forbidden")]
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        entry = entry_of(await place(process, intent()))
        clock.pass_seconds(500)
        entry = entry_of(await look(process, "local", entry.key))
        assert entry.state == "paid_no_order"
        clock.pass_seconds(40 * 86_400)
        later = await place(process, intent(max_price=6000))
        other = await place(process, intent(products=book(3)))
    assert entry_of(later).key == entry.key
    assert entry_of(other).state == "accepted"
    assert len(zinc.settlements) == 2


async def test_the_credential_is_forgotten_once_the_order_is_known(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process(api_key=None, wallet="sandbox") as process:
        await place(process, intent())
    [paid] = paid_requests(zinc)
    credential = paid.headers["authorization"].removeprefix("Payment ")
    for file in home.iterdir():
        if file.name == "journal.db":
            assert credential.encode() not in file.read_bytes()
