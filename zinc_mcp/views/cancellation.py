"""The view of a cancellation: its outcome, the state of the order, and other ways."""

from collections.abc import Collection
from typing import Any, Literal

from zinc_mcp.journal.records.cancellation import How
from zinc_mcp.journal.records.entry import Mode, State
from zinc_mcp.journal.records.money import NOT_BOUGHT
from zinc_mcp.process import Answer
from zinc_mcp.views.after_sale import cancellations, has_unasked_parts
from zinc_mcp.views.change import ChangeView, change_view
from zinc_mcp.views.order import OrderView, UnaskedView, order_view
from zinc_mcp.views.parts import View
from zinc_mcp.views.sentences import PRACTISED

_OPEN: frozenset[How] = frozenset({"not_proved", "not_known", "stopping", "attempting"})


class CancellationView(View):
    """One call of `cancel_order`."""

    outcome: State
    """The state of the order, as `get_order` tells it."""
    cancellation: Literal["cancelled", "withdrawn", "not_cancelled", "unknown", "partly"]
    summary: str
    next_step: str
    order_id: str | None
    key: str | None
    status: str | None
    mode: Mode
    unasked: UnaskedView | None
    parts: list[dict[str, Any]]
    """For a placed order of v1: the outcome for each of the retailer's orders."""


def cancellation_view(
    how: How, answer: Answer, *, mode: Mode, now: float, tools: Collection[str] = ()
) -> CancellationView:
    """Return the view of a cancellation.

    Args:
        how: its ending.
        answer: the order as it is now.
        mode: the mode of this process, for an order without an entry.
        now: seconds since the epoch.
        tools: the names of the tools that this server lists.
    """
    view = order_view(answer, "look", mode=mode, now=now)
    is_read = answer.order is not None
    has_unasked = has_unasked_parts(answer.order, answer.entry)
    first = _over(view) if how == "over" else _UNREAD.get(how, _FIRST[how]) if not is_read else _FIRST[how]
    return CancellationView(
        outcome=view.outcome,
        cancellation=_ended(how, view, is_read=is_read),
        summary=_summary(how, first, view),
        next_step=_next_step(how, view, tools, is_read=is_read, has_unasked=has_unasked),
        order_id=view.order_id,
        key=view.key,
        status=view.status,
        mode=view.mode,
        unasked=view.unasked,
        parts=cancellations(answer.entry),
    )


def _summary(how: How, first: str, view: OrderView) -> str:
    if how == "withdrawn":
        return first
    if how == "retailer_cancelled":  # the order's own sentences say that it is placed
        return first if view.mode == "live" else f"{PRACTISED[view.mode]} {first}"
    summary = view.summary
    for row in view.requests if how in _STEPS or how == "retailer_refused" else ():  # `first` says it already
        summary = summary.replace(str(row["summary"]), "")
    return f"{first} {' '.join(summary.split())}".strip()


class ChangeCancellationView(ChangeView):
    """One call of `cancel_order` with the key of a return or report."""

    cancellation: Literal["withdrawn", "not_cancelled"]


def change_cancellation_view(answer: Answer) -> ChangeCancellationView:
    """Return the view of a return or report whose question was to be withdrawn."""
    view = {**dict(change_view(answer, "model")), "new_request": None}  # this call asks for none
    entry = answer.entry
    if entry is not None and (entry.problem or {}).get("code") == "withdrawn":
        said = {"cancellation": "withdrawn", "summary": _WITHDRAWN, "next_step": "Tell the user."}
        return ChangeCancellationView.model_validate({**view, **said})
    first = "Not cancelled: only a return or report that waits for the user can be withdrawn."
    said = {"cancellation": "not_cancelled", "summary": f"{first} {view['summary']}"}
    return ChangeCancellationView.model_validate({**view, **said})


def _ended(
    how: How, view: OrderView, *, is_read: bool
) -> Literal["cancelled", "withdrawn", "not_cancelled", "unknown", "partly"]:
    if how == "withdrawn":
        return "withdrawn"
    if view.outcome == "cancelled" or how == "retailer_cancelled":
        return "cancelled"
    if how == "partly":
        return "partly"
    return "unknown" if how in _OPEN or (how in _UNREAD and not is_read) else "not_cancelled"


