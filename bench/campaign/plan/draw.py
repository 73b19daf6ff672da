"""Draws intentions and rounds of orders by an account. `plan.rails` and `plan.v1` draw those of the other rails."""

import dataclasses
import random
from collections.abc import Mapping, Sequence

from bench.campaign.plan.intentions import (
    FAULTS,
    IGNORED,
    SERVERS,
    WORDS,
    Behaviour,
    Intention,
    Kind,
    Racer,
    Round,
)
from zinc_mcp.sandbox.faults.asked import AFTER, BEFORE

KILL_POINTS = (
    "opened:1", "sending:1", "answered:1", "unknown:1", "accepted:1", "ended:1", "sending:2", "answered:2"
)  # fmt: skip
"""Every step of the checkout, and its second passing if an order can pass it twice."""

Parts = Mapping[Kind, tuple[float, int, int]]
"""For each kind: its part of a dialect's intentions, the most of them, and their number in a round. The kind `hosts`
gets the rest."""

Cells = Sequence[tuple[str, str]]
"""Faults, each with a step at which a process dies."""

_BEHAVIOURS: dict[Behaviour, int] = {
    "patient": 62,
    "cancels": 14,
    "hangs_up": 14,
    "closes_stdin": 2,
    "terminates": 1,
    "kills": 3,
    "jumps": 4,
}
_SCENARIOS = {
    "success": 74,
    "never-decided": 6,
    "out-of-stock": 9,
    "cancelled-by-retailer": 4,
    "url-unreachable": 4,
    "insufficient-funds": 3,
}
_LOOK_FAULTS = ("http_500_after", "drop_after", "html_200", "truncated", "rate_limited", "none")

_REJECTED_REPEATS = (("rate_limited",), ("unauthorized_once",))
"""Rejections of a repeat after a lost answer, which prove nothing about the order."""

_LAGGING = frozenset({"listing=lags", "v1_listing=lags"})
"""The dialects in which lists show new orders late."""

_SMALL, _FEWER = 300, 30
"""In a dialect with at most so many intentions, a round has at most so many, so that broken promises show sooner."""
_FEW = 3
"""Intentions in a round that tries again to let a process die at a step, without other processes."""


def again(seed: int, first: int, missed: Mapping[str, Cells]) -> list[Round]:
    """Return rounds for the steps at which no process died, with one process for each intention.

    Args:
        seed: the seed of all random choices.
        first: the number of the first round.
        missed: the faults with the steps, by dialect.
    """
    draw = Draw(random.Random(f"{seed} again from {first}"))
    rounds: list[Round] = []
    for dialect, cells in missed.items():
        for start in range(0, len(cells), _FEW):
            rounds.append(draw.alone(f"{first + len(rounds):03}-again", dialect, cells[start : start + _FEW]))
    return rounds


