"""An answer of v1 about another order, or with unknown words, never decides what became of our order."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from on_v1 import Practice, arguments
from server.as_a_host import call, refused

ANOTHER = "c0ffee00" * 4


def said(code: str, **more: Any) -> dict[str, Any]:
    return {"_type": "error", "code": code, "message": "words", "data": {}, **more}


def to(verb: str, ending: str, answer: dict[str, Any]) -> Any:
    """Return what answers the requests to an address that ends so."""

    def instead(request: httpx.Request) -> dict[str, Any] | None:
        return answer if request.method == verb and request.url.path.endswith(ending) else None

    return instead


@pytest.mark.parametrize("word", ["cancelled", "failed", "order_failed", "shipped"])
async def test_a_code_that_is_a_status_of_v2_ends_no_order(home: Path, word: str) -> None:
    zinc = Practice(home)
    async with zinc.host("auto") as client:
        order = await call(client, "place_v1_order", arguments())
        zinc.instead = to("GET", order["order_id"], said(word))
        shown = await call(client, "get_order", {"order_id": order["order_id"]})
        again = await call(client, "place_v1_order", arguments())
    assert (shown["outcome"], shown["is_final"]) == ("accepted", False)
    assert "paid_cents" not in shown["price"]
    assert (again["order_id"], again["new_order"]) == (order["order_id"], False)
    assert zinc.posts() == ["created"]


@pytest.mark.parametrize("where", [{"request_id": ANOTHER}, {"data": {"request_id": ANOTHER}}])
async def test_a_duplicate_order_is_in_doubt_also_where_the_other_order_is_named(
    home: Path, where: dict[str, Any]
) -> None:
    zinc = Practice(home)
    zinc.instead = to("POST", "/orders", said("duplicate_order", **where))
    async with zinc.host("auto") as client:
        told = await refused(client, "place_v1_order", arguments())
    assert told["outcome"] == "unknown"
    assert ANOTHER not in str(told)


async def test_an_order_that_is_not_ours_is_not_stopped(home: Path) -> None:
    zinc = Practice(home)
    theirs = {"retailer": "amazon", "products": [{"product_id": "B000000001", "quantity": 3}], "addax": True}
    async with zinc.host("auto") as client:
        zinc.instead = to("POST", "/orders", {"request_id": ANOTHER})
        order = await call(client, "place_v1_order", arguments())
        assert order["order_id"] == ANOTHER
        zinc.instead = to("GET", ANOTHER, said("request_processing", request=theirs))
        told = await refused(client, "cancel_order", {"order_id": ANOTHER})
    assert not [asked for asked in zinc.asked if asked.endswith("/abort")]
    assert "another order" in told["summary"] and "nothing was cancelled" in told["summary"]
