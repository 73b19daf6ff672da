"""Show an order as Zinc shows it, computed from its ledger row, the time and the pace."""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.products import (
    BOUGHT,
    CENTS_PER_EURO,
    DELIVERED_SECONDS,
    HOSTILE,
    ORDER_FEE,
    SHIPPED_SECONDS,
    TRACKED_SECONDS,
    WORKING_AGE_SECONDS,
    Line,
    Outcome,
    Reason,
    Scenario,
    age_of,
    charged_cents,
    listed_total,
    outcome_of,
    title_of,
    unit_price,
)

When = Callable[[float], str]
"""Returns the date-time of an age."""

_Json = dict[str, Any]


def order_at(row: OrderRow, now: float, pace: float, *, events: bool = True) -> _Json:
    """Return the order as OrderResponse (OpenAPI 2026-06-26, SDK 2026.10.16), with some undocumented keys.

    With `events` the tracking numbers have their checkpoints.
    """
    age, outcome, when = age_of(row, now, pace), outcome_of(row.body), _calendar(row, pace)
    body, scenario, status = row.body, outcome.scenario, _status(row, age, outcome)
    changed = when(
        max([at for at, _ in _happened(row, age, outcome)] + [WORKING_AGE_SECONDS] * (age >= WORKING_AGE_SECONDS))
    )
    items = _items(row, age, status, outcome, when, changed)
    tracking = None
    if status == "order_placed" and scenario.decided_at is not None and scenario.cancelled_at is None:
        inside = [item["id"] for item in items if item["status"] != "skipped"]
        tracking = _tracking(row.order_id, scenario.decided_at, age, inside, when, events, scenario)
    if tracking:
        for item in items:
            item["tracking_number_ids"] = [tracking["id"]] if item["status"] != "skipped" else None
    result = _job_result(row, status, outcome, when)
    merchants: list[_Json] = (result["merchant_order_ids"] if result else None) or []
    notified: _Json | None = body.get("customer_notifications")
    wishes: _Json = body.get("fulfillment") or {}
    return {
        "id": row.order_id,
        "status": status,
        "max_price": body["max_price"],
        "attempts": 0 if age < WORKING_AGE_SECONDS else 1,
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
        "returns": _returns(row, age, items, result, scenario, when),
        "handling_days_max": body.get("handling_days_max"),
        "is_gift": body.get("is_gift", False),
        "gift_message": body.get("gift_message"),
        "job_result": result,
        "connect": _connect(body, status, result),
        "merchant_order_ids": [each["merchant_order_id"] for each in merchants],
        "customer_notifications": {**notified, "delivered": None} if notified else None,
        "payment": None,
        "fulfillment": {**wishes, "concessions": _concessions(outcome, status, items)},
        "cases": [],
        "queue_shard": HOSTILE if scenario.hostile else "practice-1",
    }


def timeline_at(row: OrderRow, now: float, pace: float) -> _Json:
    """Return `GET /orders/{id}/timeline`."""
    age, outcome, when = age_of(row, now, pace), outcome_of(row.body), _calendar(row, pace)
    return {
        "order_id": row.order_id,
        "current_status": _status(row, age, outcome),
        "milestones": [
            {
                "type": kind,
                "label": kind.replace("_", " ").capitalize(),
                "occurred_at": when(at),
                "source": "system",
                "detail": None,
            }
            for at, kind in _happened(row, age, outcome)
        ],
    }


def _calendar(row: OrderRow, pace: float) -> When:
    return lambda at: datetime.fromtimestamp(row.created_at + at / pace, UTC).isoformat()


def _happened(row: OrderRow, age: float, outcome: Outcome) -> list[tuple[float, str]]:
    so_far = [each for each in outcome.milestones if each[0] <= age]
    return so_far if row.cancelled_at is None else [*so_far, (age, "cancelled")]


def _status(row: OrderRow, age: float, outcome: Outcome) -> str:
    if row.cancelled_at is not None:
        return "cancelled"
    last = _happened(row, age, outcome)[-1][1]
    if last == "order_created":
        return "pending" if age < WORKING_AGE_SECONDS else outcome.scenario.working_status
    # order_placed is the end state: only items and tracking numbers show the shipping.
    return {"order_failed": "order_failed", "cancelled": "cancelled_by_retailer"}.get(last, "order_placed")