class Draw:
    """Draws intentions and rounds of them."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self._number = 0
        self._cells: list[tuple[str, str]] = []
        self._cell = 0
        self._lists_lag = False
        self._looks_fail = 0.0
        """The share of intentions whose look-ups fail too: most of them if keys are ignored, so that repeats happen."""

    def cells(self) -> list[tuple[str, str]]:
        """Return every fault with every step at which a process can die."""
        return [(fault, kill) for fault in FAULTS for kill in KILL_POINTS]

    def shuffle_cells(self) -> None:
        """Begin again with all faults and steps, in another order."""
        self._cells = self.cells()
        self.source.shuffle(self._cells)
        self._cell = 0

    def rounds(self, first: int, dialect: str, share: int, parts: Parts) -> list[Round]:
        """Draw all rounds of a dialect. `first`: the number of the first round."""
        left = {kind: min(round(share * part), at_most) for kind, (part, at_most, _) in parts.items()}
        left["hosts"] = share - sum(number for kind, number in left.items() if kind != "hosts")
        rounds: list[Round] = []
        for kind, (_, _, size) in parts.items():
            if share <= _SMALL:
                size = min(size, _FEWER)
            while left[kind] > 0:
                now = min(left[kind], size)
                rounds.append(self.round(f"{first + len(rounds):03}-{kind}", dialect, kind, now))
                left[kind] -= now
        return rounds

    def alone(self, name: str, dialect: str, cells: Cells) -> Round:
        """Draw a round of exactly these faults and steps, with one process that begins each intention."""
        self._cells, self._cell = list(cells), 0
        drawn = self.round(name, dialect, "kills", len(cells))
        alone = (dataclasses.replace(wish, racers=wish.racers[:1]) for wish in drawn.intentions)
        return dataclasses.replace(drawn, intentions=tuple(alone))

    def round(self, name: str, dialect: str, kind: Kind, size: int) -> Round:
        """Draw one round."""
        source = self.source
        price = source.choice([5000, 6000, 7500])
        some: list[Intention] = []
        self._lists_lag = dialect in _LAGGING
        self._looks_fail = 0.8 if dialect in IGNORED else 0.15
        while len(some) < size:
            some += self._family(kind, size - len(some))
        return Round(
            name=name,
            dialect=dialect,
            kind=kind,
            old_journal=source.random() < 0.5,
            repeat_seconds=source.choice([None, None, 1.5]),
            limit_cents=drawn_limit(source, price, 3, 12, 5000) if kind == "limits" else None,
            price=price,
            outage=kind == "hosts" and source.random() < 0.4,
            intentions=tuple(some),
        )

    def _family(self, kind: Kind, most: int) -> list[Intention]:
        """Draw an intention, sometimes with siblings, which differ from it only in quantity or address."""
        source = self.source
        first = self._intention(kind)
        if kind != "hosts" or source.random() > 0.08:
            return [first]
        return [
            first,
            *(
                dataclasses.replace(
                    self._intention(kind),
                    family=first.family,
                    quantity=quantity,
                    line2=line2,
                    scenario=first.scenario,
                    fault=first.fault,
                    faults=first.faults,
                    look_faults=first.look_faults,
                )
                for quantity, line2 in [(2, ""), (1, "Apt 2"), (2, "Apt 2")][: min(source.randint(1, 3), most - 1)]
            ),
        ]

    def _intention(self, kind: Kind) -> Intention:
        source = self.source
        kill, clock = "", ""
        behaviour: Behaviour = "patient"
        if kind == "kills":
            fault, kill = self._cells[self._cell % len(self._cells)]
            self._cell += 1
        else:
            fault = self.fault_of(self._number)
            behaviour = source.choices(list(_BEHAVIOURS), list(_BEHAVIOURS.values()))[0]
        if behaviour == "jumps":
            by = source.choice([3600, 700, 30, -30, -700, -3600])
            clock = source.choice([f"0:{by}", f"{source.uniform(0, 1.2):.2f}:{by}", f"0:{by},0.6:0"])
        more = self._more_faults(fault, kill)
        self._number += 1
        return self.finished(
            Intention(
                number=self._number,
                family=self._number,
                quantity=1,
                line2="",
                scenario=self.scenario_of(kind, fault, kill),
                fault=fault,
                faults=(fault, *more),
                look_faults=self._look_faults(fault, kill, more),
                kill=kill,
                behaviour=behaviour,
                delay=round(source.uniform(0.0, 0.6), 3),
                clock=clock,
                racers=self._racers(kind),
                follows=source.random() < max(0.2, self._looks_fail),
                seed=source.randrange(10**6),
            )
        )

    def fault_of(self, number: int) -> str:
        """Return the fault of an intention for which no process is to die, by its number."""
        return list(FAULTS)[number % len(FAULTS)]

    def finished(self, drawn: Intention) -> Intention:
        """Return a drawn intention with the additions of its rail."""
        return drawn

    def scenario_of(self, kind: Kind, fault: str, kill: str) -> str:
        """Return the course of the order of an intention."""
        if kill.startswith("ended") and fault in ("none", "slow"):
            return "url-unreachable"  # with these faults, only a refused product ends without an order
        if kind == "kills":
            return self.source.choices(["success", "never-decided", "out-of-stock"], [8, 1, 1])[0]
        return self.source.choices(list(_SCENARIOS), list(_SCENARIOS.values()))[0]

    def _look_faults(self, fault: str, kill: str, more: Sequence[str]) -> tuple[str, ...]:
        source = self.source
        found = tuple(source.choices(_LOOK_FAULTS, k=source.randint(1, 2)))
        repeats = kill.endswith(":2") or more[:1] in _REJECTED_REPEATS
        if repeats and fault in (*AFTER, "too_slow"):
            # Otherwise a look-up finds the order at once, and nothing is sent again. Other look-ups use up some faults.
            return (*source.choices(_LOOK_FAULTS[:-1], k=3), *found)
        return found if source.random() < self._looks_fail else ()

    def _more_faults(self, fault: str, kill: str) -> tuple[str, ...]:
        source = self.source
        if self._lists_lag and kill == "accepted:1" and fault in AFTER:
            return ("slow_8",)  # before the repeat is answered, the order is in the list and is found there
        if not kill and fault in AFTER and source.random() < 0.25:
            return source.choice(_REJECTED_REPEATS)
        if kill.endswith(":2") or source.random() < 0.3:
            return tuple(source.choices(["none", *sorted(BEFORE), *sorted(AFTER - {"hang", "huge"})], k=2))
        return ()

    def _racers(self, kind: Kind) -> tuple[Racer, ...]:
        source = self.source
        count = source.choices([1, 2, 3, 4], [12, 2, 1, 1] if kind == "kills" else [8, 3, 2, 2])[0]
        return tuple(
            Racer(server, source.choice(WORDS), round(source.choice([0.0, 0.0, source.uniform(0, 0.5)]), 3))
            for server in source.sample(range(SERVERS), count)
        )


def drawn_limit(source: random.Random, price: int, least: int, most: int, beside: int = 3000) -> int:
    """Return a limit, in cents, under which `least` to `most` orders of this price fit."""
    return source.randint(least, most) * (price + 100) + source.randint(0, beside)
