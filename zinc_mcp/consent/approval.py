"""The question that an entry keeps, and the decision about it: until when it can be made, and whether it was a yes."""

from pydantic import ValidationError

from zinc_mcp.consent.change_question import ChangeQuestion
from zinc_mcp.consent.question import Question
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import CHANGES, Entry, UnreadableEntryError

AnyQuestion = Question | ChangeQuestion


def question_of(entry: Entry) -> AnyQuestion | None:
    """Return the question that an entry waits for an answer to; None if it waits for none.

    Raises:
        UnreadableEntryError: it waits for an answer, and the question cannot be read.
    """
    return None if reference_of(entry) is None else kept_question(entry)


def kept_question(entry: Entry) -> AnyQuestion:
    """Return the question that is frozen in an entry, answered or not.

    Raises:
        UnreadableEntryError: there is none that can be read.
    """
    question = asked_change(entry) if entry.kind in CHANGES else asked_question(entry)
    if question is None:
        raise UnreadableEntryError(entry.id, "consent, question")
    return question


def asked_question(entry: Entry) -> Question | None:
    """Return the question about an order that a person was asked, answered or not; None if the entry holds none."""
    if entry.kind in CHANGES:
        return None
    try:
        return Question.model_validate((entry.consent or {}).get("question"))
    except ValidationError:
        return None


def asked_change(entry: Entry) -> ChangeQuestion | None:
    """Return the question about a change that a person was asked, answered or not; None if the entry holds none."""
    if entry.kind not in CHANGES:
        return None
    try:
        return ChangeQuestion.model_validate((entry.consent or {}).get("question"))
    except ValidationError:
        return None


def seconds_to_decide(entry: Entry, now: float) -> int:
    """Return for how long the question of an entry can still be answered."""
    until: float | None = (entry.consent or {}).get("until")
    return max(0, int((until or now) - now))


def is_approved(entry: Entry) -> bool:
    """Say whether a person said yes and no process has sent the order yet."""
    decision = (entry.consent or {}).get("decision")
    return entry.state == "waiting" and decision is not None and bool(decision.get("yes"))


def ago(seconds: float) -> str:
    """Say how long ago something was."""
    minutes = int(max(0.0, seconds) // 60)
    return f"{minutes} minutes ago" if minutes < 120 else f"{minutes // 60} hours ago"
