"""What the campaign wants bought and what goes wrong with it: drawn from a seed, the same for the same seed.

An intention is one product URL, quantity, variant and address line. Siblings share a URL and differ in one of the
others: whoever takes two of them for one is caught.
"""

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zinc_mcp.sandbox import Dialect
from zinc_mcp.sandbox.faults import AFTER, BEFORE

PACE = 10.0
"""Orders and faults of the sandbox go this many times faster than Zinc's."""

IGNORED = "keys=ignored"
"""The dialect in which Zinc breaks its own promise."""

FAULTS: dict[str, str] = {
    "none": "none",
    **{name: name for name in sorted(BEFORE)},
    **{name: name for name in sorted(AFTER)},
    "slow": "slow_4",  # 0.4 s, within the wire's second
    "too_slow": "slow_30",  # 3 s, past it
}
"""The faults by the name they have in the tables, as the sandbox spells them."""

REJECTED = frozenset({"url-unreachable", "insufficient-funds", "invalid-address"})
FAILING = frozenset({"out-of-stock", "price-exceeded"})
CANCELLED = frozenset({"cancelled-by-retailer"})

Behaviour = Literal["patient", "cancels", "hangs_up", "closes_stdin", "terminates", "kills", "jumps"]
Kind = Literal[
    "kills", "hosts", "limits", "rails", "answers", "failing", "journal", "questions", "clocks", "stops", "slow",
    "doubt",
]  # fmt: skip
How = Literal["", "full", "locked", "others", "owner"]
Rail = Literal["account", "agent"]
Tool = Literal["place_order", "place_agent_order"]
Words = Literal["same", "key", "price", "tracking", "all"]

SERVERS = 4
"""Server processes of a round that live until its end: as many as may race on one journal."""

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

_ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "address_line1": "12 Campaign Street",
    "city": "New York",
    "state": "NY",
    "postal_code": "10001",
    "phone_number": "212-555-0147",
}


@dataclass(frozen=True, slots=True)
class Racer:
    """One of the calls with which an intention begins: by which server, in which words, and when."""

    server: int
    words: Words
    after: float


@dataclass(frozen=True, slots=True)
class Intention:
    """One thing that somebody wants bought once."""

    number: int
    family: int
    quantity: int
    line2: str
    scenario: str
    fault: str
    """Its name in the tables; the first of `faults`."""
    faults: tuple[str, ...]
    look_faults: tuple[str, ...]
    kill: str
    """`STEP:N`, or empty."""
    behaviour: Behaviour
    delay: float
    """Seconds after which the host behaves so."""
    clock: str
    racers: tuple[Racer, ...]
    follows: bool
    """Whether its agent goes on asking until the order is with the retailer."""
    seed: int
    tool: Tool = "place_order"
    """By which it is placed."""
    pay_faults: tuple[str, ...] = ()
    """What goes wrong with the unpaid half, on the rail that has one."""
    other_rail: bool = False
    """Whether its agent tries the other rail while it is in doubt."""
    persists: bool = False
    """Whether its agent places it once more when it was rejected."""
    hazard: str = ""
    """What its class of rounds does to it, in the words of the tables (`bench.classes`)."""
    step: str = ""
    """`STEP:N` at which its journal fails or its process is stopped."""
    how: How = ""
    """How the journal fails, or who goes on while the process is stopped: the others, or first its owner."""
    far_after: bool = False
    """Whether a process with the far clock comes after it was placed."""
    ages: bool = False
    """Whether it gets two days older while it is in doubt, and is then placed again."""
    given: str = ""
    """The idempotency key of its calls that give one, where it shares it with another intention."""

    @property
    def identity(self) -> str:
        """What tells it apart at Zinc and in the journal."""
        return f"{self.family}/{self.quantity}/{self.line2}"

    def arguments(self, words: Words, price: int) -> dict[str, Any]:
        """Return the arguments of a placing call in these words."""
        url = f"https://zinc.com/shop/products/test-{self.scenario}?item={self.family}"
        url += f"&fault={','.join(_spelt(self.faults))}"
        if self.pay_faults:
            url += f"&pay_fault={','.join(_spelt(self.pay_faults))}"
        if self.look_faults:
            url += f"&list_fault={','.join(self.look_faults)}&read_fault={','.join(self.look_faults)}"
        if words in ("tracking", "all"):
            url += f"&utm_source=mail-{self.seed % 97}"
        product: dict[str, Any] = {"url": url}
        if self.quantity != 1:
            product["quantity"] = self.quantity
        address = dict(_ADDRESS, **({"address_line2": self.line2} if self.line2 else {}))
        arguments: dict[str, Any] = {"products": [product], "shipping_address": address, "max_price": price}
        if words in ("price", "all"):
            arguments["max_price"] = price + 1 + self.seed % 50
        if words in ("key", "all"):
            arguments["idempotency_key"] = self.given or f"{words}-{self.seed}-{self.number}"
        return arguments


