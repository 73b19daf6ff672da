"""Answers that show another order than the one that was asked for."""

import json
import uuid
from typing import Any, cast

from starlette.responses import Response

_Json = dict[str, Any]
STRANGER = "item=stranger"
"""Part of the URL of every product in another order. A client that shows it has accepted the wrong answer."""

_URL = f"https://zinc.com/shop/products/test-success?{STRANGER}"


def show_other_orders(name: str, answer: Response) -> Response:
    """Return an answer in which each order is replaced by another one; an answer without orders is unchanged.

    A 201 has another id than the order's, except with `other_content`. A read keeps the id that was asked for, except
    with `other_order`, and shows a failed order.
    """
    content: Any = json.loads(bytes(answer.body))
    if not isinstance(content, dict):
        return answer
    shown = cast(_Json, content)
    placing = answer.status_code == 201
    if "orders" in shown:
        changed = {**shown, "orders": [_changed(name, order, placing=False) for order in shown["orders"]]}
    elif "shipping_address" in shown:
        changed = _changed(name, shown, placing=placing)
    else:
        return answer
    headers = {each: value for each, value in answer.headers.items() if each not in ("content-length", "content-type")}
    return Response(json.dumps(changed), answer.status_code, headers, media_type="application/json")


def _changed(name: str, order: _Json, *, placing: bool) -> _Json:
    changed: _Json = {**order, "metadata": {}}
    everything = name in ("other_order", "other_content")
    if everything:
        changed["metadata"] = {"zinc_mcp_key": "stranger", "zinc_mcp_twin": "0" * 64}
    if everything or name == "other_goods":
        changed["items"] = [{**item, "url": _URL} for item in order["items"]]
    if everything or name == "other_price":
        changed["max_price"] = order["max_price"] + 1_000
    if everything or name == "other_address":
        place = {"address_line1": "1 Stranger Road", "postal_code": "94105", "state": "CA"}
        changed["shipping_address"] = {**order["shipping_address"], **place}
    if name == "other_order" or (placing and name != "other_content"):
        changed["id"] = str(uuid.uuid5(uuid.UUID(order["id"]), "stranger"))
    return changed if placing else _failed(changed)


def _failed(order: _Json) -> _Json:
    result: _Json = {
        **(order["job_result"] or {}),
        "success": False,
        "error": "The product is out of stock.",
        "error_type": "product_out_of_stock",
        "price_components": None,
    }
    items = [{**item, "status": "failed"} for item in order["items"]]
    return order | {"status": "order_failed", "job_result": result, "items": items, "tracking_numbers": []}