def _item_status(row: OrderRow, age: float, status: str, outcome: Outcome) -> str:
    if status == "order_placed":
        last = _happened(row, age, outcome)[-1][1]
        # An item has no such status as undeliverable.
        last = "shipped" if last == "undeliverable" else last
        return last if last in ("shipped", "available_for_pickup", "delivered") else "ordered"
    known = {
        "pending": "pending",
        "in_progress": "processing",
        "order_failed": "failed",
        "cancelled": "cancelled",
        "cancelled_by_retailer": "cancelled",
    }
    return known.get(status, "being_inspected")


def _items(row: OrderRow, age: float, status: str, outcome: Outcome, when: When, changed: str) -> list[_Json]:
    products: list[Mapping[str, Any]] = row.body["products"]
    return [
        {
            "id": str(uuid.uuid5(uuid.UUID(row.order_id), f"item {index}")),
            "url": product["url"],
            # The ordered quantity. The concessions show the quantity that was bought.
            "quantity": product.get("quantity", 1),
            "status": "skipped" if status in BOUGHT and line is None else _item_status(row, age, status, outcome),
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
        for index, (product, line) in enumerate(zip(products, outcome.lines, strict=True))
    ]


_ARRIVALS = {
    "delivered": "Delivered, front door",
    "available_for_pickup": "Ready at the pickup point",
    "undeliverable": "No such recipient, returned to sender",
}


def _tracking(
    order_id: str, placed_at: float, age: float, item_ids: list[str], when: When, events: bool, scenario: Scenario
) -> _Json | None:
    """Return the one tracking number of a placed order (Tracking and Checkpoint), or None while there is none."""
    hostile, end = scenario.hostile, scenario.arrival
    steps = [
        (placed_at + TRACKED_SECONDS, "pending", "Shipping label created", "San Jose"),
        (placed_at + SHIPPED_SECONDS, "in_transit", "Departed from the sorting facility", "Reno"),
        (placed_at + DELIVERED_SECONDS, end, _ARRIVALS[end], "New York"),
    ]
    done = [step for step in steps if step[0] <= age]
    if not done:
        return None
    digest = hashlib.sha256(order_id.encode()).hexdigest().upper()
    alias = f"ZPY{int(digest[:12], 16) % 10**12:012d}YQ"
    return {
        "id": str(uuid.uuid5(uuid.UUID(order_id), "parcel")),
        "carrier": HOSTILE if hostile else "usps",
        "tracking_number": f"ZINC_TEST_{digest[:12]}",
        "created_at": when(steps[0][0]),
        "status": done[-1][1],
        "checkpoints": [
            {
                "checkpoint_time": when(at),
                "status": status,
                "message": HOSTILE if hostile else message,
                "city": city,
                "state": None,
                "country": "US",
                "zip": None,
                "location": city,
                "carrier_code": "T1",
            }
            for at, status, message, city in reversed(done)
        ]
        if events
        else [],
        "estimated_delivery_date": when(steps[-1][0])[:10],
        "zinc_tracking_number": alias,
        "zinc_tracking_url": "javascript:alert(1)" if hostile else f"https://t.17track.net/en#nums={alias}",
        "delivery_proof_url": _proof(order_id, hostile) if done[-1][1] == "delivered" else None,
        "order_item_ids": item_ids,
        "item_mapping": "exact",
        "service_level": "ground",
    }


def _proof(order_id: str, hostile: bool) -> str:
    """Return the address of a photo, of which the sandbox has none."""
    return HOSTILE if hostile else f"https://sandbox.invalid/proof/{order_id}.jpg"


def _concessions(outcome: Outcome, status: str, items: list[_Json]) -> list[_Json]:
    """Return the concessions of the order: empty while it is processed, and if it failed."""
    if status not in BOUGHT:
        return []
    return [
        {
            "concern": each.concern,
            "code": each.reason.code,
            "message": each.reason.message,
            "item_id": None if each.item is None else items[each.item]["id"],
            "url": each.url,
            "requested_quantity": each.requested,
            "fulfilled_quantity": each.fulfilled,
        }
        for each in outcome.concessions
    ]


def _returns(
    row: OrderRow, age: float, items: list[_Json], result: _Json | None, scenario: Scenario, when: When
) -> list[_Json]:
    """Return the ReturnSummary rows: one if the scenario has a return, opened 2 s before it is credited."""
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


def _connect(body: Mapping[str, Any], status: str, result: _Json | None) -> _Json | None:
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


def _price_components(lines: Sequence[Line], max_price: int, scenario: Scenario) -> _Json | None:
    """Return `job_result.price_components` (PriceComponents), or None if the scenario records none.

    The test product costs 4500 + 250 + 150 = 4900 as measured; we guess that the 250 are tax. If that is above
    max_price, all amounts are scaled below it, as if the sandbox found a cheaper shop.
    """
    if not scenario.priced:
        return None
    natural, tax = listed_total(lines)
    total = charged = charged_cents(lines, max_price)
    if scenario.currency != "USD":
        total = max(1, total * 100 // CENTS_PER_EURO)
    units = [unit_price(line.url) * total // natural for line in lines]
    subtotal = sum(unit * line.quantity for unit, line in zip(units, lines, strict=True))
    tax = tax * total // natural
    recorded = scenario.breakdown_recorded
    return {
        "subtotal": subtotal if recorded else 0,
        "tax": tax if recorded else 0,
        "shipping": total - subtotal - tax if recorded else 0,
        "discount": 0,
        "fees": 0,
        "total": total,
        # SDK: the charged amount with the FX markup if billed in another currency, else equal to the total.
        "converted_payment_total": charged if scenario.payment_currency != scenario.currency else total,
        "currency": scenario.currency,
        "payment_currency": scenario.payment_currency,
        "cart_items": [
            {
                "name": title_of(line.url),
                "product_id": line.url.partition("?")[0].rstrip("/").rpartition("/")[2],
                "quantity": line.quantity,
                "unit_price": unit,
                "line_total": unit * line.quantity,
                "buybox_rank": 1,
            }
            for unit, line in zip(units, lines, strict=True)
        ]
        if recorded
        else None,
        "line_items": [{"description": HOSTILE, "amount": 0, "category": "note"}] if scenario.hostile else [],
        "breakdown_recorded": recorded,
        "rounding_mode": "half_even",
    }


def _job_result(row: OrderRow, status: str, outcome: Outcome, when: When) -> _Json | None:
    """Return JobResult; None while the order is processed, and if it was cancelled before that."""
    blank: _Json = {
        "success": None,
        "error": None,
        "error_type": None,
        "error_details": None,
        "price_components": None,
        "estimated_delivery": None,
        "merchant_order_ids": None,
        # Internal keys may appear (SDK: open object). No client may show them.
        "internal": {"worker": "must-not-leak", "proxy": "must-not-leak"},
    }
    scenario = outcome.scenario
    if status == "order_failed" and (reason := outcome.failure):
        failed = {"success": False, "error": reason.message, "error_type": reason.code}
        return {**blank, **failed, "error_details": _error_details(reason, row.body, scenario)}
    if status not in BOUGHT or scenario.decided_at is None:
        return None
    return {
        **blank,
        "success": True,
        "price_components": _price_components(outcome.bought, row.body["max_price"], scenario),
        "estimated_delivery": HOSTILE if scenario.hostile else when(scenario.decided_at + DELIVERED_SECONDS),
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


def _error_details(reason: Reason, body: Mapping[str, Any], scenario: Scenario) -> _Json:
    product = body["products"][0]
    rejection = {
        "url": product["url"],
        "product_id": None,
        "requested_quantity": product.get("quantity", 1),
        "available_quantity": 0,
        "codes": [reason.code],
        "messages": [reason.message],
    }
    field_error = {"field": reason.message, "code": "invalid", "message": reason.message, "received": 1}
    return {
        "code": reason.code,
        "message": reason.message,
        "url": product["url"],
        "address_validation_reasons": [reason.message] if reason.code == "shipping_unavailable" else [],
        "field_errors": [{**field_error, "expected": None}] if scenario.hostile else [],
        "line_rejections": [rejection] if scenario.unbuyable or scenario.hostile else [],
        "screenshot": None,
    }