def _spelt(faults: Sequence[str]) -> list[str]:
    return [FAULTS.get(name, name) for name in faults]


@dataclass(frozen=True, slots=True)
class Round:
    """Some intentions on one journal, one sandbox and one set of servers."""

    name: str
    dialect: str
    kind: Kind
    old_journal: bool
    """Aged by two days, so that Zinc is not asked for twins before sending: the key alone must hold."""
    repeat_seconds: float | None
    limit_cents: int | None
    price: int
    outage: bool
    """The sandbox is killed in the middle and comes back on the same port."""
    intentions: tuple[Intention, ...] = field(repr=False)
    rails: tuple[Rail, ...] = ("account",)
    """Which rails the servers are set up for."""
    settings: tuple[tuple[str, str], ...] = ()
    """What else stands in the servers' environment."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a campaign on one rail consists of."""

    faults: Sequence[str]
    """By their names in the tables."""
    kill_points: Sequence[str]
    dialects: Sequence[str]
    drawn: Callable[[int, int, Sequence[str], Sequence[Kind]], list[Round]]
    """Given a seed, a number of intentions, dialects, and classes if there shall be no other rounds."""
    passes: Callable[[str, str], bool] | None = None
    """Whether who meets a fault comes by a kill point, in every dialect; None: not foreseen, only counted."""


KILL_POINTS = (
    "opened:1", "sending:1", "answered:1", "unknown:1", "accepted:1", "ended:1", "sending:2", "answered:2"
)  # fmt: skip
"""Every step of the checkout, and its second passing where the road can come by twice."""

ENDS_AT_ONCE = frozenset({"rate_limited", "unauthorized_once"})
"""Faults that say no: Zinc has not taken the order, and nothing is in doubt."""
LOSES_NOTHING = frozenset({"none", "slow"})
"""The answer comes; whether it is a yes is the product's business (`url-unreachable`)."""


def passes(fault: str, kill: str) -> bool:
    """Say whether who meets this fault at first comes by this step: what the table of the campaign must show."""
    step, _, nth = kill.partition(":")
    if fault in LOSES_NOTHING | ENDS_AT_ONCE:
        comes_to = {"opened", "sending", "answered", "ended", *(["accepted"] if fault in LOSES_NOTHING else [])}
        return step in comes_to and nth == "1"
    return step != "ended"  # what was sent once and not answered is not ended by any later no


Parts = Mapping[Kind, tuple[float, int, int]]
"""Of the intentions of a dialect this part, but at most so many, in rounds of at most so many; hosts get the rest."""

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
"""In the dialect that ignores keys: once that is noticed nothing more is bought, and nobody comes by any step."""

WALLETS_ALONE = frozenset(
    "challenges challenge_digest method_query payment_errors agent_repeat agent_duplicate receipt order_key".split()
)
"""Questions of the dialect that nobody asks who pays from an account."""


SMALL, _FEWER = 300, 30
"""In a dialect with so few intentions a round has no more than this: what breaks is seen sooner."""
_FEW = 3
"""Intentions in a round of those that are tried again: nobody is in their way."""


