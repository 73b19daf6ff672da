"""The fault campaign: does one intention stay one purchase, whatever breaks?

    python -m bench.faults --seed 1 --intentions 20000 --dialect all

Real server processes over stdio and HTTP, a real socket to a sandbox process, every fault and every dialect, a
`kill -9` at every step of the checkout, one to four processes that race with the same intention in other words, hosts
that cancel or hang up, clocks that jump, a Zinc that goes away and comes back; and the classes of `bench.classes`. Then
`bench.judge` reads Zinc's own ledger and the journals. The exit status is 1 when a promise was broken, and after a
long run also when nobody died at a step that the plan says was to be died at.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from bench.agent_judge import judge_paid
from bench.agent_plan import AGENT, challenge_seconds
from bench.agents import TURNS, Agent, Told
from bench.classes import PRACTICE, asked_for
from bench.coverage import Coverage
from bench.evidence import BROKEN, BROKEN_BY_WALLET, Verdict
from bench.hosts import Nursery, Process, Server, http_server, practice_zinc, stdio_server
from bench.judge import judge
from bench.plan import ACCOUNT, IGNORED, PACE, Kind, Plan, Rail, Round, again
from bench.record import keep_record
from zinc_mcp.journal.journal import Journal

AT_ONCE = 8
"""Intentions in flight in one round."""
PLANS: Mapping[Rail, Plan] = {"account": ACCOUNT, "agent": AGENT}
LONG = 2000
"""Intentions, from which on a run has to come by every step of its plan."""
TRIES_MORE = 4
"""How often whoever was to die at a step and did not is tried again."""
PROOF_SECONDS = 6.0
"""Seconds after a payment's end in which nobody's word is taken that it never was (`journal.money`)."""
LEASES_OVER = 2.0
"""Seconds after which no process that died holds anything any more (`bench.victim.CLOCKS`)."""

_ALL_BROKEN = (*BROKEN, *BROKEN_BY_WALLET)
_ALL_ROWS = (*_ALL_BROKEN, "not bought")


class _EnoughError(Exception):
    """No more needs to be known: a promise was broken, or enough intentions were judged."""


class Campaign:
    """Rounds, their verdicts, and what they covered."""

    def __init__(
        self, plan: Plan, folder: Path, *, keep: bool, turns: int, evenings: int = 2, until: Collection[str] = ()
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._keep = keep
        self._turns = turns
        self._evenings = evenings
        self._until = until
        """Once one of these rows is not zero, everything stops."""
        self.verdict = Verdict()
        self.coverage = Coverage(plan)
        self.slowest = 0.0
        self.racing = 0
        """Intentions that more than one process began with at once."""

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
        """Run the plan's rounds, a few at a time, and then more of them for the steps that nobody died at.

        Args:
            seed: where all chance comes from.
            intentions: how many in all.
            dialects: which Zincs.
            at_once: rounds at a time.
            kinds: only rounds of these classes, if any.
            first: rounds of these kinds come before the others.
            most: everything stops once so many intentions were judged.
        """
        rounds = self._plan.drawn(seed, intentions, dialects, kinds)
        rounds.sort(key=lambda each: first.index(each.kind) if each.kind in first else len(first))
        async with Nursery.opened(self._folder / "servers.log") as nursery:
            with suppress(_EnoughError):
                await self._all(nursery, rounds, at_once, most)
                done = len(rounds)
                for _ in range(TRIES_MORE if most is None else 0):
                    more = again(seed, done, self.coverage.missed)
                    await self._all(nursery, more, at_once)
                    done += len(more)

    async def _all(self, nursery: Nursery, rounds: Sequence[Round], at_once: int, most: int | None = None) -> None:
        waiting = list(reversed(rounds))

        async def work() -> None:
            while waiting:
                await self._round(nursery, waiting.pop())
                if any(self.verdict.counts[row] for row in self._until):
                    raise _EnoughError
                if most is not None and self.verdict.counts["intentions"] >= most:
                    raise _EnoughError

        enough = False
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(at_once):
                    tasks.create_task(work())
        except* _EnoughError:
            enough = True
        if enough:
            raise _EnoughError

    @property
    def is_broken(self) -> bool:
        """Whether a promise was broken, or something that nothing spoke against was not bought."""
        return self.verdict.broken or bool(self.verdict.counts["not bought"])

    async def _round(self, nursery: Nursery, each: Round) -> None:
        began = time.monotonic()
        folder = self._folder / each.name
        folder.mkdir()
        Journal.open(f"sqlite:///{folder / 'journal.db'}").close()
        keep_record(folder / "journal.db")
        if each.old_journal:
            _age(folder / "journal.db")
        zinc, address = await _zinc(nursery, each, folder)
        agents, zinc = await self._play(nursery, each, folder, zinc, address)
        ended_at = time.time()
        zinc.signal(signal.SIGTERM)
        await zinc.ended()
        told = {agent.intention.number: agent.told for agent in agents}
        if "agent" in each.rails:
            verdict = judge_paid(each, folder, told, ended_at)
        else:
            verdict = judge(each, folder / "ledger.db", folder / "journal.db", told)
        self.coverage.note(each, folder / "struck")
        self.racing += sum(1 for wish in each.intentions if len(wish.racers) > 1)
        self.slowest = max([self.slowest, *(call.seconds for calls in told.values() for call in calls)])
        self.verdict.add(verdict)
        broken = {name: verdict.counts[name] for name in _ALL_ROWS if verdict.counts[name]}
        print(
            f"{each.name:12} {each.dialect:36} {len(each.intentions):4} intentions "
            f"{time.monotonic() - began:5.1f} s  {broken or 'kept'}",
            file=sys.stderr,
            flush=True,
        )
        if broken or self._keep:
            _write_down(folder, each, told)
        else:
            shutil.rmtree(folder)

    async def _play(
        self, nursery: Nursery, each: Round, folder: Path, zinc: Process, address: str
    ) -> tuple[list[Agent], Process]:
        environ = {
            "ZINC_MCP_HOME": str(folder),
            "ZINC_API_URL": address,
            **({"ZINC_API_KEY": "zn_test_campaign"} if "account" in each.rails else {}),
            **({"ZINC_WALLET": "sandbox"} if "agent" in each.rails else {}),
            "ZINC_MCP_MAX_DAY": str(each.limit_cents or 10**11),
            "ZINC_MCP_BROWSER": "0",
            "VICTIM_STRUCK": str(folder / "struck"),
            "VICTIM_WALLETS": str(folder / "wallets"),
            **({"VICTIM_CLOCKS": f"repeat={each.repeat_seconds}"} if each.repeat_seconds is not None else {}),
            **dict(each.settings),
        }
        fresh = int(each.name.split("-")[0]) % 10 == 0  # some are started as a host does it, from nothing
        servers: list[Server] = [
            await stdio_server(nursery, environ, fresh=fresh),
            await stdio_server(nursery, environ),
            *await asyncio.gather(http_server(nursery, environ), http_server(nursery, environ)),
        ]
        people, practice = await _people(nursery, each, environ, folder) if each.kind == "questions" else ([], [])
        agents = [
            Agent(wish, each.price, nursery, environ, practice if wish.line2 == PRACTICE else servers, self._turns)
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
                zinc = await _outage(nursery, each, folder, zinc, address)
        if "agent" not in each.rails and not people:
            await self._evening(nursery, environ, agents, LEASES_OVER)
        if each.dialect == IGNORED:  # that a key was ignored is seen when an order is looked at, and some looks fail
            for server in servers:
                await asyncio.gather(*(agent.look(server) for agent in agents))
        for person in people:
            person.close_stdin()
            await person.ended()
        await asyncio.gather(*(server.stop() for server in [*servers, *practice]))
        if "agent" in each.rails and not people:
            # A new payment after the first one lapsed may be left in doubt again.
            for _ in range(self._evenings):
                lapsed = challenge_seconds(each) + PROOF_SECONDS
                over = lapsed if any(agent.doubtful for agent in agents) else LEASES_OVER
                await self._evening(nursery, environ, agents, over)
        return agents, zinc

    async def _evening(
        self, nursery: Nursery, environ: Mapping[str, str], agents: Sequence[Agent], over: float
    ) -> None:
        """When every lease is over, and every payment that could be taken, a new process looks at what is open."""
        late = [agent for agent in agents if not agent.settled]
        if not late:
            return
        await asyncio.sleep(over)
        server = await stdio_server(nursery, environ, "evening")
        async with asyncio.TaskGroup() as tasks:
            for agent in late:
                tasks.create_task(agent.until_settled([server], 2, place_every=2))
        await server.stop()


async def _people(
    nursery: Nursery, each: Round, environ: Mapping[str, str], folder: Path
) -> tuple[list[Process], list[Server]]:
    """Start whoever answers questions (two at a page, one in a terminal), and servers that practise."""
    practising = {**environ, "ZINC_MCP_SANDBOX": "1"}
    cannot_pay = {name: value for name, value in environ.items() if name not in ("ZINC_API_KEY", "ZINC_WALLET")}
    people = [
        await nursery.start(
            ["people"],
            {**somebody, "VICTIM_DECISIONS": str(folder / "decisions"), "VICTIM_SEED": f"{each.name} {place}"},
        )
        for place, somebody in enumerate((environ, practising, cannot_pay))
    ]
    return people, [await stdio_server(nursery, practising, "practice") for _ in range(2)]


async def _outage(nursery: Nursery, each: Round, folder: Path, zinc: Process, address: str) -> Process:
    await zinc.killed()
    await asyncio.sleep(0.7)
    zinc, _ = await _zinc(nursery, each, folder, int(address.rsplit(":", 1)[1]))
    return zinc


async def _zinc(nursery: Nursery, each: Round, folder: Path, port: int = 0) -> tuple[Process, str]:
    return await practice_zinc(
        nursery, folder / "ledger.db", each.dialect, PACE, port, challenge_seconds=challenge_seconds(each)
    )


def _age(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as database, database:
        database.execute("update zinc_meta set value = ? where name = 'created_at'", (repr(time.time() - 2 * 86_400),))


def _write_down(folder: Path, each: Round, told: Mapping[int, Sequence[Told]]) -> None:
    said = {
        wish.number: {
            "wish": repr(wish),
            "told": [
                [call.tool, call.words, call.server, round(call.at, 3), round(call.seconds, 2), call.said]
                for call in told[wish.number]
            ],
        }
        for wish in each.intentions
    }
    (folder / "told.json").write_text(json.dumps({"round": each.name, "intentions": said}, indent=1), encoding="utf-8")


# What is printed


def report(campaign: Campaign, rail: Rail, *, full: bool) -> str:
    """Return what the campaign came to, as text for a person."""
    verdict, counts = campaign.verdict, campaign.verdict.counts
    broken = _ALL_BROKEN if rail == "agent" else BROKEN
    lines = [*campaign.coverage.table(full=full), ""]
    lines += [f"{name:52} {counts[name]:7}" for name in ("intentions", "orders placed")]
    lines += [
        f"{'keys per intention':52} {_histogram(verdict.keys)}",
        f"{'POSTs per intention':52} {_histogram(verdict.posts)}",
        *(
            [
                f"{'credentials per intention':52} {_histogram(verdict.credentials)}",
                f"{'settlements per intention':52} {_histogram(verdict.settlements)}",
            ]
            if rail == "agent"
            else []
        ),
        f"{'begun by two to four processes':52} {campaign.racing:7}",
        f"{'slowest answer':52} {campaign.slowest:7.1f} s",
        "",
    ]
    lines += [f"{name:52} {counts[name]:7}" for name in broken]
    others = [name for name in counts if name not in (*broken, "intentions", "orders placed")]
    lines += ["", *(f"{name:52} {counts[name]:7}" for name in sorted(others))]
    if verdict.unknown:
        lines += ["", "Unknown at the end, and why that is the truth (by first fault, and by dialect where it landed)"]
        for why in sorted({each.why for each in verdict.unknown}):
            of = [each for each in verdict.unknown if each.why == why]
            cells = Counter(each.dialect if each.at_zinc else each.fault for each in of)
            lines.append(f"  {len(of):5} {why}")
            lines.append("        " + ", ".join(f"{name} {times}" for name, times in cells.most_common()))
    if verdict.findings:
        lines += ["", *verdict.findings]
    return "\n".join(lines)


def _histogram(counted: Mapping[int, int]) -> str:
    return "  ".join(f"{number}: {times}" for number, times in sorted(counted.items()))


def main() -> int:
    """Run the campaign and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--intentions", type=int, default=400)
    parser.add_argument("--rail", choices=list(PLANS), default="account")
    parser.add_argument("--dialect", default="all", help="`all`, or one as the sandbox spells it; `;` between several")
    parser.add_argument("--kinds", default="", help="only rounds of these classes (`bench.classes`), with `,` between")
    parser.add_argument("--first", default="", help="rounds of these kinds come first; `,` between several")
    parser.add_argument("--until", default="", help="stop once one of these rows is broken, or `any`; `;` between them")
    parser.add_argument("--most", type=int, help="stop once so many intentions were judged")
    parser.add_argument("--at-once", type=int, help="rounds at a time (2; where payments must lapse 5)")
    parser.add_argument("--turns", type=int, default=TURNS, help=f"how often an agent asks ({TURNS})")
    parser.add_argument("--evenings", type=int, default=2, help="how often payments are waited for to lapse (2)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--keep", action="store_true", help="keep ledgers, journals and transcripts of all rounds")
    parser.add_argument("--brief", action="store_true", help="print the coverage summed over the dialects only")
    chosen = parser.parse_args()
    rail: Rail = chosen.rail
    plan = PLANS[rail]
    dialects = plan.dialects if chosen.dialect == "all" else chosen.dialect.split(";")
    at_once = chosen.at_once or (2 if rail == "account" else 5)
    folder = Path(tempfile.mkdtemp(prefix="zinc-mcp-campaign-"))
    began = time.monotonic()
    campaign = Campaign(
        plan,
        folder,
        keep=chosen.keep,
        turns=chosen.turns,
        evenings=chosen.evenings,
        until=_ALL_ROWS if chosen.until == "any" else list(filter(None, chosen.until.split(";"))),
    )
    kinds = asked_for(rail, chosen.kinds.split(",")) if chosen.kinds else ()
    first: list[str] = chosen.first.split(",")
    asyncio.run(campaign.run(chosen.seed, chosen.intentions, dialects, at_once, kinds, first, chosen.most))
    verdict = campaign.verdict
    print(report(campaign, rail, full=not chosen.brief))
    print(f"\n{time.monotonic() - began:.0f} s, seed {chosen.seed}, {os.cpu_count()} cores")
    if chosen.json:
        figures = {
            "counts": dict(verdict.counts),
            "broken": [name for name in _ALL_ROWS if verdict.counts[name]],
            "keys": dict(verdict.keys),
            "posts": dict(verdict.posts),
            "credentials": dict(verdict.credentials),
            "settlements": dict(verdict.settlements),
            "struck": sorted({f"{fault} {what}" for fault, _, what in campaign.coverage.struck}),
            "classes": [[*cell, times] for cell, times in sorted(campaign.coverage.befell.items())],
            "missed": campaign.coverage.missed,
            "unforeseen": campaign.coverage.unforeseen,
            "racing": campaign.racing,
            "findings": verdict.findings,
        }
        chosen.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if chosen.keep or verdict.broken:
        print(f"kept in {folder}")
    else:
        shutil.rmtree(folder)
    is_long = chosen.intentions >= LONG and chosen.most is None and not chosen.until
    return 1 if campaign.is_broken or (is_long and campaign.coverage.missed) else 0


if __name__ == "__main__":
    sys.exit(main())
