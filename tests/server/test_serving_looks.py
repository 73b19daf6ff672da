"""A look-up tells what is known, also when Zinc cannot be asked or a refusal hides an earlier order."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import HandClock, OpenProcess, as_json
from deciding import yes
from fake_zinc import FakeZinc, failure
from server.as_a_host import both_eras, call, host, refused, said
from wanted import arguments, book, intent, order

from zinc_mcp import errors
from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import OrderAlreadyExistsError, OrderRejectedError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.server.mcp.results import crashed, failed

SENT = re.compile(r"(?i)nothing (new )?(was|is) (sent|bought|paid)|not sent|was sent|were sent|been sent")

CANNOT_SAY: dict[str, tuple[httpx.Response | Exception, str, str]] = {
    "no connection": (httpx.ConnectError("down"), "zinc_unreachable", "Zinc could not be reached."),
    "no connection in time": (httpx.ConnectTimeout("slow"), "zinc_unreachable", "Zinc could not be reached."),
    "lost": (httpx.ReadError("lost"), "zinc_unavailable", "did not give a readable answer"),
    "a page of a proxy": (httpx.Response(200, text="<html>"), "zinc_unavailable", "did not give a readable answer"),
    "out of order": (failure(503, "service_unavailable"), "zinc_unavailable", "did not give a readable answer"),
    "a refused key": (failure(401, "unauthorized"), "zinc_unavailable", "Zinc does not accept the API key."),
    "too many": (failure(429, "rate_limit_exceeded"), "zinc_unavailable", "Zinc is limiting requests"),
    "a no with no sense": (failure(422, "validation_error"), "zinc_unavailable", "Zinc would not show this (HTTP 422"),
    "no money": (failure(402, "insufficient_funds"), "zinc_unavailable", "Zinc would not show this (HTTP 402"),
    "not there": (failure(404, "not_found"), "zinc_unavailable", "Zinc knows no order with this id"),
}


@pytest.mark.sampled(6)
@both_eras
@pytest.mark.parametrize("how", CANNOT_SAY)
async def test_an_accepted_order_is_shown_as_last_known_when_zinc_cannot_say(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, mode: str, how: str
) -> None:
    step, code, reason = CANNOT_SAY[how]
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        clock.pass_seconds(720)
        zinc.reads = [step]
        looked = await call(client, "get_order", {"order_id": placed["key"]})
    assert (looked["outcome"], looked["order_id"], looked["key"]) == ("accepted", placed["order_id"], placed["key"])
    assert looked["price"]["held_cents"] == 5100
    assert looked["unasked"] == {
        "code": code,
        "reason": looked["unasked"]["reason"],
        "as_of": "2026-11-18T11:06:40Z",
        "ago": "12 minutes ago",
    }
    assert reason in looked["summary"]
    assert "As last known 12 minutes ago (2026-11-18T11:06:40Z): Zinc has accepted" in looked["summary"]
    assert re.search("(?i)call|tell the user", looked["next_step"])
    assert not SENT.search(looked["summary"] + looked["next_step"])


@both_eras
async def test_an_order_in_doubt_stays_one_and_says_that_zinc_could_not_be_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    zinc.script = ["lose_after", httpx.ReadError("x"), httpx.ReadError("x")]
    zinc.listing = False
    async with open_test_process() as process, host(process, mode) as client:
        doubted = await refused(client, "place_order", arguments())
        zinc.lists = [httpx.ConnectError("down")] * 5
        looked = await call(client, "get_order", {"order_id": doubted["key"]})
    assert looked["outcome"] == "unknown"
    assert looked["unasked"]["code"] == "zinc_unreachable"
    assert looked["next_step"].startswith("Do not order again. Call again in a minute")
    assert "nothing was sent" not in json.dumps(looked).lower()


@both_eras
async def test_a_part_that_was_not_read_is_not_told_as_absent(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        zinc.settle(placed["order_id"], 4_000)
        assert "no tracking number yet" in (await call(client, "get_order", {"order_id": placed["key"]}))["summary"]
        zinc.reads = [httpx.ConnectError("down")]
        looked = await call(client, "get_order", {"order_id": placed["key"]})
        assert "tracking" not in looked["summary"]
        assert "Paid: $41.00" in looked["summary"]


@both_eras
async def test_an_order_that_ended_keeps_its_own_advice(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        zinc.advance(placed["order_id"], "order_failed", job_result={"error_type": "product_out_of_stock"})
        ended = await call(client, "get_order", {"order_id": placed["key"]})
        zinc.reads = [httpx.ConnectError("down")]
        looked = await call(client, "get_order", {"order_id": placed["key"]})
    assert (looked["outcome"], looked["is_final"]) == (ended["outcome"], True)
    assert "could not be found out" in looked["summary"]


@both_eras
async def test_an_order_of_another_key_or_wallet_says_why_it_is_not_read(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process(api_key="zn_test_one") as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
    for settings in ({"api_key": "zn_test_two"}, {"api_key": None, "wallet": "sandbox"}):
        async with open_test_process(**settings) as process, host(process, mode) as client:
            looked = await call(client, "get_order", {"order_id": placed["order_id"]})
        assert looked["outcome"] == "accepted"
        assert "not set up here" in looked["unasked"]["reason"]


@both_eras
async def test_an_order_nobody_here_knows_is_an_error_without_a_word_about_sending(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        for step, _, _ in CANNOT_SAY.values():
            zinc.reads = [step]
            facts = await refused(client, "get_order", {"order_id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"})
            assert not SENT.search(facts["summary"] + facts["next_step"]), facts
            assert facts["money_may_have_moved"] is False


@both_eras
async def test_a_journal_that_cannot_be_read_says_no_word_about_sending_to_a_look_up(
    open_test_process: OpenProcess, mode: str, home: Path
) -> None:
    home.mkdir(parents=True)
    (home / "journal.db").write_bytes(b"not a database at all, and long enough to be read as one" * 20)
    async with open_test_process() as process, host(process, mode) as client:
        looked = await refused(client, "get_order", {"order_id": "x"})
        placed = await refused(client, "place_order", arguments())
    assert looked["code"] == placed["code"] == "journal_unavailable"
    assert not SENT.search(looked["summary"] + looked["next_step"])
    assert "Nothing was sent by this call." in placed["summary"]


def every_error() -> Iterator[type[ZincMcpError]]:
    waiting: list[type[ZincMcpError]] = [ZincMcpError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__ == errors.__name__ and not issubclass(kind, OrderRejectedError | OrderAlreadyExistsError):
            yield kind


def test_no_next_step_that_an_error_has_by_itself_speaks_of_sending() -> None:
    assert [kind.__name__ for kind in every_error() if SENT.search(kind.default_next_step)] == []


READ = [
    "zinc",
    "rails",
    "journal/storage/database.py",
    "checkout/watch.py",
    "journal/read_journal.py",
    "journal/runner.py",
]
"""The rooms and modules in which an error may begin that ends a look-up."""


def written_sentences() -> Iterator[tuple[str, str]]:
    package = Path(errors.__file__).parent
    names = {kind.__name__ for kind in every_error()} | {"OrderRejectedError"}
    for room in READ:
        for path in [package / room] if room.endswith(".py") else sorted((package / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                    yield f"{path.relative_to(package)}:{node.func.id}", ast.unparse(node)


PLACING_ONLY = {
    ("zinc/client.py:ZincUnreachableError", "Zinc could not be reached{_reason(error)}, so nothing was sent."),
    ("zinc/client.py:OrderOutcomeUnknownError", "The order was sent, but"),
    ("zinc/aftercare/changes.py:ChangeOutcomeUnknownError", "The request was sent, but"),
    ("zinc/v1/answers.py:OrderOutcomeUnknownError", "The order was sent, but"),
    ("zinc/v1/client.py:OrderOutcomeUnknownError", "The order was sent, but"),
    ("zinc/v1/client.py:ChangeOutcomeUnknownError", "The request was sent, but"),
    ("rails/v1_after_sale.py:RefusedError", "Nothing was sent."),
    ("rails/agent.py:OrderRejectedError", "This rail sends nothing without a payment."),
}


def test_no_error_that_a_look_up_can_end_with_speaks_of_sending() -> None:
    speaking = [
        (place, text)
        for place, text in written_sentences()
        if SENT.search(text) and not any(place == known and part in text for known, part in PLACING_ONLY)
    ]
    assert speaking == []


@pytest.mark.parametrize("kind", list(every_error()), ids=lambda kind: kind.__name__)
def test_every_error_is_told_for_both_calls(kind: type[ZincMcpError]) -> None:
    error = kind("Something is so.")
    looked, placed = said(failed(error, "look")), said(failed(error, "place"))
    assert not SENT.search(looked["summary"] + looked["next_step"])
    if not error.money_may_have_moved and not isinstance(error, errors.OrderNotFoundError):
        assert placed["summary"] == "Error: Something is so. Nothing was sent."
    assert not SENT.search(said(crashed("r", "look", reached_checkout=False, key=None))["summary"])


# An earlier order while new ones are refused


def pause(shop_home: Path) -> None:
    with Journal.open(f"sqlite:///{shop_home / 'journal.db'}") as journal:
        journal.pause("looking into it")


REFUSALS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "the retailer is blocked now": ("not_allowed", '[policy]\nretailers_blocked = ["amazon.com"]\n', {}),
    "the country is not allowed now": ("not_allowed", '[policy]\ncountries = ["CA"]\n', {}),
    "the rail is not allowed now": ("not_allowed", '[policy]\nrails = ["agent"]\n', {}),
    "the limit of an order is lower now": ("limit_exceeded", "[policy]\nmax_order = 5000\n", {}),
    "the limit of a day is lower now": ("limit_exceeded", "[policy]\nmax_day = 100\n", {}),
    "the policy cannot be read now": ("policy_invalid", "[policy]\nmax_ordr = 1\n", {}),
}


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize("words", ["the same words", "other words"])
@pytest.mark.parametrize("why", REFUSALS)
async def test_a_repeat_is_told_the_earlier_order_whatever_refuses_new_ones(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    write_config: Callable[[str], Path],
    mode: str,
    why: str,
    words: str,
) -> None:
    code, config, _ = REFUSALS[why]
    write_config("")
    again = arguments() if words == "the same words" else arguments(max_price=5_500, po_number="7")
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        write_config(config)
        other = await refused(client, "place_order", arguments(products=book(2)))
        told = await call(client, "place_order", again)
    assert other["code"] == code
    assert (told["order_id"], told["key"], told["new_order"]) == (placed["order_id"], placed["key"], False)
    assert told["summary"].startswith("This is an earlier order for the same thing: nothing new was bought")
    if why != "the limit of a day is lower now":  # which an order that stands is never held against
        assert told["new_orders"]["code"] == code
        assert told["new_orders"]["reason"] in told["summary"]
    assert "nothing was sent" not in json.dumps(told).lower()
    assert len(zinc.posts) == 1


@both_eras
async def test_a_repeat_while_paused_is_told_the_earlier_order_and_the_pause(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, home: Path
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        pause(home)
        told = await call(client, "place_order", arguments())
        other = await refused(client, "place_order", arguments(products=book(2)))
    assert told["order_id"] == placed["order_id"]
    assert "nothing was sent" not in told["summary"].lower()
    assert "A new order would be refused just now: Ordering is paused." in told["summary"]
    assert "ends the pause" in told["next_step"]
    assert (other["code"], other["summary"]) == ("paused", "Error: Ordering is paused. Nothing was sent.")


@both_eras
async def test_a_repeat_by_a_wallet_that_is_gone_is_told_the_earlier_order(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process(wallet="sandbox") as process, host(process, mode) as client:
        placed = await call(client, "place_agent_order", arguments())
    async with open_test_process() as process, host(process, mode) as client:
        told = await call(client, "place_agent_order", arguments())
        other = await refused(client, "place_agent_order", arguments(products=book(2)))
    assert told["order_id"] == placed["order_id"]
    assert told["new_orders"]["code"] == other["code"] == "wallet_not_configured"
    assert "nothing was sent" not in json.dumps(told).lower()
    assert other["summary"].endswith("Nothing was sent.")


@both_eras
async def test_an_order_that_failed_does_not_stand_against_a_refusal(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, home: Path
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        zinc.advance(placed["order_id"], "order_failed")
        pause(home)
        assert (await refused(client, "place_order", arguments()))["code"] == "paused"


@both_eras
async def test_a_question_that_waits_is_not_asked_again_while_ordering_is_paused(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, home: Path, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\napproval = "page"\n')
    async with open_test_process() as process, host(process, mode) as client:
        waiting = await call(client, "place_order", arguments())
        assert waiting["outcome"] == "waiting"
        pause(home)
        told = await call(client, "place_order", arguments())
    assert (told["outcome"], told["key"]) == ("waiting", waiting["key"])
    assert told["new_orders"]["code"] == "paused"
    assert zinc.posts == []


async def test_where_the_policy_allows_repeats_a_new_wish_is_refused_and_not_answered_by_the_last(
    open_test_process: OpenProcess, clock: HandClock, home: Path, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\nrepeat = "allow"\n')
    async with open_test_process() as process, host(process, "auto") as client:
        await call(client, "place_order", arguments())
        clock.pass_seconds(3_600)
        pause(home)
        assert (await refused(client, "place_order", arguments(max_price=6_000)))["code"] == "paused"
        assert (await call(client, "place_order", arguments()))["new_order"] is False


# One name space for keys and ids


@both_eras
async def test_a_key_that_is_a_known_orders_id_is_refused(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        clash = arguments(products=book(2), idempotency_key=placed["order_id"])
        told = await refused(client, "place_order", clash)
        looked = await call(client, "get_order", {"order_id": placed["order_id"]})
    assert told["code"] == "key_conflict"
    assert "is the id of an order" in told["summary"]
    assert looked["key"] == placed["key"]
    assert len(zinc.posts) == 1


@pytest.mark.parametrize("of", ["another caller's", "another kind of money's"])
async def test_a_key_that_is_anybodys_order_id_is_refused_and_tells_nothing_of_it(
    open_test_process: OpenProcess, zinc: FakeZinc, of: str
) -> None:
    async with open_test_process(wallet="sandbox") as process:
        entry = (
            await place_order.place(
                process, intent("ada") if of == "another caller's" else Intent("local", "agent", order())
            )
        ).entry
        assert entry is not None
        assert entry.order_id is not None
    settings = {} if of == "another caller's" else {"api_key": "zn_live_other"}
    async with open_test_process(**settings) as process, host(process, "auto") as client:
        clash = arguments(products=book(2), idempotency_key=entry.order_id)
        told = await refused(client, "place_order", clash)
    assert told["code"] == "key_conflict"
    assert entry.key not in json.dumps(told)
    assert "facts" not in told


async def test_an_id_goes_before_a_key_in_a_journal_that_has_both(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process:
        second = (await place_order.place(process, intent(products=book(2)))).entry
        first = (await place_order.place(process, intent(idempotency_key="becomes-an-id"))).entry
        assert first is not None
        assert second is not None
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            for entry in (second, first):  # as a journal of an earlier version may hold it
                journal.move(
                    journal.read(entry.id),
                    "accepted",
                    "renamed",
                    order_id=f"becomes-an-{'id' if entry is second else 'x'}",
                )
            found = journal.find("becomes-an-id")
        assert found is not None
        assert found.id == second.id
        looked = (await look(process, "local", "becomes-an-id")).entry
        assert looked is not None
        assert looked.id == second.id


async def test_a_key_used_for_practice_does_not_hide_the_same_key_of_a_real_order(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    same = arguments(idempotency_key="order-1")
    async with open_test_process(api_key="zn_live_x") as process:
        live = (await place_order.place(process, intent(idempotency_key="order-1"))).entry
        assert live is not None
    async with open_test_process(api_key="zn_test_x") as process, host(process, "auto") as client:
        await call(client, "place_order", {**same, "products": book(2)})
        assert (await call(client, "get_order", {"order_id": "order-1"}))["mode"] == "test"
    async with open_test_process(api_key="zn_live_x") as process, host(process, "auto") as client:
        looked = await call(client, "get_order", {"order_id": "order-1"})
        assert looked["mode"] == "live"


@both_eras
async def test_a_look_at_a_waiting_order_says_where_to_decide_and_after_a_yes_that_nobody_has_to(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: Callable[[str], Path], mode: str
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    async with open_test_process() as process, host(process, mode) as client:
        placed = await call(client, "place_order", arguments())
        known = await call(client, "get_order", {"order_id": placed["key"]})
        [waiting] = await questions_for(process, "local")
    assert known["outcome"] == placed["outcome"] == "waiting"
    assert known["next_step"].startswith("Ask the user to decide: in the host's dialogue, ")
    assert f"approve {placed['key']}" in known["next_step"]
    async with open_test_process(api_key=None) as terminal, host(terminal, mode) as client:
        await decide(terminal, yes(waiting, how="terminal"))
        known = await call(client, "get_order", {"order_id": placed["key"]})
    assert "The user said yes." in known["summary"]
    assert known["summary"].endswith("nothing has been sent yet.")
    assert "approve" not in as_json(known)
    assert "Ask the user" not in as_json(known)
    assert zinc.posts == []
