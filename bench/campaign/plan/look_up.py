"""Rounds of questions that cost a cent each: searches, details and offers, each paid by a wallet, once.

In each, answers are lost and false, payment requests are false, processes are killed or stopped at each step, hosts
break off, up to three processes ask at once and in other spellings, and in some rounds the budget is too small.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bench.campaign.plan.after_sale import Asking, askings
from bench.campaign.plan.intentions import FAULTS, PACE, Behaviour
from bench.campaign.plan.rails import REFUSED
from zinc_mcp.sandbox.dialect import Dialect
from zinc_mcp.sandbox.find.faults import marked_number
from zinc_mcp.zinc.find.products import DataCall, details_call, offers_call, search_call

KIND = "look_up"
SIZE = 24
"""Questions in a round."""
RETAILER = "walmart"

About = Literal["search", "details", "offers"]
How = Literal["", "killed", "stopped"]

_ASKED_ABOUT = frozenset("errors validation challenges challenge_digest payment_errors receipt unknown_product".split())
DIALECTS: tuple[str, ...] = tuple(
    name for name in Dialect.named() if name == "default" or name.partition("=")[0] in _ASKED_ABOUT
)
"""The dialects that matter for questions that a wallet pays."""

_STEPS = ("opened:1", "asking:1", "signed:1", "leaving:1", "answered:1")
_ANSWERED = frozenset({"none", "slow"})
"""The faults after which a process passes the step `answered`."""
_BEHAVIOURS: dict[Behaviour, int] = {"patient": 60, "cancels": 14, "hangs_up": 14, "closes_stdin": 4, "kills": 8}


@dataclass(frozen=True, slots=True)
class Question:
    """One question that somebody wants answered, for a cent and no more."""

    number: int
    about: About
    fault: str
    """The fault of the first paid request, by its name in the tables."""
    lie: str
    """The lie in every payment request; `none` without one."""
    step: str
    how: How
    behaviour: Behaviour
    delay: float
    askings: tuple[Asking, ...]
    seed: int

    @property
    def name(self) -> str:
        """Its name in a finding."""
        what = f"{self.how} at {self.step}" if self.how else self.behaviour
        return f"#{self.number} ({self.about}, {self.fault}, {self.lie}, {what})"

    @property
    def tool(self) -> str:
        """The tool that asks it."""
        return "search_products" if self.about == "search" else "check_product"

    @property
    def product_id(self) -> str:
        """The number of its product, if it is no search."""
        return marked_number(FAULTS[self.fault], self.lie, self.number)

    @property
    def _words(self) -> str:
        marks = f" fault={FAULTS[self.fault]}" if self.fault != "none" else ""
        lies = f" pay_fault={self.lie}+" if self.lie != "none" else ""
        return f"whole bean coffee {self.number}{marks}{lies}"

    @property
    def spellings(self) -> Sequence[str]:
        """The spellings of its words that are sent, or addresses of its product."""
        if self.about == "search":
            words = self._words
            return (words, f" {words}  ", words.replace(" ", "  ", 1), words.replace("whole", "WHOLE", 1))
        page = f"https://www.walmart.com/ip/{self.product_id}"
        return (page, f"https://www.walmart.com/ip/practice/{self.product_id}", f"{page}?athcpid=1")

    def arguments(self, spelling: str) -> dict[str, Any]:
        """Return the arguments of its call, in one of its spellings."""
        if self.about == "search":
            return {"query": spelling, "limit": 5}
        return {"url": spelling, self.about: True}

    def asked(self) -> Sequence[DataCall[Any]]:
        """Return the requests to Zinc, in all spellings."""
        match self.about:
            case "search":
                return [search_call(spelling, limit=5) for spelling in self.spellings]
            case "details":
                return [details_call(RETAILER, self.product_id)]
            case "offers":
                return [offers_call(RETAILER, self.product_id)]


@dataclass(frozen=True, slots=True)
class QuestionRound:
    """Some questions on one journal, one sandbox and one set of servers."""

    name: str
    dialect: str
    budget_cents: int
    wishes: tuple[Question, ...] = field(repr=False)
    pace: float = PACE


def drawn(seed: int, intentions: int, dialects: Sequence[str]) -> list[QuestionRound]:
    """Return rounds with `intentions` questions, the dialects in turn. Every third has a budget for half of them."""
    source = random.Random(f"{seed} {KIND}")
    rounds: list[QuestionRound] = []
    number = 0
    while number < intentions:
        size = min(SIZE, intentions - number)
        wishes = tuple(_question(source, number + place + 1) for place in range(size))
        budget = size // 2 if len(rounds) % 3 == 2 else 10_000
        rounds.append(QuestionRound(f"{len(rounds):03}-{KIND}", dialects[len(rounds) % len(dialects)], budget, wishes))
        number += size
    return rounds


def _question(source: random.Random, number: int) -> Question:
    about: About = source.choices(("search", "details", "offers"), (4, 2, 2))[0]
    fault = list(FAULTS)[number % len(FAULTS)] if source.random() < 0.6 else source.choice(["none", "slow"])
    lie = source.choice(sorted(REFUSED)) if source.random() < 0.15 else "none"
    how: How = source.choices(("", "killed", "stopped"), (50, 38, 12))[0]
    step = _STEPS[number // 2 % len(_STEPS)] if how else ""
    if how:
        lie = "none"
        fault = fault if step != "answered:1" or fault in _ANSWERED else "none"
    return Question(
        number=number,
        about=about,
        fault=fault,
        lie=lie,
        step=step,
        how=how,
        behaviour="patient" if how else source.choices(list(_BEHAVIOURS), list(_BEHAVIOURS.values()))[0],
        delay=round(source.uniform(0.0, 0.6), 3),
        askings=askings(source, alone=bool(how)),
        seed=source.randrange(10**6),
    )
