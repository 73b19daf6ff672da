"""The plan of each rail: its faults, steps and dialects, and the rounds that are drawn from them.

On the agent rail there is every false 402, every fault of the paid request and every step of paying. A fault whose name
begins with `402:` is one of the unpaid request, which asks for the price; the others are those of the paid request.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.campaign.plan import v1
from bench.campaign.plan.classes import LEAST_SHARE, class_rounds, classes_of
from bench.campaign.plan.draw import KILL_POINTS, Draw, Parts
from bench.campaign.plan.intentions import FAULTS, IGNORED, Intention, Kind, Rail, Round, Tool
from zinc_mcp.sandbox.dialect import Dialect
from zinc_mcp.sandbox.faults.asked import LIES, PAID, UNPAID


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a campaign on one rail."""

    rail: Rail
    faults: Sequence[str]
    """The faults by their names in the tables."""
    kill_points: Sequence[str]
    dialects: Sequence[str]
    draw: type[Draw]
    parts: Callable[[str], Parts]
    """Returns the parts of a dialect."""
    shares: Callable[[int, Sequence[str]], list[int]]
    """Returns the number of intentions of each dialect."""
    every_cell_in_each_dialect: bool = False
    """Whether each dialect begins again with all faults and steps."""
    passes: Callable[[str, str], bool] | None = None
    """Says whether an order with a fault passes a kill point, in every dialect. None: this is only counted."""


def drawn(plan: Plan, seed: int, intentions: int, dialects: Sequence[str], kinds: Sequence[Kind] = ()) -> list[Round]:
    """Return the rounds of a campaign, spread over the dialects as `plan.shares` says.

    On the account rail every fault meets every kill point in a dialect from about 600 intentions in it on. On the
    agent rail it does so in some dialect from about 1,000 intentions in all on, and in each from about 20,000 on.

    Args:
        plan: the plan of the rail.
        seed: the seed of all random choices.
        intentions: the number of intentions in all.
        dialects: as `Dialect.parse` spells them, and `default`.
        kinds: of `plan.classes`; if any, there are rounds of these alone.
    """
    draw = plan.draw(random.Random(seed))
    rounds: list[Round] = []
    for place, (dialect, share) in enumerate(zip(dialects, plan.shares(intentions, dialects), strict=True)):
        if place == 0 or plan.every_cell_in_each_dialect:
            draw.shuffle_cells()
        if kinds:
            rounds += class_rounds(draw, len(rounds), dialect, plan.rail, kinds, share)
            continue
        some = classes_of(place, dialect, plan.rail, share, intentions)
        few = share if share < LEAST_SHARE else None
        classes = class_rounds(draw, len(rounds), dialect, plan.rail, some, few)
        rounds += classes
        share -= sum(len(each.intentions) for each in classes)
        rounds += draw.rounds(len(rounds), dialect, share, plan.parts(dialect))
    return rounds


# The account rail

_ENDS_AT_ONCE = frozenset({"rate_limited", "unauthorized_once"})
"""Faults that are rejections: Zinc has not taken the order, and nothing is in doubt."""
_LOSES_NOTHING = frozenset({"none", "slow"})
"""Faults after which the answer comes. The product decides whether it is a rejection (`url-unreachable`)."""

_PARTS: Parts = {
    "kills": (0.35, len(FAULTS) * len(KILL_POINTS), 160),
    "limits": (0.08, 200, 50),
    "hosts": (1.0, 10**9, 160),
}
_STOPS_SOON: Parts = {
    "kills": (0.7, len(FAULTS) * len(KILL_POINTS), 6),
    "limits": (0.08, 200, 24),
    "hosts": (1.0, 10**9, 24),
}
"""The parts in the dialect that ignores keys. Once that is noticed, nothing more is bought and no step is passed."""
_MOST_IGNORED = 240
"""The most intentions in that dialect: everything stops after few purchases, so more would prove nothing."""

_WALLETS_ALONE = frozenset(
    "challenges challenge_digest method_query payment_errors agent_repeat agent_duplicate receipt order_key".split()
)
"""Questions of the dialect that matter only where a wallet pays."""
_ABOUT_QUESTIONS = frozenset("unknown_product empty_wallet refused_country".split())
"""Questions of the dialect about products and shops, about which this campaign asks nothing."""
_AFTER_SALE = frozenset("return_conflict after_sale_listing case_list order_key_after_sale".split())
"""Questions of the dialect about placed orders, which this campaign does not change."""


def _passes(fault: str, kill: str) -> bool:
    """Say whether an order whose first fault is this one passes this step, as the campaign's table must show."""
    step, _, nth = kill.partition(":")
    if fault in _LOSES_NOTHING | _ENDS_AT_ONCE:
        comes_to = {"opened", "sending", "answered", "ended", *(["accepted"] if fault in _LOSES_NOTHING else [])}
        return step in comes_to and nth == "1"
    return step != "ended"  # the rejection of a repeat does not end an order that was sent and not answered