_WITHDRAWN = "The question to the user was withdrawn: nothing was sent. A yes to it counts no more."
_UNREAD: dict[How, str] = {
    "too_late": "Zinc says that the order cannot be cancelled any more: it is past that, or was cancelled before.",
}
"""The first sentence where the order could not be read after Zinc's answer."""
_FIRST: dict[How, str] = {
    "withdrawn": "The question to the user was withdrawn: nothing was sent and nothing was bought. A yes to it counts "
    "no more.",
    "cancelled": "",
    "over": "",
    "too_late": "Not cancelled: Zinc cancels an order only while it is pending, and this one no longer is.",
    "not_taken": "Not cancelled: Zinc did not take the cancellation.",
    "not_proved": "Zinc said that it took the cancellation, but does not show the order as cancelled, so do not count "
    "on it.",
    "not_known": "A request to cancel the order was sent to Zinc, and it is not known whether it arrived: "
    "no clear answer came, and the order is not shown as cancelled.",
    "ask_zinc": "Not cancelled: no key that is kept here is allowed to cancel this order. Zinc itself may be able to.",
    "elsewhere": "Not cancelled: the order was placed in a way that is not set up here (another key, wallet, mode or "
    "address of Zinc), so Zinc was not asked.",
    "in_doubt": "Not cancelled: it is not known whether there is an order, and what is in doubt cannot be cancelled.",
    "approved": "Not cancelled: the user's yes came first, and the order has not been sent yet.",
    "no_time": "Not cancelled: finding the order took all the time of this call, so Zinc was not asked.",
    "preparing": "Not cancelled: another call is preparing this order just now.",
    "stopping": "Zinc was asked to stop the order, and still works on it: it may be stopped, or be placed.",
    "attempting": "The retailer was asked to cancel the order and has not decided, so count on neither.",
    "retailer_cancelled": "Zinc says that the retailer has cancelled the order. Zinc still shows the order itself as "
    "placed, and that proves no refund: the price still counts in the owner's limits.",
    "partly": "Only a part is cancelled: the retailer has split the order, and parts says what became of each that was "
    "asked for.",
    "retailer_refused": "Not cancelled: Zinc says that the retailer did not cancel it.",
    "not_there": "Not cancelled: it is placed, and Zinc's v1 cancels placed orders of amazon.com and amazon.co.uk "
    "alone.",
    "no_number": "Not cancelled: it is placed, and Zinc does not show the retailer's number of it, which v1 needs.",
}


_AGAIN = "Asking again is safe: call cancel_order once more, or look with get_order, in a minute."
_REFUNDED = "Tell the user. Refunds that Zinc has credited are in get_balance; others come from the retailer."
_REST = "Not every part of the order was asked for: call cancel_order again, which asks for the others. "
_STEPS: dict[How, str] = {
    "attempting": "Tell the user. Look with get_order later what the retailer decides; that can take days.",
    "retailer_cancelled": _REFUNDED,
    "partly": _REFUNDED,
    "no_number": "Look with get_order in a minute; once merchant_order_ids shows it, call cancel_order again.",
    "not_there": "Tell the user. The retailer can be asked; for an order of a managed account report_problem asks "
    "Zinc's support.",
}
"""The next step after an ending that only v1 has."""


def _over(view: OrderView) -> str:
    if view.outcome == "cancelled":
        return "It was cancelled before this call."
    if view.outcome == "placed":
        return "Not cancelled: the retailer has the order, and Zinc cancels an order only while it is pending."
    return "There is nothing to cancel."


def _next_step(how: How, view: OrderView, tools: Collection[str], *, is_read: bool, has_unasked: bool) -> str:
    if how == "withdrawn":
        return "Tell the user. Place the order again only if they want that."
    if view.outcome in NOT_BOUGHT or how in ("in_doubt", "approved"):
        return view.next_step
    if how in ("preparing", "no_time"):
        return "Call cancel_order again in a few seconds."
    if how in _UNREAD and not is_read:
        return "Look with get_order in a minute how it stands; then tell the user."
    if how in _STEPS:
        return f"{_REST if has_unasked else ''}{_STEPS[how]}"
    if how == "not_known" and any(row["kind"] == "cancellation" for row in view.requests):
        return _AGAIN
    if view.outcome == "placed" and how in _OPEN:
        return "Tell the user. Look with get_order another time: Zinc may still cancel it."
    if how in _OPEN or (how == "not_taken" and view.outcome == "accepted"):
        return _AGAIN
    if how == "ask_zinc" and view.outcome == "accepted":
        return "Tell the user to ask Zinc to cancel it, with the order's id."
    if how == "elsewhere":
        return "Tell the user to cancel it where it was ordered, or to ask Zinc with the order's id."
    return f"{_REST if has_unasked else ''}Tell the user. {_instead(tools)}"


def _instead(tools: Collection[str]) -> str:
    """Return a sentence about other ways for an order that cannot be cancelled."""
    back = "with return_order" if "return_order" in tools else "through Zinc"
    case = "with report_problem" if "report_problem" in tools else "by the user"
    return f"What has arrived can be sent back {back}; Zinc's support can be asked {case}."
