"""The view of a list of orders: one short row each, and the money of all that were found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from zinc_mcp.errors import OrderRejectedError, UnreadableAnswerError, ZincMcpError
from zinc_mcp.journal.records.entry import DOUBTFUL, FOREVER, NOTHING_SENT, Entry, Mode, State
from zinc_mcp.journal.records.money import NOT_BOUGHT, told_of
from zinc_mcp.process import Answer
from zinc_mcp.text import plain, printed
from zinc_mcp.views import parts
from zinc_mcp.views.parts import View, short

_PRACTICE = {"test": "with a test key", "sandbox": "in the sandbox"}


class RowView(View):
    """One order. `as_of` is the time of the journal's state, where Zinc did not show the order just now."""

    id: str
    when: str
    what: str | None
    pieces: int | None
    retailer: str | None
    retailer_account: str | None
    status: State
    tracking: str | None
    paid_cents: int | None
    charged_cents: int | None
    """The retailer's price, without Zinc's fee, of an order that was placed elsewhere."""
    credited_cents: int | None
    """The cents that are proved to have come back."""
    held_cents: int | None
    elsewhere: bool | None
    """Whether it was not placed through this journal."""
    unclear: bool | None
    """Whether Zinc shows a status that is not known here, or contradicts itself. `get_order` says more."""
    as_of: str | None


class TotalView(View):
    """The money of the found orders of one mode, in US cents with Zinc's fee."""

    mode: Mode
    orders: int
    spent_cents: int
    credited_cents: int
    """The part of the spent money that is proved to have come back."""
    held_cents: int
    """The most that open and unclear orders may still cost."""
    expected_back_cents: int
    """Paid up front by wallet, due back, and not proved to have come back."""
    printed: dict[str, str]


class NotAskedView(View):
    code: str
    reason: str


