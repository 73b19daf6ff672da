"""Intentions, the rounds in which they are played, and the words for what can happen to them.

An intention is one product URL, quantity, variant and address line. Siblings share a URL and differ in one of the
others: a program that takes two of them for one is caught.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.campaign.plan.v1_orders import page_of, v1_arguments
from zinc_mcp.sandbox.faults import AFTER, BEFORE

PACE = 10.0
"""Orders and faults of the sandbox go this many times faster than Zinc's."""

IGNORED = frozenset({"keys=ignored", "v1_keys=ignored"})
"""The dialects in which Zinc breaks its own promise about idempotency keys."""
BROKEN_KEYS = IGNORED | {"v1_concurrent=both_accepted"}
"""Those in which two orders of one key can be Zinc's fault: also while the first POST is still being processed."""

FAULTS: dict[str, str] = {
    "none": "none",
    **{name: name for name in sorted(BEFORE)},
    **{name: name for name in sorted(AFTER)},
    "slow": "slow_4",  # 0.4 s, within the wire's second
    "too_slow": "slow_30",  # 3 s, past it
}
"""The faults by the name that they have in the tables, as the sandbox spells them."""

REJECTED = frozenset({"url-unreachable", "insufficient-funds", "invalid-address"})
FAILING = frozenset({"out-of-stock", "price-exceeded"})
CANCELLED = frozenset({"cancelled-by-retailer"})

Behaviour = Literal["patient", "cancels", "hangs_up", "closes_stdin", "terminates", "kills", "jumps"]
"""The behaviour of a host: it does nothing, breaks off, ends its server, or starts it with a clock that jumps."""
Kind = Literal[
    "kills", "hosts", "limits", "rails", "answers", "failing", "journal", "questions", "clocks", "stops", "slow",
    "doubt",
]  # fmt: skip
How = Literal["", "full", "locked", "others", "owner"]
Rail = Literal["account", "agent", "v1"]
Tool = Literal["place_order", "place_agent_order", "place_v1_order"]
Words = Literal["same", "key", "price", "tracking", "all"]
"""The words of a call for the same goods: unchanged, or with another key, price, tracking parameter, or all three."""
WORDS: tuple[Words, ...] = ("same", "key", "price", "tracking", "all")

SERVERS = 4
"""Server processes of a round that live until its end: as many as may race on one journal."""

PRACTICE = "Practice"
"""In the address of an intention that is only practised, in rounds of questions."""

_PRACTICE_PAGE = "https://zinc.com/shop/products/test-"
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
    """One of the calls with which an intention begins: by which server, in which words, after how many seconds."""

    server: int
    words: Words
    after: float
    tool: Tool | None = None
    """The tool, where it is not that of the intention."""


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
    """The tool that places it."""
    pay_faults: tuple[str, ...] = ()
    """The faults of the unpaid request, on the rail that has one."""
    other_tools: tuple[Tool, ...] = ()
    """Those of other rails that its agent tries while it is in doubt."""
    by_number: bool = False
    """Whether its product is one of Amazon's, which v1 names by its number and the others by its page."""
    persists: bool = False
    """Whether its agent places it once more after a rejection."""
    case: str = ""
    """The case of its class of rounds, in the words of the tables (`plan.classes`)."""
    step: str = ""
    """`STEP:N` at which its journal fails or its process is stopped."""
    how: How = ""
    """The failure of the journal; or, while the process is stopped, the first to go on: the others, or its owner."""
    far_after: bool = False
    """Whether a process with a wrong clock asks for it once more after it was placed."""
    ages: bool = False
    """Whether it gets two days older while it is in doubt, and is then placed again."""
    given: str = ""
    """The idempotency key of those of its calls that give one, where it shares it with another intention."""

    @property
    def identity(self) -> str:
        """The mark that tells it apart at Zinc and in the journal."""
        return f"{self.family}/{self.quantity}/{self.line2}"

    @property
    def journal_fails(self) -> bool:
        """Whether its journal fails at its step."""
        return self.how in ("full", "locked")

    @property
    def is_stopped(self) -> bool:
        """Whether its process is stopped at its step."""
        return self.how in ("others", "owner")

    def arguments(self, words: Words, price: int, tool: Tool = "place_order") -> dict[str, Any]:
        """Return the arguments of a placing call in these words."""
        practice = {"item": str(self.family), "fault": ",".join(_spelt(self.faults))}
        if self.pay_faults:
            practice["pay_fault"] = ",".join(_spelt(self.pay_faults))
        if self.look_faults:
            practice |= dict.fromkeys(("list_fault", "read_fault"), ",".join(self.look_faults))
        address = dict(_ADDRESS, **({"address_line2": self.line2} if self.line2 else {}))
        arguments: dict[str, Any]
        other = f"mail-{self.seed % 97}" if words in ("tracking", "all") else None
        if tool == "place_v1_order":
            price *= self.quantity  # the practice products of v1 have one price each
            arguments = v1_arguments(self.scenario, self.family, self.seed, practice, address, price)
            if other is not None:
                arguments["client_notes"]["ticket"] = other
        else:
            page = page_of(self.family) if self.by_number else f"{_PRACTICE_PAGE}{self.scenario}"
            query = practice | ({} if other is None else {"utm_source": other})
            url = f"{page}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
            arguments = {"products": [{"url": url}], "shipping_address": address, "max_price": price}
        if self.quantity != 1:
            arguments["products"][0]["quantity"] = self.quantity
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
    """Two days old, so that Zinc is not asked for twins before sending: the key alone must hold."""
    repeat_seconds: float | None
    limit_cents: int | None
    price: int
    outage: bool
    """The sandbox is killed in the middle and comes back on the same port."""
    intentions: tuple[Intention, ...] = field(repr=False)
    rails: tuple[Rail, ...] = ("account",)
    """The rails that the servers are set up for."""
    settings: tuple[tuple[str, str], ...] = ()
    """Further variables in the servers' environment."""
