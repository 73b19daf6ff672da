"""The parts of a decision: the question that it answers, the PIN of a yes, and the policy that is checked again.

Between a question and its answer the owner may have lowered a limit, paused, or changed the policy, and another order
for the same goods may have come. So the transaction that takes a yes, or marks an entry as being sent, checks again.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.journal.records.clocks import APART_SECONDS
from zinc_mcp.journal.records.entry import NAMES, Entry, Limits, Mode
from zinc_mcp.journal.records.known import CheckCaller
from zinc_mcp.journal.records.own_policy import OwnPolicy
from zinc_mcp.known_settings import RailName
from zinc_mcp.text import printed

How = Literal["elicitation", "page", "terminal"]

Place = Literal["page", "terminal"]
PLACES: tuple[Place, ...] = ("page", "terminal")
Noted = Mapping[str, str]
"""The earlier orders that a question has named: from the entry's id (as text, for JSON) to `waiting` or `sent`."""

OWNER = "local"
"""The caller whose PIN is the owner's."""
SECOND_YES = "second_yes"
"""The name of a member of an entry's consent: the question says that another person than the caller has to say yes."""
FORGET_SECONDS = 86_400.0
"""A PIN stays valid for this time after somebody has said that it is forgotten, so its owner can notice and object."""
FREE_TRIES = 3
"""The number of wrong PINs in a row that cost no time."""
LONGEST_WAIT_SECONDS = 900.0

