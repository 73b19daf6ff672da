"""Plays rounds about orders after their purchase: it prepares the orders, plays each round, and has it judged."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.campaign.agents.after_sale import AfterAgent, Order, placed, reported
from bench.campaign.agents.agent import Call
from bench.campaign.agents.hosts import Process, Server, Starter, stdio_server
from bench.campaign.journals.journal import RoundJournal
from bench.campaign.judge.after_sale import FILED, judge_after_round
from bench.campaign.judge.verdict import BROKEN_AFTER_SALE, INTENTIONS, Verdict
from bench.campaign.plan.after_sale import PLACED_AT, REACHED_BY_CHANCE, AfterKind, AfterRound, drawn
from bench.campaign.rounds import RoundCampaign, four_servers, pursue_all
from bench.campaign.steps import Planned

LEASES_OVER_SECONDS = 2.0
"""After this time no process that died has a lease any more (`agents.server.CLOCKS`)."""
_LATE_TURNS = 2
_MOST_LOOKS = 4
"""The most looks at the end of a round, until one reads the order, since the plan lets some reads fail."""


class AfterSaleCampaign(RoundCampaign[AfterRound]):
    """Rounds about orders after their purchase."""

    by_chance = REACHED_BY_CHANCE

    async def run(
        self,
        seed: int,
        intentions: int,
        dialects: Sequence[str],
        at_once: int,
        kinds: Sequence[AfterKind],
        most: int | None = None,
    ) -> None:
        """Play rounds with `intentions` intentions of each kind; see `plan.after_sale.drawn` and `turns.play_all`."""
        await self.play_rounds(drawn(seed, intentions, dialects, kinds), at_once, most)

    def judge(self, each: AfterRound, folder: Path, calls: Mapping[int, Sequence[Call]]) -> Verdict:
        """Judge one round."""
        return judge_after_round(each, folder, calls)

    def named(self, each: AfterRound, wish: Planned) -> tuple[str, str]:
        """Return the wanted action on the order, and ` asked` if people were asked."""
        action = next(one.action for one in each.wishes if one.number == wish.number)
        return action, " asked" if each.asks else ""

    async def play(
        self, starter: Starter, each: AfterRound, folder: Path, address: str, journal: RoundJournal
    ) -> list[AfterAgent]:
        """Prepare the orders, play the round, and return its agents."""
        environ = {**_environ(each, folder, address), **journal.environ}
        asked = {"ZINC_MCP_APPROVAL": "auto", "CAMPAIGN_CLOCKS": "heed_seconds=0.2"}
        asking = {**environ, **(asked if each.asks else {})}
        orders = await _orders(starter, each, environ)
        servers = await four_servers(starter, asking)
        people = await _people(starter, each, asking, folder) if each.asks else []
        agents = [
            AfterAgent(wish, orders[wish.family], each.pace, starter, asking, servers, self._turns)
            for wish in each.wishes
        ]
        await pursue_all(agents)
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
    """Look the order up in a new process when every lease is over, until it has been read."""
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
    """Place the orders of a round and bring them to the state that it needs, without asking anybody."""
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
    """Return the result of the campaign as text."""
    posts = "POSTs per intention", campaign.verdict.posts
    return campaign.summary((INTENTIONS, FILED), posts, BROKEN_AFTER_SALE)
