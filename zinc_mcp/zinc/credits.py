"""Returns and cases as an order shows them, and what they have refunded (OrderResponse, SDK 2026.10.16)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import Field

from zinc_mcp.zinc.answers import Answer, Count, Credit, Currency, Moment, Rows, Text


@dataclass(frozen=True, slots=True)
class ManagedCredit:
    """Money that a transaction of Zinc's managed accounts (v1) gave back for one order."""

    order_id: str
    cents: int
    at: str | None


class ReturnItem(Answer):
    order_item_id: Text = ""
    quantity: Count = 1


_NOTHING_GIVEN_BACK = frozenset({"open", "requested", "pending", "denied", "rejected"})
"""States of a return whose credit is 0 (ReturnResponse, SDK 2026.10.16), and other names for them."""


class ReturnSummary(Answer):
    """One return as its order shows it."""

    id: Text = ""
    order_id: Text = Field("", exclude=True)
    """Its order, where it is named (not documented for the returns of an order)."""
    status: Text = "open"
    reason: Text = "other"
    notes: Text | None = None
    resolution_notes: Text | None = None
    items: Rows[ReturnItem] = []
    label_urls: Rows[Text] = []
    created_at: Moment | None = None
    updated_at: Moment | None = None
    credited_amount: Credit = 0
    currency: Currency = Field(None, exclude=True)
    """Undocumented: credits are US cents; one that says otherwise is not counted."""

    @property
    def is_credit(self) -> bool:
        """Whether its amount can be US cents that were refunded."""
        said = self.status.casefold() if "status" in self.model_fields_set else ""
        return (self.currency or "USD") == "USD" and said not in _NOTHING_GIVEN_BACK


class CaseSummary(Answer):
    """One case as its order shows it."""

    id: Text = ""
    order_id: Text = Field("", exclude=True)
    """Its order, where it is named."""
    status: Text = "open"
    reason: Text = "other"
    return_request_id: Text | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None
    closed_at: Moment | None = None
    credited_amount: Credit = 0
    currency: Currency = Field(None, exclude=True)
    """Undocumented: credits are US cents; one that says otherwise is not counted."""

    @property
    def is_credit(self) -> bool:
        """Whether its amount can be US cents that were refunded. An open case may have refunded something as well."""
        return (self.currency or "USD") == "USD" and self.status.casefold() not in ("denied", "rejected")


def without_others(order: object) -> object:
    """Return an order's answer without returns and cases that name another order: they say nothing about this one."""
    if not isinstance(order, Mapping):
        return order
    parts = cast(Mapping[str, Any], order)
    kept: dict[str, Any] = dict(parts)
    for name, rows in _lists(parts):
        kept[name] = [row for row in rows if not _is_another(row, parts)]
    return kept


def credited(returns: Sequence[ReturnSummary], cases: Sequence[CaseSummary]) -> int:
    """Return the cents that returns and cases have refunded so far.

    Each counts once, and by its lowest amount if an answer shows it with several. A case about a return may repeat what
    that return has refunded, so of the two the higher amount counts.
    """
    by_return, by_case = _lowest(returns), _lowest(cases)
    about = {_name(case, number): case.return_request_id or "" for number, case in enumerate(cases)}
    for name, cents in by_case.items():
        if about[name]:
            by_return[about[name]] = max(by_return.get(about[name], 0), cents)
    return sum(by_return.values()) + sum(cents for name, cents in by_case.items() if not about[name])


def _lowest(given_back: Sequence[ReturnSummary | CaseSummary]) -> dict[str, int]:
    """Return the cents that each return or case has certainly refunded, by its id."""
    cents: dict[str, int] = {}
    for number, each in enumerate(given_back):
        if each.is_credit:
            name = _name(each, number)
            cents[name] = min(cents.get(name, each.credited_amount), each.credited_amount)
    return cents


def _name(each: ReturnSummary | CaseSummary, number: int) -> str:
    return each.id or f"number {number}"


def _lists(order: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    found = [(name, order.get(name)) for name in ("returns", "cases")]
    return [(name, cast(list[Any], rows)) for name, rows in found if isinstance(rows, list)]


def _is_another(row: object, order: Mapping[str, Any]) -> bool:
    """Say whether a return or case names another order than the one that it came with."""
    named: object = cast(Mapping[str, Any], row).get("order_id") if isinstance(row, Mapping) else None
    return named is not None and named != "" and str(named).lower() != str(order.get("id")).lower()
