"""Rounds about other things than purchases: starts the practice Zinc of each round, plays it, and has it judged."""

import asyncio
import shutil
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from bench.campaign.agents.after_sale import NoOrderError
from bench.campaign.agents.agent import Call
from bench.campaign.agents.hosts import Server, Starter, http_server, practice_zinc, stdio_server
from bench.campaign.journals.journal import Journals, RoundJournal
from bench.campaign.judge.verdict import NOT_BEGUN, Verdict
from bench.campaign.steps import Planned, StepCoverage, write_down
from bench.campaign.turns import EnoughError, play_all

AT_ONCE = 8
"""The number of intentions that run at the same time in one round."""


class Pursuing(Protocol):
    """An agent with one intention."""

    @property
    def wish(self) -> Planned: ...

    @property
    def calls(self) -> list[Call]: ...

    async def pursue(self) -> None: ...


class Drawn(Protocol):
    """A round of a plan."""

    @property
    def name(self) -> str: ...

    @property
    def dialect(self) -> str: ...

    @property
    def pace(self) -> float: ...

    @property
    def wishes(self) -> Sequence[Planned]: ...


R = TypeVar("R", bound=Drawn)


class RoundCampaign(StepCoverage, ABC, Generic[R]):
    """Rounds, their verdicts, and the steps to which they came."""

    by_chance: ClassVar[Collection[str]] = ()
    """Steps to which a process need not come."""

    def __init__(
        self, folder: Path, journals: Journals, *, keep: bool, turns: int, until: Collection[str] = ()
    ) -> None:
        """`until`: everything stops once one of these rows is not zero."""
        super().__init__(self.by_chance)
        self._folder = folder
        self._journals = journals
        self._keep = keep
        self._turns = turns
        self._until = until
        self.verdict = Verdict()

    async def play_rounds(self, rounds: Sequence[R], at_once: int, most: int | None) -> None:
        """Play rounds, a few at a time; see `turns.play_all`."""
        async with Starter.opened(self._folder / "servers.log") as starter:
            with suppress(EnoughError):
                await play_all(
                    rounds, at_once, lambda each: self._round(starter, each), self.verdict, self._until, most
                )

    @abstractmethod
    async def play(
        self, starter: Starter, each: R, folder: Path, address: str, journal: RoundJournal
    ) -> Sequence[Pursuing]:
        """Play one round with the practice Zinc at this address, and return its agents.

        Raises:
            NoOrderError: it could not begin, so it proves nothing.
        """

    @abstractmethod
    def judge(self, each: R, folder: Path, calls: Mapping[int, Sequence[Call]]) -> Verdict:
        """Judge one round by the files of its processes, and by the calls of each intention."""

    @abstractmethod
    def named(self, each: R, wish: Planned) -> tuple[str, str]:
        """Return the action of an intention, and an addition to the name of its step."""

    async def _round(self, starter: Starter, each: R) -> None:
        began = time.monotonic()
        folder = self._folder / each.name
        folder.mkdir()
        journal = await asyncio.to_thread(self._journals.begin, folder)
        zinc, address = await practice_zinc(starter, folder / "ledger.db", each.dialect, each.pace)
        try:
            agents = await self.play(starter, each, folder, address, journal)
        except NoOrderError as error:
            self.verdict.found(NOT_BEGUN, f"{each.name} ({each.dialect}): {error}")
            await zinc.killed()
            return
        zinc.signal(signal.SIGTERM)
        await zinc.ended()
        await asyncio.to_thread(journal.leave_for_judge)
        calls = {agent.wish.number: agent.calls for agent in agents}
        verdict = self.judge(each, folder, calls)
        for wish in each.wishes:
            action, more = self.named(each, wish)
            self.note(wish, action, more, folder / "reached", calls[wish.number])
        self.verdict.add(verdict)
        told = verdict.told(each.name, each.dialect, len(each.wishes), time.monotonic() - began)
        print(told, file=sys.stderr, flush=True)
        if verdict.broken_rows or self._keep:
            write_down(folder, each, {agent.wish: agent.calls for agent in agents})
        else:
            shutil.rmtree(folder)

    def summary(self, totals: Sequence[str], of_each: tuple[str, Mapping[int, int]], broken: Sequence[str]) -> str:
        """Return the result of the campaign as text.

        Args:
            totals: the rows that come first.
            of_each: a name such as `POSTs per intention`, and the number of intentions with each number of them.
            broken: the rows that must be zero. All others come last.
        """
        counts = self.verdict.counts
        what, numbers = of_each
        lines = [
            *self.table(),
            *(f"missed: {cell}" for cell in self.missed),
            "",
            *(f"{name:52} {counts[name]:7}" for name in totals),
            f"{what:52} " + "  ".join(f"{number}: {times}" for number, times in sorted(numbers.items())),
            f"{'begun by two or three processes':52} {self.racing:7}",
            f"{'slowest answer':52} {self.slowest_seconds:7.1f} s",
            "",
            *(f"{name:52} {counts[name]:7}" for name in broken),
            "",
            *(f"{name:52} {counts[name]:7}" for name in sorted(set(counts) - {*broken, *totals})),
        ]
        return "\n".join([*lines, *(["", *self.verdict.findings] if self.verdict.findings else [])])


async def four_servers(starter: Starter, environ: Mapping[str, str], *, fresh: bool = False) -> list[Server]:
    """Start two servers over stdio and two over HTTP on one home. `fresh`: start the first one as a host does."""
    return [
        await stdio_server(starter, environ, fresh=fresh),
        await stdio_server(starter, environ),
        *await asyncio.gather(http_server(starter, environ), http_server(starter, environ)),
    ]


async def pursue_all(agents: Sequence[Pursuing]) -> None:
    """Let each agent pursue its intention, a few at the same time."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def pursue(agent: Pursuing) -> None:
        async with slots:
            await agent.pursue()

    async with asyncio.TaskGroup() as tasks:
        for agent in agents:
            tasks.create_task(pursue(agent))
