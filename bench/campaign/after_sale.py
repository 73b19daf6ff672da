"""Runs rounds about orders after their purchase: brings the orders to their state, plays each round, has it judged."""

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.campaign.agents.after_sale import AfterAgent, NoOrderError, Order, placed, reported
from bench.campaign.agents.hosts import Process, Server, Starter, http_server, practice_zinc, stdio_server
from bench.campaign.judge.after_sale import FILED, judge_after_round
from bench.campaign.judge.record import keep_record
from bench.campaign.judge.verdict import BROKEN_AFTER_SALE, INTENTIONS, NOT_BEGUN, Verdict
from bench.campaign.plan.after_sale import PLACED_AT, REACHED_BY_CHANCE, AfterKind, AfterRound, drawn
from bench.campaign.steps import StepCoverage, write_down
from bench.campaign.turns import EnoughError, play_all
from zinc_mcp.journal.journal import Journal

AT_ONCE = 8
"""Intentions at the same time in one round."""
LEASES_OVER_SECONDS = 2.0
"""After so long no process that died has a lease any more (`agents.server.CLOCKS`)."""
_LATE_TURNS = 2
_MOST_LOOKS = 4
"""Looks at the end of a round, until one reads the order: some reads are to fail."""


class AfterSaleCampaign(StepCoverage):
    """Rounds, their verdicts, and which steps they came to."""

    def __init__(self, folder: Path, *, keep: bool, turns: int, until: Collection[str] = ()) -> None:
        super().__init__(REACHED_BY_CHANCE)
        self._folder = folder
        self._keep = keep
        self._turns = turns
        self._until = until
        self.verdict = Verdict()

    async def run(
        self,
        seed: int,
        intentions: int,
        dialects: Sequence[str],
        at_once: int,
        kinds: Sequence[AfterKind],
        most: int | None = None,
    ) -> None:
        """Run rounds with so many intentions of each kind; see `plan.after_sale.drawn` and `turns.play_all`."""
        rounds = drawn(seed, intentions, dialects, kinds)
        async with Starter.opened(self._folder / "servers.log") as starter:
            with suppress(EnoughError):
                await play_all(
                    rounds, at_once, lambda each: self._round(starter, each), self.verdict, self._until, most
                )

    async def _round(self, starter: Starter, each: AfterRound) -> None:
        began = time.monotonic()
        folder = self._folder / each.name
        folder.mkdir()
        Journal.open(f"sqlite:///{folder / 'journal.db'}").close()
        keep_record(folder / "journal.db")
        zinc, address = await practice_zinc(starter, folder / "ledger.db", each.dialect, each.pace)
        try:
            agents = await self._play(starter, each, folder, address)
        except NoOrderError as error:
            self.verdict.found(NOT_BEGUN, f"{each.name} ({each.dialect}): {error}")
            await zinc.killed()
            return
        zinc.signal(signal.SIGTERM)
        await zinc.ended()
        calls = {agent.wish.number: agent.calls for agent in agents}
        verdict = judge_after_round(each, folder, calls)
        for wish in each.wishes:
            asked = " asked" if each.asks else ""
            self.note(wish, wish.action, asked, folder / "reached", calls[wish.number])
        self.verdict.add(verdict)
        told = verdict.told(each.name, each.dialect, len(each.wishes), time.monotonic() - began)
        print(told, file=sys.stderr, flush=True)
        if verdict.broken_rows or self._keep:
            write_down(folder, each, {agent.wish: agent.calls for agent in agents})
        else:
            shutil.rmtree(folder)

    async def _play(self, starter: Starter, each: AfterRound, folder: Path, address: str) -> list[AfterAgent]:
        environ = _environ(each, folder, address)
        asking = {**environ, **({"ZINC_MCP_APPROVAL": "auto", "CAMPAIGN_CLOCKS": "heed=0.2"} if each.asks else {})}
        orders = await _orders(starter, each, environ)
        servers: list[Server] = [
            await stdio_server(starter, asking),
            await stdio_server(starter, asking),
            *await asyncio.gather(http_server(starter, asking), http_server(starter, asking)),
        ]
        people = await _people(starter, each, asking, folder) if each.asks else []
        agents = [
            AfterAgent(wish, orders[wish.family], each.pace, starter, asking, servers, self._turns)
            for wish in each.wishes
        ]
        slots = asyncio.Semaphore(AT_ONCE)

        async def pursue(agent: AfterAgent) -> None:
            async with slots:
                await agent.pursue()

        async with asyncio.TaskGroup() as tasks:
            for agent in agents:
                tasks.create_task(pursue(agent))
        await asyncio.sleep(LEASES_OVER_SECONDS)
        late = await stdio_server(starter, asking, "late look")
        async with asyncio.TaskGroup() as tasks:
            for agent in agents:
                tasks.create_task(_look_late(agent, late))
        for person in people:
            person.close_stdin()
            await person.ended()
        await asyncio.gather(*(server.stop() for server in [*servers, late]))
        return agents


