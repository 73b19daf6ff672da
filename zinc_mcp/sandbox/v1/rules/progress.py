"""The state of an order of Zinc v1, computed from its row, the time, the pace and the number of looks at it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isinf
from typing import Any, Literal

from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.products import DELIVERED_SECONDS, TRACKED_SECONDS
from zinc_mcp.sandbox.v1.rules.bill import Bill, bill_of
from zinc_mcp.sandbox.v1.rules.codes import REVIEWED, RUNNING

QUEUE_SECONDS = 14_400
"""The longest time that a managed order waits for an account by default ("Create Order", `addax_queue_timeout`)."""
ABORT_SECONDS = 2.0
"""The time that an abort with the course `later` takes."""
_REVIEW_FROM = 1.0

Stage = Literal["processing", "review", "failed", "aborted", "placed"]


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of one order. Ages are seconds at pace 1."""

    stage: Stage
    code: str | None
    """The code of the error object that a GET shows; None if it is placed."""
    data: dict[str, Any]
    bill: Bill
    age: float
    since: float
    """The age at which it came to this stage."""

    @property
    def is_bought(self) -> bool:
        """Whether the retailer has the order, whatever a GET shows."""
        return self.stage == "placed" or (self.stage == "failed" and self.bill.course.bought)

    @property
    def is_tracked(self) -> bool:
        """Whether a parcel is on its way."""
        cancelled = self.bill.course.cancelled_at
        return self.stage == "placed" and cancelled is None and self.age >= self.since + TRACKED_SECONDS

    @property
    def is_delivered(self) -> bool:
        """Whether the parcels have arrived."""
        return self.is_tracked and self.age >= self.since + DELIVERED_SECONDS


def progress_of(row: OrderRow, now: float, pace: float, looks: int) -> Progress:
    """Return the state of an order after a number of looks at it."""
    age, bill = age_at(row, now, pace), bill_of(row.body)
    decided_at, code, data = _end(row.body, bill)
    if looks < bill.course.looks:
        decided_at = inf
    if (aborted_at := _aborted_at(row, bill, pace)) < decided_at:
        if age >= aborted_at:
            told = {"msg": "Order aborted and dequeued"}
            return Progress("aborted", "aborted_request", told, bill, age, aborted_at)
        decided_at = inf
    if age >= decided_at:
        return Progress("failed" if code else "placed", code, data, bill, age, decided_at)
    if _REVIEW_FROM <= age < bill.course.reviewed_until:
        return Progress("review", REVIEWED, {}, bill, age, _REVIEW_FROM)
    return Progress("processing", RUNNING, {}, bill, age, 0.0)


def age_at(row: OrderRow, at: float, pace: float) -> float:
    """Return the age of an order at a time, in seconds at pace 1, to the millisecond."""
    return max(0.0, round((at - row.created_at) * pace, 3))


def _end(body: Mapping[str, Any], bill: Bill) -> tuple[float, str | None, dict[str, Any]]:
    """Return the age at which an order ends, and its failing code with the data."""
    course = bill.course
    wait = course.queue_seconds if body.get("addax") else 0.0
    given = body.get("addax_queue_timeout")
    patience = QUEUE_SECONDS if given is None else given
    if wait > patience:
        return float(patience), "zma_temporarily_overloaded", {"addax_queue_timeout": patience}
    failure = course.failure if course.bought else bill.failure
    return course.decided_at + (0.0 if isinf(wait) else wait), failure, bill.data


def _aborted_at(row: OrderRow, bill: Bill, pace: float) -> float:
    """Return the age at which an abort has its effect."""
    if row.cancelled_at is None or bill.course.abort == "never":
        return inf
    later = ABORT_SECONDS if bill.course.abort == "later" else 0.0
    return age_at(row, row.cancelled_at, pace) + later
