"""Runs a campaign of purchases: starts the processes of each round, plays it, has it judged, and counts coverage."""

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.campaign.agents.agent import Agent
from bench.campaign.agents.hosts import Process, Server, Starter, practice_zinc, stdio_server
from bench.campaign.coverage import Coverage
from bench.campaign.journals.journal import Journals, RoundJournal
from bench.campaign.judge.rounds import judge_round
from bench.campaign.judge.verdict import Verdict
from bench.campaign.plan.draw import again
from bench.campaign.plan.intentions import BROKEN_KEYS, PACE, PRACTICE, Kind, Round
from bench.campaign.plan.rails import Plan, challenge_seconds, drawn
from bench.campaign.plan.v1_orders import TOKEN
from bench.campaign.rounds import AT_ONCE, four_servers
from bench.campaign.steps import write_down
from bench.campaign.turns import EnoughError, play_all

TRIES_MORE = 4
"""The number of further tries for the steps at which a process should have died and did not."""
PROOF_SECONDS = 6.0
"""The time after the end of a payment in which no answer proves that it was not taken (`journal.records.money`)."""
LEASES_OVER_SECONDS = 2.0
"""After this time no process that died has a lease any more (`agents.server.CLOCKS`)."""
_TWO_DAYS = 2 * 86_400
_PAYING = frozenset({"ZINC_API_KEY", "ZINC_WALLET", "ZINC_V1_CLIENT_TOKEN"})
_FRESH_EVERY = 10
"""In every tenth round one server is started as a host does it, not by a fork."""