def all_dialects() -> list[str]:
    """Return the default dialect and each departure from it that this rail can notice."""
    return [name for name in Dialect.named() if name.partition("=")[0] not in WALLETS_ALONE]


def drawn(seed: int, intentions: int, dialects: Sequence[str], kinds: Sequence[Kind] = ()) -> list[Round]:
    """Return a campaign of that many intentions, spread evenly over the dialects.

    Args:
        seed: where all chance comes from.
        intentions: how many in all; from about 600 a dialect on, every fault meets every kill point in it.
        dialects: as `Dialect.parse` spells them, and `default`.
        kinds: of `bench.classes`; if any, there are rounds of these alone.
    """
    from bench.classes import LEAST_SHARE, class_rounds, classes_of

    draw = Draw(random.Random(seed))
    shares = _shares(intentions, dialects)
    rounds: list[Round] = []
    for place, (dialect, share) in enumerate(zip(dialects, shares, strict=True)):
        draw.shuffle_cells()
        if kinds:
            rounds += class_rounds(draw, len(rounds), dialect, "account", kinds, share)
            continue
        classes = class_rounds(
            draw,
            len(rounds),
            dialect,
            "account",
            classes_of(place, dialect, "account", share, intentions),
            share if share < LEAST_SHARE else None,
        )
        rounds += classes
        share -= sum(len(each.intentions) for each in classes)
        rounds += draw.rounds(len(rounds), dialect, share, _STOPS_SOON if dialect == IGNORED else _PARTS)
    return rounds


def again(seed: int, first: int, missed: Mapping[str, Sequence[tuple[str, str]]]) -> list[Round]:
    """Return rounds in which nobody races who is to die.

    Args:
        seed: where all chance comes from.
        first: the number of the first round.
        missed: by dialect the faults with the steps that nobody died at, although they were meant to.
    """
    draw = Draw(random.Random(f"{seed} again from {first}"))
    rounds: list[Round] = []
    for dialect, cells in missed.items():
        for start in range(0, len(cells), _FEW):
            rounds.append(draw.alone(f"{first + len(rounds):03}-again", dialect, cells[start : start + _FEW]))
    return rounds


