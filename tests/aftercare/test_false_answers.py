"""An answer of Zinc is believed only if it is about our change; parts that it adds or leaves out do not matter."""

import json
import time
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from aftercare.after import SUCCESS, back, created, delivered, problem
from conftest import HandClock, OpenProcess
from hypothesis import given
from hypothesis import strategies as st
from server.as_a_host import call, host, refused, said

from zinc_mcp.process import Clocks
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.zinc.aftercare.changes import Change, form, json_change

Rewrite = Callable[[Any], Any]
STRANGER = "11111111-2222-4333-8444-555555555555"


class Lying(httpx.AsyncBaseTransport):
    """A sandbox whose answers to some requests are rewritten."""

    def __init__(self, inner: httpx.AsyncBaseTransport, rewrites: dict[tuple[str, str], Rewrite]) -> None:
        self._inner, self._rewrites = inner, rewrites

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, and lie where that was asked for."""
        response = await self._inner.handle_async_request(request)
        path = request.url.path
        rewrite = self._rewrites.get((request.method, path))
        rewrite = rewrite or self._rewrites.get((request.method, f"/{path.split('/')[1]}/…"))
        if rewrite is None:
            return response
        content = b"".join([part async for part in cast(httpx.AsyncByteStream, response.stream)])
        told = rewrite(json.loads(content))
        if isinstance(told, httpx.Response):
            return told
        return httpx.Response(response.status_code, json=told)


class Liar:
    """A sandbox and what its answers are made into."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.rewrites: dict[tuple[str, str], Rewrite] = {}

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return the network that leads to it."""
        return Lying(self.sandbox.transport(), self.rewrites)


@pytest.fixture
def zinc(clock: HandClock) -> Liar:
    return Liar(Sandbox(clock=clock))


ABOUT_ANOTHER: dict[str, Rewrite] = {
    "another order": lambda told: {**told, "id": STRANGER, "order_id": STRANGER},
    "another reason": lambda told: {**told, "id": STRANGER, "reason": "billing"},
    "no object": lambda told: [told],
    "nothing": lambda told: None,
    "words": lambda told: "ok",
    "an order without the rest": lambda told: {"order_id": told["order_id"]},
    "a redirect": lambda told: httpx.Response(307, headers={"location": "https://elsewhere.invalid/returns"}),
    "wrong types": lambda told: {name: {"x": 1} for name in told},
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("lie", ABOUT_ANOTHER)
@pytest.mark.parametrize("tool", ["return_order", "report_problem"])
async def test_an_answer_about_something_else_is_not_taken_and_the_list_decides(
    open_test_process: OpenProcess, zinc: Liar, clock: HandClock, lie: str, tool: str
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        path, asked = ("/returns", back(order_id)) if tool == "return_order" else ("/cases", problem(order_id))
        zinc.rewrites["POST", path] = ABOUT_ANOTHER[lie]
        told = await call(client, tool, asked)
    [row] = zinc.sandbox.ledger.select("SELECT * FROM returns" if tool == "return_order" else "SELECT * FROM cases")
    assert told["outcome"] == "filed"
    assert told.get("return_id", told.get("case_id")) == row[1]
    assert len(created(zinc.sandbox)) == 1


async def test_an_earlier_return_is_not_taken_for_a_new_one(
    open_test_process: OpenProcess, zinc: Liar, clock: HandClock
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        first = await call(client, "return_order", back(order_id))
        clock.pass_seconds(100_000)
        zinc.rewrites["POST", "/returns"] = lambda told: {**told, "id": first["return_id"]}
        zinc.rewrites["GET", "/returns"] = lambda told: {"return_requests": [], "total": 0}
        zinc.rewrites["GET", "/orders/…"] = lambda told: {
            **told,
            "returns": [row for row in told["returns"] if row["id"] == first["return_id"]],
        }
        again = said(await client.call_tool("return_order", back(order_id)))
        assert (again["outcome"], again["new_request"]) == ("unknown", True)
        zinc.rewrites.clear()
        clock.pass_seconds(40)
        known = await call(client, "get_order", {"order_id": order_id})
    assert {row["key"] for row in known["returns"]} == {first["key"], again["key"]}


async def test_other_returns_in_zincs_list_end_no_doubt(
    open_test_process: OpenProcess, zinc: Liar, clock: HandClock
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        known = (await call(client, "get_order", {"order_id": order_id}))["order_id"]
        row: dict[str, Any] = {"id": STRANGER, "status": "open", "items": [], "created_at": "2026-11-01T00:00:00+00:00"}
        wrong: list[Any] = [
            {**row, "order_id": STRANGER, "reason": "defective"},
            {**row, "order_id": known, "reason": "damaged"},
            {**row, "order_id": known, "reason": "defective", "created_at": "2020-01-01T00:00:00+00:00"},
            {**row, "order_id": known, "reason": "defective", "items": [{"order_item_id": STRANGER, "quantity": 1}]},
            "a word",
            None,
        ]
        zinc.rewrites["POST", "/returns"] = lambda told: httpx.Response(502, text="<h1>Bad Gateway</h1>")
        zinc.rewrites["GET", "/returns"] = lambda told: {"return_requests": wrong, "total": 10**9}
        zinc.rewrites["GET", "/orders/…"] = lambda told: {**told, "returns": []}
        told = await refused(client, "return_order", back(order_id))
    assert told["outcome"] == "unknown"


async def test_parts_that_zinc_leaves_out_or_adds_do_not_matter(
    open_test_process: OpenProcess, zinc: Liar, clock: HandClock
) -> None:
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock)
        needed = ("id", "order_id", "status", "reason", "created_at", "updated_at")
        zinc.rewrites["POST", "/returns"] = lambda told: {
            **{name: told[name] for name in needed},
            "status": "awaiting_inspection",
            "surprise": {"a": [1]},
        }
        told = await call(client, "return_order", back(order_id))
    assert (told["outcome"], told["status"]) == ("filed", "awaiting_inspection")


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=60)


@given(st.lists(st.tuples(st.sampled_from(["order_id", "reason", "body"]), LINES), min_size=1, max_size=4))
def test_a_form_is_read_as_it_was_written(fields: list[tuple[str, str]]) -> None:
    change = form("/cases", fields)
    assert list(change.fields) == fields
    assert Change.from_bytes(change.to_bytes()) == change
    assert form("/cases", fields) == change


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"[]",
        b'{"path":"/returns"}',
        json.dumps({"path": "/orders/../x", "content_type": "a", "content": "b"}).encode(),
        json.dumps({"path": "//elsewhere.invalid", "content_type": "a", "content": "b"}).encode(),
        json.dumps({"path": "/returns?x=1", "content_type": "a", "content": "b"}).encode(),
        json.dumps({"path": "/returns", "content_type": "a", "content": 1}).encode(),
    ],
)
def test_bytes_that_are_no_change_are_not_read(kept: bytes) -> None:
    with pytest.raises(ValueError, match=r"request|JSON|Expecting"):
        Change.from_bytes(kept)


def test_a_change_is_kept_whole() -> None:
    change = json_change("/returns", {"notes": "ä\n“x”"})
    assert Change.from_bytes(change.to_bytes()) == change


@pytest.mark.parametrize("tool", ["return_order", "report_problem"])
async def test_a_zinc_that_is_slow_to_show_the_order_is_not_waited_for(
    open_test_process: OpenProcess, zinc: Liar, clock: HandClock, tool: str
) -> None:
    async with open_test_process(clocks=Clocks(answer_seconds=1.0)) as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, f"{SUCCESS}?read_fault=none,hang,hang")
        began = time.monotonic()
        told = await refused(client, tool, back(order_id) if tool == "return_order" else problem(order_id))
        assert time.monotonic() - began < 5
    assert told["summary"] == "Error: Zinc took too long to show the order. Nothing was sent."
    assert created(zinc.sandbox) == []
