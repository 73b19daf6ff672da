"""Random placing, looking up, killing and restarting never buys one intention twice or passes a limit.

Two processes on one journal place, look up, are killed at a step of the checkout and start again, while answers get
lost, orders go on at Zinc and time passes.
"""

import itertools
import json
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskStatus
from conftest import HandClock
from fake_zinc import FakeZinc, Step, failure
from hypothesis import example, given, note
from hypothesis import strategies as st
from pydantic import SecretStr
from variants import examples
from wanted import intent

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Answer, Clocks, Process
from zinc_mcp.wiring import open_process

pytestmark = pytest.mark.usefixtures("quiet_failures")

MAX_DAY = 11_000
DAY = 86_400.0
CLOCKS = Clocks(
    answer_seconds=2.0,
    wire_seconds=2.0,
    refresh_seconds=0.5,
    poll_seconds=0.02,
    peek_seconds=0.01,
    sweep_seconds=3600.0,
)
STAGES = {"pending": "accepted", "in_progress": "accepted", "order_placed": "placed", "order_failed": "failed"}
ENDED = ("failed", "cancelled")


# Events


@dataclass(frozen=True)
class Place:
    """A caller orders a product in some words; by both processes at once if `by` is 2."""

    product: int
    words: str
    by: int


@dataclass(frozen=True)
class Look:
    which: int
    by: int


@dataclass(frozen=True)
class Pass:
    seconds: float


@dataclass(frozen=True)
class Advance:
    which: int
    status: str


@dataclass(frozen=True)
class Answers:
    """The steps of the fake network for the next placing requests."""

    steps: tuple[str, ...]


@dataclass(frozen=True)
class Lists:
    """The next look-ups in Zinc's list fail or find nothing."""

    how: str
    times: int


@dataclass(frozen=True)
class Restart:
    which: int


@dataclass(frozen=True)
class KillAt:
    """The process dies when it next passes this step."""

    which: int
    step: str


Happening = Place | Look | Pass | Advance | Answers | Lists | Restart | KillAt

_WORDS = ["same", "price", "key", "used key", "tracking", "metadata"]
_STEPS = ["ok", "lose_after", "lose_before", "500_after", "refuse", "400", "401", "429", "409", "500", "html"]
_processes = st.integers(0, 1)
_happenings: st.SearchStrategy[Happening] = st.one_of(
    st.builds(Place, st.integers(0, 3), st.sampled_from(_WORDS), st.integers(0, 2)),
    st.builds(Place, st.integers(0, 3), st.sampled_from(_WORDS), st.integers(0, 2)),
    st.builds(Look, st.integers(0, 9), _processes),
    st.builds(Pass, st.sampled_from([1.0, 21.0, 31.0, 601.0, DAY + 1])),
    st.builds(
        Advance, st.integers(0, 9), st.sampled_from(["in_progress", "order_placed", "order_failed", "cancelled"])
    ),
    st.builds(Answers, st.lists(st.sampled_from(_STEPS), min_size=1, max_size=3).map(tuple)),
    st.builds(Lists, st.sampled_from(["empty", "500", "html"]), st.integers(1, 3)),
    st.builds(Restart, _processes),
    st.builds(KillAt, _processes, st.sampled_from(["opened", "sending", "answered", "unknown", "accepted", "ended"])),
)


# The world


class KilledError(BaseException):
    """A `kill -9` within one process: none of our code runs after it."""


