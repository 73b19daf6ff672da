"""Rounds about orders after their purchase: cancellations, returns, and reports to Zinc's support.

cancel     an order that is pending, or is leaving that state just then, or whose question still waits
return     pieces of an order; sometimes two different returns of one order
case       a report, a further message, or the closing of a case

In each, answers are lost and false, processes are killed or stopped at each step, hosts break off, up to three
processes ask at once, and in some rounds people answer current, old and doubled questions.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.campaign.plan.intentions import FAULTS, Behaviour, Rail
from zinc_mcp.sandbox.dialect import Dialect
from zinc_mcp.sandbox.faults.asked import AFTER

AfterKind = Literal["cancel", "return", "case"]
KINDS: tuple[AfterKind, ...] = ("cancel", "return", "case")
Action = Literal["cancel", "withdraw", "return", "open", "message", "close"]
How = Literal["", "killed", "stopped"]

SIZE = 24
"""Intentions in a round."""
FALSE_204 = "false_204"
"""A fault of cancellations alone: Zinc says yes and cancels nothing."""

PENDING_PACE, TURNING_PACE = 0.01, 0.3
"""At these paces orders stay pending for 100 seconds, and for three."""
_PLACED_PACES = (10.0, 10.0, 3.0)
PLACED_AT = 3.0
"""Seconds at pace 1 after which the retailer has an order."""
_SLOW_SECONDS = {"slow": 0.4, "too_slow": 3.0}
"""The delay of a slow answer, shorter or longer than the second for which a process waits."""

_ENDS_AT_ONCE = frozenset({"rate_limited", "unauthorized_once"})
_LOSES_NOTHING = frozenset({"none", "slow"})
_ASKED_ABOUT = frozenset(
    "errors validation not_cancellable return_conflict after_sale_listing case_list order_key_after_sale".split()
)
DIALECTS: tuple[str, ...] = tuple(
    name for name in Dialect.named() if name == "default" or name.partition("=")[0] in _ASKED_ABOUT
)
"""The dialects that matter for cancellations, returns and cases."""

_BARRED = "order_key_after_sale"
"""In this dialect no return and no case is taken with the own key of an order that a wallet paid."""

_STEPS: Mapping[Action, Sequence[str]] = {
    "cancel": ("cancelling:1", "cancel_answered:1"),
    "withdraw": ("withdrawn:1", "cancelling:1"),
    **dict.fromkeys(
        ("return", "open", "message", "close"),
        ("opened:1", "sending:1", "leaving:1", "answered:1", "unknown:1", "accepted:1", "ended:1"),
    ),
}
_ASKED_STEPS = ("opened:1", "asked:1", "approved:1", "sending:1", "leaving:1", "answered:1", "accepted:1")
"""The steps where a person decides. Only the process that sends passes those after the yes."""
REACHED_BY_CHANCE = frozenset({"approved:1", "withdrawn:1"})

_FAULTS_OF_LOOKS = ("http_500_after", "drop_after", "html_200", "truncated", "rate_limited", "none")
_BEHAVIOURS: dict[Behaviour, int] = {"patient": 60, "cancels": 14, "hangs_up": 14, "closes_stdin": 4, "kills": 8}
_RETURN_REASONS = ("defective", "wrong_item", "not_as_described", "other")
_CASE_REASONS = ("not_received", "late", "damaged_or_wrong_item", "billing", "other")

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
class Asking:
    """One of the calls with which an intention begins: its server, and the seconds before it."""

    server: int
    after: float


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing that somebody wants done about an order, once."""

    number: int
    family: int
    """The number of the order. Intentions with the same number are about the same order."""
    action: Action
    reason: str
    quantity: int
    words: str
    """The text of a message, which no other intention has; or the notes of a return."""
    fault: str
    """The first of `faults`, by its name in the tables."""
    faults: tuple[str, ...]
    look_faults: tuple[str, ...]
    ending: str
    """Zinc's reaction: empty for the usual one, `denied`, `refused`, or for a case `silent`."""
    step: str
    how: How
    behaviour: Behaviour
    delay: float
    askings: tuple[Asking, ...]
    seed: int

    @property
    def kind(self) -> AfterKind:
        """The kind of its round."""
        match self.action:
            case "cancel" | "withdraw":
                return "cancel"
            case "return":
                return "return"
            case _:
                return "case"

    @property
    def name(self) -> str:
        """Its name in a finding."""
        what = f"{self.how} at {self.step}" if self.how else self.behaviour
        return f"#{self.number} ({self.action}, {'+'.join(self.faults)}, {what})"

    @property
    def tool(self) -> str:
        """The tool that does it."""
        return {"cancel": "cancel_order", "return": "return_order", "case": "report_problem"}[self.kind]

    @property
    def needs_a_case(self) -> bool:
        """Whether a case about its order must be open before it begins."""
        return self.action in ("message", "close")

    def order(self, pace: float) -> dict[str, Any]:
        """Return the arguments of the call that places its order."""
        url = f"https://zinc.com/shop/products/test-success?item={self.family}"
        faults = ",".join(spelt(("none", *self.faults) if self.needs_a_case else self.faults, pace))
        looks = ",".join(spelt(self.look_faults, pace))
        match self.kind:
            case "cancel":
                url += f"&cancel_fault={faults}"
            case "return":
                url += f"&return_fault={faults}" + (f"&returns_fault={looks}" if looks else "")
            case _:
                url += f"&case_fault={faults}" + (f"&cases_fault={looks}" if looks else "")
        if looks and not self.needs_a_case and not self.how:
            url += f"&read_fault={looks}"
        if self.ending:
            url += f"&{'return' if self.kind == 'return' else 'case'}={self.ending}"
        return {"products": [{"url": url, "quantity": 3}], "shipping_address": _ADDRESS, "max_price": 20_000}

    def arguments(self, handle: str, *, with_notes: bool = True) -> dict[str, Any]:
        """Return the arguments of its call, about the order with this id or key."""
        match self.action:
            case "cancel" | "withdraw":
                return {"order_id": handle}
            case "return":
                items = [{"number": 1, "quantity": self.quantity}]
                notes = {"notes": self.words} if with_notes and self.words else {}
                return {"order_id": handle, "items": items, "reason": self.reason, **notes}
            case "close":
                return {"order_id": handle, "close": True}
            case _:
                return {"order_id": handle, "reason": self.reason, "message": self.words}

    def first_report(self, handle: str) -> dict[str, Any]:
        """Return the arguments of the report that opens the case which it needs."""
        return {"order_id": handle, "reason": "other", "message": first_words(self.family)}


