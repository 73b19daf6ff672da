"""The plan of the v1 rail: its faults, dialects and products, and rounds in which all three rails want the same."""

import dataclasses
import random

from bench.campaign.plan.draw import KILL_POINTS, Draw, Parts
from bench.campaign.plan.intentions import FAULTS, IGNORED, Intention, Kind, Racer, Rail, Round, Tool
from bench.campaign.plan.v1_orders import ENDS, NEVER_AN_END, NO_NO
from zinc_mcp.sandbox.dialects.v1 import V1Dialect
from zinc_mcp.sandbox.v1.rules.codes import FINAL

_TOOLS: tuple[Tool, ...] = ("place_v1_order", "place_order", "place_agent_order")
_WAYS = {
    "success": 60,
    "never-decided": 5,
    "looks": 3,
    "manual_review": 3,
    "manual_review_stays": 1,
    "queue": 3,
    "queue_full": 2,
    "probably_placed": 4,
    "probably_not_placed": 3,
    "two_parcels": 2,
    "no_price": 1,
    "hostile_text": 1,
    "hostile_failure": 1,
    "unknown_code": 1,
    "unknown_type": 1,
    "expired": 1,
}
_FAILED, _REFUSED = 9, 8
"""Of a hundred intentions, the first number fails with a code, and the second is refused with one."""

_NOT_HERE = frozenset({"v1_managed_shops", "v1_balance", "v1_transactions"})
"""Questions of the dialect about other shops and the balance: this campaign orders at one shop and reads no balance."""
DIALECTS = tuple(name for name in V1Dialect.named() if name.partition("=")[0] not in _NOT_HERE)

_PARTS: Parts = {
    "kills": (0.3, len(FAULTS) * len(KILL_POINTS), 120),
    "limits": (0.1, 200, 50),
    "rails": (0.15, 600, 40),
    "hosts": (1.0, 10**9, 120),
}
_STOPS_SOON: Parts = {
    "kills": (0.6, len(FAULTS) * len(KILL_POINTS), 6),
    "limits": (0.1, 200, 24),
    "hosts": (1.0, 10**9, 24),
}

_LOSES_NOTHING = frozenset({"none", "slow"})
_ENDS_AT_ONCE = frozenset({"unauthorized_once"})
"""The only fault that is a rejection by Zinc. v1 documents no 429, so one without a code proves nothing."""


def parts_of(dialect: str) -> Parts:
    """Return the parts of a dialect."""
    return _STOPS_SOON if dialect in IGNORED else _PARTS


def passes(fault: str, kill: str) -> bool:
    """Say whether an order whose first fault is this one passes this step, as the campaign's table must show."""
    step, _, nth = kill.partition(":")
    if fault in _LOSES_NOTHING | _ENDS_AT_ONCE:
        comes_to = {"opened", "sending", "answered", "ended", *(["accepted"] if fault in _LOSES_NOTHING else [])}
        return step in comes_to and nth == "1"
    return step != "ended"


class V1Draw(Draw):
    """Draws intentions of orders by v1."""

    _kind: Kind = "hosts"

    def round(self, name: str, dialect: str, kind: Kind, size: int) -> Round:
        """See `Draw.round`. In rounds of `rails` and `clocks` v1 practises, so that all rails have one mode."""
        self._kind = kind
        found = super().round(name, dialect, kind, size)
        practises = kind in ("rails", "clocks")
        settings = (("CAMPAIGN_V1_MODE", "test"),) if practises else (("ZINC_MCP_APPROVAL", "none"),)
        rails: tuple[Rail, ...] = ("account", "agent", "v1") if kind == "rails" else ("v1",)
        return dataclasses.replace(found, rails=rails, settings=settings)

    def finished(self, drawn: Intention) -> Intention:
        """See `Draw.finished`."""
        source = self.source
        drawn = dataclasses.replace(drawn, tool="place_v1_order", by_number=True, persists=source.random() < 0.5)
        return _on_all_rails(source, drawn) if self._kind == "rails" else drawn

    def scenario_of(self, kind: Kind, fault: str, kill: str) -> str:
        """See `Draw.scenario_of`."""
        if kind == "rails":
            return "success"  # a page at Amazon is no practice product at v2
        if kind == "kills":
            return super().scenario_of(kind, fault, kill)
        source = self.source
        chance = source.random() * 100
        if chance < _FAILED:
            return f"failed_{source.choice(ENDS if source.random() < 0.7 else sorted(NEVER_AN_END))}"
        if chance < _FAILED + _REFUSED:
            return f"refused_{source.choice(FINAL if source.random() < 0.7 else sorted(NO_NO))}"
        return source.choices(list(_WAYS), list(_WAYS.values()))[0]


def _on_all_rails(source: random.Random, wish: Intention) -> Intention:
    """Return an intention that up to three processes begin at once, each on a rail of its own."""
    tools = source.sample(_TOOLS, 3)
    racers = [dataclasses.replace(racer, tool=tool) for racer, tool in zip(wish.racers, tools, strict=False)]
    servers = [server for server in range(4) if server not in {racer.server for racer in racers}]
    while len(racers) < 2:
        racers.append(Racer(servers.pop(), "same", round(source.choice([0.0, source.uniform(0, 0.4)]), 3), tools[1]))
    return dataclasses.replace(wish, tool=tools[0], other_tools=tuple(tools[1:]), racers=tuple(racers))
