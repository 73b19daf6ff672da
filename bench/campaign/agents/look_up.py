"""The agent of one question about products: it asks in any spelling, again until it is answered or refused."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.campaign.agents.agent import Call
from bench.campaign.agents.hosts import Server, Starter, Structure
from bench.campaign.agents.stubborn import StubbornAgent
from bench.campaign.plan.look_up import Question

_BETWEEN = 0.2
_MOST_REFUSED = 2
"""An agent stops after this number of refusals to pay or to ask."""


@dataclass(slots=True)
class LookUpAgent(StubbornAgent):
    """Wants one question answered."""

    wish: Question
    starter: Starter
    environ: Mapping[str, str]
    servers: Sequence[Server]
    turns: int
    calls: list[Call] = field(default_factory=list[Call])
    source: random.Random = field(init=False)
    under_way: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.source = random.Random(self.wish.seed)

    @property
    def pursued(self) -> Question:
        """See `StubbornAgent`."""
        return self.wish

    async def pursue(self) -> None:
        """Begin as the plan says, ask until there is an answer or a refusal, and then once more."""
        await self.begin_all()
        await self.until_settled(self.servers, self.turns)
        await self.ask(self.source.choice(self.servers))

    async def until_settled(self, servers: Sequence[Server], turns: int) -> None:
        """Ask again until there is an answer, or a refusal that lasts."""
        for _ in range(turns):
            if self.settled:
                return
            await self.ask(self.source.choice(servers))
            await asyncio.sleep(_BETWEEN)

    @property
    def settled(self) -> bool:
        """Whether the question was answered, counts as paid without an answer, or is refused for good."""
        told = [call.answer for call in self.calls if call.answer is not None]
        refused = sum(is_refused(self.wish, each) for each in told)
        return any(is_answered(self.wish, each) for each in told) or refused >= _MOST_REFUSED

    async def ask(self, server: Server, cancel_after: float | None = None) -> None:
        """Ask it, in any of its spellings."""
        spelling = self.source.choice(self.wish.spellings)
        await self.call(server, self.wish.tool, spelling, self.wish.arguments(spelling), cancel_after)

    async def look(self, server: Server) -> None:
        """Ask for the limits, because a question itself cannot be looked up."""
        await self.call(server, "get_balance", "", {"limits_only": True})


def is_answered(wish: Question, told: Structure) -> bool:
    """Say whether an answer of a tool answers the question."""
    return "results" in told if wish.about == "search" else wish.about in told


def is_refused(wish: Question, told: Structure) -> bool:
    """Say whether an answer of a tool says that the question is not asked, or not asked again for some time."""
    said = words_of(told)
    return "not asked again" in said or "Nothing was paid" in said or "Nothing was asked" in said


def words_of(told: Structure) -> str:
    """Return the sentences of an answer."""
    return f"{told.get('summary', '')} {told.get('next_step', '')}"