@dataclass
class Server:
    """A process of ours in a task of its own; it can be killed at a step."""

    world: "World"
    dies_at: str | None = None
    _work: Any = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until it is stopped or killed."""
        send, receive = anyio.create_memory_object_stream[Callable[[Process], Awaitable[None]]](0)
        self._work = send
        try:
            with send, receive:
                async with self.world.opened(self._passed) as ours:
                    task_status.started()
                    async for work in receive:
                        await work(ours)
        except BaseExceptionGroup as group:
            if group.split(KilledError)[1] is not None:
                raise
        except KilledError:
            pass

    def _passed(self, step: str) -> None:
        if step == self.dies_at:
            self.dies_at = None
            raise KilledError

    async def do(self, work: Callable[[Process], Awaitable[Any]]) -> Any:
        """Have the process do something; return None if it was killed meanwhile."""
        result: list[Any] = []
        done = anyio.Event()

        async def wrapped(ours: Process) -> None:
            try:
                result.append(await work(ours))
            except ZincMcpError as error:
                result.append(error)
            finally:
                done.set()

        try:
            await self._work.send(wrapped)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.world.start(self)
            await self._work.send(wrapped)
        await done.wait()
        return result[0] if result else None

    async def stop(self) -> None:
        """End it as a host does."""
        await self._work.aclose()


@dataclass
class World:
    """Zinc, the journal, two processes, and the facts seen so far."""

    home: Path
    tasks: Any
    clock: HandClock = field(default_factory=HandClock)
    history: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(lambda: ["accepted"]))
    doubted: set[str] = field(default_factory=set[str])
    """Keys that were in doubt when a day went by: never bought again."""
    entries: dict[int, int] = field(default_factory=dict[int, int])
    ended_before: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def __post_init__(self) -> None:
        self.zinc = FakeZinc(self.clock)
        self.processes = [Server(self), Server(self)]
        (self.home / "zinc.toml").write_text(f"[policy]\nmax_day = {MAX_DAY}\n", encoding="utf-8")

    def opened(self, checkpoint: Callable[[str], None]) -> Any:
        """Open one process."""
        configured = Settings(home=self.home, config=self.home / "zinc.toml", api_key=SecretStr("zn_test_planted"))
        return open_process(
            configured,
            transport=self.zinc.transport(),
            clocks=CLOCKS,
            clock=self.clock,
            uptime=None,
            checkpoint=checkpoint,
        )

    async def start(self, process: Server) -> None:
        """Start a process."""
        await self.tasks.start(process.run)

    def rows(self, query: str) -> list[sqlite3.Row]:
        """Read the journal past the program."""
        if not (self.home / "journal.db").exists():
            return []
        with closing(sqlite3.connect(self.home / "journal.db")) as database:
            database.row_factory = sqlite3.Row
            return database.execute(query).fetchall()

    async def happen(self, what: Happening) -> None:
        """Let one event happen, and check every rule."""
        match what:
            case Place():
                await self._place(what)
            case Look():
                await self._look(what)
            case Pass(seconds):
                self.clock.pass_seconds(seconds)
            case Advance(which, status):
                self._advance(which, status)
            case Answers(steps):
                self.zinc.script = [_step(step, list(self.zinc.orders)) for step in steps]
            case Lists(how, times):
                answers = {
                    "empty": httpx.Response(200, json={"orders": []}),
                    "500": failure(500, "internal_error"),
                    "html": httpx.Response(200, html="<html>"),
                }
                self.zinc.lists = [answers[how]] * times
            case Restart(which):
                await self.processes[which].stop()
            case KillAt(which, step):
                self.processes[which].dies_at = step
        self.check()

    async def _place(self, what: Place) -> None:
        wanted = _wanted(what)
        chosen = self.processes if what.by == 2 else [self.processes[what.by]]
        async with anyio.create_task_group() as racing:
            for process in chosen:
                racing.start_soon(self._place_by, process, what, wanted)

    async def _place_by(self, process: Server, what: Place, wanted: Intent) -> None:
        told = await process.do(lambda ours: place(ours, wanted))
        note(f"  told {told.entry.state if isinstance(told, Answer) and told.entry else told!r}")
        if isinstance(told, Answer) and told.entry is not None:
            assert _product_of(told.entry.facts["items"][0]["url"]) == what.product, "another intention's order"
            if told.entry.state in ("accepted", "placed"):
                assert told.entry.order_id in self.zinc.orders

    async def _look(self, what: Look) -> None:
        keys = [row["key"] for row in self.rows("select key from zinc_entries order by id")]
        if keys:
            posts = len(self.zinc.posts)
            key = keys[what.which % len(keys)]
            await self.processes[what.by].do(lambda ours: look(ours, "local", key))
            assert len(self.zinc.posts) == posts, "looking up never buys"

    def _advance(self, which: int, status: str) -> None:
        orders = list(self.zinc.orders)
        if not orders:
            return
        order_id = orders[which % len(orders)]
        if self.history[order_id][-1] in (*ENDED, "placed") and status == "in_progress":
            return
        if self.history[order_id][-1] in ENDED:
            return
        if status == "order_placed":
            self.zinc.settle(order_id, 4000)
        else:
            self.zinc.advance(order_id, status)
        self.history[order_id].append(STAGES.get(status, "cancelled"))

    # Rules

    def check(self) -> None:
        """Check every rule."""
        entries = self.rows("select * from zinc_entries order by id")
        self._one_order_each(entries)
        self._nothing_beside_a_doubt(entries)
        self._within_limits(entries)
        self._same_bytes(entries)
        self._true_to_zinc(entries)
        self._nothing_forgotten(entries)

    def _one_order_each(self, entries: list[sqlite3.Row]) -> None:
        made: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for order in self.zinc.orders.values():
            made[_product_of(order["items"][0]["url"])].append(order)
        for order_id in self.zinc.orders:
            if order_id not in self.ended_before:
                # New since the last step: those before it must have ended, or be a day old and not in doubt.
                self.ended_before[order_id] = {each for each in self.zinc.orders if self.history[each][-1] in ENDED}
        doubtful = {entry["key"] for entry in entries if entry["state"] in ("sending", "unknown")}
        for orders in made.values():
            for earlier, later in itertools.pairwise(orders):
                ended = earlier["id"] in self.ended_before[later["id"]]
                old = later["created_at"] >= _a_day_after(earlier["created_at"])
                assert ended or (old and earlier["idempotency_key"] not in doubtful), (earlier, later)

    def _nothing_beside_a_doubt(self, entries: list[sqlite3.Row]) -> None:
        doubtful = {entry["twin"]: entry["id"] for entry in entries if entry["state"] in ("sending", "unknown")}
        for entry in entries:
            assert entry["id"] <= doubtful.get(entry["twin"], entry["id"]), "bought again beside one in doubt"

    def _within_limits(self, entries: list[sqlite3.Row]) -> None:
        since = self.clock.now - DAY
        assert sum(entry["counts_cents"] for entry in entries if entry["counted_at"] > since) <= MAX_DAY

    def _same_bytes(self, entries: list[sqlite3.Row]) -> None:
        bodies: defaultdict[str, list[bytes]] = defaultdict(list)
        for post in self.zinc.posts:
            bodies[json.loads(post.content)["idempotency_key"]].append(post.content)
        for key, sent in bodies.items():
            mine = [entry for entry in entries if entry["key"] == key]
            assert len(set(sent)) <= len(mine), "one key, one body (refused entries give their key free)"
            assert len(sent) <= sum(entry["attempts"] for entry in mine), "nothing is sent that is not journalled"

    def _true_to_zinc(self, entries: list[sqlite3.Row]) -> None:
        by_key = {order["idempotency_key"]: order for order in self.zinc.orders.values()}
        for entry in entries:
            order = self.zinc.orders.get(entry["order_id"])
            if entry["state"] in ("accepted", "placed", "failed", "cancelled"):
                assert order is not None
                assert order["idempotency_key"] == entry["key"]
                assert entry["state"] in self.history[order["id"]], "a state that Zinc never showed"
            elif entry["state"] == "rejected":
                assert entry["key"] not in by_key
                assert entry["counts_cents"] == 0
            elif entry["state"] in ("sending", "unknown", "waiting"):
                assert entry["counts_cents"] == entry["reserved_cents"], "what may have been spent counts as spent"
        known = {entry["key"] for entry in entries if entry["state"] not in ("waiting", "refused", "rejected")}
        assert set(by_key) <= known, "an order at Zinc that the journal does not know"

    def _nothing_forgotten(self, entries: list[sqlite3.Row]) -> None:
        versions: defaultdict[int, list[int]] = defaultdict(list)
        for row in self.rows("select entry_id, version from zinc_events order by entry_id, version"):
            versions[row["entry_id"]].append(row["version"])
        for entry in entries:
            assert versions[entry["id"]] == list(range(1, entry["version"] + 1))
        now = {entry["id"]: entry["version"] for entry in entries}
        assert all(now.get(entry, 0) >= version for entry, version in self.entries.items())
        self.entries = now


def _wanted(what: Place) -> Intent:
    url = f"https://shop.example.com/p/{what.product}"
    changes: dict[str, Any] = {"max_price": 5000}
    match what.words:
        case "price":
            changes["max_price"] = 5500
        case "key":
            changes["idempotency_key"] = f"key-{what.product}"
        case "used key":
            changes["idempotency_key"] = "key-0"
        case "tracking":
            url += "?utm_source=mail"
        case "metadata":
            changes["metadata"] = {"note": "again"}
        case _:
            pass
    return intent(products=[{"url": url}], **changes)


def _product_of(url: str) -> int:
    return int(url.split("/p/")[1].split("?")[0])


def _a_day_after(created: str) -> str:
    return (datetime.fromisoformat(created) + timedelta(seconds=DAY)).isoformat()


def _step(step: str, orders: list[str]) -> Step:
    match step:
        case "400":
            return failure(400, "url_unreachable")
        case "401":
            return failure(401, "unauthorized")
        case "429":
            return failure(429, "rate_limit_exceeded")
        case "409":  # it names somebody else's order
            return failure(409, "already_exists", identifier=orders[0] if orders else "nobody")
        case "500":
            return failure(500, "internal_error")
        case "html":
            return httpx.Response(502, html="<html>bad gateway</html>")
        case _:
            return step


async def _drive(happenings: list[Happening]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with anyio.create_task_group() as tasks:
            world = World(Path(folder), tasks)
            for process in world.processes:
                await world.start(process)
            for what in happenings:
                note(repr(what))
                await world.happen(what)
            await _well_again(world)
            for process in world.processes:
                await process.stop()


async def _looked_up(world: World, key: str) -> None:
    await world.processes[0].do(lambda ours: look(ours, "local", key))


async def _well_again(world: World) -> None:
    """Once Zinc answers and the leases are over, every look-up tells one and the same order."""
    world.zinc.script, world.zinc.lists = [], []
    for process in world.processes:
        process.dies_at = None
    world.clock.pass_seconds(31)
    for row in world.rows("select key from zinc_entries order by id"):
        await _looked_up(world, str(row["key"]))
        world.check()
    for order in world.zinc.orders.values():
        told = [row["state"] for row in world.rows("select * from zinc_entries") if row["order_id"] == order["id"]]
        assert told == [world.history[order["id"]][-1]], "after a look the journal says what Zinc says"


@examples(60, derandomize=True, print_blob=True)
@given(st.lists(_happenings, min_size=4, max_size=24))
@example(
    happenings=[Answers(("lose_after", "401")), Lists("500", 3), Place(0, "same", 2), Look(0, 1), Place(0, "key", 1)]
)
@example(
    happenings=[Answers(("lose_after", "500")), Lists("500", 9), Place(0, "same", 0), Pass(DAY), Place(0, "key", 1)]
)
@example(happenings=[Place(0, "same", 2), Place(1, "same", 0), Place(2, "same", 1), Advance(0, "order_failed")])
def test_one_intention_is_one_purchase_within_the_limits_under_random_events(happenings: list[Happening]) -> None:
    anyio.run(_drive, happenings)
