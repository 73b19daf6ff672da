"""Intentions, the rounds in which they are played, and the words for what can happen to them.

An intention is one product URL, quantity and address line. Siblings share a URL and differ in the others, so that a
program that takes two of them for one breaks a promise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.campaign.plan.v1_orders import page_of, v1_arguments
from zinc_mcp.sandbox.faults.asked import AFTER, BEFORE

PACE = 10.0
"""Orders and faults of the sandbox are faster than Zinc's by this factor."""

IGNORED = frozenset({"keys=ignored", "v1_keys=ignored"})
"""The dialects in which Zinc breaks its own promise about idempotency keys."""
BROKEN_KEYS = IGNORED | {"v1_concurrent=both_accepted"}
"""The dialects in which two orders of one key can be Zinc's fault, also while the first POST is being processed."""

FAULTS: dict[str, str] = {
    "none": "none",
    **{name: name for name in sorted(BEFORE)},
    **{name: name for name in sorted(AFTER)},
    "slow": "slow_4",  # 0.4 s, less than the second for which a process waits
    "too_slow": "slow_30",  # 3 s, longer than that
}
"""The faults as the sandbox spells them, by their names in the tables."""

REJECTED = frozenset({"url-unreachable", "insufficient-funds", "invalid-address"})
FAILING = frozenset({"out-of-stock", "price-exceeded"})
CANCELLED = frozenset({"cancelled-by-retailer"})

Behaviour = Literal["patient", "cancels", "hangs_up", "closes_stdin", "terminates", "kills", "jumps"]
"""The behaviour of a host: it waits, breaks off, ends its server, or starts it with a clock that jumps."""
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
"""The server processes of a round that live until its end. All of them may place the same at once."""

PRACTICE = "Practice"
"""The second address line of an intention that is only practised, in rounds of questions."""

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
    """One of the calls with which an intention begins: its server, its words, and the seconds before it."""

    server: int
    words: Words
    after: float
    tool: Tool | None = None
    """The tool, if it is another one than the intention's."""


@dataclass(frozen=True, slots=True)
class Intention:
    """One thing that somebody wants bought once."""

    number: int
    family: int
    quantity: int
    line2: str
    scenario: str
    fault: str
    """The first of `faults`, by its name in the tables."""
    faults: tuple[str, ...]
    look_faults: tuple[str, ...]
    kill: str
    """The step `STEP:N` at which its process is killed, or empty."""
    behaviour: Behaviour
    delay: float
    """The seconds after which the host breaks off or ends its server."""
    clock: str
    racers: tuple[Racer, ...]
    follows: bool
    """Whether its agent also looks the order up at the end."""
    seed: int
    tool: Tool = "place_order"
    """The tool that places it."""
    pay_faults: tuple[str, ...] = ()
    """The faults of the unpaid request, on the agent rail."""
    other_tools: tuple[Tool, ...] = ()
    """The tools of other rails that its agent tries while it is in doubt."""
    by_number: bool = False
    """Whether its product is one at Amazon, which v1 names by its number and other rails by its page."""
    persists: bool = False
    """Whether its agent places it once more after a rejection."""
    case: str = ""
    """The case of its class of rounds, in the words of the tables (`plan.classes`)."""
    step: str = ""
    """`STEP:N` at which its journal fails or its process is stopped."""
    how: How = ""
    """The failure of the journal; or who goes on first while the process is stopped: other servers or the owner."""
    far_after: bool = False
    """Whether a process with a wrong clock asks for it once more after it was placed."""
    ages: bool = False
    """Whether it gets two days older while it is in doubt, and is then placed again."""
    given: str = ""
    """The idempotency key that it shares with another intention, for those of its calls that give a key."""

    @property
    def identity(self) -> str:
        """The text by which it is recognised at Zinc and in the journal."""
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
    """Whether the journal is two days old, so Zinc is not asked for twins before sending, and only the key helps."""
    repeat_seconds: float | None
    limit_cents: int | None
    price: int
    outage: bool
    """Whether the sandbox is killed in the middle and started again on the same port."""
    intentions: tuple[Intention, ...] = field(repr=False)
    rails: tuple[Rail, ...] = ("account",)
    """The rails for which the servers are set up."""
    settings: tuple[tuple[str, str], ...] = ()
    """Further variables in the servers' environment."""
