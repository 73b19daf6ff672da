"""The view of a change of an order, for tool results, the approval page and the terminal.

The sentences are our own words. Zinc's statuses and reasons stand in fields of their own.
"""

from typing import Any, Literal

from pydantic import Field

from zinc_mcp.consent.approval import is_approved
from zinc_mcp.invocation import command
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import NAMES, NOTHING_SENT, OPEN, Entry, Mode, State
from zinc_mcp.process import Answer
from zinc_mcp.text import plain
from zinc_mcp.views.parts import View, short
from zinc_mcp.views.sentences import KEY, ORDER_ID, PRACTISED

Reader = Literal["model", "person"]

MAX_ITEMS = 10

_TITLES: dict[State, str] = {
    "waiting": "Waiting for a decision",
    "sending": "Being sent",
    "unknown": "Not known yet",
    "placed": "Zinc has it",
    "failed": "Zinc denied it",
    "rejected": "Not accepted",
    "refused": "Not sent",
    "declined": "Not sent",
}
_WORDS = {"return": "return", "open": "report", "message": "message", "close": "closing of the case"}
_AT_ZINC = {
    "return": ("Zinc has the return, and decides about it.", "labels, decision and credit"),
    "open": ("Zinc's support has the report.", "the answer"),
    "message": ("Zinc's support has the message.", "the answer"),
    "close": ("The case is closed.", "the order"),
}


_PASSED_ON = "Zinc has the return, and passes it on to the retailer, who decides about it."


class ChangeView(View):
    """One change of an order, as every reader is shown it."""

    title: str = Field(exclude=True)
    outcome: str
    """As `outcome_of`."""
    code: str | None
    summary: str
    next_step: str
    new_request: bool | None
    """For a call that asks for a change: whether this call opened it. False: an earlier one is the answer."""
    is_final: bool
    decide_at: str | None
    key: str
    order_id: str | None
    mode: Mode
    return_id: str | None
    case_id: str | None
    status: str | None
    """Zinc's word for its state."""
    reason: str | None
    items: list[dict[str, Any]]


def change_view(answer: Answer, reader: Reader, *, decide_at: str | None = None) -> ChangeView:
    """Return the view of a change. `decide_at` says where the user can decide about a waiting one."""
    entry = answer.entry
    if entry is None:
        raise AssertionError
    summary, next_step = _sentences(entry, decide_at)
    if reader == "person":
        summary, next_step = _for_a_person(entry, summary)
    elif answer.earlier:
        summary = f"This is an earlier {word_for(entry)} for the same: nothing new was sent by this call. {summary}"
    if entry.mode != "live" and not (reader == "person" and entry.state in NOTHING_SENT):
        summary = f"{PRACTISED[entry.mode]} {summary}"
    zinc_id = short(entry.facts.get("zinc_id") or entry.facts.get("case_id"), 100)
    return ChangeView(
        title=_TITLES.get(entry.state, "In doubt"),
        outcome=outcome_of(entry),
        code="outcome_unknown" if entry.state == "unknown" else None,
        summary=summary,
        next_step=next_step,
        new_request=not answer.earlier if reader == "model" else None,
        is_final=entry.state not in OPEN,
        decide_at=decide_at,
        key=entry.key,
        order_id=short(entry.order_id, 100),
        mode=entry.mode,
        return_id=zinc_id if entry.kind == "return" else None,
        case_id=zinc_id if entry.kind == "case" else None,
        status=short(entry.status, 60),
        reason=short(entry.facts.get("reason"), 60),
        items=[
            {"number": row.get("number"), "quantity": row.get("quantity")}
            for row in list(entry.facts.get("items") or ())[:MAX_ITEMS]
        ],
    )


def outcome_of(entry: Entry) -> str:
    """Return the outcome of a change as a result names it: `filed` if Zinc has it, else its state."""
    return "filed" if entry.state == "placed" else entry.state


