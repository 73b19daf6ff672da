"""An order as it stands at a time: a pure function of its ledger row, the time and the pace."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from zinc_mcp.sandbox.ledger import Row
from zinc_mcp.sandbox.outcome import WORKING_AT, Course, course_of
from zinc_mcp.sandbox.outcomes import concessions, connect_info, job_result, returns
from zinc_mcp.sandbox.parcels import When, parcel
from zinc_mcp.sandbox.products import HOSTILE

_Json = dict[str, Any]


def age_of(row: Row, now: float, pace: float) -> float:
    """Return how many seconds, at pace 1, an order has walked: it stops when it is cancelled."""
    until = now if row.cancelled_at is None else min(now, row.cancelled_at)
    # To the millisecond: near 2**31 a float is not exact enough to reach 3.0 by adding 3.0.
    return max(0.0, round((until - row.created_at) * pace, 3))


def order_at(row: Row, now: float, pace: float, *, events: bool = True) -> _Json:
    """Return the order as OrderResponse (OpenAPI 2026-06-26, SDK 2026.10.16), with keys that no document names.

    Args:
        row: what the ledger knows.
        now: seconds since the epoch.
        pace: how many times faster than usual it advances.
        events: whether tracking numbers carry their checkpoints.
    """
    age, course, when = age_of(row, now, pace), course_of(row.body), _calendar(row, pace)
    body, scenario, status = row.body, course.scenario, _status(row, age, course)
    changed = when(max([at for at, _ in _happened(row, age, course)] + [WORKING_AT] * (age >= WORKING_AT)))
    items = _items(row, age, status, course, when, changed)
    tracking = None
    if status == "order_placed" and scenario.decided_at is not None and scenario.cancelled_at is None:
        inside = [item["id"] for item in items if item["status"] != "skipped"]
        tracking = parcel(row.order_id, scenario.decided_at, age, inside, when, events=events, hostile=scenario.hostile)
    if tracking:
        for item in items:
            item["tracking_number_ids"] = [tracking["id"]] if item["status"] != "skipped" else None
    result = job_result(row, status, course, when)
    merchants: list[_Json] = (result["merchant_order_ids"] if result else None) or []
    notified: _Json | None = body.get("customer_notifications")
    wishes: _Json = body.get("fulfillment") or {}
    return {
        "id": row.order_id,
        "status": status,
        "max_price": body["max_price"],
        "attempts": 0 if age < WORKING_AT else 1,
        "items": items,
        "shipping_address": {"address_line2": None, "state": None, "country": "US", **body["shipping_address"]},
        "retailer_credentials_id": body.get("retailer_credentials_id"),
        "retailer_credentials_uuid": None,
        "created_at": when(0),
        "updated_at": changed,
        "metadata": body.get("metadata") or {},
        "po_number": body.get("po_number"),
        "tracking_numbers": [tracking] if tracking else [],
        "created_by": None,
        "user_id": 1,
        "returns": returns(row, age, items, result, scenario, when),
        "handling_days_max": body.get("handling_days_max"),
        "is_gift": body.get("is_gift", False),
        "gift_message": body.get("gift_message"),
        "job_result": result,
        "connect": connect_info(body, status, result),
        "merchant_order_ids": [each["merchant_order_id"] for each in merchants],
        "customer_notifications": {**notified, "delivered": None} if notified else None,
        "payment": None,
        "fulfillment": {**wishes, "concessions": concessions(course, status, items)},
        "cases": [],
        "queue_shard": HOSTILE if scenario.hostile else "practice-1",
    }


def timeline_at(row: Row, now: float, pace: float) -> _Json:
    """Return `GET /orders/{id}/timeline`: derived on read."""
    age, course, when = age_of(row, now, pace), course_of(row.body), _calendar(row, pace)
    return {
        "order_id": row.order_id,
        "current_status": _status(row, age, course),
        "milestones": [
            {
                "type": kind,
                "label": kind.replace("_", " ").capitalize(),
                "occurred_at": when(at),
                "source": "system",
                "detail": None,
            }
            for at, kind in _happened(row, age, course)
        ],
    }


def _calendar(row: Row, pace: float) -> When:
    return lambda at: datetime.fromtimestamp(row.created_at + at / pace, UTC).isoformat()


def _happened(row: Row, age: float, course: Course) -> list[tuple[float, str]]:
    so_far = [each for each in course.milestones if each[0] <= age]
    return so_far if row.cancelled_at is None else [*so_far, (age, "cancelled")]


def _status(row: Row, age: float, course: Course) -> str:
    if row.cancelled_at is not None:
        return "cancelled"
    last = _happened(row, age, course)[-1][1]
    if last == "order_created":
        return "pending" if age < WORKING_AT else course.scenario.working_status
    # order_placed is the end state: shipping shows in items and tracking numbers only.
    return {"order_failed": "order_failed", "cancelled": "cancelled_by_retailer"}.get(last, "order_placed")


def _item_status(row: Row, age: float, status: str, course: Course) -> str:
    if status == "order_placed":
        last = _happened(row, age, course)[-1][1]
        return last if last in ("shipped", "delivered") else "ordered"
    known = {
        "pending": "pending",
        "in_progress": "processing",
        "order_failed": "failed",
        "cancelled": "cancelled",
        "cancelled_by_retailer": "cancelled",
    }
    return known.get(status, "being_inspected")


def _items(row: Row, age: float, status: str, course: Course, when: When, changed: str) -> list[_Json]:
    decided = status in ("order_placed", "cancelled_by_retailer")
    products: list[Mapping[str, Any]] = row.body["products"]
    return [
        {
            "id": str(uuid.uuid5(uuid.UUID(row.order_id), f"item {index}")),
            "url": product["url"],
            # What was asked for: what was bought of it is in the concessions.
            "quantity": product.get("quantity", 1),
            "status": "skipped" if decided and line is None else _item_status(row, age, status, course),
            "created_at": when(0),
            "updated_at": changed,
            "variant": product.get("variant"),
            "condition_in": product.get("condition_in"),
            "condition_not_in": product.get("condition_not_in"),
            "cancellation_reason": "Cancelled by the retailer" if status == "cancelled_by_retailer" else None,
            # Null for sandbox failures too: the reason is in job_result (skill).
            "error_type": None,
            "tracking_number_ids": None,
            "warehouse_hint": None,
        }
        for index, (product, line) in enumerate(zip(products, course.lines, strict=True))
    ]
