"""Servers of the version before and of this one on one PostgreSQL, replaced one after the other while orders run."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import httpx2
import pytest
from journal.versions import tree_before
from server.as_a_host import said
from server.replicas import Replica, Team, modern, team
from signing import Practice, practice
from wanted import arguments, book

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.storage.schema import Kept
from zinc_mcp.journal.storage.tables import BESIDE, SCHEMA_VERSION

pytestmark = pytest.mark.thorough

BUYERS = 4
PAUSE_SECONDS = 0.05
"""Between two tries of one call: a server that is being replaced is away for seconds."""
AWAY = (httpx2.TransportError, anyio.ClosedResourceError, anyio.BrokenResourceError)


@pytest.fixture(scope="module")
def zinc(tmp_path_factory: pytest.TempPathFactory) -> Generator[Practice]:
    with practice(tmp_path_factory.mktemp("zinc")) as running:
        yield running


@dataclass
class Buying:
    """Agents that place orders, each of them twice: at one server, and the same again at the other."""

    team: Team
    token: str
    placed: dict[int, str] = field(default_factory=dict[int, str])
    """The order for each number, as the second call told it."""
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The errors that servers answered with."""
    is_over: bool = False
    _next: int = 0

    async def buy(self, begins_at: int) -> None:
        """Place one order after the other until it is over."""
        while not self.is_over:
            number, self._next = self._next, self._next + 1
            one, other = self.team.replicas[begins_at % 2], self.team.replicas[(begins_at + 1) % 2]
            ids = [await self._placed(number, [one, other]), await self._placed(number, [other, one])]
            assert ids[0] == ids[1], (number, ids)
            self.placed[number] = ids[0]
            begins_at += 1

    async def _placed(self, number: int, servers: list[Replica]) -> str:
        wanted = arguments(products=book(number), max_price=1000)
        with anyio.fail_after(120):
            while True:
                for server in servers:
                    answer = await self._answer(server, wanted)
                    if answer is not None and answer.get("order_id"):
                        return str(answer["order_id"])
                    await anyio.sleep(PAUSE_SECONDS)

    async def _answer(self, server: Replica, wanted: dict[str, Any]) -> dict[str, Any] | None:
        try:
            async with modern(server.origin, self.token) as client:
                result = await client.call_tool("place_order", wanted)
        except Exception as error:
            if not is_away(error):
                raise
            return None
        if result.is_error:
            self.told.append({"server": server.name, **said(result)})
        return said(result)

    async def until_more(self, count: int = 2 * BUYERS) -> None:
        """Wait until so many more orders were placed."""
        wanted = len(self.placed) + count
        with anyio.fail_after(180):
            while len(self.placed) < wanted:
                await anyio.sleep(PAUSE_SECONDS)


def is_away(error: BaseException) -> bool:
    """Say whether a call failed because its server is not there."""
    if isinstance(error, BaseExceptionGroup):
        return cast("BaseExceptionGroup[BaseException]", error).split(AWAY)[1] is None
    return isinstance(error, AWAY)


async def replace(replica: Replica) -> None:
    """Put this version in the place of a server."""
    await anyio.to_thread.run_sync(replica.stop)
    replica.tree = None
    await anyio.to_thread.run_sync(replica.start)


async def test_servers_are_replaced_one_after_the_other_while_orders_run_and_nothing_is_lost_or_doubled(
    tmp_path: Path, make_database: Callable[..., str], zinc: Practice
) -> None:
    tree = tree_before(tmp_path / "before")
    with team(
        tmp_path, make_database(), zinc.url, tree=tree, ZINC_MCP_APPROVAL="none", ZINC_MCP_MAX_DAY="10000000"
    ) as running:
        one, other = running.replicas
        buying = Buying(running, running.member("ada"))
        async with anyio.create_task_group() as agents:
            for number in range(BUYERS):
                agents.start_soon(buying.buy, number)
            await buying.until_more()
            await replace(one)
            with Journal.open(running.journal) as journal:
                assert journal.kept_schema() == Kept(BESIDE, SCHEMA_VERSION)
            await buying.until_more()
            early = one.started.quickly("journal", "finish-upgrade", "--yes", **one.environment)
            assert early.returncode != 0 and "A program of an earlier version" in early.stderr, early
            assert not [each for each in buying.told if each["code"] == "journal_unavailable"], buying.told
            # The owner is wrong: one of the version before still runs, and orders.
            wrong = one.started.quickly("journal", "finish-upgrade", "--yes", "--others-ended", **one.environment)
            assert wrong.returncode == 0, wrong
            await buying.until_more()
            refused = [each for each in buying.told if each["server"] == other.name]
            assert refused and {each["code"] for each in refused} <= {"journal_unavailable", "outcome_unknown"}
            assert any("newer version of zinc-mcp" in each["summary"] for each in refused), refused
            await replace(other)
            before = len(buying.told)
            await buying.until_more()
            assert buying.told[before:] == []
            buying.is_over = True
        entries = [each for each in running.entries() if each.kind == "order"]
    bought = {str(order_id) for (order_id,) in zinc.rows("SELECT order_id FROM orders")}
    assert len(buying.placed) == len(set(buying.placed.values())) == len(bought), "each was bought, and bought once"
    assert set(buying.placed.values()) == bought
    assert sorted(str(each.order_id) for each in entries if each.order_id) == sorted(bought)