class Campaign:
    """Rounds of purchases, their verdicts, and their coverage."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        journals: Journals,
        *,
        keep: bool,
        turns: int,
        late_looks: int = 2,
        until: Collection[str] = (),
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._journals = journals
        self._keep = keep
        self._turns = turns
        self._late_looks = late_looks
        self._until = until
        """Everything stops once one of these rows is not zero."""
        self.verdict = Verdict()
        self.coverage = Coverage(plan)
        self.slowest_seconds = 0.0
        self.racing = 0
        """Intentions that more than one process began at once."""

    async def run(
        self,
        seed: int,
        intentions: int,
        dialects: Sequence[str],
        at_once: int,
        kinds: Sequence[Kind] = (),
        first: Sequence[str] = (),
        most: int | None = None,
    ) -> None:
        """Run the plan's rounds, a few at a time, and then more of them for the steps at which no process died.

        Args:
            seed: the seed of all random choices.
            intentions: the number of intentions in all.
            dialects: the dialects of Zinc.
            at_once: the number of rounds at the same time.
            kinds: only rounds of these classes, if any.
            first: rounds of these kinds come before the others.
            most: everything stops once this number of intentions was judged.
        """
        rounds = drawn(self._plan, seed, intentions, dialects, kinds)
        rounds.sort(key=lambda each: first.index(each.kind) if each.kind in first else len(first))
        async with Starter.opened(self._folder / "servers.log") as starter:
            with suppress(EnoughError):
                await self._all(starter, rounds, at_once, most)
                done = len(rounds)
                for _ in range(TRIES_MORE if most is None else 0):
                    more = again(seed, done, self.coverage.missed)
                    await self._all(starter, more, at_once)
                    done += len(more)

    async def _all(self, starter: Starter, rounds: Sequence[Round], at_once: int, most: int | None = None) -> None:
        await play_all(rounds, at_once, lambda each: self._round(starter, each), self.verdict, self._until, most)

    async def _round(self, starter: Starter, each: Round) -> None:
        began = time.monotonic()
        folder = self._folder / each.name
        folder.mkdir()
        journal = await asyncio.to_thread(self._journals.begin, folder)
        if each.old_journal:
            journal.make_older(_TWO_DAYS)
        zinc, address = await _zinc(starter, each, folder)
        agents, zinc = await self._play(starter, each, folder, zinc, address, journal)
        ended_at = time.time()
        zinc.signal(signal.SIGTERM)
        await zinc.ended()
        await asyncio.to_thread(journal.leave_for_judge)
        calls = {agent.intention.number: agent.calls for agent in agents}
        verdict = judge_round(each, folder, calls, ended_at)
        self.coverage.note(each, folder / "reached")
        self.racing += sum(1 for wish in each.intentions if len(wish.racers) > 1)
        self.slowest_seconds = max([self.slowest_seconds, *(call.seconds for some in calls.values() for call in some)])
        self.verdict.add(verdict)
        told = verdict.told(each.name, each.dialect, len(each.intentions), time.monotonic() - began)
        print(told, file=sys.stderr, flush=True)
        if verdict.broken_rows or self._keep:
            write_down(folder, each, {agent.intention: agent.calls for agent in agents})
        else:
            shutil.rmtree(folder)

    async def _play(
        self, starter: Starter, each: Round, folder: Path, zinc: Process, address: str, journal: RoundJournal
    ) -> tuple[list[Agent], Process]:
        environ = {**self._environ(each, folder, address), **journal.environ}
        fresh = int(each.name.split("-")[0]) % _FRESH_EVERY == 0
        servers = await four_servers(starter, environ, fresh=fresh)
        people, practice = await _people(starter, each, environ, folder) if each.kind == "questions" else ([], [])
        agents = [
            Agent(wish, each.price, starter, environ, practice if wish.line2 == PRACTICE else servers, self._turns)
            for wish in each.intentions
        ]
        slots = asyncio.Semaphore(len(agents) if each.kind == "slow" else AT_ONCE)
        half_done = asyncio.Event()
        to_go = len(agents) // 2

        async def pursue(agent: Agent) -> None:
            nonlocal to_go
            async with slots:
                await agent.pursue()
            to_go -= 1
            if to_go <= 0:
                half_done.set()

        async with asyncio.TaskGroup() as tasks:
            for agent in agents:
                tasks.create_task(pursue(agent))
            if each.outage:
                await half_done.wait()
                zinc = await _outage(starter, each, folder, zinc, address)
        by_wallet = "agent" in each.rails
        if not by_wallet and not people:
            await _look_late(starter, environ, agents, LEASES_OVER_SECONDS)
        if each.dialect in BROKEN_KEYS:  # a look-up shows that a key was ignored, and some look-ups fail
            for server in servers:
                await asyncio.gather(*(agent.look(server) for agent in agents))
        for person in people:
            person.close_stdin()
            await person.ended()
        await asyncio.gather(*(server.stop() for server in [*servers, *practice]))
        if by_wallet and not people:
            # A new payment after the first one expired may be in doubt again.
            for _ in range(self._late_looks):
                expired = challenge_seconds(each) + PROOF_SECONDS
                after = expired if any(agent.doubtful for agent in agents) else LEASES_OVER_SECONDS
                await _look_late(starter, environ, agents, after)
        return agents, zinc

    def _environ(self, each: Round, folder: Path, address: str) -> dict[str, str]:
        return {
            "ZINC_MCP_HOME": str(folder),
            "ZINC_API_URL": address,
            **({"ZINC_API_KEY": "zn_test_campaign"} if "account" in each.rails else {}),
            **({"ZINC_WALLET": "sandbox"} if "agent" in each.rails else {}),
            **({"ZINC_V1_CLIENT_TOKEN": TOKEN, "ZINC_V1_API_URL": f"{address}/v1"} if "v1" in each.rails else {}),
            "ZINC_MCP_MAX_DAY": str(each.limit_cents or 10**11),
            "ZINC_MCP_BROWSER": "0",
            "CAMPAIGN_REACHED": str(folder / "reached"),
            "CAMPAIGN_WALLETS": str(folder / "wallets"),
            **({"CAMPAIGN_CLOCKS": f"repeat_seconds={each.repeat_seconds}"} if each.repeat_seconds is not None else {}),
            **dict(each.settings),
        }


async def _look_late(starter: Starter, environ: Mapping[str, str], agents: Sequence[Agent], after: float) -> None:
    """Let a new process look at the open orders after `after` seconds, when every lease and payment is over."""
    late = [agent for agent in agents if not agent.settled]
    if not late:
        return
    await asyncio.sleep(after)
    server = await stdio_server(starter, environ, "late look")
    async with asyncio.TaskGroup() as tasks:
        for agent in late:
            tasks.create_task(agent.until_settled([server], 2, place_every=2))
    await server.stop()


async def _people(
    starter: Starter, each: Round, environ: Mapping[str, str], folder: Path
) -> tuple[list[Process], list[Server]]:
    """Start the people who answer questions (two at a page, one in a terminal), and servers that practise."""
    practising = {**environ, "ZINC_MCP_SANDBOX": "1"}
    cannot_pay = {name: value for name, value in environ.items() if name not in _PAYING}
    people = [
        await starter.start(
            ["people"],
            {**theirs, "CAMPAIGN_DECISIONS": str(folder / "decisions"), "CAMPAIGN_SEED": f"{each.name} {place}"},
        )
        for place, theirs in enumerate((environ, practising, cannot_pay))
    ]
    return people, [await stdio_server(starter, practising, "practice") for _ in range(2)]


async def _outage(starter: Starter, each: Round, folder: Path, zinc: Process, address: str) -> Process:
    await zinc.killed()
    await asyncio.sleep(0.7)
    zinc, _ = await _zinc(starter, each, folder, int(address.rsplit(":", 1)[1]))
    return zinc


async def _zinc(starter: Starter, each: Round, folder: Path, port: int = 0) -> tuple[Process, str]:
    return await practice_zinc(
        starter, folder / "ledger.db", each.dialect, PACE, port, challenge_seconds=challenge_seconds(each)
    )
