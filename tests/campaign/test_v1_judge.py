"""The campaign's judge finds each kind of broken promise on the v1 rail, and none in orders that go their way."""

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from on_v1 import CLOCKS
from pydantic import SecretStr
from server.as_a_host import said

from bench.campaign.agents.agent import Call
from bench.campaign.journals.sqlite import keep_record
from bench.campaign.judge.rounds import judge_round
from bench.campaign.judge.verdict import (
    ALL_ROWS,
    ANSWER_REPEATED,
    DUPLICATED,
    LOST,
    NOT_NOTICED,
    OVER_LIMIT,
    SECRETS_TOLD,
    UNTRUE,
    WRONG_ENDING,
)
from bench.campaign.plan.intentions import Intention, Round
from bench.campaign.plan.v1_orders import TOKEN
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.settings import Settings
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.wiring import open_process

WISH = Intention(
    number=1, family=1, quantity=1, line2="", scenario="success", fault="none", faults=("none",), look_faults=(),
    kill="", behaviour="patient", delay=0.0, clock="", racers=(), follows=False, seed=1, tool="place_v1_order",
    by_number=True,
)  # fmt: skip
ROUND = Round(
    name="001-hosts", dialect="default", kind="hosts", old_journal=False, repeat_seconds=None, limit_cents=None,
    price=6000, outage=False, intentions=(WISH,), rails=("v1",),
)  # fmt: skip
POLICY = '[policy]\napproval = "none"\nmax_day = 10_000_000\n'


@dataclass
class Played:
    """A round of one order, as its processes left it."""

    round: Round
    folder: Path
    calls: list[Call]

    def change(self, file: str, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.folder / file)) as database, database:
            assert database.execute(statement, values).rowcount > 0, "it changes something"

    def judged(self, **changes: Any) -> dict[str, int]:
        verdict = judge_round(replace(self.round, **changes), self.folder, {1: self.calls}, time.time())
        return {row: verdict.counts[row] for row in ALL_ROWS if verdict.counts[row]}


async def played(folder: Path, scenario: str = "success", faults: tuple[str, ...] = ("none",)) -> Played:
    """Place one order of v1, look at it once it is decided, and return the round."""
    wish = replace(WISH, scenario=scenario, fault=faults[0], faults=faults)
    Journal.open(f"sqlite:///{folder / 'journal.db'}").close()
    keep_record(folder / "journal.db")
    (folder / "zinc.toml").write_text(POLICY, encoding="utf-8")
    now = time.time() - 1000

    def clock() -> float:
        return now

    sandbox = Sandbox(folder / "ledger.db", clock=clock, pace=10.0)
    settings = Settings(home=folder, config=folder / "zinc.toml", browser=False, v1_client_token=SecretStr(TOKEN))
    calls: list[Call] = []
    async with (
        open_process(settings, transport=sandbox.transport(), clocks=CLOCKS, clock=clock) as process,
        Client(build_server(process)) as client,
    ):

        async def ask(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            answer = said(await client.call_tool(tool, arguments))
            calls.append(Call(tool, "same", "stdio", answer, clock(), 0.1))
            return answer

        placed = await ask("place_v1_order", wish.arguments("same", ROUND.price, "place_v1_order"))
        now += 5
        if placed.get("order_id"):
            await ask("get_order", {"order_id": placed["order_id"]})
    sandbox.ledger.select("PRAGMA wal_checkpoint")
    return Played(replace(ROUND, intentions=(wish,)), folder, calls)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "scenario",
    ["success", "never-decided", "failed_product_unavailable", "failed_duplicate_order", "refused_invalid_address",
     "refused_internal_error", "probably_placed", "probably_not_placed", "queue_full", "unknown_code", "unknown_type",
     "hostile_text", "hostile_failure", "no_price", "two_parcels"],
)  # fmt: skip
async def test_an_order_that_goes_its_way_breaks_no_row(tmp_path: Path, scenario: str) -> None:
    assert (await played(tmp_path, scenario)).judged() == {}


async def test_an_order_whose_answer_was_lost_and_is_found_breaks_no_row(tmp_path: Path) -> None:
    assert (await played(tmp_path, faults=("drop_after",))).judged() == {}


@pytest.mark.parametrize("scenario", ["probably_placed", "never-decided", "failed_duplicate_order"])
async def test_an_order_kept_as_failed_that_has_not_failed_is_found(tmp_path: Path, scenario: str) -> None:
    one = await played(tmp_path, scenario)
    one.change("journal.db", "UPDATE zinc_entries SET state = 'failed'")
    assert one.judged() == {WRONG_ENDING: 1}


@pytest.mark.parametrize("code", ["internal_error", "order_probably_placed", "duplicate_order"])
async def test_a_request_kept_as_rejected_by_a_code_that_proves_nothing_is_found(tmp_path: Path, code: str) -> None:
    one = await played(tmp_path, f"refused_{code}")
    one.change("journal.db", "UPDATE zinc_entries SET state = 'rejected'")
    assert one.judged() == {WRONG_ENDING: 1}


async def test_a_gateway_s_429_kept_as_a_no_is_found(tmp_path: Path) -> None:
    one = await played(tmp_path, faults=("rate_limited", "rate_limited"))
    one.change("journal.db", "UPDATE zinc_entries SET state = 'rejected'")
    assert one.judged() == {WRONG_ENDING: 1}


