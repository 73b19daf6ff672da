"""Zinc v1 in the sandbox's ledger: its orders, the answer to each key, and requests about placed orders."""

import json
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from zinc_mcp.sandbox.ledger import Ledger, OrderRow, Post
from zinc_mcp.sandbox.v1.answers import Json

Kind = Literal["cancellation", "return", "case"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request about a placed order: a cancellation, a return, or a message in its case."""

    number: int
    """Its place among all requests of the ledger."""
    request_id: str
    kind: Kind
    order_id: str
    body: Json
    created_at: float


def place(
    ledger: Ledger, post: Post, kept: Json, scenario: str, *, busy_seconds: float, honour_keys: bool
) -> tuple[Json, bool]:
    """Create the order of a POST, or return the first answer of its key; say whether it is new, in one transaction.

    A POST within `busy_seconds` of the first one with its key creates another order.
    """
    with ledger.transaction() as database:
        earlier = _earlier(ledger, post.caller, post.key)
        if earlier is not None and honour_keys and not is_busy(ledger, post):
            return earlier, False
        row = OrderRow(uuid4().hex, post.caller, kept, post.at, None)
        ledger.insert_order(post, row, scenario, "v1")
        if busy_seconds:
            until = post.at + busy_seconds
            database.execute("UPDATE attempts SET busy_until = ? WHERE seq = ?", (until, post.number))
        _keep(ledger, post.caller, post.key, told := {"request_id": row.order_id})
        return told, True


def is_busy(ledger: Ledger, post: Post) -> bool:
    """Say whether an earlier POST with the same key is still being processed."""
    statement = "SELECT 1 FROM attempts WHERE caller = ? AND idempotency_key = ? AND busy_until > ?"
    return bool(ledger.select(statement, post.caller, post.key, post.at))


def earlier_answer(ledger: Ledger, caller: str, key: str | None) -> Json | None:
    """Return the first answer to a key, or None."""
    return _earlier(ledger, caller, key)


def keep_answer(ledger: Ledger, caller: str, key: str | None, told: Json) -> Json:
    """Keep the first answer to a key, and return the answer that is kept."""
    with ledger.transaction():
        _keep(ledger, caller, key, told)
        return _earlier(ledger, caller, key) or told


def add_request(ledger: Ledger, row: OrderRow, kind: Kind, body: Json, at: float) -> Json:
    """Add a request about an order, and return the content of the answer to its POST."""
    with ledger.transaction() as database:
        told = {"request_id": uuid4().hex}
        database.execute(
            "INSERT INTO v1_requests (request_id, kind, order_id, caller, body, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            (told["request_id"], kind, row.order_id, row.caller, json.dumps(body), at),
        )
        return told


def find_request(ledger: Ledger, caller: str, kind: Kind, request_id: str) -> Request | None:
    """Return one request of a caller, or None."""
    rows = ledger.select(
        "SELECT * FROM v1_requests WHERE caller = ? AND kind = ? AND request_id = ?", caller, kind, request_id
    )
    return _request(rows[0]) if rows else None


def requests_about(ledger: Ledger, order_id: str, kind: Kind) -> list[Request]:
    """Return the requests about an order, oldest first."""
    statement = "SELECT * FROM v1_requests WHERE order_id = ? AND kind = ? ORDER BY seq"
    return [_request(row) for row in ledger.select(statement, order_id, kind)]


def looks_at(ledger: Ledger, order_id: str) -> int:
    """Return the number of GETs of an order that were counted."""
    rows = ledger.select("SELECT times FROM reads WHERE order_id = ? AND what = 'look'", order_id)
    return int(rows[0]["times"]) if rows else 0


def _request(row: Any) -> Request:
    return Request(
        row["seq"], row["request_id"], row["kind"], row["order_id"], json.loads(row["body"]), row["created_at"]
    )


def _earlier(ledger: Ledger, caller: str, key: str | None) -> Json | None:
    rows = ledger.select("SELECT answer FROM v1_answers WHERE caller = ? AND idempotency_key = ?", caller, key)
    return json.loads(rows[0]["answer"]) if rows else None


def _keep(ledger: Ledger, caller: str, key: str | None, told: Json) -> None:
    if key is not None:
        # The calling function holds the transaction.
        ledger.select("INSERT OR IGNORE INTO v1_answers VALUES (?, ?, ?)", caller, key, json.dumps(told))
