"""A decision is about a question: named by its entry, its own random id, and a digest over all that it stands for."""

import re
import secrets
from dataclasses import dataclass, field
from typing import Literal, Self

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.entry import Entry
from zinc_mcp.journal.times import APART_SECONDS

How = Literal["elicitation", "page", "terminal"]

_SEALED = re.compile(r"(\d{1,18})\.([A-Za-z0-9_-]{8,64})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class QuestionRef:
    """Names one question. The page, the dialogue and the terminal keep it beside what they show."""

    entry_id: int
    id: str
    """Random, never seen by the model."""
    digest: str
    """Over all that the question shows and all that would be sent; see `consent.question.digest_of`."""

    def sealed(self) -> str:
        """Return the reference as one word, for a form's hidden field or a protocol's sealed state."""
        return f"{self.entry_id}.{self.id}.{self.digest}"

    @classmethod
    def unsealed(cls, text: str) -> Self | None:
        """Read what `sealed` wrote; None when it is nothing of the kind."""
        found = _SEALED.fullmatch(text)
        return None if found is None else cls(int(found[1]), found[2], found[3])


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's answer to one question, on which road it came, and whose it was as far as that is known."""

    about: QuestionRef
    yes: bool
    how: How
    who: str
    pin: str | None = field(default=None, repr=False)
    """The PIN as it was typed, where one is set; a no needs none."""


def reference_of(entry: Entry) -> QuestionRef | None:
    """Return what names the question that an entry waits for an answer to, or None when it waits for none."""
    consent = entry.consent or {}
    if entry.state != "waiting" or "digest" not in consent or consent.get("decision") is not None:
        return None
    return QuestionRef(entry.id, str(consent["id"]), str(consent["digest"]))


def closed() -> RefusedError:
    """Return the refusal of an answer to a question that does not stand."""
    return RefusedError(
        "This question is closed: it was answered, withdrawn or asked anew. The answer changed nothing.",
        "Call get_order to see how the order stands, or place it again to be asked again.",
        code="question_closed",
    )


def is_over(entry: Entry, now: float, zinc: float | None) -> bool:
    """Say whether the time to decide about an entry, or to send what was approved, is over by our clock or by Zinc's.

    What nobody was asked about has no such time.
    """
    consent = entry.consent or {}
    until, zinc_until = consent.get("until"), consent.get("zinc_until")
    if until is not None and until <= now:
        return True
    return zinc is not None and zinc_until is not None and zinc >= zinc_until + APART_SECONDS


def approved_too_long_ago() -> RefusedError:
    """Return the refusal of an order that a person approved, and that nobody came to send in time."""
    return RefusedError(
        "It was approved, and no process that can send it came in time, so nothing was sent.",
        "Place the order again to be asked again.",
        code="approval_expired",
    )


def new_question_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_urlsafe(16)
