"""The errors of a question about products that has no answer. Their sentences also tell the cost of the question."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from zinc_mcp.errors import OrderRejectedError, UnreadableAnswerError
from zinc_mcp.find.question import REMEMBERED_SECONDS, Found
from zinc_mcp.text import ago, in_minutes, printed
from zinc_mcp.zinc.find.products import LOOK_UP_CENTS, DataCall

_EMPTY_BALANCE = "insufficient_funds"
_SAME_WORDS = "Call again in a minute with the same arguments: it is not paid for twice."


def unanswered(
    happened: str, *, left_seconds: float = REMEMBERED_SECONDS, is_new: bool = True
) -> UnreadableAnswerError:
    """Return the error for a question that was asked and not answered.

    Args:
        happened: a sentence about its outcome.
        left_seconds: the time until it may be asked again.
        is_new: whether this call asked it, so that this call cost something.
    """
    return UnreadableAnswerError(
        happened,
        f"It counts as paid ({printed(LOOK_UP_CENTS)}) and is not asked again for {in_minutes(left_seconds)}; go on "
        "without it, or ask again after that.",
        facts=_cost(is_new),
    )


def unanswered_before(age_seconds: float) -> UnreadableAnswerError:
    """Return the error for a question that any caller asked earlier, and to which no answer is known."""
    return unanswered(
        f"The same question was asked {ago(age_seconds)}, and no answer to it can be shown.",
        left_seconds=REMEMBERED_SECONDS - age_seconds,
        is_new=False,
    )


def slow(*, is_new: bool) -> UnreadableAnswerError:
    """Return the error for a question whose answer did not come while its caller waited."""
    paid = f"Until it is known, it counts as paid ({printed(LOOK_UP_CENTS)})."
    happened = "Zinc's answer takes longer." if is_new else "The same question was asked, and is not answered yet."
    return UnreadableAnswerError(f"{happened} {paid}", _SAME_WORDS, facts=_cost(is_new))


def unfinished(found: Found[Any]) -> UnreadableAnswerError:
    """Return the error for an answer that says that Zinc has not finished. It is remembered like any other."""
    is_remembered = found.cost_cents or found.age_seconds is not None
    left = REMEMBERED_SECONDS - (found.age_seconds or 0.0) if is_remembered else 0.0
    return UnreadableAnswerError("Zinc has not finished collecting them.", f"Ask again after {in_minutes(left)}.")


def refused_before(age_seconds: float) -> UnreadableAnswerError:
    """Return the error for a question that Zinc refused when another call asked it."""
    return UnreadableAnswerError(
        f"The same question was asked {ago(age_seconds)}, and Zinc refused it, which cost nothing.",
        "Call again to hear why, or ask something else.",
    )


def refused(call: DataCall[Any], error: OrderRejectedError) -> OrderRejectedError:
    """Return the error for a question that Zinc refused, with sentences that fit a question about products."""
    sentence, next_step = error.summary, error.next_step
    if error.status == HTTPStatus.PAYMENT_REQUIRED or error.zinc_code == _EMPTY_BALANCE:
        sentence = "Zinc says that the Zinc balance is too small even for this question. That cost nothing."
        next_step = "Tell the user to top up the Zinc balance."
    elif error.status == HTTPStatus.NOT_FOUND and call.is_about_one:
        sentence = "Zinc knows no such product. That cost nothing."
        next_step = "Find it with a search, or ask the user."
    elif error.status in _NOT_TAKEN or error.zinc_code == "validation_error":
        sentence = f"Zinc does not take this question (HTTP {error.status}). That cost nothing."
        next_step = "Change the question, such as its retailers, or go on without it."
    return OrderRejectedError(
        sentence,
        next_step,
        status=error.status,
        zinc_code=error.zinc_code,
        facts={name: fact for name, fact in error.facts.items() if name == "zinc_message"},
        problems=error.problems,
    )


_NOT_TAKEN = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)


def _cost(is_new: bool) -> Mapping[str, Any]:
    return {"cost_cents": LOOK_UP_CENTS if is_new else 0}
