"""The conformance suite's relay changes no name, and its verdict notices everything unexpected."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from conftest import OpenProcess
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS
from server.on_a_port import JSON, connected, initialize, served, token_in
from started import ROOT

from bench.conformance.relay import authorized, relayed
from bench.conformance.scenarios import FIXTURES, PLAIN, TARGETS, Target
from bench.conformance.served import with_fixtures
from bench.conformance.verdict import FORM, Check, Ran, objections, page, read, required, table
from zinc_mcp.server.mcp.listing import contract

PAGE = ROOT / "docs" / "conformance.md"
HELLO = json.dumps(initialize()).encode()


@asynccontextmanager
async def behind_the_relay(open_test_process: OpenProcess, home: Path) -> AsyncGenerator[tuple[int, int]]:
    """Serve a process behind the relay; give the server's port and the relay's."""
    async with open_test_process() as process, served(process) as origin:
        port = int(origin.rpartition(":")[2])
        async with relayed(port, token_in(home)) as relay:
            yield port, relay


async def posted(port: int, body: bytes | AsyncIterator[bytes] = HELLO, **headers: str) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=10, trust_env=False) as http:
        return await http.post(f"http://127.0.0.1:{port}/mcp", content=body, headers={**JSON, **headers})


async def test_the_relay_adds_the_token_and_nothing_else_lets_a_request_in(
    open_test_process: OpenProcess, home: Path
) -> None:
    async with behind_the_relay(open_test_process, home) as (port, relay):
        assert (await posted(port)).status_code == 401
        answer = await posted(relay)
        assert answer.status_code == 200
        assert token_in(home) not in answer.text + str(answer.headers)


async def test_a_body_in_chunks_and_a_second_request_on_the_connection_come_through(
    open_test_process: OpenProcess, home: Path
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield HELLO[:10]
        yield HELLO[10:]

    async with behind_the_relay(open_test_process, home) as (_, relay):
        assert (await posted(relay, chunks())).status_code == 200
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{relay}", timeout=10, trust_env=False) as http:
            statuses = [(await http.post("/mcp", content=HELLO, headers=JSON)).status_code for _ in range(3)]
            statuses.append((await http.get("/healthz")).status_code)
    assert statuses == [200] * 4


@pytest.mark.parametrize("foreign", ["evil.example.com", "evil.example.com:{relay}", "127.0.0.1.evil.example:{relay}"])
async def test_a_foreign_name_reaches_the_server_s_own_check(
    open_test_process: OpenProcess, home: Path, foreign: str
) -> None:
    async with behind_the_relay(open_test_process, home) as (_, relay):
        name = foreign.format(relay=relay)
        by_host, by_origin = await posted(relay, Host=name), await posted(relay, Origin=f"http://{name}")
        own = await posted(relay, Host=f"localhost:{relay}", Origin=f"http://localhost:{relay}")
    assert (by_host.status_code, by_host.json()) == (421, {"error": "invalid_host"})
    assert (by_origin.status_code, by_origin.json()) == (403, {"error": "invalid_origin"})
    assert own.status_code == 200


def test_only_a_port_at_the_end_of_a_name_is_replaced() -> None:
    head = (
        b"POST /mcp?host=a:70 HTTP/1.1\r\nHost: a:70\r\nX-Host: a:70\r\nOrigin: http://b:700\r\nReferer: c:70\r\n\r\n"
    )
    passed = authorized(head, 70, 80, "t").split(b"\r\n")
    assert passed[0] == b"POST /mcp?host=a:70 HTTP/1.1"
    assert set(passed[1:-2]) == {
        b"Authorization: Bearer t",
        b"Host: a:80",
        b"X-Host: a:70",
        b"Origin: http://b:700",
        b"Referer: c:70",
    }


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_fixtures_come_to_our_own_tools_behind_our_own_checks(
    open_test_process: OpenProcess, home: Path, mode: str
) -> None:
    async with open_test_process() as process, served(process, make_server=with_fixtures) as origin:
        assert (await posted(int(origin.rpartition(":")[2]))).status_code == 401
        async with connected(origin, "mcp", mode, token_in(home)) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            own = [row["name"] for row in contract() if row["name"] in tools]
            assert "place_order" in own
            assert tools[: len(own)] == own
            assert all("test_" in name or name == "json_schema_2020_12_tool" for name in tools[len(own) :])
            said = (await client.call_tool("test_simple_text", {})).content
            assert [each.type for each in said] == ["text"]
            with pytest.raises(MCPError, match="Unknown tool; nothing was done") as refused:
                await client.call_tool("test_nothing", {})
            assert refused.value.error.code == INVALID_PARAMS


def as_expected(target: Target) -> list[Ran]:
    """Return a run in which nothing is wrong."""
    return [
        Ran(
            revision,
            name,
            (
                Check("it-works", "SUCCESS"),
                Check("not-asked", "SKIPPED"),
                *(Check(check, "FAILURE") for at, of, check in target.expected if (at, of) == (revision, name)),
            ),
        )
        for revision, names in target.ours.items()
        for name in names
    ]


def left_out(target: Target) -> list[str]:
    return [name for names in target.left_out.values() for name in names]


def objected(
    target: Target, ran: list[Ran], known: list[str] | None = None, needed: dict[str, list[str]] | None = None
) -> list[str]:
    return objections(target, ran, left_out(target) if known is None else known, needed or {})


EACH = pytest.mark.parametrize("target", TARGETS, ids=["plain", "fixtures"])


@EACH
def test_a_run_as_expected_has_no_objections(target: Target) -> None:
    assert objected(target, as_expected(target)) == []


@EACH
@pytest.mark.parametrize("status", ["FAILURE", "WARNING"])
def test_a_check_that_fails_is_noticed_even_where_it_passed_as_well(status: str, target: Target) -> None:
    ran = as_expected(target)
    ran[0] = replace(ran[0], checks=(*ran[0].checks, Check("it-works", status, "it did not")))
    assert f"{ran[0].scenario}, {ran[0].revision}: it-works failed: it did not" in objected(target, ran)


@EACH
def test_an_expected_failure_that_passes_or_is_not_checked_is_noticed(target: Target) -> None:
    for status in ("SUCCESS", "SKIPPED"):
        ran = [
            replace(
                each,
                checks=tuple(Check(one.name, status if one.status == "FAILURE" else one.status) for one in each.checks),
            )
            for each in as_expected(target)
        ]
        assert len(objected(target, ran)) == len(target.expected)


@EACH
def test_a_scenario_in_which_nothing_was_checked_is_noticed(target: Target) -> None:
    ran = as_expected(target)
    ran[0] = replace(ran[0], checks=(Check("it-works", "SKIPPED"),))
    assert objected(target, ran) == [f"{ran[0].scenario}, {ran[0].revision}: nothing was checked"]


@EACH
def test_a_scenario_that_is_new_gone_or_did_not_run_is_noticed(target: Target) -> None:
    ran, known = as_expected(target), left_out(target)
    assert objected(target, ran, [*known, "brand-new"]) == ["brand-new: neither to be passed nor left out"]
    assert objected(target, ran, known[1:]) == [f"{known[0]}: left out, and the suite does not have it"]
    assert objected(target, ran[1:]) == [f"{ran[0].scenario}, {ran[0].revision}: did not run"]
    elsewhere = Ran("2026-07-28", "ping", (Check("ping", "SUCCESS"),))
    assert objected(target, [*ran, elsewhere]) == ["ping: neither to be passed nor left out in 2026-07-28"]


@EACH
def test_the_form_of_messages_counts_where_nothing_else_does(target: Target) -> None:
    name = left_out(target)[0]
    spared = Ran("2026-07-28", name, (Check(name, "FAILURE"), Check(FORM, "SUCCESS")))
    assert objected(target, [*as_expected(target), spared]) == []
    spared = replace(spared, checks=(Check(FORM, "FAILURE", "no id"),))
    assert objected(target, [*as_expected(target), spared]) == [f"{name}, 2026-07-28: {FORM}: no id"]


def test_with_the_fixtures_a_scenario_that_could_pass_is_not_left_out() -> None:
    name = left_out(FIXTURES)[0]
    passed = Ran("2026-07-28", name, (Check(name, "SUCCESS"), Check(FORM, "SUCCESS")))
    assert objected(FIXTURES, [*as_expected(FIXTURES), passed]) == [f"{name}, 2026-07-28: left out, and it passes"]
    idle = replace(passed, checks=(Check(FORM, "SUCCESS"),))
    assert objected(FIXTURES, [*as_expected(FIXTURES), idle]) == []


def test_scenarios_that_the_suite_requires_have_to_pass_with_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    for revision, name in (("2025-11-25", "ping"), ("2026-07-28", "tasks-lifecycle")):
        (tmp_path / "requirements" / f"{revision}.yaml").write_text(f"server:\n  - {name}\n", encoding="utf-8")
    needed = required(tmp_path)
    assert needed == {"2025-11-25": ["ping"], "2026-07-28": ["tasks-lifecycle"]}
    missing = ["tasks-lifecycle, 2026-07-28: required, and not to be passed"]
    assert objected(FIXTURES, as_expected(FIXTURES), None, needed) == missing
    assert objected(PLAIN, as_expected(PLAIN), None, needed) == []


def test_the_files_that_the_suite_writes_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "server-server-stateless-2026-11-27T04-23-37-206Z"
    folder.mkdir()
    written: list[dict[str, str]] = [
        {"id": "a", "status": "SUCCESS"},
        {"id": "b", "status": "FAILURE", "errorMessage": "no"},
    ]
    (folder / "checks.json").write_text(json.dumps(written), encoding="utf-8")
    ran = Ran("2026-07-28", "server-stateless", (Check("a", "SUCCESS"), Check("b", "FAILURE", "no")))
    assert read(tmp_path, "2026-07-28") == [ran]
    assert "| server-stateless | 2026-07-28 | 1 | 0 | 1 | 0 |" in table(PLAIN, [ran])
    (tmp_path / "notes").mkdir()
    with pytest.raises(ValueError, match="notes"):
        read(tmp_path, "2026-07-28")


def test_the_page_has_each_scenario_and_each_reason() -> None:
    text, again = PAGE.read_text(encoding="utf-8"), "python -m bench.conformance --write"
    for target in TARGETS:
        _, _, section = text.partition(f"## {target.title}\n")
        rows = [row.split(" | ") for row in section.partition("\n## ")[0].splitlines() if row.startswith("| ")][1:]
        shown = [(row[1], row[0].removeprefix("| ")) for row in rows if "**" not in row[0]]
        assert shown == [(revision, name) for revision, names in target.ours.items() for name in names], again
        for row in rows:
            revision, name = row[1], row[0].removeprefix("| ")
            expected = sum(at == revision and name in (of, "**together**") for at, of, _ in target.expected)
            assert [int(cell.strip(" |")) for cell in row[3:5]] == [expected, 0], again
    for part in page({}).splitlines():
        assert part.startswith(("Of these", "failed in them", "| **together**")) or part in text, again


@pytest.mark.thorough
def test_without_npm_the_run_is_skipped_and_says_why(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", "bench.conformance"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "skipped: the conformance suite cannot be installed here (no npm here)\n"
