"""The time of `place_order` beyond the request to Zinc and the commits, with an empty journal and with a full one.

Measured: `place_order` with approval `none` and a test key, over stdio, each call for another product, one at a time;
the upstream is a local process that accepts at once. Such a call makes two durable commits: one opens the entry with
its reservation and marks it as being sent, the other marks it as accepted with Zinc's answer. The run counts the
commits in the journal's log and stops at another number. Baseline: an `MCPServer` whose tool makes the same request and
the same number of bare commits (SQLite, WAL, synchronous=FULL, fullfsync) in a separate thread. Each writes the same
number of bytes to the log as one of ours, which holds an entry, its event and the pages of their indexes.

`place_v1_order` is measured in the same way, and its baseline makes the request of v1.

Then `place_order` with 100,000 and with 1,000,000 entries in the journal, compared with an empty one: two years of
orders of fifty callers, with their events, most of them placed, some failed, refused, cancelled or rejected, a few in
doubt.

All journals, the empty one too, say that they were created two days ago. With a journal younger than 24 hours a call
makes one more request, to ask Zinc whether an earlier journal, now lost, has placed the order.

The figure is the median time of a call (ms), with the ratio of the medians of one round, in turns call by call.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from bench.callers import Caller, Stdio, started, timed, upstream
from bench.figures import Figure, at_most, compared, in_turns, run_bench
from bench.wanted import configured, order, v1_order
from zinc_mcp.journal.journal import Journal

COMMITS = 2
SIZES = (100_000, 1_000_000)
CALLERS = 50
SPREAD_SECONDS = 2 * 365 * 86_400
EMPTY = "an empty journal"
V1, V1_BASELINE = "v1", "v1, baseline"
WARMING = 3
"""Rounds that are not counted, until every WAL has its full size, because commits that grow a file are slower."""


@dataclass
class _Contestant:
    name: str
    caller: Caller
    tool: str = "place_order"
    medians: list[float] = field(default_factory=list[float])

    async def once(self, number: int) -> float:
        """Place one order and return the seconds that this takes."""
        wanted = v1_order if self.tool == "place_v1_order" else order
        return await timed(self.caller, self.tool, wanted(number))


async def measure(*, quick: bool = False) -> list[Figure]:
    """Fill the journals, place orders in turns, and return the figures; `quick` with a tenth of the entries."""
    sizes = tuple(size // 10 for size in SIZES) if quick else SIZES
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as folder:
        async with AsyncExitStack() as stack:
            origin = await stack.enter_async_context(upstream())
            contestants = await _contestants(stack, Path(folder), origin, sizes)
            for number in range(-WARMING, 3 if quick else 15):
                await _round(number, list(contestants.values()), 8 if quick else 24)
    baseline, empty = contestants["baseline"], contestants[EMPTY]
    figures = [
        compared(f"`place_order`, {COMMITS} commits", _ms(empty.medians), _ms(baseline.medians), "ms", at_most(1.5))
    ]
    v1, v1_baseline = contestants[V1], contestants[V1_BASELINE]
    name = f"`place_v1_order`, {COMMITS} commits"
    figures.append(compared(name, _ms(v1.medians), _ms(v1_baseline.medians), "ms", at_most(1.4)))
    for size in sizes:
        name = f"`place_order` with {size:,} entries, against {EMPTY}"
        full = contestants[f"{size:,} entries"]
        figures.append(compared(name, _ms(full.medians), _ms(empty.medians), "ms", at_most(1.2)))
    return figures


async def _contestants(
    stack: AsyncExitStack, folder: Path, origin: str, sizes: Sequence[int]
) -> Mapping[str, _Contestant]:
    found: dict[str, _Contestant] = {}
    for size in (0, *sizes):
        home = folder / str(size)
        variables = configured(home, origin)
        fill(home / "journal.db", size)
        name = f"{size:,} entries" if size else EMPTY
        found[name] = _Contestant(name, await _opened(stack, ["-m", "zinc_mcp"], variables))
    await found[EMPTY].once(999_999_999)
    variables = {
        "BENCH_UPSTREAM": origin,
        "BENCH_DATABASE": str(folder / "baseline.db"),
        "BENCH_PAYLOAD": str(_payload(folder / "0" / "journal.db")),
        "BENCH_COMMITS": str(COMMITS),
    }
    caller = await _opened(stack, ["-m", "bench.baselines.trivial", "stdio"], variables)
    found["baseline"] = _Contestant("baseline", caller)
    home = folder / "v1"
    variables = configured(home, origin)
    fill(home / "journal.db", 0)
    found[V1] = _Contestant(V1, await _opened(stack, ["-m", "zinc_mcp"], variables), "place_v1_order")
    await found[V1].once(999_999_999)
    variables = {
        "BENCH_UPSTREAM": origin,
        "BENCH_DATABASE": str(folder / "baseline_v1.db"),
        "BENCH_PAYLOAD": str(_payload(home / "journal.db")),
        "BENCH_COMMITS": str(COMMITS),
    }
    caller = await _opened(stack, ["-m", "bench.baselines.trivial", "stdio"], variables)
    found[V1_BASELINE] = _Contestant(V1_BASELINE, caller, "place_v1_order")
    return found


async def _opened(stack: AsyncExitStack, program: list[str], variables: Mapping[str, str]) -> Caller:
    server = Stdio(await stack.enter_async_context(started(program, variables)))
    await server.opened()
    return server


async def _round(number: int, contestants: list[_Contestant], calls: int) -> None:
    """Measure one round. Rounds below zero warm up and are not counted."""
    times: dict[str, list[float]] = {each.name: [] for each in contestants}
    for call in range((number + WARMING) * calls, (number + WARMING + 1) * calls):
        for each in in_turns(call, contestants):
            times[each.name].append(await each.once(call))
    for each in contestants:
        if number >= 0:
            each.medians.append(statistics.median(times[each.name]))


def _ms(seconds: Sequence[float]) -> list[float]:
    return [1000 * each for each in seconds]


def fill(path: Path, entries: int) -> None:
    """Make a journal that is two days old, with this number of entries and their events."""
    Journal.open(f"sqlite:///{path}").close()
    now = time.time()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-262144")
        database.execute("UPDATE zinc_meta SET value = ? WHERE name = 'created_at'", (repr(now - 2 * 86_400),))
        if entries:
            database.execute(_ENTRIES, {"count": entries, "now": now, "spread": SPREAD_SECONDS, "callers": CALLERS})
            for event in _EVENTS:
                database.execute(f"INSERT INTO zinc_events SELECT id, {event}, NULL FROM zinc_entries")  # noqa: S608
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# By the last two digits: 88 % placed, 4 % failed, 3 % cancelled, 2 % rejected, 2 % refused, 1 % declined. The last
# twenty are accepted or in doubt, and have another API key than the bench's.
_ENTRIES = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count),
rows AS MATERIALIZED (
    SELECT i, i % 100 AS kind, i > :count - 20 AS latest, 2000 + (i * 7919) % 20000 AS ceiling,
           :now - :spread * (:count - i + 1.0) / :count AS at, lower(hex(randomblob(32))) AS digest
    FROM n
)
INSERT INTO zinc_entries (
    key, caller, mode, origin, account, rail, twin, body_digest, body, state, version, ceiling_cents, fee_cents,
    reserved_cents, spent_cents, counts_cents, order_id, status, attempts, first_sent_at, opened_at, counted_at,
    updated_at, seen, facts
)
SELECT
    substr(digest, 1, 8) || '-' || substr(digest, 9, 4) || '-' || substr(digest, 13, 4) || '-' || substr(digest, 17, 4)
        || '-' || substr(digest, 21, 12),
    CASE (i * 31) % :callers WHEN 0 THEN 'local' ELSE 'member' || ((i * 31) % :callers) END,
    'test', 'https://api.zinc.com', '0123456789abcdef', 'account', digest, digest,
    CAST('{"idempotency_key":"' || digest || '","products":[{"url":"https://www.amazon.com/dp/' || i || '"}],'
        || '"shipping_address":{"padding":"' || hex(zeroblob(180)) || '"}}' AS BLOB),
    CASE WHEN latest THEN iif(i % 2, 'accepted', 'unknown') WHEN kind < 88 THEN 'placed' WHEN kind < 92 THEN 'failed'
        WHEN kind < 95 THEN 'cancelled' WHEN kind < 97 THEN 'rejected' WHEN kind < 99 THEN 'refused'
        ELSE 'declined' END,
    4, ceiling, 100, ceiling + 100,
    CASE WHEN latest THEN NULL WHEN kind < 88 THEN ceiling - 500 ELSE 0 END,
    CASE WHEN latest THEN ceiling + 100 WHEN kind < 88 THEN ceiling - 500 ELSE 0 END,
    CASE WHEN kind < 95 THEN lower(hex(randomblob(16))) END,
    CASE WHEN kind < 95 THEN 'order_placed' END, 1, at, at, at, at + 600, substr(digest, 1, 16),
    '{"retailer": "amazon.com", "items": [{"url": "https://www.amazon.com/dp/' || i || '", "quantity": 1}], '
        || '"ship_to": {"city": "New York", "country": "US"}}'
FROM rows
"""

_EVENTS = (
    """1, opened_at, 'waiting', 'opened', '{"reserved_cents": 6100}'""",
    "2, opened_at, 'sending', 'sending', '{}'",
    "3, opened_at + 1, 'accepted', 'accepted by Zinc', '{}'",
    "4, updated_at, state, 'Zinc says order_placed', '{}'",
)


def _payload(path: Path) -> int:
    """Return the bytes that a row must hold to fill the log as a commit of the one order placed so far does."""
    # SQLite, "Database File Format", 4.1: a header, then frames, each a page with a header of its own. The header of a
    # commit's last frame holds the size of the database after it.
    page, header = 4096, 24
    log = path.with_name(f"{path.name}-wal").read_bytes()[32:]
    frames = [log[start : start + header] for start in range(0, len(log), page + header)]
    commits = sum(any(frame[4:8]) for frame in frames)
    if commits != COMMITS:
        raise RuntimeError(f"a placing call makes {commits} commits, not {COMMITS}")
    return (len(frames) // COMMITS - 1) * (page - 4)  # overflow pages begin with the number of the next


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
