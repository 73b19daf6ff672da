"""How an order ended: its job result, concessions, credited returns and the simulated Connect charge."""

import uuid
from collections.abc import Mapping
from typing import Any

from zinc_mcp.sandbox.ledger import Row
from zinc_mcp.sandbox.outcome import DELIVERED, Course
from zinc_mcp.sandbox.parcels import When
from zinc_mcp.sandbox.prices import ORDER_FEE, price_components
from zinc_mcp.sandbox.products import HOSTILE, Scenario, Trouble

_Json = dict[str, Any]

_BOUGHT = ("order_placed", "cancelled_by_retailer")


def job_result(row: Row, status: str, course: Course, when: When) -> _Json | None:
    """Return JobResult: null while processing and for an order that was cancelled before."""
    blank: _Json = {
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
    scenario = course.scenario
    if status == "order_failed" and (trouble := course.failure):
        failed = {"success": False, "error": trouble.message, "error_type": trouble.code}
        return {**blank, **failed, "error_details": _error_details(trouble, row.body, scenario)}
    if status not in _BOUGHT or scenario.decided_at is None:
        return None
    return {
        **blank,
        "success": True,
        "price_components": price_components(course.bought, row.body["max_price"], scenario),
        "estimated_delivery": HOSTILE if scenario.hostile else when(scenario.decided_at + DELIVERED),
        # The keys are not documented in v2: those of v1 (V1 Retrieve an order). The account may be an e-mail address.
        "merchant_order_ids": [
            {
                "merchant_order_id": HOSTILE if scenario.hostile else f"ZINC-TEST-{row.order_id[:8]}",
                "merchant": "zinc",
                "account": "must-not-leak@sandbox.invalid",
                "placed_at": when(scenario.decided_at),
            }
        ],
    }


def _error_details(trouble: Trouble, body: Mapping[str, Any], scenario: Scenario) -> _Json:
    product = body["products"][0]
    rejection = {
        "url": product["url"],
        "product_id": None,
        "requested_quantity": product.get("quantity", 1),
        "available_quantity": 0,
        "codes": [trouble.code],
        "messages": [trouble.message],
    }
    complaint = {"field": trouble.message, "code": "invalid", "message": trouble.message, "received": 1}
    return {
        "code": trouble.code,
        "message": trouble.message,
        "url": product["url"],
        "address_validation_reasons": [trouble.message] if trouble.code == "shipping_unavailable" else [],
        "field_errors": [{**complaint, "expected": None}] if scenario.hostile else [],
        "line_rejections": [rejection] if scenario.unbuyable or scenario.hostile else [],
        "screenshot": None,
    }


def concessions(course: Course, status: str, items: list[_Json]) -> list[_Json]:
    """Return what was given up for the order's best efforts: empty while processing and when it failed."""
    if status not in _BOUGHT:
        return []
    blank = {"message": None, "item_id": None, "url": None, "requested_quantity": None, "fulfilled_quantity": None}
    return [
        {**blank, **each.as_json(), "item_id": None if each.item is None else items[each.item]["id"]}
        for each in course.concessions
    ]


def returns(
    row: Row, age: float, items: list[_Json], result: _Json | None, scenario: Scenario, when: When
) -> list[_Json]:
    """Return the ReturnSummary rows: one where the scenario has it, opened 2 s before it is credited."""
    credited_at = scenario.returned_at
    if credited_at is None or result is None or not result["price_components"] or age < credited_at - 2:
        return []
    credited = age >= credited_at
    return [
        {
            "id": str(uuid.uuid5(uuid.UUID(row.order_id), "return")),
            "status": "credited" if credited else "open",
            "reason": "defective",
            "created_at": when(credited_at - 2),
            "updated_at": when(credited_at if credited else credited_at - 2),
            "notes": None,
            "resolution_notes": None,
            "items": [{"order_item_id": item["id"], "quantity": item["quantity"]} for item in items],
            "label_urls": [],
            "credited_amount": result["price_components"]["total"] if credited else 0,
        }
    ]


def connect_info(body: Mapping[str, Any], status: str, result: _Json | None) -> _Json | None:
    """Return ConnectInfo, simulated as in Zinc's sandbox; None unless the order is paid through Connect."""
    payment: _Json = body.get("payment") or {}
    if payment.get("mode") != "connect":
        return None
    secured: _Json = {"state": "secured", "secured_amount": body["max_price"] + ORDER_FEE, "simulated": True}
    if status in ("order_failed", "cancelled", "cancelled_by_retailer"):
        return {**secured, "state": "refunded" if status == "cancelled_by_retailer" else "released"}
    price: _Json = (result or {}).get("price_components") or {}
    if "total" not in price:
        return secured
    cost: int = price["total"]
    margin: _Json = payment.get("margin") or {"type": "flat", "value": 0}
    ours = round(margin["value"] if margin["type"] == "flat" else cost * margin["value"] / 100)
    return {
        **secured,
        "state": "captured",
        "order_cost": cost,
        "customer_margin": ours,
        "zinc_fee": ORDER_FEE,
        "stripe_fee": 0,
        "final_charge": cost + ours + ORDER_FEE,
        "transfer_amount": ours,
    }
