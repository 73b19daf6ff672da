"""A cancellation does what it says, proves what it tells, and gives money back only by Zinc's own showing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc, Step, failure
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from server.as_a_host import both_eras, call, host, refused, said
from wanted import arguments, book, intent

from zinc_mcp.aftercare.cancel import cancel
from zinc_mcp.aftercare.cancellation import ASKED
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import place
from zinc_mcp.errors import OrderNotFoundError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import DAY_SECONDS, Entry
from zinc_mcp.process import Clocks, Process
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.zinc.orders import OrderCreate

WriteConfig = Callable[[str], Path]
ASK = '[policy]\napproval = "page"\n'


async def used(process: Process, caller: str = "local") -> int:
    """Return the cents that count against the limits."""
    return (await process.journal.run(lambda journal: journal.counted(caller, "test", DAY_SECONDS)))[0]


async def placed(process: Process, caller: str = "local", **changes: Any) -> Entry:
    entry = (await place(process, intent(caller, **changes))).entry
    assert entry is not None and entry.state == "accepted"
    return entry


def events(home: Path, key: str) -> list[str]:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        entry = journal.find(key)
        assert entry is not None
        return [event.what for event in journal.events(entry.id)]


@both_eras
async def test_a_pending_order_is_cancelled_and_its_money_is_free_again(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order = await call(client, "place_order", arguments())
        assert await used(process) == 5100
        told = await call(client, "cancel_order", {"order_id": order["key"]})
        assert await used(process) == 0
    assert (told["outcome"], told["cancellation"], told["status"]) == ("cancelled", "cancelled", "cancelled")
    assert "The $51.00 that was held comes back." in told["summary"]
    assert zinc.cancellations == [order["order_id"]]
    assert len(zinc.posts) == 1


async def test_the_journal_says_that_a_cancellation_was_asked_for_before_zinc_is_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    seen: list[str] = []
    async with open_test_process() as process:
        entry = await placed(process)
        zinc.meanwhile = lambda: seen.extend(events(home, entry.key))
        await cancel(process, "local", entry.key)
    assert seen[-1] == ASKED


LOST: list[Step] = [
    "lose_after",
    "500_after",
    "hang",
]


@pytest.mark.sampled(3)
@both_eras
@pytest.mark.parametrize("step", LOST)
async def test_a_cancellation_whose_answer_is_lost_is_found_out_by_reading_the_order(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, step: Step
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order = await call(client, "place_order", arguments())
        zinc.cancels = [step]
        told = await call(client, "cancel_order", {"order_id": order["order_id"]})
        assert await used(process) == 0
    assert told["cancellation"] == "cancelled"
    assert len(zinc.cancellations) == 1, "it is asked once in a call"


UNPROVED: list[Step] = [
    "lose_before",
    "lie",
    httpx.Response(200, text="<html>welcome</html>"),
    httpx.Response(307, headers={"Location": "https://elsewhere.invalid"}),
    httpx.Response(502, text="<html>"),
    httpx.Response(408),
]


@pytest.mark.sampled(6)
@both_eras
@pytest.mark.parametrize("number", range(len(UNPROVED)))
async def test_a_cancellation_without_proof_is_told_as_not_known_and_frees_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, number: int
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        order = await call(client, "place_order", arguments())
        zinc.cancels = [UNPROVED[number]]
        told = await call(client, "cancel_order", {"order_id": order["key"]})
        assert await used(process) == 5100
        assert (told["outcome"], told["cancellation"]) == ("accepted", "unknown")
        assert "Asking again is safe" in told["next_step"]
        again = await call(client, "cancel_order", {"order_id": order["key"]})
        assert again["cancellation"] == "cancelled"
        assert await used(process) == 0


@pytest.mark.parametrize("status", [422, 409, 400])
async def test_an_order_that_is_being_worked_on_meanwhile_is_not_cancelled_and_says_what_can_be_done(
    open_test_process: OpenProcess, zinc: FakeZinc, status: int
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        zinc.advance(order["order_id"], "in_progress")
        zinc.cancels = [failure(status, "order_not_cancellable")]
        told = await call(client, "cancel_order", {"order_id": order["key"]})
        assert await used(process) == 5100
    assert (told["outcome"], told["cancellation"], told["status"]) == ("accepted", "not_cancelled", "in_progress")
    assert told["summary"].startswith("Not cancelled: Zinc cancels an order only while it is pending")
    assert "sent back" in told["next_step"]


async def test_an_order_that_is_taken_up_between_is_told_as_it_is(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        zinc.meanwhile = lambda: zinc.advance(order["order_id"], "in_progress")
        told = await call(client, "cancel_order", {"order_id": order["key"]})
    assert (told["cancellation"], told["status"]) == ("not_cancelled", "in_progress")


async def test_a_204_for_an_order_that_goes_on_is_not_believed(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        zinc.cancels = ["lie"]
        zinc.meanwhile = lambda: zinc.settle(order["order_id"], 4_000)
        told = await call(client, "cancel_order", {"order_id": order["key"]})
        assert await used(process) == 4100
    assert (told["outcome"], told["cancellation"]) == ("placed", "unknown")
    assert "do not count on it" in told["summary"]


async def test_a_no_whose_order_cannot_be_read_does_not_say_that_the_order_goes_on(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        zinc.cancels = [failure(422, "order_not_cancellable")]
        zinc.reads = [httpx.ConnectError("down")] * 50
        told = await call(client, "cancel_order", {"order_id": order["key"]})
    assert told["cancellation"] == "unknown"
    assert "or was cancelled before" in told["summary"]
    assert told["unasked"]["code"] == "zinc_unreachable"


async def test_another_order_in_the_answer_to_the_read_proves_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        zinc.cancels = ["lie"]
        zinc.shown_when_read = lambda shown: {
            **shown,
            "status": "cancelled",
            "metadata": {"zinc_mcp_key": "stranger", "zinc_mcp_twin": "0" * 64},
        }
        told = await call(client, "cancel_order", {"order_id": order["key"]})
        assert await used(process) == 5100
    assert told["cancellation"] == "unknown"


async def test_no_connection_is_an_error_that_says_that_nothing_was_sent(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        zinc.cancels = ["refuse"]
        told = await refused(client, "cancel_order", {"order_id": order["key"]})
    assert (told["code"], told["outcome"], told["money_may_have_moved"]) == ("zinc_unreachable", "not_sent", False)


ENDED: list[tuple[str, dict[str, Any], str, str]] = [
    ("cancelled", {}, "cancelled", "It was cancelled before this call."),
    ("order_failed", {"job_result": {"error_type": "product_out_of_stock"}}, "not_cancelled", "nothing to cancel"),
    ("order_placed", {}, "not_cancelled", "the retailer has the order"),
    (
        "order_placed",
        {"tracking_numbers": [{"carrier": "usps", "tracking_number": "1", "status": "delivered"}]},
        "not_cancelled",
        "Everything was delivered.",
    ),
]


@pytest.mark.sampled(4)
@both_eras
@pytest.mark.parametrize("number", range(len(ENDED)))
async def test_an_order_that_has_ended_says_so_and_zinc_is_not_asked_to_cancel_it(
    open_test_process: OpenProcess, zinc: FakeZinc, mode: str, number: int
) -> None:
    status, changes, cancellation, sentence = ENDED[number]
    async with open_test_process() as process, host(process, mode) as client:
        order = await call(client, "place_order", arguments())
        zinc.advance(order["order_id"], status, **changes)
        await call(client, "get_order", {"order_id": order["key"]})
        told = await call(client, "cancel_order", {"order_id": order["key"]})
    assert told["cancellation"] == cancellation
    assert sentence in told["summary"]
    assert zinc.cancellations == []


async def test_an_order_in_doubt_is_not_cancelled_and_says_why(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = ["lose_after"]
    zinc.listing = False
    zinc.reads = [failure(404, "not_found")] * 50
    async with open_test_process() as process, host(process, "auto") as client:
        doubted = await refused(client, "place_order", arguments())
        told = await call(client, "cancel_order", {"order_id": doubted["key"]})
    assert (told["outcome"], told["cancellation"]) == ("unknown", "not_cancelled")
    assert "what is in doubt cannot be cancelled" in told["summary"]
    assert zinc.cancellations == []


async def test_an_order_that_is_on_its_way_is_awaited_and_then_cancelled(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    zinc.script = ["slow"]
    async with open_test_process() as process, open_test_process() as other:
        how: list[str] = []

        async def order() -> None:
            await place(process, intent(idempotency_key="mine"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(order)
            while not zinc.posts:
                await anyio.sleep(0.01)
            how.append((await cancel(other, "local", "mine")).how)
    assert how == ["cancelled"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("status", ["order_failed", "order_placed"])
@pytest.mark.parametrize(
    "step", ["lie", "lose_before", failure(422, "order_not_cancellable"), failure(403, "forbidden")]
)
async def test_no_next_step_is_about_another_ending_than_the_order_s(
    open_test_process: OpenProcess, zinc: FakeZinc, status: str, step: Step
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        zinc.cancels = [step]
        zinc.advance(order["order_id"], status, job_result={"error_type": "product_out_of_stock"})
        told = await call(client, "cancel_order", {"order_id": order["key"]})
    if status == "order_failed":
        assert "Offer the user another product" in told["next_step"]
    else:
        assert "call cancel_order" not in told["next_step"]
        assert "Offer" not in told["next_step"]


async def test_an_order_whose_doubt_ends_now_is_cancelled(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    zinc.script = ["lose_after"]
    zinc.listing = False
    async with open_test_process() as process, host(process, "auto") as client:
        doubted = await refused(client, "place_order", arguments())
        zinc.listing = True
        told = await call(client, "cancel_order", {"order_id": doubted["key"]})
    assert told["cancellation"] == "cancelled"


@both_eras
async def test_a_question_that_waits_is_withdrawn_and_a_late_yes_finds_it_closed(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig, mode: str
) -> None:
    write_config(ASK)
    async with open_test_process() as process, host(process, mode) as client:
        waiting = (await place(process, intent())).entry
        assert waiting is not None and waiting.state == "waiting"
        told = await call(client, "cancel_order", {"order_id": waiting.key})
        assert (told["outcome"], told["cancellation"]) == ("refused", "withdrawn")
        assert await used(process) == 0
        with pytest.raises(RefusedError) as late:
            await decide(process, yes(waiting))
        assert late.value.code == "question_closed"
        shown = await call(client, "get_order", {"order_id": waiting.key})
        assert shown["failure"]["code"] == "withdrawn"
        again = await call(client, "cancel_order", {"order_id": waiting.key})
    assert "There is nothing to cancel." in again["summary"]
    assert zinc.requests == [each for each in zinc.requests if each.method == "GET"]


async def test_a_dialogue_and_a_call_that_wait_for_a_withdrawn_question_end(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    closed = anyio.Event()

    async def nobody(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        try:
            await anyio.sleep_forever()
        finally:
            closed.set()
        raise AssertionError

    told: list[dict[str, Any]] = []
    withdrawn: list[dict[str, Any]] = []
    async with open_test_process() as process:
        client = Client(build_server(process), mode="legacy", elicitation_callback=nobody)
        async with client, anyio.create_task_group() as tasks:

            async def order() -> None:
                told.append(said(await client.call_tool("place_order", arguments())))

            tasks.start_soon(order)
            with anyio.fail_after(10):
                while not (waiting := (await call(client, "get_balance", {"limits_only": True})).get("waiting")):
                    await anyio.sleep(0.02)
                withdrawn.append(await call(client, "cancel_order", {"order_id": waiting[0]["key"]}))
                while not told:
                    await anyio.sleep(0.02)
                await closed.wait()
    assert withdrawn[0]["cancellation"] == "withdrawn"
    assert told[0]["outcome"] == "refused"
    assert zinc.orders == {}


async def test_a_yes_that_came_first_wins_and_then_the_order_is_cancelled_at_zinc(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    write_config(ASK)
    async with open_test_process() as process:
        waiting = (await place(process, intent())).entry
        assert waiting is not None

        async def decided() -> None:
            await decide(process, yes(waiting))

        how: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decided)
            while (await process.journal.read(waiting.id)).version == waiting.version:
                await anyio.lowlevel.checkpoint()
            how.append((await cancel(process, "local", waiting.key)).how)
    assert how == ["cancelled"]
    assert len(zinc.orders) == len(zinc.cancellations) == 1


async def test_a_yes_that_no_process_has_sent_yet_is_not_withdrawn(
    open_test_process: OpenProcess, zinc: FakeZinc, write_config: WriteConfig
) -> None:
    write_config(ASK)
    async with open_test_process(clocks=quick()) as process:
        waiting = (await place(process, intent())).entry
        assert waiting is not None
    async with open_test_process(api_key=None, wallet="sandbox", clocks=quick()) as other:
        await decide(other, yes(waiting))
        done = await cancel(other, "local", waiting.key)
        assert done.how == "approved"
        assert (await other.journal.read(waiting.id)).state == "waiting"


def quick() -> Clocks:
    return Clocks(
        answer_seconds=0.4,
        wire_seconds=5.0,
        refresh_seconds=0.1,
        proof_seconds=0.2,
        poll_seconds=0.05,
        peek_seconds=0.05,
        sweep_seconds=3600.0,
    )


async def test_a_caller_cancels_only_their_own(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process() as process:
        own = await placed(process, "ada")
        for handle in (own.key, str(own.order_id)):
            with pytest.raises(OrderNotFoundError):
                await cancel(process, "bob", handle)
        with pytest.raises(RefusedError, match="belongs to a member"):
            await cancel(process, "local", str(own.order_id))
        elsewhere = await placed(process, "local", products=book(7))
        with pytest.raises(OrderNotFoundError):
            await cancel(process, "ada", str(elsewhere.order_id))
        assert zinc.cancellations == []
        assert (await cancel(process, "ada", own.key)).how == "cancelled"
        assert await used(process, "ada") == 0


async def test_the_local_caller_cancels_an_order_of_the_account_that_the_journal_does_not_know(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    body = OrderCreate.model_validate(arguments()).model_dump(mode="json", exclude_none=True)
    async with open_test_process() as process, host(process, "auto") as client:
        await call(client, "place_order", arguments(products=book(1)))
        transport = zinc.transport()
        async with httpx.AsyncClient(transport=transport, base_url="https://api.zinc.com") as other:
            answer = await other.post("/orders", content=json.dumps({**body, "idempotency_key": "elsewhere"}))
        order_id = answer.json()["id"]
        with pytest.raises(OrderNotFoundError):
            await cancel(process, "ada", order_id)
        told = await call(client, "cancel_order", {"order_id": order_id})
        again = await call(client, "cancel_order", {"order_id": order_id})
    assert (told["cancellation"], again["cancellation"]) == ("cancelled", "cancelled")
    assert "key" not in told
    assert zinc.cancellations == [order_id]


async def test_an_order_paid_by_wallet_is_cancelled_with_its_own_key_and_its_money_stays_until_it_is_proved(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process(wallet="sandbox") as process, host(process, "auto") as client:
        order = await call(client, "place_agent_order", arguments())
        told = await call(client, "cancel_order", {"order_id": order["key"]})
        counted = await used(process)
    [request] = [each for each in zinc.requests if each.url.path.endswith("/cancel")]
    assert request.headers["authorization"] == "Bearer zn_live_order-1"
    assert told["cancellation"] == "cancelled"
    assert "should come back, which is not proved" in told["summary"]
    assert counted == 5100


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("tool", ["place_order", "place_agent_order"])
async def test_where_the_key_may_not_cancel_the_user_is_sent_to_zinc(
    open_test_process: OpenProcess, zinc: FakeZinc, status: int, tool: str
) -> None:
    async with open_test_process(wallet="sandbox") as process, host(process, "auto") as client:
        order = await call(client, tool, arguments())
        zinc.cancels = [failure(status, "forbidden")]
        told = await call(client, "cancel_order", {"order_id": order["key"]})
    assert told["cancellation"] == "not_cancelled"
    assert "ask Zinc" in told["next_step"]
    assert "Zinc itself may be able to." in told["summary"]


async def test_two_processes_that_cancel_at_once_both_tell_that_it_is_cancelled(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with open_test_process() as one, open_test_process() as two:
        entry = await placed(one)
        told: list[str] = []

        async def stop(process: Process) -> None:
            told.append((await cancel(process, "local", entry.key)).how)

        async with anyio.create_task_group() as tasks:
            for process in (one, two, one, two):
                tasks.start_soon(stop, process)
        assert set(told) <= {"cancelled", "over"}
        assert (await one.journal.read(entry.id)).state == "cancelled"
        assert await used(one) == 0
    assert len(zinc.posts) == 1


async def test_an_order_of_another_key_is_not_asked_about(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    async with open_test_process(api_key="zn_test_one") as process:
        entry = await placed(process)
    async with open_test_process(api_key="zn_test_two") as process, host(process, "auto") as client:
        told = await call(client, "cancel_order", {"order_id": entry.key})
    assert told["cancellation"] == "not_cancelled"
    assert "not set up here" in told["summary"]
    assert zinc.cancellations == []


@both_eras
async def test_arguments_are_read_as_those_of_all_tools(
    open_test_process: OpenProcess, clock: HandClock, mode: str
) -> None:
    async with open_test_process() as process, host(process, mode) as client:
        for given, field in (
            ({}, "order_id"),
            ({"order_id": "a b"}, "order_id"),
            ({"order_id": "x" * 101}, "order_id"),
            ({"order_id": "x", "reason": "late"}, "reason"),
        ):
            told = await refused(client, "cancel_order", given)
            assert told["problems"][0]["field"] == field
        missing = await refused(client, "cancel_order", {"order_id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"})
    assert (missing["code"], missing["outcome"]) == ("order_not_found", "not_found")


async def test_nothing_is_asked_of_zinc_when_the_journal_cannot_write_it_down(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order = await call(client, "place_order", arguments())
        (home / "journal.db").rename(home / "elsewhere.db")
        (home / "journal.db").write_bytes(b"")
        told = await refused(client, "cancel_order", {"order_id": order["key"]})
    assert told["code"] == "journal_unavailable"
    assert "Nothing was sent." in told["summary"]
    assert zinc.cancellations == []


@pytest.mark.parametrize("is_ours", [True, False])
async def test_where_no_time_is_left_zinc_is_not_said_to_have_been_asked(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, is_ours: bool
) -> None:
    async with open_test_process() as process:
        entry = await placed(process)
    if not is_ours:
        (home / "journal.db").unlink()
    slow = Clocks(
        answer_seconds=0.9,
        wire_seconds=5.0,
        refresh_seconds=1.0,
        proof_seconds=0.2,
        poll_seconds=0.05,
        peek_seconds=0.05,
        sweep_seconds=3600.0,
    )
    async with open_test_process(clocks=slow) as process, host(process, "auto") as client:
        told = await call(client, "cancel_order", {"order_id": str(entry.order_id)})
    assert (told["cancellation"], zinc.cancellations) == ("not_cancelled", [])
    assert "so Zinc was not asked" in told["summary"]
    assert "Call cancel_order again" in told["next_step"]