class OrderListView(View):
    """A page of a list of orders."""

    outcome: str
    summary: str
    next_step: str
    orders: list[RowView]
    next_page: str | None
    totals: list[TotalView]
    totals_cover: str | None
    unasked: NotAskedView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The reasons why some orders may be missing from a list."""

    unasked: ZincMcpError | None = None
    has_account: bool = True
    zinc_cut: bool = False
    journal_cut: bool = False
    unreadable: int = 0
    parcels_unread: int = 0


def order_list_view(
    shown: Sequence[tuple[float, Answer]],
    matched: Sequence[Answer],
    missing: Missing,
    *,
    modes: Sequence[Mode],
    next_page: str | None,
) -> OrderListView:
    """Return the view of a page.

    Args:
        shown: the rows of this page, each with the time at which it was made.
        matched: all rows that were found.
        missing: the reasons why some may be missing.
        modes: the modes of this process.
        next_page: the name of the next page, if there is one.
    """
    totals = _totals(matched)
    others = sum(row.entry is None for row in matched)
    count = f"{len(matched)} order{'' if len(matched) == 1 else 's'}"
    which = f"; {len(shown)} of them are shown here" if len(shown) < len(matched) else ""
    practice = [_PRACTICE[mode] for mode in modes if mode in _PRACTICE]
    first = f"Practice {' and '.join(practice)}. " if practice and len(practice) == len(modes) else ""
    summary = " ".join([f"{first}{count} found, newest first{which}.", *_why_incomplete(missing)])
    return OrderListView(
        outcome="listed" if missing.unasked is None else "listed_as_last_known",
        summary=summary,
        next_step=_next_step(bool(matched), next_page, missing),
        orders=[_row(at, answer) for at, answer in shown],
        next_page=next_page,
        totals=totals,
        totals_cover=_covered(matched, others) if totals else None,
        unasked=None if missing.unasked is None else _not_asked(missing.unasked),
    )


def _row(at: float, answer: Answer) -> RowView:
    entry, order = answer.entry, answer.order
    items, left_out = parts.items(entry, order, parts.cleaner_of(order))
    state: State = entry.state if entry else order.stage if order else "unknown"
    told = told_of(entry) if entry else None
    paid = told.paid_cents if told else None
    priced = order.job_result.price_components if order and order.job_result else None
    may_cost = told is not None and state not in NOT_BOUGHT and state != "waiting" and paid is None
    pieces = sum(item.quantity for item in items)
    return RowView(
        id=plain((order.id if order else None) or (entry and (entry.order_id or entry.key)) or "", 100),
        when=_moment(at),
        what=next((plain(item.title or item.url, 90) for item in items), None),
        pieces=pieces if (pieces > 1 or left_out) and not left_out else None,
        retailer=short((entry.facts.get("retailer") if entry else None) or _retailer(answer), 60),
        retailer_account=parts.retailer_account(entry),
        status=state,
        tracking=order.tracking_state if order and state == "placed" else None,
        paid_cents=paid if state not in NOT_BOUGHT or paid else None,
        charged_cents=priced.charged_cents if entry is None and priced is not None and state == "placed" else None,
        credited_cents=(told.refunded_cents or None) if told is not None else None,
        held_cents=told.held_cents if told is not None and may_cost else None,
        elsewhere=True if entry is None else None,
        unclear=True if order is not None and order.is_unclear else None,
        as_of=_moment(entry.updated_at) if entry and order is None and state not in _WITHOUT_NEWS else None,
    )


_WITHOUT_NEWS = NOTHING_SENT | {"waiting", "rejected"}
"""States about which Zinc has no news."""


def _retailer(answer: Answer) -> str | None:
    from zinc_mcp.zinc.product_urls.reading import retailer_in

    return retailer_in(answer.order.items[0].url) if answer.order and answer.order.items else None


def _moment(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return "unknown"


def _totals(matched: Sequence[Answer]) -> list[TotalView]:
    """Return the money of the entries, mode by mode: practice and real money are never added up."""
    found: list[TotalView] = []
    entries = [row.entry for row in matched if row.entry is not None]
    modes: list[Mode] = sorted({entry.mode for entry in entries})
    for mode in modes:
        own = [entry for entry in entries if entry.mode == mode]
        cents = {
            "spent": sum(_spent(entry) for entry in own),
            "credited": sum(_credited(entry) for entry in own),
            "held": sum(_held(entry) for entry in own),
            "expected_back": sum(_expected_back(entry) for entry in own),
        }
        amounts: dict[str, Any] = {f"{name}_cents": amount for name, amount in cents.items()}
        as_read = {name: printed(amount) for name, amount in cents.items()}
        found.append(TotalView(mode=mode, orders=len(own), printed=as_read, **amounts))
    return found


def _spent(entry: Entry) -> int:
    told = told_of(entry)
    return told.paid_cents or 0 if entry.state == "placed" else 0


def _credited(entry: Entry) -> int:
    told = told_of(entry)
    if entry.state != "placed" or told.refunded_cents is None:
        return 0
    if told.up_front_cents is None or told.paid_cents is None:
        return told.refunded_cents
    # A wallet pays more up front than is spent. The return of that rest is no credit.
    rest = told.up_front_cents - told.paid_cents - (told.expected_back_cents or 0)
    return max(0, told.refunded_cents - rest)


def _held(entry: Entry) -> int:
    told = told_of(entry)
    is_open = entry.state in FOREVER | DOUBTFUL | {"accepted"}
    if is_open or (entry.state == "placed" and told.paid_cents is None):
        return max(0, max(told.held_cents, told.up_front_cents or 0) - (told.refunded_cents or 0))
    return 0


def _expected_back(entry: Entry) -> int:
    told = told_of(entry)
    if told.up_front_cents is None or entry.state == "paid_no_order":
        return 0
    return told.expected_back_cents or 0


def _covered(matched: Sequence[Answer], others: int) -> str:
    told = "All orders found, not only those shown here, with Zinc's fee."
    if any(row.entry is not None and not row.entry.fee_is_known for row in matched):
        told = f"{told[:-1]} (without it for orders of Zinc's v1, which does not tell it)."
    if not others:
        return told
    count = f"{others} order{'' if others == 1 else 's'}"
    return f"{told} Without {count} placed elsewhere with the same account: what those cost is not known here."


def _why_incomplete(missing: Missing) -> list[str]:
    said: list[str] = []
    if missing.unasked is not None:
        said.append(f"Zinc could not be asked for all of it: {missing.unasked.summary} So some are as last known here.")
    if not missing.has_account:
        said.append("No Zinc account is asked for this list, so it is what the journal here knows.")
    if missing.zinc_cut and missing.unasked is None:
        said.append("Zinc has more orders than are read at once, so older ones may be missing.")
    if missing.journal_cut:
        said.append("The journal has more orders than are looked at at once, so older ones may be missing.")
    if missing.unreadable:
        said.append(f"{missing.unreadable} rows of Zinc's list could not be read.")
    if missing.parcels_unread:
        said.append(f"{missing.parcels_unread} placed orders are left out because their parcels were not read.")
    return said


def _next_step(is_any: bool, next_page: str | None, missing: Missing) -> str:
    steps: list[str] = []
    if next_page is not None:
        steps.append("Call list_orders again with the same filters and page set to next_page for more.")
    if missing.zinc_cut or missing.journal_cut:
        steps.append("Narrow since and until to see the others.")
    if isinstance(missing.unasked, UnreadableAnswerError):
        steps.append("Call list_orders again in a minute; since and until make Zinc's list shorter.")
    elif missing.unasked is not None:
        steps.append(missing.unasked.next_step)
    elif is_any:
        steps.append("get_order with an id shows one order.")
    return " ".join(steps) or "Tell the user."


def _not_asked(error: ZincMcpError) -> NotAskedView:
    code = "zinc_unavailable" if isinstance(error, OrderRejectedError) else error.code
    return NotAskedView(code=code, reason=error.summary)
