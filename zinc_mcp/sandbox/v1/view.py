"""An order as `GET /v1/orders/{request_id}` shows it ("Retrieve Order"), in each documented shape."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from zinc_mcp.sandbox.dialects.v1 import V1Dialect
from zinc_mcp.sandbox.ledger import OrderRow
from zinc_mcp.sandbox.products import HOSTILE, TRACKED_SECONDS
from zinc_mcp.sandbox.v1.answers import Json, error_object
from zinc_mcp.sandbox.v1.rules.bill import Bill, Line
from zinc_mcp.sandbox.v1.rules.form import SECRETS
from zinc_mcp.sandbox.v1.rules.progress import Progress

MASK = "********"
"""The text that the ledger keeps instead of each text and number in an account's secrets."""
_SECONDS_OF_A_DAY = 86_400

When = Callable[[float], str]
"""Returns the date-time of an age."""


def order_at(
    row: OrderRow,
    progress: Progress,
    dialect: V1Dialect,
    pace: float,
    *,
    echo: Json | None,
    account: str,
    cancelled: Collection[str],
) -> Json:
    """Return an order as a GET shows it.

    Args:
        row: the order.
        progress: its state.
        dialect: chooses the shapes.
        pace: the factor by which it advances faster than at pace 1.
        echo: its request, or None.
        account: the e-mail of the account that bought.
        cancelled: the retailer's orders that were cancelled as asked, for which there is no tracking.
    """
    about: Json = {}
    if dialect.request_ids == "present":
        about |= {"request_id": row.order_id}
    about |= {"_created_at": stamp(row.created_at)}
    if echo is not None:
        about |= {"request": echo}
    hostile = progress.bill.course.hostile
    if progress.code is not None:
        message = HOSTILE if hostile and progress.stage == "failed" else None
        return error_object(progress.code, progress.data, message) | about
    shown = _placed(row, progress, dialect, lambda age: stamp(row.created_at + age / pace))
    for merchant in shown["merchant_order_ids"]:
        merchant["account"] = account
    shown["tracking"] = [each for each in shown["tracking"] if each["merchant_order_id"] not in cancelled]
    return shown | about


def account_of(row: OrderRow, secrets: Mapping[str, Any]) -> str:
    """Return the e-mail of the account that buys. The ledger keeps the e-mail of an own account masked."""
    if row.body.get("addax"):
        return "managed.account@buyers.example"
    known: Mapping[str, Any] = secrets.get("retailer_credentials") or {}
    return str(known.get("email", "own.account@shopper.example"))


def echo_of(row: OrderRow, dialect: V1Dialect, secrets: Mapping[str, Any], token: str) -> Json | None:
    """Return the request as the dialect echoes it, or None.

    The ledger keeps the secrets of an account masked. `secrets`: the true ones, which only the process that took the
    order knows.
    """
    if dialect.echo == "absent":
        return None
    shown = dict(row.body)
    if dialect.echo != "masked" and secrets:
        shown |= secrets
    if dialect.echo == "with_token":
        shown["client_token"] = token
    if dialect.notes == "absent":
        shown.pop("client_notes", None)
    return shown


def without_secrets(body: Mapping[str, Any]) -> tuple[Json, Json]:
    """Return a request with the secrets of an account masked, and these secrets as they were."""
    secrets = {name: body[name] for name in SECRETS if body.get(name) is not None}
    return {**body, **{name: _masked(value) for name, value in secrets.items()}}, secrets


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(each) for name, each in cast(Json, value).items()}
    return value if isinstance(value, bool) or value is None else MASK


def stamp(at: float) -> str:
    """Return a date-time as v1 writes one."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def merchant_order_ids(row: OrderRow, bill: Bill) -> list[str]:
    """Return the retailer's numbers of an order."""
    digest = int(hashlib.sha256(row.order_id.encode()).hexdigest(), 16)
    return [
        f"112-{(digest + part) % 10**7:07}-{(digest // 10**7 + part) % 10**7:07}" for part in range(bill.course.parcels)
    ]


