"""The ledger keeps one order for each key: in memory, in a file, and across processes."""

import json
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import anyio
import preloaded
import pytest
from sandbox.practising import Clock, customer, order, placed, read

from zinc_mcp.errors import SettingsError
from zinc_mcp.sandbox import Dialect, Sandbox

_RIVAL = """
import asyncio, sys
from contextlib import closing
from pathlib import Path
from sandbox.practising import customer, order
from zinc_mcp.errors import SettingsError
from zinc_mcp.sandbox import Sandbox

async def main():
    async with customer(Sandbox(Path(sys.argv[1]))) as client:
        print("ready", flush=True)
        sys.stdin.readline()
        statuses = []
        for turn in range(20):
            answer = await client.post("/orders", json=order(idempotency_key=f"key-{turn}"))
            statuses.append(answer.status_code)
        print(*statuses, flush=True)

asyncio.run(main())
"""


@pytest.fixture(params=["memory", "file"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Sandbox]:
    yield Sandbox(tmp_path / "deep" / "sandbox.db" if request.param == "file" else None)


async def test_a_key_stands_for_one_order_for_ever(sandbox: Sandbox) -> None:
    async with customer(sandbox) as client:
        first = await placed(client, order(idempotency_key="k"))
        repeat = await client.post("/orders", json=order("out-of-stock", idempotency_key="k"))
        assert repeat.status_code == 409
        details = repeat.json()["error"]["details"]
        assert details == {"resource": "Order", "identifier": "k"}
        await placed(client, order())
        await placed(client, order())
    rows = sandbox.placed()
    assert len({row["idempotency_key"] for row in rows}) == len(rows) == 3
    kept = (rows[0]["order_id"], rows[0]["idempotency_key"], rows[0]["scenario"], rows[0]["body"]["max_price"])
    assert kept == (first["id"], "k", "success", 5000)
    assert "zn_test_ada" not in json.dumps(rows)


def test_two_processes_with_one_ledger_place_one_order_for_each_key(tmp_path: Path) -> None:
    ledger = tmp_path / "sandbox.db"
    rivals = [
        subprocess.Popen(
            [*preloaded.command("python"), "-W", "error", "-c", _RIVAL, str(ledger)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        for _ in range(2)
    ]
    heard: list[str] = []
    try:
        for rival in rivals:
            assert rival.stdout is not None and rival.stdout.readline() == "ready\n"
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write("go\n")
            rival.stdin.flush()
        heard = [rival.communicate(timeout=30)[0] for rival in rivals]
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
            for pipe in (rival.stdin, rival.stdout):
                if pipe is not None:
                    pipe.close()
    answers = list(zip(*(line.split() for line in heard), strict=True))
    assert len(answers) == 20
    assert all(sorted(pair) == ["201", "409"] for pair in answers)
    judge = Sandbox(ledger)
    assert len(judge.placed()) == 20 and len(judge.attempts()) == 40


async def test_a_restart_loses_nothing_and_the_file_is_private(tmp_path: Path) -> None:
    ledger, clock = tmp_path / "home" / "sandbox.db", Clock()
    async with customer(Sandbox(ledger, clock=clock)) as client:
        taken = await placed(client, order())
    clock.now += 20
    async with customer(Sandbox(ledger, clock=clock)) as client:
        assert (await read(client, taken["id"]))["items"][0]["status"] == "delivered"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in ledger.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


async def test_fault_turns_are_counted_across_processes(tmp_path: Path) -> None:
    body = order("success?fault=http_500_before,http_500_after&read_fault=http_500", idempotency_key="k")
    seen: list[int] = []
    for _ in range(3):
        async with customer(Sandbox(tmp_path / "sandbox.db")) as client:
            seen.append((await client.post("/orders", json=body)).status_code)
    assert seen == [500, 500, 409]
    order_id = Sandbox(tmp_path / "sandbox.db").placed()[0]["order_id"]
    reads: list[int] = []
    for _ in range(2):
        async with customer(Sandbox(tmp_path / "sandbox.db")) as client:
            reads.append((await client.get(f"/orders/{order_id}")).status_code)
    assert reads == [500, 200]


async def test_a_judge_in_another_thread_may_read_the_ledger() -> None:
    sandbox = Sandbox()
    async with customer(sandbox) as client:
        await placed(client, order())
    counted: list[int] = []
    judge = threading.Thread(target=lambda: counted.append(len(sandbox.placed())))
    judge.start()
    await anyio.to_thread.run_sync(judge.join)
    assert counted == [1]


async def test_every_attempt_is_written_down_even_without_a_right_to_it(sandbox: Sandbox) -> None:
    async with customer(sandbox, "zn_live_real") as client:
        await client.post("/orders", json=order(idempotency_key="k"))
    (attempt,) = sandbox.attempts()
    assert (attempt["outcome"], attempt["idempotency_key"], len(attempt["body_sha256"])) == ("rejected_401", "k", 64)


def test_a_ledger_that_cannot_be_used_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ada, " * 1000)
    for path in (tmp_path, tmp_path / "letter.txt", tmp_path / "letter.txt" / "sandbox.db"):
        with pytest.raises(SettingsError):
            Sandbox(path)
    assert (tmp_path / "letter.txt").read_text().startswith("Dear Ada")


async def test_a_broken_ledger_is_a_500_and_no_crash(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "sandbox.db")
    with closing(sqlite3.connect(tmp_path / "sandbox.db")) as vandal:
        vandal.execute("DROP TABLE orders")
    async with customer(sandbox) as client:
        answer = await client.post("/orders", json=order())
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
        assert (await client.get("/health")).status_code == 200
    assert [attempt["outcome"] for attempt in sandbox.attempts()] == ["received"]


def test_a_sandbox_is_cheap_to_import_and_to_open() -> None:
    program = (
        "import sys\nfrom zinc_mcp.sandbox import Dialect, Sandbox\nSandbox()\n"
        "heavy = {'starlette', 'httpx', 'uvicorn', 'pydantic', 'mcp'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert ran.returncode == 0, ran.stderr


def test_a_pace_must_go_forward() -> None:
    for pace in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError):
            Sandbox(pace=pace)
    assert Sandbox(dialect=Dialect(keys="ignored")).dialect.keys == "ignored"
