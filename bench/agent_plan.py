"""What the campaign wants bought by wallet: every lie of a 402, every fault of the paid request, every step of paying.

As in `bench.plan`, drawn from a seed. A fault whose name begins with `402:` is one of the unpaid half, which asks for
the price; the others are the paid request's.
"""

import dataclasses
import random
from collections.abc import Sequence

from bench.classes import LEAST_SHARE, class_rounds, classes_of
from bench.plan import FAULTS as ACCOUNT_FAULTS
from bench.plan import WALLETS_ALONE, Draw, Intention, Kind, Parts, Plan, Round
from zinc_mcp.sandbox import Dialect
from zinc_mcp.sandbox.faults import LIES, PAID, UNPAID

CHALLENGE_SECONDS = 18.0
"""How long a 402 can be paid here: nothing is signed that cannot be for fifteen more."""

_LONGER = 45.0
"""The same where a process is stopped meanwhile: what it may not do any more is possible all the same."""

UNPAID_MARK = "402:"
HARMLESS = frozenset({"other_realm", "wrong_chain", "no_chain"})
"""Lies that are none to the practice wallet, which knows no chains; and a realm is no host."""
REFUSED = (LIES | {"html_402"}) - HARMLESS
"""What is answered to the unpaid request and never paid."""

_OF_THE_PAID = (*ACCOUNT_FAULTS, *sorted(PAID))
FAULTS = (
    *_OF_THE_PAID,
    *(f"{UNPAID_MARK}{name}" for name in [*sorted(UNPAID), *ACCOUNT_FAULTS] if name != "none"),
)
"""By their names in the tables."""

KILL_POINTS = (
    "opened:1", "signing:1", "asking:1", "signed:1", "sending:1", "headers:1", "answered:1", "accepted:1", "unknown:1",
    "ended:1", "sending:2", "headers:2", "answered:2",
)  # fmt: skip
"""Every step of paying, and its second passing where the same credential goes again."""

_UNPAID_POINTS = ("opened:1", "signing:1", "headers:1", "ended:1")
"""Those that an unpaid request can come by which leads to no payment."""

_ABOUT_MONEY = [f"{UNPAID_MARK}{name}" for name in ("wrong_amount", "wrong_currency", "splits", "duplicate_keys")]
"""Lies that would take more money, or send it elsewhere."""

_ASKED_HERE = WALLETS_ALONE | {"listing", "conflict_identifier", "keys", "errors"}

_PARTS: Parts = {
    "kills": (0.45, len(FAULTS) * len(KILL_POINTS), 120),
    "limits": (0.08, 200, 50),
    "rails": (0.17, 400, 120),
    "hosts": (1.0, 10**9, 120),
}
_SHARED = [*ACCOUNT_FAULTS, *ACCOUNT_FAULTS, "402:other_realm", "402:drop_after", "402:slow"]
"""What can go wrong on both rails: where one purchase is tried on both, the product is the same."""


def all_dialects() -> list[str]:
    """Return the default dialect and each departure from it that a payer by wallet can notice."""
    return [name for name in Dialect.named() if name == "default" or name.partition("=")[0] in _ASKED_HERE]


def drawn(seed: int, intentions: int, dialects: Sequence[str], kinds: Sequence[Kind] = ()) -> list[Round]:
    """Return a campaign of that many intentions; see `bench.plan.drawn`.

    From about 1,000 on every fault meets every kill point in some dialect, from about 20,000 on in each.
    """
    draw = AgentDraw(random.Random(seed))
    draw.shuffle_cells()
    rounds: list[Round] = []
    for place, dialect in enumerate(dialects):
        share = intentions // len(dialects) + (1 if place < intentions % len(dialects) else 0)
        if kinds:
            rounds += class_rounds(draw, len(rounds), dialect, "agent", kinds, share)
            continue
        classes = class_rounds(
            draw,
            len(rounds),
            dialect,
            "agent",
            classes_of(place, dialect, "agent", share, intentions),
            share if share < LEAST_SHARE else None,
        )
        rounds += classes
        share -= sum(len(each.intentions) for each in classes)
        rounds += draw.rounds(len(rounds), dialect, share, _PARTS)
    return rounds


def challenge_seconds(each: Round) -> float:
    """Return how long a 402 of a round can be paid."""
    return _LONGER if each.kind == "stops" else CHALLENGE_SECONDS


class AgentDraw(Draw):
    """Draws intentions that are paid by wallet."""

    _kind: Kind = "hosts"

    def cells(self) -> list[tuple[str, str]]:
        """See `Draw.cells`."""
        return [(fault, kill) for fault in FAULTS for kill in (_UNPAID_POINTS if _is_unpaid(fault) else KILL_POINTS)]

    def round(self, name: str, dialect: str, kind: Kind, size: int) -> Round:
        """See `Draw.round`."""
        self._kind = kind
        found = super().round(name, dialect, kind, size)
        return dataclasses.replace(found, rails=("account", "agent") if kind == "rails" else ("agent",))

    def fault_of(self, number: int) -> str:
        """See `Draw.fault_of`: the paid request's faults and lies about money more often."""
        if self._kind == "rails":
            return _SHARED[number // 3 % len(_SHARED)]
        some: Sequence[str] = _OF_THE_PAID
        every = 3
        if number % 6 in (0, 3):
            some, every = (FAULTS, _ABOUT_MONEY)[number % 6 // 3], 6
        return some[number // every % len(some)]

    def finished(self, drawn: Intention) -> Intention:
        """See `Draw.finished`."""
        source, fault = self.source, drawn.fault
        between = self._kind == "rails"
        if _is_unpaid(fault):
            told = fault.removeprefix(UNPAID_MARK)
            again = (source.choice(sorted(UNPAID)),) if source.random() < 0.2 and not between else ()
            drawn = dataclasses.replace(drawn, faults=("none", *drawn.faults[1:]), pay_faults=(told, *again))
        return dataclasses.replace(
            drawn,
            tool="place_order" if between and source.random() < 0.4 else "place_agent_order",
            other_rail=between,
            persists=source.random() < 0.5,
        )


def _is_unpaid(fault: str) -> bool:
    return fault.startswith(UNPAID_MARK)


AGENT = Plan(FAULTS, KILL_POINTS, tuple(all_dialects()), drawn)