def word_for(entry: Entry) -> str:
    """Return our word for a change."""
    return _WORDS.get(str(entry.facts.get("action")), NAMES[entry.kind][0])


def is_found(entry: Entry) -> bool:
    """Say whether a change whose answer was lost can be looked up at Zinc: v1 lists no returns."""
    return entry.rail != "v1" or entry.kind != "return"


def row_of(entry: Entry) -> dict[str, Any]:
    """Return a change as one row of its order's view."""
    summary, _ = _sentences(entry, None)
    return {
        "key": entry.key,
        "kind": word_for(entry),
        "outcome": outcome_of(entry),
        "reason": short(entry.facts.get("reason"), 60),
        "summary": summary,
    }


def _sentences(entry: Entry, decide_at: str | None) -> tuple[str, str]:
    word, action = word_for(entry), str(entry.facts.get("action"))
    order = entry.order_id or ""
    known = order if ORDER_ID.fullmatch(order) else entry.key if KEY.fullmatch(entry.key) else None
    look = f"get_order with order_id {known}" if known else "get_order with its order_id"
    why = _why(entry)
    match entry.state:
        case "waiting":
            if is_approved(entry):
                return f"The {word} was approved and is sent soon; nothing has been sent yet.", f"Call {look}."
            return (
                f"The {word} waits for the user's approval; nothing has been sent.",
                f"{decide_at or 'Ask the user to decide.'} Then call {look} and wait_seconds 25.",
            )
        case "sending":
            return f"The {word} is on its way to Zinc; no answer yet.", f"Do not send it again. Call {look}."
        case "unknown" if not is_found(entry):
            return (
                f"The {word} was sent and its outcome is not known: Zinc may or may not have it.",
                "Do not send it again, in whatever words: Zinc's v1 lists no returns, so it cannot be looked up. The "
                "user can look at the retailer's, or ask Zinc; "
                f"{command('orders', 'show', given=[entry.key])} then says how to settle it.",
            )
        case "unknown":
            return (
                f"The {word} was sent and its outcome is not known: Zinc may or may not have it.",
                f"Do not send it again, in whatever words. Call {look} later: it is looked up, and never sent twice. "
                f"The user can ask Zinc; {command('orders', 'show', given=[entry.key])} then says how to settle it.",
            )
        case "placed":
            said, news = _AT_ZINC.get(action, _AT_ZINC["return"])
            said = _PASSED_ON if entry.rail == "v1" and entry.kind == "return" else said
            return said, f"Tell the user. Call {look} another day for {news}."
        case "failed":
            by = "Zinc or the retailer" if entry.rail == "v1" else "Zinc"
            return f"{by} denied the return.", "Tell the user. report_problem asks Zinc's support about the order."
        case "rejected":
            return f"Zinc did not take the {word}: nothing was changed.{why}", "Tell the user."
        case "refused":
            return f"The {word} was not sent.{why}", f"{NAMES[entry.kind][1]} if it is still wanted."
        case "declined":
            return "The user said no: nothing was sent.", "Do not ask for it again unless the user wants it."
        case _:
            return f"How the {word} stands is not known.", f"Call {look}."


def _why(entry: Entry) -> str:
    summary = (entry.problem or {}).get("summary")  # a sentence of ours
    return f" {plain(summary, 300)}" if isinstance(summary, str) and summary else ""


def _for_a_person(entry: Entry, summary: str) -> tuple[str, str]:
    if entry.state == "waiting":
        if reference_of(entry) is not None:
            return "Nothing has been sent.", ""
        if is_approved(entry):
            return "The answer was yes. It is sent as soon as a server that can do it sees that.", ""
        return "Nothing has been sent yet.", ""
    if entry.state == "declined":
        return "The answer was no. Nothing was sent.", ""
    if entry.state == "unknown":
        looks = "is looked up again and again, and" if is_found(entry) else "cannot be looked up with Zinc's v1, and is"
        return summary, f"It {looks} never sent a second time. Zinc can say whether it has it."
    return summary, ""