_SEALED = re.compile(r"(\d{1,18})\.([A-Za-z0-9_-]{8,64})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class QuestionRef:
    """Names one question. The page, the dialogue and the terminal keep it beside what they show."""

    entry_id: int
    id: str
    """Random, never seen by the model."""
    digest: str
    """It covers all that the question shows and all that would be sent; see `consent.question.digest_of`."""

    def sealed(self) -> str:
        """Return the reference as one word, for a form's hidden field or a protocol's sealed state."""
        return f"{self.entry_id}.{self.id}.{self.digest}"

    @classmethod
    def unsealed(cls, text: str) -> Self | None:
        """Read a reference that `sealed` wrote; None if the text is no such reference."""
        found = _SEALED.fullmatch(text)
        return None if found is None else cls(int(found[1]), found[2], found[3])


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's answer to one question, with the way in which it came and, as far as known, the person."""

    about: QuestionRef
    yes: bool
    how: How
    who: str
    pin: str | None = field(default=None, repr=False)
    """The PIN as it was typed, if one is set; a no needs none."""
    by: str | None = None
    """The caller who decided. None: in a terminal the owner, else the caller whose order it is."""
    can_be_second: bool = False
    """Whether this person may decide about orders of others. Nobody is another person for an order of their own."""


@dataclass(frozen=True, slots=True)
class PinAsked:
    """The PIN that a caller's yes needs."""

    kept: str = field(repr=False)
    whose: str
    counted_under: str
    """Wrong PINs are counted under this name, over all orders."""
    ends: float | None
    """The end of this PIN, if somebody has said that it is forgotten."""
    page_free_at: float | None
    """The time from which the page checks the next PIN; None: at once."""
    terminal_free_at: float | None

    def free_at(self, place: Place) -> float | None:
        """Return the time from which the next PIN is checked in a place; None: at once."""
        return self.page_free_at if place == "page" else self.terminal_free_at


@dataclass(frozen=True, slots=True)
class PinTry:
    """A try at a PIN, written down before it is checked."""

    asked: PinAsked
    place: Place
    free_at: float | None
    """The time from which the next try is checked; None: at once."""
    looked_at: bool
    """Whether this try is checked. A try that came too early is not checked, and does not count."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The policy of the process that takes a decision or sends an order. Each call reads the present policy."""

    admit: Callable[[Entry, Callable[[], Mapping[str, Mapping[str, Any]]]], Limits]
    """Checks an entry that is going to be sent, and returns the rolling limits that it has to keep. Raises a refusal if
    the policy does not allow the entry any more, and `policy_invalid`. Its second argument reads the addresses that the
    journal keeps, by name."""
    takes_dialogues: Callable[[], bool]
    """Says whether an answer given in a host's dialogue counts; raises `policy_invalid`."""
    window_seconds: float
    """An earlier order for the same goods stands for this time."""
    shares: Callable[[], bool]
    """Says whether the policy has limits over several callers; False where it cannot be read."""
    own_policy: Callable[[], OwnPolicy | None] = lambda: None
    """Returns the policy as other servers on the journal compare theirs; None where no other shares it."""
    check_caller: CheckCaller = lambda _caller, _kept: None
    """Checks that the caller of an entry is still a member who may order, where they are one."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of a yes: approved, refused by the present policy, or to be asked anew."""

    entry: Entry
    refusal: RefusedError | None = None
    is_untrue: bool = False
    """The question does not say that another person has to say yes. Then the yes was not taken."""
    unnoted: tuple[Entry, ...] = ()
    """Similar orders that were opened or sent after the question was asked. If there are any, the yes was not taken."""


def reference_of(entry: Entry) -> QuestionRef | None:
    """Return the reference of the question that an entry waits for, or None when it waits for no answer."""
    consent = entry.consent or {}
    if entry.state != "waiting" or "digest" not in consent or consent.get("decision") is not None:
        return None
    return QuestionRef(entry.id, str(consent["id"]), str(consent["digest"]))


def closed() -> RefusedError:
    """Return the refusal of an answer to a question that is closed."""
    return RefusedError(
        "This question is closed: it was answered, withdrawn or asked anew. The answer changed nothing.",
        "Call get_order to see how the order stands, or place it again to be asked again.",
        code="question_closed",
    )


def fee_has_risen(shown_cents: int, fee_cents: int) -> RefusedError:
    """Return the refusal to send an approved order whose fee at Zinc has become higher than its question showed."""
    return RefusedError(
        f"Zinc's fee for an order is now {printed(fee_cents)}, and the yes was for at most {printed(shown_cents)}, so "
        "nothing was sent.",
        "Place the order again: the question then shows the fee of today.",
        code="question_closed",
    )


def out_of_time(entry: Entry) -> RefusedError:
    """Return the refusal of an answer that came after the time to decide."""
    name, again = NAMES[entry.kind]
    return RefusedError(
        f"The time to approve this {name} is over, so nothing was sent.",
        f"{again} to be asked again.",
        code="approval_expired",
    )


def is_over(entry: Entry, now: float, zinc: float | None) -> bool:
    """Say whether the time to decide about an entry, or to send an approved one, is over by our clock or by Zinc's.

    An entry without a question has no such time.
    """
    consent = entry.consent or {}
    until, zinc_until = consent.get("until"), consent.get("zinc_until")
    if until is not None and until <= now:
        return True
    return zinc is not None and zinc_until is not None and zinc >= zinc_until + APART_SECONDS


def approved_too_long_ago() -> RefusedError:
    """Return the refusal of an approved order that no process sent in time."""
    return RefusedError(
        "It was approved, and no process that can send it came in time, so nothing was sent.",
        "Place the order again to be asked again.",
        code="approval_expired",
    )


def pause_of(caller: str, mode: Mode, rail: RailName) -> str:
    """Return the name under which a pause of one caller on one rail is kept."""
    return f"paused:{hashlib.sha256(json.dumps([caller, mode, rail]).encode()).hexdigest()[:24]}"


def refuse_when_paused(why: str | None) -> None:
    """Refuse if the journal is paused. `why` is the reason of the pause, or None if there is no pause.

    Raises:
        RefusedError: `paused`.
    """
    if why is not None:
        raise RefusedError(
            "Ordering is paused.",
            f"Tell the user: {command('resume')} ends the pause once they have looked into it.",
            code="paused",
        )


def wait_seconds(wrong: int) -> float:
    """Return the seconds to wait after so many wrong PINs in a row: none, then 1, 2, 4, 8 and at last 15 minutes."""
    return 0.0 if wrong <= FREE_TRIES else min(LONGEST_WAIT_SECONDS, 60.0 * 2 ** min(wrong - FREE_TRIES - 1, 10))


def progress_of(entry: Entry) -> str:
    """Say whether an earlier order only waits or may have been sent; a waiting one may still be sent."""
    return "waiting" if entry.state == "waiting" else "sent"


def noted(entries: list[Entry]) -> Noted:
    """Return the notes of a question about the earlier orders that it names."""
    return {str(each.id): progress_of(each) for each in entries}


def new_question_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_urlsafe(16)
