"""The one parcel of a placed order, walking from label to doorstep (Tracking and Checkpoint)."""

import hashlib
import uuid
from collections.abc import Callable
from typing import Any

from zinc_mcp.sandbox.outcome import DELIVERED, SHIPPED, TRACKED
from zinc_mcp.sandbox.products import HOSTILE

When = Callable[[float], str]
"""Turns an age into a date-time."""


def parcel(
    order_id: str, placed_at: float, age: float, item_ids: list[str], when: When, *, events: bool, hostile: bool
) -> dict[str, Any] | None:
    """Return the tracking number of an order of this age, or None while there is none.

    Args:
        order_id: the order it belongs to; everything in it is drawn from that.
        placed_at: the age at which it was placed.
        age: seconds since the order was created, at pace 1.
        item_ids: the order items inside.
        when: turns an age into a date-time.
        events: whether checkpoints are given: on single reads, on lists only with `include=tracking_events`.
        hostile: whether the carrier's texts are hostile.
    """
    steps = [
        (placed_at + TRACKED, "pending", "Shipping label created", "San Jose"),
        (placed_at + SHIPPED, "in_transit", "Departed from the sorting facility", "Reno"),
        (placed_at + DELIVERED, "delivered", "Delivered, front door", "New York"),
    ]
    walked = [step for step in steps if step[0] <= age]
    if not walked:
        return None
    mark = hashlib.sha256(order_id.encode()).hexdigest().upper()
    alias = f"ZPY{int(mark[:12], 16) % 10**12:012d}YQ"
    return {
        "id": str(uuid.uuid5(uuid.UUID(order_id), "parcel")),
        "carrier": HOSTILE if hostile else "usps",
        "tracking_number": f"ZINC_TEST_{mark[:12]}",
        "created_at": when(steps[0][0]),
        "status": walked[-1][1],
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
            for at, status, message, city in reversed(walked)
        ]
        if events
        else [],
        "estimated_delivery_date": when(steps[-1][0])[:10],
        "zinc_tracking_number": alias,
        "zinc_tracking_url": "javascript:alert(1)" if hostile else f"https://t.17track.net/en#nums={alias}",
        "delivery_proof_url": None,
        "order_item_ids": item_ids,
        "item_mapping": "exact",
        "service_level": "ground",
    }