def first_words(family: int) -> str:
    """Return the message of the case about an order that is opened before a round begins."""
    return f"First report about order {family}."


def spelt(faults: Sequence[str], pace: float) -> list[str]:
    """Return the faults as the sandbox spells them. A slow answer takes the same time at every pace."""
    return [
        f"slow_{_SLOW_SECONDS[name] * pace:.3f}" if name in _SLOW_SECONDS else FAULTS.get(name, name) for name in faults
    ]


@dataclass(frozen=True, slots=True)
class AfterRound:
    """Some intentions about orders on one journal, one sandbox and one set of servers."""

    name: str
    dialect: str
    kind: AfterKind
    pace: float
    asks: bool
    """Whether people are asked."""
    rail: Rail
    wishes: tuple[Wish, ...] = field(repr=False)

    @property
    def families(self) -> Mapping[int, Wish]:
        """The first intention about each order, by the order's number."""
        return {wish.family: wish for wish in reversed(self.wishes)}


def kinds_in(text: str) -> list[AfterKind]:
    """Return the kinds that a text names, with `,` between them."""
    return [kind for kind in KINDS if kind in text.split(",")]


def drawn(seed: int, intentions: int, dialects: Sequence[str], kinds: Sequence[AfterKind]) -> list[AfterRound]:
    """Return rounds with `intentions` intentions of each of these kinds, the kinds and dialects in turn."""
    source = random.Random(f"{seed} after the sale")
    left = dict.fromkeys(kinds, intentions)
    number = 0
    rounds: list[AfterRound] = []
    while any(left.values()):
        for kind in kinds:
            if (size := min(SIZE, left[kind])) > 0:
                dialect = dialects[len(rounds) // len(kinds) % len(dialects)]
                name = f"{len(rounds):03}-{kind}"
                rounds.append(_round(source, name, dialect, kind, len(rounds) // len(kinds), number, size))
                number += size
                left[kind] -= size
    return rounds


def _round(
    source: random.Random, name: str, dialect: str, kind: AfterKind, turn: int, number: int, size: int
) -> AfterRound:
    asks = turn % 3 == 1
    rail: Rail = "agent" if kind != "cancel" and (turn % 4 == 3 or dialect.startswith(_BARRED)) else "account"
    if kind == "cancel":
        pace = TURNING_PACE if turn % 3 == 2 else PENDING_PACE
    else:
        pace = source.choice(_PLACED_PACES)
    first = source.randrange(7)
    barred = rail == "agent" and dialect.startswith(_BARRED)
    wishes: list[Wish] = []
    while len(wishes) < size:
        wish = _wish(source, kind, number + len(wishes) + 1, first + len(wishes), asks=asks)
        wish = _barred(source, wish, first + len(wishes)) if barred else wish
        wishes.append(wish)
        if wish.action in ("return", "message") and len(wishes) < size and source.random() < 0.12:
            wishes.append(_sibling(source, wish, number + len(wishes) + 1))
    return AfterRound(name, dialect, kind, pace, asks, rail, tuple(wishes))


def _wish(source: random.Random, kind: AfterKind, number: int, place: int, *, asks: bool) -> Wish:
    action: Action
    match kind:
        case "cancel":
            action = "withdraw" if asks else "cancel"
        case "return":
            action = "return"
        case _:
            action = source.choices(("open", "message", "close"), (5, 3, 2))[0]
    names = [*FAULTS, FALSE_204] if kind == "cancel" else list(FAULTS)
    fault = names[number % len(names)] if source.random() < 0.75 else source.choice(["none", *sorted(AFTER)])
    how: How = source.choices(("", "killed", "stopped"), (50, 38, 12))[0]
    steps = _ASKED_STEPS if asks and kind != "cancel" else _STEPS[action]
    step = steps[place % len(steps)] if how else ""
    if how and not asks:
        fault = fault if passes(action, fault, step) else source.choice(_fitting(action, step))
    wallets = ("", "", "", "", "denied", "refused") if kind == "return" else ("", "", "", "silent", "refused")
    ending = source.choice(wallets) if kind != "cancel" and not how and action in ("return", "open") else ""
    return Wish(
        number=number,
        family=number,
        action=action,
        reason=source.choice(_RETURN_REASONS if kind == "return" else _CASE_REASONS),
        quantity=source.choice([1, 1, 2]),
        words=f"Report {number}: it is not what was ordered." if kind != "return" or source.random() < 0.5 else "",
        fault=fault,
        faults=(fault, *(source.choices(["none", *sorted(AFTER)], k=1) if source.random() < 0.3 else [])),
        look_faults=_look_faults(source),
        ending=ending,
        step=step,
        how=how,
        behaviour="patient" if how else source.choices(list(_BEHAVIOURS), list(_BEHAVIOURS.values()))[0],
        delay=round(source.uniform(0.0, 0.6), 3),
        askings=askings(source, alone=bool(how)),
        seed=source.randrange(10**6),
    )


def _barred(source: random.Random, wish: Wish, place: int) -> Wish:
    """Return an intention that Zinc always refuses because of the key: it needs no open case, and has no fault."""
    steps = _STEPS["open"][:4]
    return replace(
        wish,
        action="open" if wish.kind == "case" else wish.action,
        fault="none",
        faults=("none",),
        ending="",
        step=steps[place % len(steps)] if wish.how else "",
    )


def _look_faults(source: random.Random) -> tuple[str, ...]:
    return tuple(source.choices(_FAULTS_OF_LOOKS, k=source.randint(1, 3))) if source.random() < 0.2 else ()


def askings(source: random.Random, *, alone: bool) -> tuple[Asking, ...]:
    """Return the calls with which an intention begins: mostly one, and rarely more if `alone`."""
    count = source.choices([1, 2, 3], [10, 2, 1] if alone else [6, 3, 2])[0]
    return tuple(
        Asking(server, round(source.choice([0.0, 0.0, source.uniform(0, 0.5)]), 3))
        for server in source.sample(range(4), count)
    )


def _sibling(source: random.Random, first: Wish, number: int) -> Wish:
    """Return another intention about the same order, which a program must not take for the first one."""
    reason = source.choice([each for each in _RETURN_REASONS if each != first.reason])
    return replace(
        first,
        number=number,
        reason=reason if first.action == "return" else first.reason,
        quantity=1,
        words=f"Report {number}: something else is wrong." if first.words else "",
        step="",
        how="",
        behaviour="patient",
        askings=askings(source, alone=True),
        seed=source.randrange(10**6),
    )


def _fitting(action: Action, step: str) -> list[str]:
    return [fault for fault in FAULTS if passes(action, fault, step)]


def passes(action: Action, fault: str, step: str) -> bool:
    """Say whether an intention whose first fault is this one certainly passes this step, if nobody is asked."""
    if action in ("cancel", "withdraw"):
        return step in _STEPS[action]
    match step.partition(":")[0]:
        case "accepted":
            return fault in _LOSES_NOTHING
        case "ended":
            return fault in _ENDS_AT_ONCE
        case "unknown":
            return fault not in _LOSES_NOTHING | _ENDS_AT_ONCE
        case _:
            return True
