"""A process that stopped in the middle of an order spends nothing when it goes on after its lease is over."""

import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import preloaded
import pytest
from checkout import buyer
from started import ROOT
from variants import rare
from wanted import arguments

from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import DOUBTFUL
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
        self.processes: list[Buyer] = []
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

    async def stopped(self, way: str, step: str, nth: int = 1) -> "Buyer":
        """Start a process that buys and wait until it stands still."""
        process = Buyer(self.request(way, step, nth))
        self.processes.append(process)
        with anyio.fail_after(60):
            while (state := state_of(process.program.pid)) != "T":
                assert state not in ("", "Z"), f"it never stood still at {step}"
                await anyio.sleep(0.02)
        return process

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


class Buyer:
    """A process that buys (`checkout.buyer`), or does something else with an order."""

    def __init__(self, request: dict[str, Any], module: str = "checkout.buyer") -> None:
        self._told, told = os.pipe()
        with open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno(), told, 2]
            self.program = preloaded.started(module, [json.dumps(request)], os.environ, ROOT, streams)
        os.close(told)

    async def go_on(self) -> str:
        """Let it go on and come to its end; return the words that it wrote."""
        os.kill(self.program.pid, signal.SIGCONT)
        told = await anyio.to_thread.run_sync(self._read)
        assert await anyio.to_thread.run_sync(self.program.wait) == 0
        return told

    def _read(self) -> str:
        with open(self._told, encoding="utf-8", closefd=False) as told:
            return told.read()

    async def kill(self) -> None:
        """Kill it and wait until it is gone."""
        os.kill(self.program.pid, signal.SIGKILL)
        await anyio.to_thread.run_sync(self.program.wait)

    def close(self) -> None:
        """Kill it if it has not ended."""
        os.close(self._told)
        self.program.close()


def state_of(pid: int) -> str:
    """Return the state of a process as /proc has it, empty if there is none."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    return ""


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
                process.close()
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
STOPS = [
    *((*each, 400) for each in (*ACCOUNT, *PRACTICE, *PROGRAM)),
    *((*each, 700) for each in (*ACCOUNT[1:3], *PRACTICE[5:6])),
]
OFTEN = [
    ("account", "opened", 1, 400),
    ("account", "answered", 1, 400),
    ("account", "sending", 1, 700),
    ("practice", "leaving", 1, 400),
    ("practice", "sending", 1, 700),
    ("program", "asking", 1, 400),
    ("program", "answered", 1, 400),
]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("way", "step", "nth", "gone"), [each if each in OFTEN else rare(*each) for each in STOPS])
async def test_a_process_that_stood_still_until_its_time_was_over_buys_nothing_twice(
    machine: Machine, way: str, step: str, nth: int, gone: float
) -> None:
    process = await machine.stopped(way, step, nth)
    machine.pass_seconds(gone)
    for _ in range(2):
        await machine.buy(way)
    await process.go_on()
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
    assert await process.go_on() in ("accepted", "placed")
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
            await process.kill()
            assert journal.resolve(entry.key, order_id=None).state == "rejected"
            payment = journal.payment(entry.id)
            assert payment is None or payment.credential is None
    else:
        await process.kill()
    assert await machine.buy(way) in ("accepted", "unknown")
    assert len(machine.sandbox.placed()) == 1


@pytest.mark.parametrize(("step", "orders"), [("sending", 1), ("leaving", 2)])
async def test_only_a_stop_between_the_last_look_and_the_first_byte_can_buy_what_the_owner_said_was_not_bought(
    machine: Machine, step: str, orders: int
) -> None:
    """SECURITY.md names this gap; it is counted here, so that it does not grow."""
    process = await machine.stopped("account", step)
    machine.pass_seconds(700)
    async with buyer.opened(machine.request("account"), lambda step: None) as ours:
        [entry] = machine.entries()
        await look(ours, "local", entry.key)
    with Journal.open(f"sqlite:///{machine.home / 'journal.db'}") as journal:
        journal.resolve(entry.key, order_id=None, holder_ended=True)  # which is not true
    assert await machine.buy("account") == "accepted"
    await process.go_on()
    assert len(machine.sandbox.placed()) == orders