def _shares(intentions: int, dialects: Sequence[str]) -> list[int]:
    # Where keys are ignored little is bought before everything stops: it needs no more than this to be seen.
    held = {place: min(intentions // len(dialects), 240) for place, name in enumerate(dialects) if name == IGNORED}
    others = len(dialects) - len(held)
    left = intentions - (sum(held.values()) if others else 0)
    even = [left // others + (1 if nth < left % others else 0) for nth in range(others)]
    if not others:
        return [intentions]
    return [held[place] if place in held else even.pop(0) for place in range(len(dialects))]


class Draw:
    """Draws intentions and rounds of them."""

    def __init__(self, source: random.Random) -> None:
        self.source = source
        self._number = 0
        self._cells: list[tuple[str, str]] = []
        self._cell = 0
        self._lists_lag = False
        self._looks_fail = 0.0
        """How often look-ups fail too: nearly always where keys are ignored, or there would be nothing to notice."""

    def cells(self) -> list[tuple[str, str]]:
        """Return every fault with every step at which a process can die of it."""
        return [(fault, kill) for fault in FAULTS for kill in KILL_POINTS]

    def shuffle_cells(self) -> None:
        """Begin with all of them anew."""
        self._cells = self.cells()
        self.source.shuffle(self._cells)
        self._cell = 0

    def rounds(self, first: int, dialect: str, share: int, parts: Parts) -> list[Round]:
        """Draw all rounds of a dialect; `first` is the number of the first."""
        left = {kind: min(round(share * part), at_most) for kind, (part, at_most, _) in parts.items()}
        left["hosts"] = share - sum(number for kind, number in left.items() if kind != "hosts")
        rounds: list[Round] = []
        for kind, (_, _, size) in parts.items():
            if share <= SMALL:
                size = min(size, _FEWER)
            while left[kind] > 0:
                now = min(left[kind], size)
                rounds.append(self.round(f"{first + len(rounds):03}-{kind}", dialect, kind, now))
                left[kind] -= now
        return rounds

    def alone(self, name: str, dialect: str, cells: Sequence[tuple[str, str]]) -> Round:
        """Draw a round of exactly these faults and steps, with one process for each intention to begin with."""
        self._cells, self._cell = list(cells), 0
        drawn = self.round(name, dialect, "kills", len(cells))
        alone = (dataclasses.replace(wish, racers=wish.racers[:1]) for wish in drawn.intentions)
        return dataclasses.replace(drawn, intentions=tuple(alone))

    def round(self, name: str, dialect: str, kind: Kind, size: int) -> Round:
        """Draw one round."""
        source = self.source
        price = source.choice([5000, 6000, 7500])
        some: list[Intention] = []
        self._lists_lag = dialect == "listing=lags"
        self._looks_fail = 0.8 if dialect == IGNORED else 0.15
        while len(some) < size:
            some += self._family(kind, size - len(some))
        return Round(
            name=name,
            dialect=dialect,
            kind=kind,
            old_journal=source.random() < 0.5,
            repeat_seconds=source.choice([None, None, 1.5]),
            limit_cents=source.randint(3, 12) * (price + 100) + source.randint(0, 5000) if kind == "limits" else None,
            price=price,
            outage=kind == "hosts" and source.random() < 0.4,
            intentions=tuple(some),
        )

    def _family(self, kind: Kind, most: int) -> list[Intention]:
        """Draw an intention; now and then with siblings, whom only quantity or address tell from it."""
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
        self._number += 1
        return self.finished(
            Intention(
                number=self._number,
                family=self._number,
                quantity=1,
                line2="",
                scenario=self._scenario(kind, fault, kill),
                fault=fault,
                faults=(fault, *self._more_faults(fault, kill)),
                look_faults=self._look_faults(fault, kill),
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
        """Return the fault of an intention that no process dies of, by its number."""
        return list(FAULTS)[number % len(FAULTS)]

    def finished(self, drawn: Intention) -> Intention:
        """Return a drawn intention with what its rail adds."""
        return drawn

    def _scenario(self, kind: Kind, fault: str, kill: str) -> str:
        if kill.startswith("ended") and fault in ("none", "slow"):
            return "url-unreachable"  # nothing else ends without an order here
        if kind == "kills":
            return self.source.choices(["success", "never-decided", "out-of-stock"], [8, 1, 1])[0]
        return self.source.choices(list(_SCENARIOS), list(_SCENARIOS.values()))[0]

    def _look_faults(self, fault: str, kill: str) -> tuple[str, ...]:
        source = self.source
        found = tuple(source.choices(_LOOK_FAULTS, k=source.randint(1, 2)))
        if kill.endswith(":2") and fault in (*AFTER, "too_slow"):
            # Or it is found at once, and nothing is sent again; others' look-ups may use some of them up.
            return (*source.choices(_LOOK_FAULTS[:-1], k=3), *found)
        return found if source.random() < self._looks_fail else ()

    def _more_faults(self, fault: str, kill: str) -> tuple[str, ...]:
        source = self.source
        if self._lists_lag and kill == "accepted:1" and fault in AFTER:
            return ("slow_8",)  # until the repeat is answered the order has come into the list, and is found there
        if kill.endswith(":2") or source.random() < 0.3:
            return tuple(source.choices(["none", *sorted(BEFORE), *sorted(AFTER - {"hang", "huge"})], k=2))
        return ()

    def _racers(self, kind: Kind) -> tuple[Racer, ...]:
        source = self.source
        count = source.choices([1, 2, 3, 4], [12, 2, 1, 1] if kind == "kills" else [8, 3, 2, 2])[0]
        words: list[Words] = ["same", "key", "price", "tracking", "all"]
        return tuple(
            Racer(server, source.choice(words), round(source.choice([0.0, 0.0, source.uniform(0, 0.5)]), 3))
            for server in source.sample(range(SERVERS), count)
        )


ACCOUNT = Plan(tuple(FAULTS), KILL_POINTS, tuple(all_dialects()), drawn, passes)
