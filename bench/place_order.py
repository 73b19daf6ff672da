"""`place_order` with its commits, and with a journal of 100,000 and of 1,000,000 entries.

    python -m bench.place_order [--entries 100000 1000000]

Against a bare tool: the same upstream call between as many durable commits (WAL, synchronous FULL) as ours makes for an
accepted order, three; milliseconds a call over stdio, at most 1.5. Against our own empty journal: at most 1.2.

All journals here are made to be two days old, which turns off the look at Zinc's list that a journal younger than the
window for twins makes before it sends: the upstream is asked once by both sides. A large journal holds a year of orders
that were placed, each with its body and three events; 1 in 365 of them lies in the last day, which the limits add up.
"""

import argparse
import itertools
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from bench.measuring import (
    Call,
    Figure,
    bare_over,
    figure,
    main,
    one_at_a_time,
    ours_over,
    server,
    taking_turns,
    upstream,
)
from zinc_mcp.ordering.journal import Journal

TURNS, CALLS = 9, 25
YEAR = 365 * 86_400
_ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "address_line1": "12 Bench Street",
    "city": "New York",
    "state": "NY",
    "postal_code": "10001",
    "phone_number": "212-555-0147",
}
_numbers = itertools.count(1)


def wanted(number: int) -> dict[str, Any]:
    """Return the arguments of a placing call, for another product each time."""
    products = [{"url": f"https://www.amazon.com/dp/B{number:09d}"}]
    return {"products": products, "shipping_address": _ADDRESS, "max_price": 7500}


async def measure(entries: Sequence[int] = (100_000, 1_000_000)) -> Sequence[Figure]:
    """Measure against the bare tool, then each large journal against an empty one."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with upstream() as address, AsyncExitStack() as servers:
            start = partial(_started, servers, address, folder)
            empty = await start("empty", 0)
            bare = await servers.enter_async_context(
                server(bare_over("calls", "stdio"), _environ(address, folder), "stdio")
            )
            figures.append(await _compared("place_order against call and commits", empty, bare, 1.5))
            for count in entries:
                large = await start(f"{count}", count)
                what = f"place_order with {count:,} entries against none"
                figures.append(await _compared(what, large, empty, 1.2))
    return figures


async def _started(servers: AsyncExitStack, address: str, folder: Path, name: str, count: int) -> Call:
    home = folder / name
    home.mkdir()
    fill(home / "journal.db", count)
    return await servers.enter_async_context(server(ours_over("stdio"), _environ(address, home), "stdio"))


async def _compared(what: str, ours: Call, baseline: Call, target: float) -> Figure:
    def sample(call: Call) -> Any:
        return lambda: one_at_a_time(lambda: call("place_order", wanted(next(_numbers))), CALLS)

    for call in (ours, baseline):
        await sample(call)()
    return figure(what, *await taking_turns(sample(ours), sample(baseline), TURNS), "ms", target)


def _environ(address: str, home: Path) -> dict[str, str]:
    return {
        "ZINC_API_URL": address,
        "ZINC_API_KEY": "zn_test_bench",
        "ZINC_MCP_HOME": str(home),
        "ZINC_MCP_MAX_DAY": str(10**12),
        "BENCH_DATABASE": str(home / "bare.db"),
    }


def fill(journal: Path, count: int) -> None:
    """Make a journal two days old that holds so many placed orders of the last year."""
    Journal.open(f"sqlite:///{journal}").close()
    now = time.time()
    with closing(sqlite3.connect(journal)) as database:
        database.execute("update zinc_meta set value = ? where name = 'created_at'", (repr(now - 2 * 86_400),))
        columns = [row[1] for row in database.execute("pragma table_info(zinc_entries)")]
        marks = ",".join("?" * len(columns))
        rows = (tuple(row.get(column) for column in columns) for row in _entries(count, now))
        database.executemany(f"insert into zinc_entries ({','.join(columns)}) values ({marks})", rows)  # noqa: S608
        database.executemany("insert into zinc_events values (?, ?, ?, ?, ?, ?)", _events(count, now))
        database.commit()


def _entries(count: int, now: float) -> Iterator[dict[str, Any]]:
    body = json.dumps({**wanted(0), "metadata": {"zinc_mcp_key": "0" * 36, "zinc_mcp_twin": "0" * 40}}).encode()
    facts = json.dumps({"retailer": "amazon.com", "items": wanted(0)["products"], "ship_to": {"name": "Ada Buyer"}})
    for number in range(1, count + 1):
        at = now - YEAR * (1 - number / count)
        yield {
            "id": number,
            "key": f"{number:08x}-0000-5000-8000-000000000000",
            "caller": "local",
            "mode": "test",
            "origin": "https://api.zinc.com",
            "account": "0" * 16,
            "rail": "account",
            "twin": f"{number:040x}",
            "body_digest": f"{number:040x}",
            "body": body,
            "state": "placed",
            "version": 4,
            "ceiling_cents": 7500,
            "fee_cents": 100,
            "reserved_cents": 7600,
            "spent_cents": 5025,
            "counts_cents": 5025,
            "order_id": f"{number:08x}-1111-4111-8111-111111111111",
            "status": "order_placed",
            "attempts": 1,
            "first_sent_at": at,
            "opened_at": at,
            "counted_at": at,
            "updated_at": at,
            "seen": "0" * 16,
            "facts": facts,
        }


def _events(count: int, now: float) -> Iterator[tuple[Any, ...]]:
    for number in range(1, count + 1):
        at = now - YEAR * (1 - number / count)
        for version, state in enumerate(("waiting", "sending", "placed"), 1):
            yield number, version, at, state, state, "{}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, nargs="*", default=[100_000, 1_000_000])
    chosen = parser.parse_args()
    sys.exit(main(partial(measure, chosen.entries)))
