"""Runs rounds of questions about products that a wallet pays for: plays each round, and has it judged."""

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.campaign.agents.hosts import Server, Starter, http_server, practice_zinc, stdio_server
from bench.campaign.agents.look_up import LookUpAgent
from bench.campaign.judge.look_up import ANSWERED, PAID, judge_question_round
from bench.campaign.judge.verdict import BROKEN_BY_LOOK_UP, INTENTIONS, Verdict
from bench.campaign.plan.intentions import PACE
from bench.campaign.plan.look_up import QuestionRound, drawn
from bench.campaign.steps import StepCoverage, write_down
from bench.campaign.turns import EnoughError, play_all
from zinc_mcp.journal.journal import Journal

AT_ONCE = 8
"""Questions at the same time in one round."""
_LEASES_OVER_SECONDS = 4.0
"""After so long no process that died has a lease of a paid question any more (`agents.server.CLOCKS`)."""
_LATE_TURNS = 2


class LookUpCampaign(StepCoverage):
    """Rounds, their verdicts, and which steps they came to."""

    def __init__(self, folder: Path, *, keep: bool, turns: int, until: Collection[str] = ()) -> None:
        super().__init__()
        self._folder = folder
        self._keep = keep
        self._turns = turns
        self._until = until
        self.verdict = Verdict()

    async def run(
        self, seed: int, intentions: int, dialects: Sequence[str], at_once: int, most: int | None = None
    ) -> None:
        """Run rounds with so many questions; see `plan.look_up.drawn` and `turns.play_all`."""
        rounds = drawn(seed, intentions, dialects)
        async with Starter.opened(self._folder / "servers.log") as starter:
            with suppress(EnoughError):
                await play_all(
                    rounds, at_once, lambda each: self._round(starter, each), self.verdict, self._until, most
                )

    async def _round(self, starter: Starter, each: QuestionRound) -> None:
        began = time.monotonic()
        folder = self._folder / each.name
        folder.mkdir()
        Journal.open(f"sqlite:///{folder / 'journal.db'}").close()
        zinc, address = await practice_zinc(starter, folder / "ledger.db", each.dialect, PACE)
        agents = await self._play(starter, each, folder, address)
        zinc.signal(signal.SIGTERM)
        await zinc.ended()
        calls = {agent.wish.number: agent.calls for agent in agents}
        verdict = judge_question_round(each, folder, calls)
        for wish in each.wishes:
            self.note(wish, wish.about, "", folder / "reached", calls[wish.number])
        self.verdict.add(verdict)
        told = verdict.told(each.name, each.dialect, len(each.wishes), time.monotonic() - began)
        print(told, file=sys.stderr, flush=True)
        if verdict.broken_rows or self._keep:
            write_down(folder, each, {agent.wish: agent.calls for agent in agents})
        else:
            shutil.rmtree(folder)

    async def _play(self, starter: Starter, each: QuestionRound, folder: Path, address: str) -> list[LookUpAgent]:
        environ = _environ(each, folder, address)
        servers: list[Server] = [
            await stdio_server(starter, environ),
            await stdio_server(starter, environ),
            *await asyncio.gather(http_server(starter, environ), http_server(starter, environ)),
        ]
        agents = [LookUpAgent(wish, starter, environ, servers, self._turns) for wish in each.wishes]
        slots = asyncio.Semaphore(AT_ONCE)

        async def pursue(agent: LookUpAgent) -> None:
            async with slots:
                await agent.pursue()

        async with asyncio.TaskGroup() as tasks:
            for agent in agents:
                tasks.create_task(pursue(agent))
        await asyncio.sleep(_LEASES_OVER_SECONDS)
        late = await stdio_server(starter, environ, "late look")
        async with asyncio.TaskGroup() as tasks:
            for agent in agents:
                tasks.create_task(agent.until_settled([late], _LATE_TURNS))
        await asyncio.gather(*(server.stop() for server in [*servers, late]))
        return agents


def _environ(each: QuestionRound, folder: Path, address: str) -> Mapping[str, str]:
    policy = f'[policy]\napproval = "none"\nmax_day = {10**11}\nmax_lookups_day = {each.budget_cents}\n'
    (folder / "zinc.toml").write_text(policy, encoding="utf-8")
    return {
        "ZINC_MCP_HOME": str(folder),
        "ZINC_API_URL": address,
        "ZINC_WALLET": "sandbox",
        "ZINC_MCP_BROWSER": "0",
        "CAMPAIGN_REACHED": str(folder / "reached"),
    }


def report(campaign: LookUpCampaign) -> str:
    """Return the result of the campaign, as text for a person."""
    verdict, counts = campaign.verdict, campaign.verdict.counts
    others = sorted(set(counts) - {*BROKEN_BY_LOOK_UP, INTENTIONS, ANSWERED, PAID})
    payments = "  ".join(f"{number}: {times}" for number, times in sorted(verdict.settlements.items()))
    lines = [
        *campaign.table(),
        *(f"missed: {cell}" for cell in campaign.missed),
        "",
        *(f"{name:52} {counts[name]:7}" for name in (INTENTIONS, ANSWERED, PAID)),
        f"{'payments per question':52} {payments}",
        f"{'begun by two or three processes':52} {campaign.racing:7}",
        f"{'slowest answer':52} {campaign.slowest_seconds:7.1f} s",
        "",
        *(f"{name:52} {counts[name]:7}" for name in BROKEN_BY_LOOK_UP),
        "",
        *(f"{name:52} {counts[name]:7}" for name in others),
    ]
    return "\n".join([*lines, *(["", *verdict.findings] if verdict.findings else [])])