async def test_a_second_order_of_what_was_probably_placed_is_found(tmp_path: Path) -> None:
    one = await played(tmp_path, "probably_placed")
    one.change(
        "ledger.db",
        "INSERT INTO orders (order_id, caller, idempotency_key, body, created_at, scenario, rail) "
        "SELECT 'second', caller, 'other', body, created_at + 9000, scenario, rail FROM orders",
    )
    assert one.judged()[DUPLICATED] == 1


async def test_a_second_order_of_one_key_is_found_where_it_is_not_noticed(tmp_path: Path) -> None:
    one = await played(tmp_path)
    one.change(
        "ledger.db",
        "INSERT INTO orders (order_id, caller, idempotency_key, body, created_at, scenario, rail) "
        "SELECT 'second', caller, idempotency_key, body, created_at + 1, scenario, rail FROM orders",
    )
    assert one.judged(dialect="v1_keys=ignored") == {NOT_NOTICED: 1}


@pytest.mark.parametrize("scenario", ["success", "refused_invalid_address", "refused_duplicate_order"])
async def test_bytes_sent_again_after_an_answer_are_found(tmp_path: Path, scenario: str) -> None:
    one = await played(tmp_path, scenario)
    one.change(
        "ledger.db",
        "INSERT INTO attempts (at, caller, idempotency_key, body_sha256, outcome, rail) "
        "SELECT at + 1, caller, idempotency_key, body_sha256, 'replayed', rail FROM attempts",
    )
    one.change("journal.db", "UPDATE zinc_entries SET attempts = 2")
    assert one.judged() == {ANSWER_REPEATED: 1}


async def test_bytes_sent_again_after_zinc_had_shown_their_order_are_found(tmp_path: Path) -> None:
    one = await played(tmp_path, "probably_placed", ("drop_after",))
    one.change(
        "ledger.db",
        "INSERT INTO attempts (at, caller, idempotency_key, body_sha256, outcome, rail) "
        "SELECT at + 9, caller, idempotency_key, body_sha256, 'replayed', rail FROM attempts LIMIT 1",
    )
    one.change("journal.db", "UPDATE zinc_entries SET attempts = attempts + 1")
    assert one.judged() == {ANSWER_REPEATED: 1}


async def test_a_clock_that_was_set_back_makes_no_repeat_of_what_was_sent_before(tmp_path: Path) -> None:
    one = await played(tmp_path, "probably_placed", ("drop_after",))
    late = "SELECT max(rowid) FROM zinc_events WHERE what LIKE 'Zinc says%' OR what LIKE 'found at Zinc%'"
    one.change("journal.db", f"UPDATE zinc_events SET at = at - 3600 WHERE rowid = ({late})")
    assert one.judged() == {}


async def test_a_no_to_a_repeat_allows_another_one(tmp_path: Path) -> None:
    one = await played(tmp_path, "refused_product_unavailable", ("drop_after",))
    one.change(
        "ledger.db",
        "INSERT INTO attempts (at, caller, idempotency_key, body_sha256, outcome, rail) "
        "SELECT at + 1, caller, idempotency_key, body_sha256, 'replayed', rail FROM attempts LIMIT 1",
    )
    one.change("journal.db", "UPDATE zinc_entries SET attempts = attempts + 1")
    assert one.judged() == {}


async def test_a_request_that_no_journal_has_is_found(tmp_path: Path) -> None:
    one = await played(tmp_path)
    one.change(
        "ledger.db",
        "INSERT INTO attempts (at, caller, idempotency_key, body_sha256, outcome, rail) "
        "SELECT at + 1, caller, 'unknown', 'x', 'not_accepted_drop_before', rail FROM attempts",
    )
    assert one.judged() == {LOST: 1}


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("success", {"price": {"paid_cents": 1}}),
        ("never-decided", {"outcome": "failed"}),
        ("probably_placed", {"outcome": "rejected"}),
        ("failed_product_unavailable", {"failure": {"code": "max_price_exceeded"}}),
    ],
)
async def test_an_answer_that_differs_from_what_became_of_the_order_is_found(
    tmp_path: Path, scenario: str, words: dict[str, Any]
) -> None:
    one = await played(tmp_path, scenario)
    last = one.calls[-1]
    assert last.answer is not None
    one.calls[-1] = replace(last, answer={**last.answer, **words})
    assert set(one.judged()) == {UNTRUE}


@pytest.mark.parametrize("secret", ["managed.account@buyers.example", TOKEN])
async def test_a_secret_in_an_answer_or_in_the_journal_is_found(tmp_path: Path, secret: str) -> None:
    one = await played(tmp_path)
    last = one.calls[-1]
    assert last.answer is not None
    one.calls[-1] = replace(last, answer={**last.answer, "note": secret})
    assert one.judged() == {SECRETS_TOLD: 1}
    one.calls.pop()
    one.change("journal.db", "UPDATE zinc_entries SET facts = ?", json.dumps({"note": secret}))
    assert one.judged() == {SECRETS_TOLD: 1}


async def test_a_bid_above_the_limit_is_found(tmp_path: Path) -> None:
    one = await played(tmp_path, "never-decided")
    [entry] = Journal.open(f"sqlite:///{tmp_path / 'journal.db'}").entries()
    assert entry.reserved_cents == ROUND.price + 100, "the intention's seed makes a bid"
    assert one.judged(limit_cents=entry.reserved_cents) == {}
    assert set(one.judged(limit_cents=entry.reserved_cents - 1)) == {OVER_LIMIT}
