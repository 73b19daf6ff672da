"""The road of an order where it is not smooth: processes that stand still, journals that fail, news that comes late."""

from dataclasses import replace

import anyio
import httpx
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of
from wanted import intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.process import Clocks, Process


async def test_whoever_stood_still_writes_no_doubt_over_a_request_of_another_process(
    open_test_process: OpenProcess, zinc: FakeZinc, clocks: Clocks, clock: HandClock
) -> None:
    """A stands still in its request, B sends the same bytes again, A goes on unanswered while B is on the wire."""
    quick = replace(clocks, answer=1.0, wire=60.0)
    zinc.listing = False
    posts = 0
    b_is_on_the_wire, let_b_go_on = anyio.Event(), anyio.Event()
    told: dict[str, str] = {}

    async with (
        open_test_process(clocks=quick) as a,
        open_test_process(clocks=quick) as b,
        open_test_process(clocks=quick) as c,
        anyio.create_task_group() as tasks,
    ):

        async def order_by(process: Process, name: str) -> None:
            told[name] = entry_of(await place(process, intent())).state

        async def on_post() -> None:
            nonlocal posts
            posts += 1
            if posts == 1:
                clock.pass_seconds(80)
                tasks.start_soon(order_by, b, "b")
                await b_is_on_the_wire.wait()
                raise httpx.ReadError("lost")
            if posts == 2:
                b_is_on_the_wire.set()
                await let_b_go_on.wait()

        zinc.on_post = on_post
        await order_by(a, "a")
        held = entry_of(await place(c, intent()))
        assert (held.state, held.attempts, held.lease_owner, held.sender is None) == ("sending", 2, b.owner, False)
        assert posts == 2, "nobody sends a third time while it is on the wire"
        let_b_go_on.set()
    assert told["a"] == "sending"
    assert len(zinc.orders) == 1
