"""Several servers of a team, each a process of its own with a home of its own, on one journal and one practice Zinc."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import preloaded
from journal.versions import of_tree
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitRequestParams, ElicitResult, InputRequiredResult
from server.as_a_host import said
from server.on_a_port import connected
from started import Started

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.members import add_member
from zinc_mcp.owner.team.places import MembersTable

KEYS = "0123456789abcdef" * 2
PUBLIC = "zinc.example.com"
"""The name that the servers are reached by, through a proxy."""
YES = ElicitResult(action="accept", content={"approve": True})


@dataclass
class Replica:
    """One server: its environment, which commands of its owner share, and how it runs."""

    name: str
    port: int
    started: Started
    words: list[str]
    log: Path
    environment: dict[str, str]
    program: preloaded.Program | subprocess.Popen[bytes] | None = None
    tree: Path | None = None
    """The folder of another version of the package, which it runs instead of this one."""

    @property
    def origin(self) -> str:
        """Its own address, without a proxy."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("a", encoding="utf-8") as log, open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno(), log.fileno(), log.fileno()]
            folder = self.started.home.parent
            if self.tree is None:
                self.program = preloaded.started("zinc_mcp", self.words, self.environment, folder, streams)
            else:
                self.program = subprocess.Popen(
                    [sys.executable, "-m", "zinc_mcp", *self.words],
                    env={**self.environment, **of_tree(self.tree)},
                    cwd=self.tree,
                    stdin=nothing,
                    stdout=log,
                    stderr=log,
                )
        until = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{self.origin}/healthz", timeout=5, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                assert time.monotonic() < until, self.log.read_text(encoding="utf-8")
                time.sleep(0.05)

    def knows(self, token: str) -> None:
        """Wait until it lets a member in: it hears of one within some milliseconds."""
        until = time.monotonic() + 60
        headers = {"Authorization": f"Bearer {token}"}
        while self.program is not None:
            if httpx.get(f"{self.origin}/nowhere", headers=headers, timeout=5, trust_env=False).status_code != 401:
                return
            assert time.monotonic() < until, self.log.read_text(encoding="utf-8")
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.program is not None
        os.kill(self.program.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """End it by a signal; return its exit code."""
        assert self.program is not None
        self.send(number)
        code = self.program.wait(seconds)
        self.program = None
        return code


@dataclass
class Team:
    """The servers and their one journal, which has their members; or those are in a file, as in earlier versions."""

    replicas: list[Replica]
    file: Path | None
    journal: str

    def member(self, name: str) -> str:
        """Add a member; return the token."""
        if self.file is not None:
            return add_member(self.file, name)
        with Journal.open(self.journal) as journal:
            token = add_member(MembersTable(journal), name)
        for replica in self.replicas:
            replica.knows(token)
        return token

    def entries(self) -> list[Entry]:
        """Return the entries of the journal, the newest first."""
        with Journal.open(self.journal) as journal:
            return journal.entries(1000)


@contextmanager
def team(
    folder: Path,
    journal: str,
    zinc: str,
    names: Sequence[str] = ("one", "two"),
    *,
    public: str = PUBLIC,
    tree: Path | None = None,
    **variables: str,
) -> Generator[Team]:
    """Run servers with these names, state keys and the practice Zinc at this address; each asks for a yes.

    `variables` are settings of all of them, and `tree` the folder of another version that they begin with; then their
    members are in a file. No log of theirs may hold a crash at the end.
    """
    file = None if tree is None else folder / "members.json"
    if file is not None:
        add_member(file, "somebody")
    else:
        with Journal.open(journal) as opened:
            kept = MembersTable(opened)
            if not kept.read():
                add_member(kept, "somebody")
    made: list[Replica] = []
    with ExitStack() as stack:
        for name in names:
            started = Started(folder / name)
            started.home.mkdir(parents=True)
            port = stack.enter_context(_reserved())
            environment = {
                **started.environment,
                "ZINC_API_URL": zinc,
                "ZINC_API_KEY": "zn_test_team",
                "ZINC_MCP_JOURNAL": journal,
                "ZINC_MCP_APPROVAL": "auto",
                "ZINC_MCP_STATE_KEYS": KEYS,
                "ZINC_MCP_REPLICA": name,
                **variables,
            }
            words = [*("serve", "--http", f"127.0.0.1:{port}", "--allow-host", public), "--behind-proxy"]
            words += [] if file is None else ["--members", str(file)]
            made.append(Replica(name, port, started, words, folder / f"{name}.log", environment, tree=tree))
        try:
            for replica in made:
                replica.start()
            yield Team(made, file, journal)
        finally:
            for replica in made:
                if replica.program is not None:
                    replica.send(signal.SIGCONT)
                    replica.stop()
    for replica in made:
        log = replica.log.read_text(encoding="utf-8")
        assert "Traceback" not in log, log


@contextmanager
def _reserved() -> Generator[int]:
    """Give a port that no other test takes before our server does: a socket that does not listen holds it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


async def never(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    """Be a host that can ask; the test answers by a second call of its own."""
    raise AssertionError


def modern(origin: str, token: str, asks: Any = never) -> AbstractAsyncContextManager[Client]:
    """Be a host of the newer protocol at one server."""
    return connected(origin, "mcp", "auto", token, asks=asks)


async def first_leg(origin: str, token: str, wanted: dict[str, Any]) -> InputRequiredResult:
    """Place an order at a server, which asks."""
    async with modern(origin, token) as client:
        asked = await client.session.call_tool("place_order", wanted, allow_input_required=True)
    assert isinstance(asked, InputRequiredResult), asked
    return asked


async def second_leg(origin: str, token: str, wanted: dict[str, Any], state: str | None) -> dict[str, Any]:
    """Bring a yes to a server; return what it says, or a refusal of the protocol as `refused`."""
    async with modern(origin, token) as client:
        try:
            result = await client.session.call_tool(
                "place_order", wanted, input_responses={"consent": YES}, request_state=state, allow_input_required=True
            )
        except MCPError as error:
            return {"refused": str(error)}
    assert not isinstance(result, InputRequiredResult)
    return said(result)


async def until_asked(running: Team, number: int = 1) -> str:
    """Wait until so many orders wait for a person; return the key of the newest."""
    with anyio.fail_after(30):
        while True:
            entries = await anyio.to_thread.run_sync(running.entries)
            asked = [each for each in entries if each.state == "waiting" and each.consent is not None]
            if len(asked) >= number:
                return asked[0].key
            await anyio.sleep(0.05)
