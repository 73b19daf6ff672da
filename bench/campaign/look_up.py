"""Plays rounds of questions about products for which a wallet pays, and has them judged."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.campaign.agents.agent import Call
from bench.campaign.agents.hosts import Starter, stdio_server
from bench.campaign.agents.look_up import LookUpAgent
from bench.campaign.journals.journal import RoundJournal
from bench.campaign.judge.look_up import ANSWERED, PAID, judge_question_round
from bench.campaign.judge.verdict import BROKEN_BY_LOOK_UP, INTENTIONS, Verdict
from bench.campaign.plan.look_up import QuestionRound, drawn
from bench.campaign.rounds import RoundCampaign, four_servers, pursue_all
from bench.campaign.steps import Planned

_LEASES_OVER_SECONDS = 4.0
"""After this time no process that died has a lease of a paid question any more (`agents.server.CLOCKS`)."""
_LATE_TURNS = 2


class LookUpCampaign(RoundCampaign[QuestionRound]):
    """Rounds of questions about products."""

    async def run(
        self, seed: int, intentions: int, dialects: Sequence[str], at_once: int, most: int | None = None
    ) -> None:
        """Play rounds with `intentions` questions; see `plan.look_up.drawn` and `turns.play_all`."""
        await self.play_rounds(drawn(seed, intentions, dialects), at_once, most)

    def judge(self, each: QuestionRound, folder: Path, calls: Mapping[int, Sequence[Call]]) -> Verdict:
        """Judge one round."""
        return judge_question_round(each, folder, calls)

    def named(self, each: QuestionRound, wish: Planned) -> tuple[str, str]:
        """Return the subject of a question."""
        return next(one.about for one in each.wishes if one.number == wish.number), ""

    async def play(
        self, starter: Starter, each: QuestionRound, folder: Path, address: str, journal: RoundJournal
    ) -> list[LookUpAgent]:
        """Play the round, and return its agents."""
        environ = {**_environ(each, folder, address), **journal.environ}
        servers = await four_servers(starter, environ)
        agents = [LookUpAgent(wish, starter, environ, servers, self._turns) for wish in each.wishes]
        await pursue_all(agents)
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
    """Return the result of the campaign as text."""
    payments = "payments per question", campaign.verdict.settlements
    return campaign.summary((INTENTIONS, ANSWERED, PAID), payments, BROKEN_BY_LOOK_UP)
