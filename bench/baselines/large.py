"""A Zinc whose answers have the largest size that is read, and take the most work to read.

`python -m bench.baselines.large` prints its port and answers until its stdin ends. It accepts any order. The order's
metadata names under `shape` the form of the answer to a read. A list is answered with a page of the largest size.
"""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from bench.baselines.zinc import TYPICAL, Zinc, serve
from zinc_mcp.network import MAX_ANSWER_BYTES, MAX_PARTS
from zinc_mcp.zinc.placed.order_list import MAX_LIST_BYTES

_Order = dict[str, Any]
_ROOM = MAX_ANSWER_BYTES - 8_192
"""Bytes that a shape may add to the order."""

_BAD_CHECKPOINT: _Order = {"message": 7.5, "checkpoint_time": "never", "city": []}


def _times(row: Any, most: int = MAX_PARTS) -> list[Any]:
    """Return a list of as many copies of a row as there is room for."""
    return [row] * min(most, _ROOM // len(json.dumps(row, separators=(",", ":")) + ","))


def _rows(count: int, row: Callable[[int], Any]) -> list[Any]:
    return [row(number) for number in range(count)]


SHAPES: Mapping[str, Callable[[_Order], _Order]] = {
    "typical": lambda order: order,
    "parcels": lambda order: {**order, "tracking_numbers": _times({**TYPICAL["tracking_numbers"][0]})},
    "street": lambda order: {
        **order,
        "shipping_address": {**order["shipping_address"], "address_line1": "A" * _ROOM},
    },
    "marks": lambda order: {**order, "job_result": {"error": "\u0301" * (_ROOM // 3)}},
    "lists": lambda order: {**order, "unread": _times([], MAX_PARTS // 2 - 500)},
    "metadata": lambda order: {**order, "metadata": {**order["metadata"], "x": _times({}, MAX_PARTS // 2 - 500)}},
    "members": lambda order: {**order, "metadata": {**order["metadata"], **{f"{n:x}": n for n in range(20_000)}}},
    "numbers": lambda order: {**order, "tracking_numbers": _times(5, MAX_PARTS - 500)},
    "checkpoints": lambda order: {
        **order,
        "attempts": "many",
        "tracking_numbers": _rows(
            180, lambda number: {"tracking_number": str(number), "checkpoints": [_BAD_CHECKPOINT] * 20}
        ),
    },
    "variants": lambda order: {
        **order,
        "attempts": "many",
        "items": _rows(140, lambda number: {"id": number, "url": "u", "variant": [3] * 200}),
    },
    "cart": lambda order: {
        **order,
        "attempts": "many",
        "items": _rows(60, lambda number: {"id": str(number), "url": f"https://x.example/{number}{'a' * 1_800}"}),
        "job_result": {
            "success": "perhaps",
            "price_components": {
                "currency": [],
                "tax": "none",
                "cart_items": _rows(200, lambda _: {"product_id": f"{'a' * 30}b{'a' * 29}", "name": "é" * 200}),
            },
        },
    },
    "prose": lambda order: {
        **order,
        "status": "order_failed",
        "items": [*order["items"], *_rows(9, lambda n: {"id": f"{n}", "cancellation_reason": _prose(n, 2_000)})],
        "fulfillment": {"concessions": _rows(20, lambda n: {"message": _prose(n, 2_000), "code": _prose(n, 500)})},
        "job_result": {
            "success": False,
            "error_type": "other",
            "error_details": {
                "message": _prose(0, 2_000),
                "address_validation_reasons": _rows(20, lambda n: _prose(n, 2_000)),
                "field_errors": _rows(20, lambda n: {"field": _prose(n, 300), "message": _prose(n, 1_500)}),
            },
        },
    },
}
"""The forms of an answer by name. Each but `typical` is nearly as large, or as much work, as the bounds allow."""

_orders: dict[str, _Order] = {}


class Large(Zinc):
    """A Zinc that answers with the shape that an order names."""

    def answered(self, head: str, body: bytes) -> tuple[bytes, bytes]:
        """Return status and content for a request."""
        verb, path, _ = head.split(" ", 2)
        if verb == "POST":
            return b"201 Created", _encoded(_accepted(json.loads(body)))
        if path.startswith("/wallet/me"):
            return b"200 OK", b'{"balance":10000000,"order_fee_cents":100}'
        if path.startswith("/orders?"):
            return b"200 OK", _page()
        order = _orders.get(path.rpartition("/")[2].partition("?")[0])
        if order is None:
            return b"404 Not Found", b'{"error":{"code":"not_found"}}'
        return b"200 OK", _encoded(SHAPES[order["metadata"].get("shape", "typical")](order))


def _accepted(wanted: Mapping[str, Any]) -> _Order:
    order: _Order = {
        **TYPICAL,
        "id": str(uuid.uuid4()),
        "items": [
            {"id": str(number), "status": "pending", **line} for number, line in enumerate(wanted["products"], 1)
        ],
        "shipping_address": wanted["shipping_address"],
        "max_price": wanted["max_price"],
        "metadata": wanted.get("metadata") or {},
        "status": "pending",
        "tracking_numbers": [],
        "job_result": None,
        "merchant_order_ids": [],
    }
    _orders[order["id"]] = order
    return order


def _page() -> bytes:
    """Return a page of the largest size that is read, with orders that the filter should have left out."""
    row = json.dumps({**TYPICAL, "metadata": {"zinc_mcp_key": "another"}}, separators=(",", ":"))
    count = min(
        MAX_LIST_BYTES // (len(row) + 1) - 1, MAX_PARTS // (row.count(",") + row.count("{") + row.count("[")) - 1
    )
    return f'{{"orders":[{",".join([row] * count)}],"total":{count}}}'.encode()


def _prose(number: int, length: int) -> str:
    """Return text in which the reader has to look at each character."""
    return "".join(chr(0x4E00 + (number * 997 + place * 7) % 20_000) for place in range(length // 3)) + "\u202e"


def _encoded(order: _Order) -> bytes:
    return json.dumps(order, separators=(",", ":"), ensure_ascii=False).encode()


if __name__ == "__main__":
    asyncio.run(serve(Large))
