"""Whatever breaks, in whatever order things are asked for, no change is filed twice, lost, or told wrongly."""

import random
from collections import Counter
from typing import Any

import pytest
from aftercare.after import SUCCESS, created, delivered
from conftest import HandClock, OpenProcess
from server.as_a_host import host, said
from variants import rare

from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.sandbox.faults.asked import AFTER, BEFORE

# Not those that wait for long, or that only a port can do.
FAULTS = sorted({*BEFORE, *AFTER} - {"hang", "refuse", "rate_limited", "unauthorized_once"}) + ["none"] * 8
REASONS = ["damaged", "defective", "wrong_size"]
MESSAGES = ["It never came.", "It is still not here.", "The box was empty."]
DIALECTS = ["", "after_sale_listing=lags", "case_list=summaries", "errors=flat", "validation=wrapped"]


@pytest.fixture
def zinc(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


def wish(drawn: random.Random, order_id: str) -> tuple[str, dict[str, Any]]:
    if drawn.random() < 0.5:
        items = [{"number": 1, "quantity": drawn.choice([1, 1, 2])}]
        return "return_order", {"order_id": order_id, "items": items, "reason": drawn.choice(REASONS)}
    if drawn.random() < 0.3:
        return "report_problem", {"order_id": order_id, "close": True}
    report = {"reason": drawn.choice(["late", "other"]), "message": drawn.choice(MESSAGES)}
    return "report_problem", {"order_id": order_id, **report}


FOUND = [1147, 1150, 1197, 1246]
"""Seeds that have found a fault: a case that got a message was not taken for the one that a lost answer had opened."""


@pytest.mark.parametrize("seed", [0, *FOUND, *map(rare, range(1, 20))])
async def test_nothing_is_filed_twice_lost_or_told_wrongly(
    open_test_process: OpenProcess, zinc: Sandbox, clock: HandClock, seed: int
) -> None:
    drawn = random.Random(seed)  # noqa: S311
    zinc.dialect = Dialect.parse(drawn.choice(DIALECTS))
    faults = {name: ",".join(drawn.choices(FAULTS, k=12)) for name in ("return_fault", "case_fault")}
    url = f"{SUCCESS}?{'&'.join(f'{name}={value}' for name, value in faults.items())}"
    async with open_test_process() as process, host(process, "auto") as client:
        order_id = await delivered(client, clock, url, quantity=5)
    told: dict[str, set[str]] = {}
    for _ in range(4):  # each time another process, which knows only what the journal says
        async with open_test_process() as process, host(process, "auto") as client:
            for _ in range(4):
                tool, given = wish(drawn, order_id)
                filed = len(created(zinc))
                answer = said(await client.call_tool(tool, given))
                key = answer.get("key")
                if key is not None:
                    told.setdefault(key, set()).add(answer["outcome"])
                if answer["outcome"] in ("refused", "rejected") or answer.get("new_request") is False:
                    assert len(created(zinc)) == filed, (answer, given)
                assert len(created(zinc)) <= filed + 1
                clock.pass_seconds(drawn.choice([0, 3, 40, 400]))
    zinc.dialect = Dialect()
    clock.pass_seconds(100)
    async with open_test_process() as process, host(process, "auto") as client:
        known = said(await client.call_tool("get_order", {"order_id": order_id}))
        entries = await process.journal.run(lambda journal: journal.changes_of(order_id, "local", "test"))
    assert len({entry.key for entry in entries}) == len(entries)
    assert {entry.key for entry in entries} >= told.keys()
    assert all(entry.attempts <= 1 for entry in entries)
    returns = [entry for entry in entries if entry.kind == "return"]
    ids = Counter(entry.facts.get("zinc_id") for entry in returns if entry.facts.get("zinc_id"))
    at_zinc = {row["return_id"] for row in zinc.ledger.select("SELECT return_id FROM returns")}
    assert set(ids) == at_zinc, "each return at Zinc is known by its entry, and no entry claims another"
    assert set(ids.values()) <= {1}
    opened = [entry for entry in entries if entry.facts.get("action") == "open" and entry.facts.get("zinc_id")]
    cases = {row["case_id"] for row in zinc.ledger.select("SELECT case_id FROM cases")}
    assert {entry.facts["zinc_id"] for entry in opened} == cases
    assert len(opened) == len(cases)
    messages = [entry for entry in entries if entry.facts.get("action") in ("open", "message")]
    landed = [entry for entry in messages if entry.state == "placed"]
    (count,) = zinc.ledger.select("SELECT count(*) AS n FROM case_messages")
    assert len(landed) == count["n"]
    back = sum(row["quantity"] for entry in returns if entry.state == "placed" for row in entry.facts["items"])
    assert back <= 5
    assert known["outcome"] == "placed"
    for entry in entries:
        if entry.state == "placed":
            assert told.get(entry.key, {"filed"}) & {"filed", "unknown", "sending"}
        if entry.state in ("rejected", "refused"):
            assert "filed" not in told.get(entry.key, set())
