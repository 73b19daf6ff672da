"""An order as it stands at a time: a pure function of its ledger row, the time and the pace."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from zinc_mcp.sandbox.catalogue import Scenario, Trouble
from zinc_mcp.sandbox.course import DELIVERED_AT, SHIPPED_AT, WORKING_AT, Course, course_of
from zinc_mcp.sandbox.ledger import Row
from zinc_mcp.sandbox.parcels import parcel
from zinc_mcp.sandbox.prices import ORDER_FEE, price_components

_Json = dict[str, Any]


def age_of(row: Row, now: float, pace: float) -> float:
    """Return how many seconds, at pace 1, an order has walked: it stops when it is cancelled."""
    until = now if row.cancelled_at is None else min(now, row.cancelled_at)
    return max(0.0, (until - row.created_at) * pace)


def order_at(row: Row, now: float, pace: float, *, events: bool = True) -> _Json:
    """Return the order as OrderResponse (OpenAPI 2026-06-26, SDK 2026.10.16), with keys that no document names."""
    age, course, body = age_of(row, now, pace), course_of(row.body), row.body
    scenario = course.scenario
    status = _status(row, age, course)

    def when(at: float) -> str:
        return datetime.fromtimestamp(row.created_at + at / pace, UTC).isoformat()

    items = _items(row, age, status, course, when)
    placed = status == "order_placed"
    tracking = None
    if placed and scenario.shipped and scenario.cancelled_at is None:
        inside = [item["id"] for item in items if item["status"] != "skipped"]
        tracking = parcel(row.order_id, age, inside, when, events=events, hostile=scenario.hostile)
        if tracking:
            for item in items:
                item["tracking_number_ids"] = [tracking["id"]] if item["id"] in inside else None
    job_result = _job_result(row, status, course, when)
    return {
        "id": row.order_id,
        "status": status,
        "max_price": body["max_price"],
        "attempts": 0 if age < WORKING_AT else 1,
        "items": items,
        "shipping_address": _address(body["shipping_address"]),
        "retailer_credentials_id": body.get("retailer_credentials_id"),
        "retailer_credentials_uuid": None,
        "created_at": when(0),
        "updated_at": when(max(each["at"] for each in milestones_of(row, age, course))),
        "metadata": body.get("metadata") or {},
        "po_number": body.get("po_number"),
        "tracking_numbers": [tracking] if tracking else [],
        "created_by": None,
        "user_id": 1,
        "returns": _returns(row, age, items, job_result, scenario, when),
        "handling_days_max": body.get("handling_days_max"),
        "is_gift": body.get("is_gift", False),
        "gift_message": body.get("gift_message"),
        "job_result": job_result,
        "connect": _connect(body, status, job_result),
        "merchant_order_ids": [f"ZINC-TEST-{row.order_id[:8]}"] if job_result and job_result["success"] else [],
        "customer_notifications": {**body["customer_notifications"], "delivered": None}
        if body.get("customer_notifications")
        else None,
        "payment": None,
        "fulfillment": {**(body.get("fulfillment") or {}), "concessions": _concessions(course, status, items)},
        "cases": [],
        "queue_shard": "practice-1",
    }


def milestones_of(row: Row, age: float, course: Course) -> list[_Json]:
    """Return what has happened so far as `{type, at}`, oldest first; `at` in seconds of age."""
    scenario = course.scenario
    found = [{"type": "order_created", "at": 0.0}]
    if row.cancelled_at is not None:
        return [*found, {"type": "cancelled", "at": age}]
    decided = scenario.decided_at
    if decided is None or age < decided:
        return found
    if course.failure:
        return [*found, {"type": "order_failed", "at": decided}]
    found.append({"type": "order_placed", "at": decided})
    if scenario.cancelled_at is not None:
        return [*found, {"type": "cancelled", "at": scenario.cancelled_at}] if age >= scenario.cancelled_at else found
    later = [("tracking_acquired", 5.0), ("shipped", SHIPPED_AT), ("delivered", DELIVERED_AT)]
    return found + [{"type": kind, "at": max(at, decided)} for kind, at in later if age >= max(at, decided)]


def timeline_at(row: Row, now: float, pace: float) -> _Json:
    """Return `GET /orders/{id}/timeline`: derived on read."""
    age, course = age_of(row, now, pace), course_of(row.body)
    return {
        "order_id": row.order_id,
        "current_status": _status(row, age, course),
        "milestones": [
            {
                "type": each["type"],
                "label": each["type"].replace("_", " ").capitalize(),
                "occurred_at": datetime.fromtimestamp(row.created_at + each["at"] / pace, UTC).isoformat(),
                "source": "system",
                "detail": None,
            }
            for each in milestones_of(row, age, course)
        ],
    }


def _status(row: Row, age: float, course: Course) -> str:
    scenario = course.scenario
    if row.cancelled_at is not None:
        return "cancelled"
    if age < WORKING_AT:
        return "pending"
    if scenario.decided_at is None or age < scenario.decided_at:
        return scenario.working_status
    if course.failure:
        return "order_failed"
    if scenario.cancelled_at is not None and age >= scenario.cancelled_at:
        return "cancelled_by_retailer"
    return "order_placed"


def _item_status(age: float, status: str, course: Course) -> str:
    if status in ("cancelled", "cancelled_by_retailer"):
        return "cancelled"
    if status == "order_placed":
        if course.scenario.cancelled_at is not None or age < SHIPPED_AT:
            return "ordered"
        return "shipped" if age < DELIVERED_AT else "delivered"
    return {"pending": "pending", "in_progress": "processing", "order_failed": "failed"}.get(status, "inspecting")


def _items(row: Row, age: float, status: str, course: Course, when: Callable[[float], str]) -> list[_Json]:
    # Item ids are drawn from the order's: the same on every read. error_type stays null in the sandbox (skill).
    decided = status in ("order_placed", "cancelled_by_retailer")
    return [
        {
            "id": str(uuid.uuid5(uuid.UUID(row.order_id), f"item {index}")),
            "url": product["url"],
            "quantity": product.get("quantity", 1),
            "status": "skipped" if decided and line is None else _item_status(age, status, course),
            "created_at": when(0),
            "updated_at": when(min(age, DELIVERED_AT)),
            "variant": product.get("variant"),
            "condition_in": product.get("condition_in"),
            "condition_not_in": product.get("condition_not_in"),
            "cancellation_reason": "Cancelled by the retailer" if status == "cancelled_by_retailer" else None,
            "error_type": None,
            "tracking_number_ids": None,
            "warehouse_hint": None,
        }
        for index, (product, line) in enumerate(zip(row.body["products"], course.lines, strict=True))
    ]


def _job_result(row: Row, status: str, course: Course, when: Callable[[float], str]) -> _Json | None:
    if status == "order_failed" and (trouble := course.failure):
        return {**_JOB, "success": False, "error": trouble.message, **_failure(trouble, row.body, course.scenario)}
    if status not in ("order_placed", "cancelled_by_retailer"):
        return None
    merchant = {
        "merchant_order_id": f"ZINC-TEST-{row.order_id[:8]}",
        "merchant": "zinc",
        "account": "buyer@sandbox.invalid",
        "placed_at": when(course.scenario.decided_at or 0),
    }
    return {
        **_JOB,
        "success": True,
        "price_components": price_components(course.bought, row.body["max_price"], course.scenario),
        "estimated_delivery": when(DELIVERED_AT),
        "merchant_order_ids": [merchant],
    }


_JOB: _Json = {
    "success": None,
    "error": None,
    "error_type": None,
    "error_details": None,
    "price_components": None,
    "estimated_delivery": None,
    "merchant_order_ids": None,
    # Internal keys may appear (SDK: open object). Nobody may show them.
    "internal": {"worker": "must-not-leak", "proxy": "must-not-leak"},
}


def _failure(trouble: Trouble, body: Mapping[str, Any], scenario: Scenario) -> _Json:
    url = body["products"][0]["url"]
    details: _Json = {
        "code": trouble.code,
        "message": trouble.message,
        "url": url,
        "address_validation_reasons": [trouble.message] if trouble.code == "shipping_unavailable" else [],
        "field_errors": [],
        "line_rejections": [],
        "screenshot": None,
    }
    if scenario.unbuyable:
        rejection = {"url": url, "requested_quantity": 1, "available_quantity": 0, "codes": [trouble.code]}
        details["line_rejections"] = [{**rejection, "product_id": None, "messages": [trouble.message]}]
    if scenario.hostile:
        details["field_errors"] = [
            {"field": trouble.message, "code": "invalid", "message": trouble.message, "received": 1, "expected": None}
        ]
    return {"error_type": trouble.code, "error_details": details}


def _concessions(course: Course, status: str, items: list[_Json]) -> list[_Json]:
    if status not in ("order_placed", "cancelled_by_retailer"):
        return []
    blank = {"message": None, "item_id": None, "url": None, "requested_quantity": None, "fulfilled_quantity": None}
    return [
        {
            **blank,
            **{name: value for name, value in each.items() if name != "item"},
            "item_id": items[each["item"]]["id"] if "item" in each else None,
        }
        for each in course.concessions
    ]


def _returns(
    row: Row, age: float, items: list[_Json], job: _Json | None, scenario: Scenario, when: Callable[[float], str]
) -> list[_Json]:
    credited = scenario.returned_at
    if credited is None or job is None or not job["price_components"] or age < credited - 2:
        return []
    done = age >= credited
    return [
        {
            "id": str(uuid.uuid5(uuid.UUID(row.order_id), "return")),
            "status": "credited" if done else "open",
            "reason": "defective",
            "created_at": when(credited - 2),
            "updated_at": when(credited if done else credited - 2),
            "notes": None,
            "resolution_notes": None,
            "items": [{"order_item_id": item["id"], "quantity": item["quantity"]} for item in items],
            "label_urls": [],
            "credited_amount": job["price_components"]["total"] if done else 0,
        }
    ]


def _connect(body: Mapping[str, Any], status: str, job: _Json | None) -> _Json | None:
    payment: _Json = body.get("payment") or {}
    if payment.get("mode") != "connect":
        return None
    if job is None or not job["success"]:
        gone = status in ("order_failed", "cancelled")
        return {
            "state": "released" if gone else "secured",
            "secured_amount": body["max_price"] + ORDER_FEE,
            "simulated": True,
        }
    price: _Json = job["price_components"] or {}
    cost = price.get("total")
    return {
        "state": "captured",
        "secured_amount": body["max_price"] + ORDER_FEE,
        "order_cost": cost,
        "zinc_fee": ORDER_FEE,
        "final_charge": None if cost is None else cost + ORDER_FEE,
        "simulated": True,
    }


def _address(given: Mapping[str, Any]) -> _Json:
    blank = {"address_line2": None, "state": None, "country": "US"}
    return {**blank, **given}
