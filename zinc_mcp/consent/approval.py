"""The question that an entry keeps, and the decision about it: until when it can be made, and whether it was a yes."""

from pydantic import ValidationError

from zinc_mcp.consent.question import Question
from zinc_mcp.journal.decision import reference_of
from zinc_mcp.journal.entry import Entry, UnreadableEntryError


def question_of(entry: Entry) -> Question | None:
    """Return the question that an entry waits for an answer to, or None when it waits for none.

    Raises:
        UnreadableEntryError: it waits for an answer, and what was asked cannot be read.
    """
    return None if reference_of(entry) is None else kept_question(entry)


def kept_question(entry: Entry) -> Question:
    """Return the question that is frozen in an entry, answered or not.

    Raises:
        UnreadableEntryError: there is none that can be read.
    """
    try:
        return Question.model_validate((entry.consent or {}).get("question"))
    except ValidationError:
        raise UnreadableEntryError(entry.id, "consent, question") from None


def seconds_to_decide(entry: Entry, now: float) -> int:
    """Return how long the question of an entry still stands."""
    until: float | None = (entry.consent or {}).get("until")
    return max(0, int((until or now) - now))


def is_approved(entry: Entry) -> bool:
    """Say whether a person has said yes and nobody has sent it yet."""
    decision = (entry.consent or {}).get("decision")
    return entry.state == "waiting" and decision is not None and bool(decision.get("yes"))


def ago(seconds: float) -> str:
    """Say how long ago something was."""
    minutes = int(max(0.0, seconds) // 60)
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"