def _placed(row: OrderRow, progress: Progress, dialect: V1Dialect, when: When) -> Json:
    bill, hostile = progress.bill, progress.bill.course.hostile
    shown: Json = {"_type": bill.course.response_type}
    if bill.course.priced:
        shown["price_components"] = _prices(bill, dialect, is_managed=bool(row.body.get("addax")))
    shown["merchant_order_ids"] = [
        _merchant_order(row, progress, number, part, dialect, when)
        for part, number in enumerate(merchant_order_ids(row, bill))
    ]
    shown["tracking"] = _tracking(row, progress, dialect, when) if progress.is_tracked else []
    shown["delivery_dates"] = [
        {"product_id": line.product.product_id, "delivery_date": HOSTILE if hostile else _day(row, progress)}
        for line in bill.lines
    ]
    if row.body["retailer"].startswith("amazon") and dialect.account_status != "absent":
        status = {"prime": True, "fresh": False, "business": False, "charity": None}
        shown["account_status"] = status if dialect.account_status == "object" else [status]
    return shown


def _prices(bill: Bill, dialect: V1Dialect, *, is_managed: bool) -> Json:
    paid = bill.cost if is_managed and dialect.debit != "hidden" else bill.total
    return {
        "converted_payment_total": paid,
        "currency": bill.currency,
        "payment_currency": bill.currency,
        "shipping": bill.shipping,
        "subtotal": bill.subtotal,
        "tax": bill.tax,
        "total": paid if dialect.debit == "total" else bill.total,
        "products": [
            {
                "product_id": line.product.product_id,
                "price": line.unit,
                "quantity": line.quantity,
                "seller_id": HOSTILE if bill.course.hostile else line.seller,
            }
            for line in bill.lines
        ],
        "gift_certificate": 0,
    }


def _merchant_order(row: OrderRow, progress: Progress, number: str, part: int, dialect: V1Dialect, when: When) -> Json:
    hostile = progress.bill.course.hostile
    short: Json = {
        "merchant_order_id": number,
        "merchant": HOSTILE if hostile else row.body["retailer"],
        "placed_at": when(progress.since),
    }
    if dialect.merchant_ids == "v1p":
        return short
    parcels = _tracking(row, progress, dialect, when) if progress.is_tracked else []
    return {
        **short,
        "tracking": [each["tracking_number"] for each in parcels if each["merchant_order_id"] == number],
        "product_ids": [line.product.product_id for line in _lines(progress.bill, part)],
        "tracking_url": f"https://sandbox.invalid/track/{number}",
        "delivery_date": HOSTILE if hostile else _day(row, progress),
    }


def _tracking(row: OrderRow, progress: Progress, dialect: V1Dialect, when: When) -> list[Json]:
    """Return the parcels: one for each order at the retailer, or one row for each product in it."""
    hostile, found = progress.bill.course.hostile, list[Json]()
    for part, number in enumerate(merchant_order_ids(row, progress.bill)):
        digest = hashlib.sha256(number.encode()).hexdigest().upper()
        ids = [line.product.product_id for line in _lines(progress.bill, part)]
        parcel: Json = {
            "merchant_order_id": number,
            "carrier": HOSTILE if hostile else "USPS",
            "tracking_number": f"ZINC_TEST_{digest[:12]}",
            "obtained_at": when(progress.since + TRACKED_SECONDS),
        }
        if dialect.tracking == "v1p":
            found += [{"product_id": product_id, **parcel} for product_id in ids]
            continue
        found.append(
            {
                **parcel,
                "delivery_status": "Delivered" if progress.is_delivered else "InTransit",
                "product_ids": ids,
                "tracking_url": "javascript:alert(1)" if hostile else f"https://t.17track.net/en#nums={digest[:12]}",
                "retailer_tracking_number": f"TBA{digest[:12]}",
                "retailer_tracking_url": f"https://sandbox.invalid/progress-tracker/{number}",
            }
        )
    return found


def _lines(bill: Bill, part: int) -> list[Line]:
    """Return the lines in one of the orders at the retailer; a single product is in each of them."""
    parts = bill.course.parcels
    return list(bill.lines[part::parts]) or list(bill.lines[:1])


def _day(row: OrderRow, progress: Progress) -> str:
    """Return the day of the delivery, as V1 writes one."""
    at = datetime.fromtimestamp(row.created_at + progress.bill.days * _SECONDS_OF_A_DAY, UTC)
    return f"{at:%b}. {at.day}, {at.year}"
