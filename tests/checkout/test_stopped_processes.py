"""Processes that stand still in the middle of an order and go on later: after their time is over they spend nothing."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from checkout import buyer
from started import ROOT
from wanted import arguments

from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.entry import DOUBTFUL
from zinc_mcp.journal.journal import Journal
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.app import serve
from zinc_mcp.sandbox.challenges import Payee

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals that stop a process")

_WALLET = """import json, os, sys
sys.stdin.read()
open(sys.argv[1], "a").write("started\\n")
print(json.dumps({"payload": {"spt": "spt_" + str(os.getpid())}}))
"""


class Machine:
    """One machine: a Zinc on it, its clocks, and processes that buy there."""

    def __init__(self, folder: Path, sandbox: Sandbox, port: int, gone: Path) -> None:
        self.folder, self.sandbox, self._gone = folder, sandbox, gone
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "zinc.toml").write_text('[policy]\napproval = "none"\n', encoding="utf-8")
        (folder / "wallet.py").write_text(_WALLET, encoding="utf-8")
        self.starts = folder / "starts"
        self.processes: list[subprocess.Popen[str]] = []
        self._origin = f"http://127.0.0.1:{port}"

    def request(self, way: str, step: str = "", nth: int = 1) -> dict[str, Any]:
        command = f"{sys.executable} {self.folder / 'wallet.py'} {self.starts}" if way == "program" else None
        return {
            "home": str(self.home),
            "origin": self._origin,
            "rail": "account" if way == "account" else "agent",
            "wallet_command": command,
            "step": step,
            "nth": nth,
            "ahead": str(self._gone),
            "order": arguments(),
        }

    def _started(self, request: dict[str, Any]) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, buyer.__file__, json.dumps(request)],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    async def stopped(self, way: str, step: str, nth: int = 1) -> "subprocess.Popen[str]":
        """Start a process that buys and wait until it stands still."""
        process = self._started(self.request(way, step, nth))
        with anyio.fail_after(60):
            while _state(process.pid) != "T":
                assert process.poll() is None, f"it never stood still at {step}"
                await anyio.sleep(0.02)
        self.processes.append(process)
        return process

    async def go_on(self, process: "subprocess.Popen[str]") -> str:
        """Let a process go on and come to its end."""
        process.send_signal(signal.SIGCONT)
        told, _ = await anyio.to_thread.run_sync(process.communicate)
        assert process.returncode == 0
        return told

    def pass_seconds(self, seconds: float) -> None:
        whole = self._gone.with_suffix(".new")
        whole.write_text(str(buyer.ahead(self._gone) + seconds), encoding="ascii")
        whole.replace(self._gone)

    async def buy(self, way: str) -> str:
        """Place the same order from another process of the machine, and look again where it is in doubt."""
        request = self.request(way)
        async with buyer.opened(request, lambda step: None) as ours:
            ended = await buyer.place(ours, request)
            for entry in self.entries():
                await look(ours, "local", entry.key)
        return ended

    def entries(self) -> list[Any]:
        with Journal.open(f"sqlite:///{self.home / 'journal.db'}") as journal:
            return journal.entries()

    def wallet_starts(self) -> int:
        return len(self.starts.read_text(encoding="ascii").splitlines()) if self.starts.exists() else 0

    def no_credential_is_kept(self) -> None:
        with closing(sqlite3.connect(self.home / "journal.db")) as database:
            kept = {
                row[0] for row in database.execute("select entry_id from zinc_payments where credential is not null")
            }
        assert kept <= {entry.id for entry in self.entries() if entry.state in DOUBTFUL}


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    gone = tmp_path / "ahead"
    gone.write_text("0", encoding="ascii")
    paid: list[str] = []

    async def settle(header: str, body: bytes) -> str:
        if header in paid:
            raise ValueError("paid already")
        paid.append(header)
        return f"pi_{len(paid)}"

    payees = (
        Payee("stripe", "usd", "acct_1SandboxSandbox", details={"networkId": "profile_sandbox"}),
        Payee("sandbox", "usd", "acct_practice"),
    )
    sandbox = Sandbox(clock=lambda: time.time() + buyer.ahead(gone), settle=settle, payees=payees)
    ports: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: serve(sandbox, "127.0.0.1", 0, ready=ports.append))
        while not ports:
            await anyio.sleep(0.01)
        machine = Machine(tmp_path, sandbox, ports[0], gone)
        try:
            yield machine
        finally:
            for process in machine.processes:
                if process.poll() is None:
                    process.kill()
                    process.communicate()
        tasks.cancel_scope.cancel()


ACCOUNT = [("account", step, 1) for step in ("opened", "sending", "answered", "accepted")]
PRACTICE = [
    ("practice", step, nth)
    for step, nth in (
        ("opened", 1),
        ("signing", 1),
        ("asking", 1),
        ("leaving", 1),
        ("signed", 1),
        ("sending", 1),
        ("headers", 1),
        ("answered", 1),
    )
]
PROGRAM = [("program", step, 1) for step in ("signing", "asking", "signed", "sending", "answered")]


@pytest.mark.parametrize(
    ("way", "step", "nth", "gone"),
    [
        *((*each, 400) for each in (*ACCOUNT, *PRACTICE, *PROGRAM)),
        *((*each, 700) for each in (*ACCOUNT[1:3], *PRACTICE[5:6])),
    ],
)
async def test_a_process_that_stood_still_until_its_time_was_over_buys_nothing_twice(
    machine: Machine, way: str, step: str, nth: int, gone: float
) -> None:
    process = await machine.stopped(way, step, nth)
    machine.pass_seconds(gone)
    for _ in range(2):
        await machine.buy(way)
    await machine.go_on(process)
    await machine.buy(way)
    assert len(machine.sandbox.placed()) <= 1
    assert len(machine.sandbox.settlements()) <= 1
    assert machine.wallet_starts() <= 1
    machine.no_credential_is_kept()


@pytest.mark.parametrize(("way", "step"), [("account", "sending"), ("practice", "signed"), ("practice", "sending")])
async def test_a_process_that_stood_still_and_was_not_missed_buys_when_it_goes_on(
    machine: Machine, way: str, step: str
) -> None:
    process = await machine.stopped(way, step)
    machine.pass_seconds(200)
    assert await machine.go_on(process) in ("accepted", "placed")
    assert len(machine.sandbox.placed()) == 1


@pytest.mark.parametrize(("way", "step"), [("account", "sending"), ("practice", "sending"), ("program", "signed")])
async def test_an_order_whose_process_may_still_run_is_not_resolved_as_not_bought(
    machine: Machine, way: str, step: str
) -> None:
    process = await machine.stopped(way, step)
    machine.pass_seconds(400)
    request = machine.request(way)
    async with buyer.opened(request, lambda step: None) as ours:
        [entry] = machine.entries()
        looked = (await look(ours, "local", entry.key)).entry
    assert looked is not None
    if looked.state == "unknown":
        with Journal.open(f"sqlite:///{machine.home / 'journal.db'}") as journal:
            with pytest.raises(RefusedError, match="may still run"):
                journal.resolve(entry.key, order_id=None)
            process.kill()
            await anyio.to_thread.run_sync(process.communicate)
            assert journal.resolve(entry.key, order_id=None).state == "rejected"
            payment = journal.payment(entry.id)
            assert payment is None or payment.credential is None
    else:
        process.kill()
        await anyio.to_thread.run_sync(process.communicate)
    assert await machine.buy(way) in ("accepted", "unknown")
    assert len(machine.sandbox.placed()) == 1


@pytest.mark.parametrize(("step", "orders"), [("sending", 1), ("leaving", 2)])
async def test_only_a_stop_between_the_last_look_and_the_first_byte_can_buy_what_the_owner_said_was_not_bought(
    machine: Machine, step: str, orders: int
) -> None:
    """What stays open, as SECURITY.md says: counted here, so that it does not grow."""
    process = await machine.stopped("account", step)
    machine.pass_seconds(700)
    async with buyer.opened(machine.request("account"), lambda step: None) as ours:
        [entry] = machine.entries()
        await look(ours, "local", entry.key)
    with Journal.open(f"sqlite:///{machine.home / 'journal.db'}") as journal:
        journal.resolve(entry.key, order_id=None, holder_ended=True)  # which is not true
    assert await machine.buy("account") == "accepted"
    await machine.go_on(process)
    assert len(machine.sandbox.placed()) == orders