def _even_shares(intentions: int, dialects: Sequence[str]) -> list[int]:
    return [intentions // len(dialects) + (nth < intentions % len(dialects)) for nth in range(len(dialects))]


def _account_shares(intentions: int, dialects: Sequence[str]) -> list[int]:
    others = [name for name in dialects if name not in IGNORED]
    if not others:
        return [intentions]
    held = min(intentions // len(dialects), _MOST_IGNORED)
    even = iter(_even_shares(intentions - held * (len(dialects) - len(others)), others))
    return [held if name in IGNORED else next(even) for name in dialects]


ACCOUNT = Plan(
    rail="account",
    faults=tuple(FAULTS),
    kill_points=KILL_POINTS,
    dialects=tuple(
        name
        for name in Dialect.named()
        if name.partition("=")[0] not in _WALLETS_ALONE | _AFTER_SALE | _ABOUT_QUESTIONS
    ),
    draw=Draw,
    parts=lambda dialect: _STOPS_SOON if dialect in IGNORED else _PARTS,
    shares=_account_shares,
    every_cell_in_each_dialect=True,
    passes=_passes,
)

# The agent rail

_CHALLENGE_SECONDS = 18.0
"""The time in which a 402 can be paid. A wallet signs only while fifteen seconds of it are left."""
_LONGER = 45.0
"""The same time in rounds that stop a process: the 402 can still be paid when the process goes on and must not pay."""

_UNPAID_MARK = "402:"
_HARMLESS = frozenset({"other_realm", "wrong_chain", "no_chain"})
"""Lies that do no harm: the practice wallet knows no chains, and a realm is not a host."""
REFUSED = (LIES | {"html_402"}) - _HARMLESS
"""Answers to the unpaid request that must never be paid."""

_OF_THE_PAID = (*FAULTS, *sorted(PAID))
_AGENT_FAULTS = (
    *_OF_THE_PAID,
    *(f"{_UNPAID_MARK}{name}" for name in [*sorted(UNPAID), *FAULTS] if name != "none"),
)
_AGENT_KILL_POINTS = (
    "opened:1", "signing:1", "asking:1", "signed:1", "sending:1", "headers:1", "answered:1", "accepted:1", "unknown:1",
    "ended:1", "sending:2", "headers:2", "answered:2",
)  # fmt: skip
"""Every step of paying, and its second passing if the same credential is sent again."""
_UNPAID_POINTS = ("opened:1", "signing:1", "headers:1", "ended:1")
"""The steps that an unpaid request can pass which leads to no payment."""
_ABOUT_MONEY = [f"{_UNPAID_MARK}{name}" for name in ("wrong_amount", "wrong_currency", "splits", "duplicate_keys")]
"""False 402s that would take more money, or send it elsewhere."""
_ON_BOTH_RAILS = [*FAULTS, *FAULTS, "402:other_realm", "402:drop_after", "402:slow"]
"""The faults of purchases that are tried on both rails, which name them by the same product."""
_ASKED_BY_WALLETS = _WALLETS_ALONE | {"listing", "conflict_identifier", "keys", "errors"}
"""Questions of the dialect that matter where a wallet pays."""

_AGENT_PARTS: Parts = {
    "kills": (0.45, len(_AGENT_FAULTS) * len(_AGENT_KILL_POINTS), 120),
    "limits": (0.08, 200, 50),
    "rails": (0.17, 400, 120),
    "hosts": (1.0, 10**9, 120),
}


def challenge_seconds(each: Round) -> float:
    """Return the seconds in which a 402 of a round can be paid."""
    return _LONGER if each.kind == "stops" else _CHALLENGE_SECONDS


class AgentDraw(Draw):
    """Draws intentions that are paid by wallet."""

    _kind: Kind = "hosts"

    def cells(self) -> list[tuple[str, str]]:
        """See `Draw.cells`."""
        return [
            (fault, kill)
            for fault in _AGENT_FAULTS
            for kill in (_UNPAID_POINTS if _is_unpaid(fault) else _AGENT_KILL_POINTS)
        ]

    def round(self, name: str, dialect: str, kind: Kind, size: int) -> Round:
        """See `Draw.round`."""
        self._kind = kind
        found = super().round(name, dialect, kind, size)
        return dataclasses.replace(found, rails=("account", "agent") if kind == "rails" else ("agent",))

    def fault_of(self, number: int) -> str:
        """See `Draw.fault_of`: faults of the paid request, and 402s that are false about money, come more often."""
        if self._kind == "rails":
            return _ON_BOTH_RAILS[number // 3 % len(_ON_BOTH_RAILS)]
        some: Sequence[str] = _OF_THE_PAID
        every = 3
        if number % 6 in (0, 3):
            some, every = (_AGENT_FAULTS, _ABOUT_MONEY)[number % 6 // 3], 6
        return some[number // every % len(some)]

    def finished(self, drawn: Intention) -> Intention:
        """See `Draw.finished`."""
        source, fault = self.source, drawn.fault
        on_both = self._kind == "rails"
        if _is_unpaid(fault):
            first = fault.removeprefix(_UNPAID_MARK)
            more = (source.choice(sorted(UNPAID)),) if source.random() < 0.2 and not on_both else ()
            drawn = dataclasses.replace(drawn, faults=("none", *drawn.faults[1:]), pay_faults=(first, *more))
        tools: tuple[Tool, Tool] = ("place_agent_order", "place_order")
        if on_both and source.random() < 0.4:
            tools = ("place_order", "place_agent_order")
        return dataclasses.replace(
            drawn,
            tool=tools[0],
            other_tools=tools[1:] if on_both else (),
            persists=source.random() < 0.5,
        )


def _is_unpaid(fault: str) -> bool:
    return fault.startswith(_UNPAID_MARK)


AGENT = Plan(
    rail="agent",
    faults=_AGENT_FAULTS,
    kill_points=_AGENT_KILL_POINTS,
    dialects=tuple(
        name for name in Dialect.named() if name == "default" or name.partition("=")[0] in _ASKED_BY_WALLETS
    ),
    draw=AgentDraw,
    parts=lambda dialect: _AGENT_PARTS,
    shares=_even_shares,
)

# The v1 rail

V1 = Plan(
    rail="v1",
    faults=tuple(FAULTS),
    kill_points=KILL_POINTS,
    dialects=v1.DIALECTS,
    draw=v1.V1Draw,
    parts=v1.parts_of,
    shares=_account_shares,
    passes=v1.passes,
)

PLANS: Mapping[Rail, Plan] = {"account": ACCOUNT, "agent": AGENT, "v1": V1}
