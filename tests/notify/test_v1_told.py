"""The owner is told what happens to orders of Zinc's v1, as of any other."""

from pathlib import Path

from notify.listener import Listener
from notify.test_told import listener, rounds, told_at
from on_v1 import Practice, arguments, way
from server.as_a_host import call

__all__ = ["listener"]


async def test_a_placed_order_and_one_left_to_people_are_told(home: Path, listener: Listener) -> None:
    zinc = Practice(home)
    async with zinc.host("auto", notify=told_at(listener)) as client:
        placed = await call(client, "place_v1_order", arguments())
        lost = await call(client, "place_v1_order", arguments(way("probably_placed")))
        zinc.clock.now += 20
        for order in (placed, lost):
            await call(client, "get_order", {"order_id": order["key"]})
        await listener.until(lambda: len(listener.messages) >= 2)
        await rounds()
    assert sorted(listener.events) == ["in_doubt", "placed"]
    assert listener.of("placed")["order"]["rail"] == "v1"
    assert "It is not known what became of an order" in listener.of("in_doubt")["text"]
