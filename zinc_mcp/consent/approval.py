"""The question that an entry keeps, the time to decide about it, and whether the decision was a yes."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from zinc_mcp.consent.change_question import ChangeQuestion
from zinc_mcp.consent.question import Question
from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.decision import OWNER, reference_of
from zinc_mcp.journal.records.entry import CHANGES, Entry, UnreadableEntryError
from zinc_mcp.owner.policy import Policy
from zinc_mcp.owner.team.member import name_of
from zinc_mcp.text import printed

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
    """Return the seconds for which the question of an entry can still be answered."""
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


def age_and_state(twin: Entry, now: float) -> str:
    """Return the age and the state of an earlier order, in words for a question."""
    waits = "it still waits for a decision" if twin.state == "waiting" else f"that order is {twin.state}"
    return f"{ago(now - twin.opened_at)}, and {waits}"


def described(near: Entry, now: float) -> str:
    """Return an earlier order in words for a question: its pieces, its highest price, its age and its state."""
    items = cast(list[Mapping[str, Any]], near.facts.get("items") or [])
    pieces = sum(each for each in (item.get("quantity", 1) for item in items) if isinstance(each, int))
    goods = f"{pieces} {'piece' if pieces == 1 else 'pieces'}" if pieces else "an order"
    return f"{goods} for at most {printed(near.ceiling_cents)}, {age_and_state(near, now)}"


def second_yes_noted(entry: Entry, policy: Policy) -> tuple[str, ...]:
    """Return the note in a question that another person has to answer.

    Raises:
        RefusedError: `not_allowed`, there is nobody else: it is the owner's own order.
    """
    above = printed(policy.second_yes_above or 0)
    if entry.caller == OWNER:
        raise RefusedError(
            f"The orders of 24 hours would come to more than {above}, above which another person has to say yes.",
            "Tell the user: for an order of the owner's own there is nobody else (`second_yes_above` in zinc.toml).",
            code="not_allowed",
        )
    return (f"Another person has to say yes: the orders of {name_of(entry.caller)} in 24 hours are above {above}.",)
