"""A Zinc that also answers questions about products, shops and lists, with answers that never change.

`python -m bench.baselines.shop` prints its port and answers until its stdin ends. `GET /asked` says how many requests
came before.

    BENCH_DELAY_MS  each answer comes after so many milliseconds; unset: at once
"""

import asyncio
import json
import os
from typing import Any

from bench.baselines.zinc import TYPICAL, Zinc, serve
from bench.sizes import TEN_PRODUCTS

LISTED = 10
_DELAY_SECONDS = int(os.environ.get("BENCH_DELAY_MS", "0")) / 1000
COFFEE = "https://www.amazon.com/dp/B07JGBW826"

_CHECK: dict[str, Any] = {
    "url": COFFEE,
    "domain": "amazon.com",
    "orderable": True,
    "support": "verified",
    "support_detail": "A test order is placed there every day.",
    "how_to_order": "Send the product's URL to POST /orders.",
    "retailer": {"retailer": "amazon", "brand": "Amazon", "display_name": "Amazon", "country": "US"},
    "platform": None,
    "checkout": {"guest_checkout": True, "use_your_account": True},
    "ships_to": None,
    "evidence": {"orders_placed": True, "last_order_at": "2026-11-20"},
    "unsupported_reason": None,
}
_DETAILS: dict[str, Any] = {
    "status": "completed",
    "retailer": "amazon",
    "product_id": "B07JGBW826",
    "asin": "B07JGBW826",
    "title": "Wireless keyboard with number pad, black",
    "brand": "Keys",
    "price": 4500,
    "stars": 4.5,
    "available": True,
    "product_description": "A keyboard with a number pad. " * 20,
    "feature_bullets": [f"Feature number {number} of the keyboard, in a sentence" for number in range(6)],
    "variant_specifics": [{"dimension": "Color", "value": "Black"}],
    "all_variants": [
        {"product_id": f"B07JGBW{number:03d}", "variant_specifics": [{"dimension": "Color", "value": f"No. {number}"}]}
        for number in range(12)
    ],
    "images": [f"https://m.media-amazon.com/images/I/71{number:09d}L.jpg" for number in range(8)],
}
_LIST: dict[str, Any] = {
    "orders": [{**TYPICAL, "id": f"8f14e45f-ceea-467f-a0e6-1f2b3c4d{number:04d}"} for number in range(LISTED)],
    "total": LISTED,
    "limit": 50,
    "offset": 0,
}
_ANSWERS = {
    "/search?": json.dumps(TEN_PRODUCTS).encode(),
    "/retailers/check?": json.dumps(_CHECK).encode(),
    "/products/": json.dumps(_DETAILS).encode(),
    "/orders?": json.dumps(_LIST).encode(),
}


class Shop(Zinc):
    """A Zinc that counts requests, and answers the questions that `zinc.Zinc` does not know."""

    asked = 0

    def write(self, answer: bytes) -> None:
        """Send a whole answer, after the delay. A client here has one request at a time on a connection."""
        if _DELAY_SECONDS:
            asyncio.get_running_loop().call_later(_DELAY_SECONDS, super().write, answer)
        else:
            super().write(answer)

    def answered(self, head: str, body: bytes) -> tuple[bytes, bytes]:
        """Return status and content for a request."""
        path = head.split(" ", 2)[1]
        if path == "/asked":
            return b"200 OK", b'{"asked":%d}' % Shop.asked
        Shop.asked += 1
        if "metadata_key" not in path:
            for beginning, content in _ANSWERS.items():
                if path.startswith(beginning):
                    return b"200 OK", content
        return super().answered(head, body)


if __name__ == "__main__":
    asyncio.run(serve(Shop))