async def _look_late(agent: AfterAgent, server: Server) -> None:
    """Let a new process look when every lease is over, until it has read the order."""
    if not agent.settled:
        await agent.until_settled([server], _LATE_TURNS)
    if agent.order.id is None and agent.order.key is None:
        return
    for _ in range(_MOST_LOOKS):
        await agent.look(server)
        answer = agent.calls[-1].answer
        if answer is not None and answer.get("unasked") is None and not answer["is_error"]:
            return


async def _orders(starter: Starter, each: AfterRound, environ: Mapping[str, str]) -> dict[int, Order]:
    """Bring the orders of a round to the state that it needs, without asking anybody."""
    if each.kind == "cancel" and each.asks:
        return {family: Order(None, None, 0.0) for family in each.families}
    server = await stdio_server(starter, environ, "before")
    tool = "place_order" if each.rail == "account" else "place_agent_order"
    try:
        orders = {family: await placed(server, wish, each.pace, tool) for family, wish in each.families.items()}
        if each.kind != "cancel":
            last = max(order.at for order in orders.values())
            await asyncio.sleep(max(0.0, last + PLACED_AT / each.pace + 0.1 - time.time()))
            for family, wish in each.families.items():
                if wish.needs_a_case:
                    await reported(server, wish, orders[family])
    finally:
        await server.stop()
    return orders


async def _people(starter: Starter, each: AfterRound, environ: Mapping[str, str], folder: Path) -> list[Process]:
    """Start the people who answer questions: one at a page, one in a terminal."""
    cannot_send = {name: value for name, value in environ.items() if name not in ("ZINC_API_KEY", "ZINC_WALLET")}
    return [
        await starter.start(
            ["people"],
            {**theirs, "CAMPAIGN_DECISIONS": str(folder / "decisions"), "CAMPAIGN_SEED": f"{each.name} {place}"},
        )
        for place, theirs in enumerate((environ, cannot_send))
    ]


def _environ(each: AfterRound, folder: Path, address: str) -> dict[str, str]:
    return {
        "ZINC_MCP_HOME": str(folder),
        "ZINC_API_URL": address,
        **({"ZINC_API_KEY": "zn_test_campaign"} if each.rail == "account" else {"ZINC_WALLET": "sandbox"}),
        "ZINC_MCP_MAX_DAY": str(10**11),
        "ZINC_MCP_BROWSER": "0",
        "CAMPAIGN_REACHED": str(folder / "reached"),
    }


def report(campaign: AfterSaleCampaign) -> str:
    """Return the result of the campaign, as text for a person."""
    verdict, counts = campaign.verdict, campaign.verdict.counts
    others = sorted(set(counts) - {*BROKEN_AFTER_SALE, INTENTIONS, FILED})
    posts = "  ".join(f"{number}: {times}" for number, times in sorted(verdict.posts.items()))
    lines = [
        *campaign.table(),
        *(f"missed: {cell}" for cell in campaign.missed),
        "",
        *(f"{name:52} {counts[name]:7}" for name in (INTENTIONS, FILED)),
        f"{'POSTs per intention':52} {posts}",
        f"{'begun by two or three processes':52} {campaign.racing:7}",
        f"{'slowest answer':52} {campaign.slowest_seconds:7.1f} s",
        "",
        *(f"{name:52} {counts[name]:7}" for name in BROKEN_AFTER_SALE),
        "",
        *(f"{name:52} {counts[name]:7}" for name in others),
    ]
    return "\n".join([*lines, *(["", *verdict.findings] if verdict.findings else [])])
