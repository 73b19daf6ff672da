"""A Zinc that answers at once: it returns one typical order, and accepts any order.

`python -m bench.baselines.zinc` prints its port and answers until its stdin ends. It is no sandbox: it keeps nothing.
"""

import asyncio
import json
import sys
import uuid
from email.utils import formatdate
from typing import Any

ORDER_ID = "8f14e45f-ceea-467f-a0e6-1f2b3c4d5e6f"

_ADDRESS = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "address_line1": "1 Main Street",
    "address_line2": None,
    "city": "New York",
    "state": "NY",
    "postal_code": "10001",
    "phone_number": "2125550147",
    "country": "US",
}

_CHECKPOINTS = [
    ("2026-11-19T15:42:00Z", "in_transit", "Departed from the sorting facility", "Reno", "NV"),
    ("2026-11-19T04:10:00Z", "in_transit", "Arrived at the sorting facility", "Reno", "NV"),
    ("2026-11-18T19:05:00Z", "in_transit", "Picked up by the carrier", "San Jose", "CA"),
    ("2026-11-18T11:30:00Z", "pending", "Shipping label created", "San Jose", "CA"),
]

TYPICAL: dict[str, Any] = {
    "id": ORDER_ID,
    "status": "order_placed",
    "max_price": 6000,
    "attempts": 1,
    "items": [
        {
            "id": "1b6453892473a467d07372d45eb05abc",
            "url": "https://www.amazon.com/dp/B07JGBW826",
            "quantity": 1,
            "status": "shipped",
            "created_at": "2026-11-18T09:00:00Z",
            "updated_at": "2026-11-18T11:30:00Z",
            "variant": [{"label": "Color", "value": "Black"}],
            "condition_in": [],
            "condition_not_in": [],
            "cancellation_reason": None,
            "error_type": None,
            "tracking_number_ids": ["c81e728d9d4c2f636f067f89cc14862c"],
        }
    ],
    "shipping_address": _ADDRESS,
    "retailer_credentials_id": None,
    "retailer_credentials_uuid": None,
    "created_at": "2026-11-18T09:00:00Z",
    "updated_at": "2026-11-19T15:42:00Z",
    "metadata": {},
    "po_number": None,
    "tracking_numbers": [
        {
            "id": "c81e728d9d4c2f636f067f89cc14862c",
            "carrier": "usps",
            "tracking_number": "9400111899223100001234",
            "created_at": "2026-11-18T11:30:00Z",
            "status": "in_transit",
            "checkpoints": [
                {
                    "checkpoint_time": at,
                    "status": status,
                    "message": message,
                    "city": city,
                    "state": state,
                    "country": "US",
                    "zip": None,
                    "location": f"{city}, {state}",
                }
                for at, status, message, city, state in _CHECKPOINTS
            ],
            "estimated_delivery_date": "2026-11-22",
            "zinc_tracking_number": "ZPY000000001234YQ",
            "zinc_tracking_url": "https://t.17track.net/en#nums=ZPY000000001234YQ",
            "delivery_proof_url": None,
            "order_item_ids": ["1b6453892473a467d07372d45eb05abc"],
            "item_mapping": "exact",
        }
    ],
    "created_by": None,
    "user_id": 1,
    "returns": [],
    "handling_days_max": None,
    "is_gift": False,
    "gift_message": None,
    "job_result": {
        "success": True,
        "error": None,
        "error_type": None,
        "error_details": None,
        "price_components": {
            "subtotal": 4500,
            "tax": 399,
            "shipping": 0,
            "discount": None,
            "fees": None,
            "total": 4899,
            "converted_payment_total": 4899,
            "currency": "USD",
            "payment_currency": "USD",
            "cart_items": [
                {
                    "name": "Wireless keyboard with number pad, black",
                    "product_id": "B07JGBW826",
                    "quantity": 1,
                    "unit_price": 4500,
                    "line_total": 4500,
                }
            ],
            "line_items": None,
            "breakdown_recorded": True,
        },
        "estimated_delivery": "2026-11-22",
        "merchant_order_ids": [
            {"merchant": "amazon", "merchant_order_id": "112-1234567-1234567", "account": "a@example.com"}
        ],
    },
    "connect": None,
    "merchant_order_ids": ["112-1234567-1234567"],
    "customer_notifications": None,
    "payment": None,
    "fulfillment": {"gift": None, "items": None, "quantity": None, "excluded_merchants": [], "concessions": []},
    "cases": [],
}
"""A placed order of one item that is on its way, with every field that Zinc documents (OpenAPI 2026-06-26)."""

_TYPICAL = json.dumps(TYPICAL).encode()
_PLACED: dict[str, bytes] = {}
MOST_PLACED = 256
"""The number of first orders that are shown with their own metadata."""


class Zinc(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, with only the parts that these requests need."""

    def __init__(self) -> None:
        self._got = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def answered(self, head: str, body: bytes) -> tuple[bytes, bytes]:
        """Return status and content for a request."""
        return answer(head, body)

    def write(self, answer: bytes) -> None:
        """Send a whole answer."""
        assert self._transport is not None
        self._transport.write(answer)

    def data_received(self, data: bytes) -> None:
        """Answer every request that has arrived completely."""
        self._got += data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            head = self._got[:end].decode("latin-1")
            length = next(
                (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
            )
            if len(self._got) < end + 4 + length:
                return
            body, self._got = self._got[end + 4 : end + 4 + length], self._got[end + 4 + length :]
            status, content = self.answered(head, body)
            # Without a `Date` the age of the journal is not known, and each order would first be looked for in a list.
            self.write(
                b"HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (status, formatdate(usegmt=True).encode(), len(content), content)
            )


def answer(head: str, body: bytes) -> tuple[bytes, bytes]:
    """Return status and content: the typical order for any id, an accepted order for any POST, an account's fee.

    A Zinc of v1 accepts any order under `/v1`.
    """
    verb, path, _ = head.split(" ", 2)
    if path.startswith("/v1/"):
        return b"200 OK", b'{"request_id":"%s"}' % uuid.uuid4().hex.encode() if verb == "POST" else b"[]"
    if verb == "POST":
        wanted: dict[str, Any] = json.loads(body)
        accepted: dict[str, Any] = {
            **TYPICAL,
            "id": str(uuid.uuid4()),
            "status": "pending",
            "max_price": wanted["max_price"],
            "metadata": wanted.get("metadata") or {},
            "tracking_numbers": [],
            "job_result": None,
            "merchant_order_ids": [],
        }
        if len(_PLACED) < MOST_PLACED:
            shown = {name: accepted[name] for name in ("id", "max_price", "metadata")}
            _PLACED[accepted["id"]] = json.dumps({**TYPICAL, **shown}).encode()
        return b"201 Created", json.dumps(accepted).encode()
    if path.startswith("/wallet/me"):
        return b"200 OK", b'{"balance":10000000,"order_fee_cents":100}'
    if path.startswith("/orders?"):
        return b"200 OK", b'{"orders":[],"total":0}'
    order_id = path.rpartition("/")[2].partition("?")[0]
    # With the id that was asked for, and with the metadata of its placing call.
    return b"200 OK", _PLACED.get(order_id) or _TYPICAL.replace(ORDER_ID.encode(), order_id.encode())


async def serve(protocol: type[Zinc]) -> None:
    """Print a free port and serve on it until stdin ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve(Zinc))
