"""The webhooks of the sandbox: one address for each account, and the events of orders that are sent there.

Zinc documents that events may come twice. It documents neither their order nor when one is sent again (Webhooks). So
here some are sent twice, some come late, and an event that is not answered with a 2xx is sent again. Events of returns
and cases are not sent. Only a sandbox on a port sends events; after its end it no longer knows which it has sent.
"""

import hashlib
import hmac
import json
import logging
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox, checks
from zinc_mcp.sandbox.ledger import OrderRow, order_row
from zinc_mcp.sandbox.order_view import order_at
from zinc_mcp.sandbox.products import age_of, outcome_of

_EVENTS = {
    "order_created": ("order.started", "pending"),
    "order_placed": ("order.placed", "order_placed"),
    "order_failed": ("order.failed", "failed"),  # as the example prints it, although no order has this status
    "tracking_acquired": ("order.tracking_received", "order_placed"),
    "delivered": ("order.delivered", "order_placed"),
    "cancelled": ("order.cancelled", "cancelled_by_retailer"),
}
"""The event of each milestone of an order, and the status that the event names."""
_TICK_SECONDS = 0.05
_LATE_SECONDS = 1.0
"""The delay of a late event, at pace 1, with which it comes after the next one."""
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""The pauses between two tries, at pace 1."""
_ANSWER_SECONDS = 5.0

_Json = dict[str, Any]
_logger = logging.getLogger(__name__)


class _Form(BaseModel):
    url: Annotated[str, Field(max_length=2000)]


class Event(NamedTuple):
    """One event of one order."""

    order_id: str
    name: str
    content: bytes


async def get_endpoint(sandbox: Sandbox, request: Request) -> Response:
    """`GET /webhooks/endpoint`."""
    return _shown(sandbox, checks.authorised_caller(sandbox, request))


async def set_endpoint(sandbox: Sandbox, request: Request) -> Response:
    """`PUT /webhooks/endpoint`: replaces the address and keeps the secret."""
    caller = checks.authorised_caller(sandbox, request)
    try:
        url = _Form.model_validate_json(await request.body()).url
        parts = urlsplit(url)
        is_absolute = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        url, is_absolute = "", False
    if not is_absolute:
        problem = {"type": "url_parsing", "loc": ["body", "url"], "msg": "Input should be an absolute http(s) URL"}
        return checks.invalid(sandbox.dialect, [problem])
    with sandbox.ledger.transaction() as database:
        database.execute(
            "INSERT INTO webhooks (caller, url, secret, since) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (caller) DO UPDATE SET url = excluded.url, since = excluded.since",
            (caller, url, f"zn_whsec_{secrets.token_hex(24)}", sandbox.clock()),
        )
    return _shown(sandbox, caller)


async def remove_endpoint(sandbox: Sandbox, request: Request) -> Response:
    """`DELETE /webhooks/endpoint`: clears the address and keeps the secret."""
    caller = checks.authorised_caller(sandbox, request)
    with sandbox.ledger.transaction() as database:
        database.execute("UPDATE webhooks SET url = NULL WHERE caller = ?", (caller,))
    return Response(status_code=204)


def _shown(sandbox: Sandbox, caller: str) -> Response:
    rows = sandbox.ledger.select("SELECT url, secret FROM webhooks WHERE caller = ?", caller)
    url, secret = (rows[0]["url"], rows[0]["secret"]) if rows else (None, None)
    return checks.as_json({"webhook_url": url, "webhook_secret": secret})


async def keep_sending(sandbox: Sandbox) -> None:
    """Send the events of all accounts with an address, until cancelled."""
    begun: set[tuple[str, str]] = set()
    async with (
        httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client,
        anyio.create_task_group() as tasks,
    ):
        while True:
            for caller, event in _due(sandbox):
                if (event.order_id, event.name) not in begun:
                    begun.add((event.order_id, event.name))
                    tasks.start_soon(_deliver, sandbox, client, caller, event)
            await anyio.sleep(_TICK_SECONDS)


def signature_of(content: bytes, secret: str) -> str:
    """Return the value of `X-Webhook-Signature`."""
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


async def _deliver(sandbox: Sandbox, client: httpx.AsyncClient, caller: str, event: Event) -> None:
    number = int(hashlib.sha256(f"{event.order_id} {event.name}".encode()).hexdigest()[:8], 16)
    if number % 4 == 0:
        await anyio.sleep(_LATE_SECONDS / sandbox.pace)
    for _ in range(2 if number % 3 == 0 else 1):
        for pause in (*_PAUSES_SECONDS, 0.0):
            if await _is_taken(sandbox, client, caller, event):
                break
            await anyio.sleep(pause / sandbox.pace)


async def _is_taken(sandbox: Sandbox, client: httpx.AsyncClient, caller: str, event: Event) -> bool:
    """Send an event once; say whether it needs no further try."""
    rows = sandbox.ledger.select("SELECT url, secret FROM webhooks WHERE caller = ? AND url IS NOT NULL", caller)
    if not rows:
        return True
    headers = {
        "Content-Type": "application/json",
        "X-Webhook-Event": event.name,
        "X-Webhook-Signature": signature_of(event.content, rows[0]["secret"]),
    }
    try:
        return (await client.post(rows[0]["url"], content=event.content, headers=headers)).is_success
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _logger.info("an event was not taken (%s)", type(error).__name__)
        return False


def _due(sandbox: Sandbox) -> list[tuple[str, Event]]:
    """Return the events of each account's orders that were created after its address was set."""
    now, found = sandbox.clock(), list[tuple[str, Event]]()
    for row in sandbox.ledger.select(
        "SELECT orders.*, webhooks.since FROM orders JOIN webhooks ON orders.caller = webhooks.caller "
        "WHERE webhooks.url IS NOT NULL AND orders.rail = 'account' AND orders.created_at >= webhooks.since"
    ):
        order = order_row(row)
        found += [(order.caller, event) for event in _events(order, now, sandbox.pace)]
    return found


def _events(row: OrderRow, now: float, pace: float) -> list[Event]:
    age, outcome = age_of(row, now, pace), outcome_of(row.body)
    events: list[Event] = []
    for at, milestone in outcome.milestones:
        if milestone not in _EVENTS or at > age:
            continue
        name, status = _EVENTS[milestone]
        facts = {
            "event": name,
            "order_id": row.order_id,
            "status": status,
            "timestamp": datetime.fromtimestamp(row.created_at + at / pace, UTC).isoformat(),
            "data": _data(name, row, now, pace),
            "return_id": None,
        }
        events.append(Event(row.order_id, name, json.dumps(facts).encode()))
    return events


def _data(name: str, row: OrderRow, now: float, pace: float) -> _Json:
    result: _Json = order_at(row, now, pace, events=False)["job_result"] or {}
    if name == "order.failed":
        return {"error_type": result.get("error_type"), "error": result.get("error")}
    if name == "order.cancelled":
        return {"reason": "Cancelled by the retailer", "source": "retailer"}
    price: _Json = result.get("price_components") or {}
    shown = {part: price[part] for part in ("subtotal", "shipping", "tax", "total") if part in price}
    return {"price_components": shown} if name == "order.placed" else {}
