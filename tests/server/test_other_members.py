"""Nothing of one member can be used, changed or found out by another: key, order, link, question."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from mcp import Client
from server.as_a_host import both_eras, call, refused
from server.on_a_port import TRANSPORTS, connected, served
from server.visitor import forms, visitor, words
from wanted import arguments, book

from zinc_mcp.owner.members import add_member
from zinc_mcp.process import Clocks, Process

both_transports = pytest.mark.parametrize("transport", TRANSPORTS)
KEY = "order-1"


@dataclass
class Two:
    """A server with two members, and the clients of both."""

    process: Process
    origin: str
    tokens: dict[str, str]
    ada: Client
    bob: Client


@asynccontextmanager
async def two(
    open_test_process: OpenProcess, home: Path, mode: str, transport: str, **settings: Any
) -> AsyncGenerator[Two]:
    tokens = {name: add_member(home / "members.json", name, role="admin") for name in ("ada", "bob")}
    async with (
        open_test_process(**settings) as process,
        served(process) as origin,
        connected(origin, transport, mode, tokens["ada"]) as ada,
        connected(origin, transport, mode, tokens["bob"]) as bob,
    ):
        yield Two(process, origin, tokens, ada, bob)


@pytest.mark.sampled(2)
@both_eras
@both_transports
async def test_another_member_s_order_is_unknown_to_every_tool_and_its_key_is_free_for_one_s_own(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, mode: str, transport: str
) -> None:
    async with two(open_test_process, home, mode, transport) as ours:
        first = await call(ours.ada, "place_order", arguments(products=book(1), idempotency_key=KEY))
        zinc.settle(first["order_id"], 4_000)
        asked = len(zinc.requests)
        for handle in (first["order_id"], first["key"], KEY):
            for tool, more in (
                ("get_order", {}),
                ("cancel_order", {}),
                ("return_order", {"items": [{"number": 1, "quantity": 1}], "reason": "other"}),
                ("report_problem", {"reason": "not_received", "message": "Where is it?"}),
            ):
                assert (await refused(ours.bob, tool, {"order_id": handle, **more}))["code"] == "order_not_found"
        assert len(zinc.requests) == asked, "Zinc was not asked either"
        assert "orders" not in await call(ours.bob, "list_orders", {}), "there are none"
        assert len((await call(ours.ada, "list_orders", {}))["orders"]) == 1
        # Both what she gave and what is sent to Zinc for it, for the same goods and for others.
        given = [(KEY, 2), (first["key"], 1), (first["order_id"], 3)]
        others = [
            await call(ours.bob, "place_order", arguments(products=book(number), idempotency_key=key))
            for key, number in given
        ]
        assert all(each["new_order"] for each in others)
        for key, number in given:
            again = await call(ours.bob, "place_order", arguments(products=book(number), idempotency_key=key))
            assert again["new_order"] is False
            assert again["key"] != first["key"]
        same = await call(ours.ada, "place_order", arguments(products=book(1), idempotency_key=KEY))
        assert (same["new_order"], same["order_id"]) == (False, first["order_id"])
        told = await refused(ours.ada, "place_order", arguments(products=book(4), idempotency_key=KEY))
        assert told["code"] == "key_conflict", "it is her own"
    keys = [each["idempotency_key"] for each in zinc.bodies()]
    assert len(set(keys)) == len(keys) == 4
    assert not {KEY, *(key for key, _ in given[2:])} & set(keys), "no other account's order can have them"


@both_eras
async def test_another_member_s_link_and_question_work_for_nobody_else(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clocks: Clocks, mode: str
) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "zinc.toml").write_text('[policy]\napproval = "page"\n', encoding="utf-8")
    async with two(open_test_process, home, mode, "mcp", clocks=replace(clocks, answer_seconds=0.5)) as ours:
        asked = await call(ours.ada, "place_order", arguments())
        assert asked["outcome"] == "waiting"
        [entry] = await ours.process.journal.run(lambda journal: journal.waiting(None))
        async with (
            visitor(f"{ours.origin}/approve/{entry.id}") as bob,
            visitor(f"{ours.origin}/approve/{entry.id}") as ada,
        ):
            assert (await bob.sign_in(ours.tokens["bob"])).status_code == 404
            page = await ada.sign_in(ours.tokens["ada"])
            assert "12 Planted Street" in words(page.text)
            stolen = next(form.fields for form in forms(page.text) if "about" in form.fields)
            answer = await bob.send(**{**stolen, "visit": bob.visit, "decision": "yes"})
            assert answer.status_code == 404, "her question in his own window"
            assert "Planted" not in answer.text
            assert zinc.posts == []
            assert (await ada.decide("yes")).status_code == 200
    assert len(zinc.posts) == 1
