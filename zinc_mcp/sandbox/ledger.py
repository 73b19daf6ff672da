"""The sandbox's ledger of all orders and POSTs, in a SQLite file that several processes may share, or in memory."""

import hashlib
import json
import os
import secrets
import sqlite3
import threading
import time
import uuid
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from zinc_mcp.errors import SettingsError
from zinc_mcp.private_files import make_folder, open_file

_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    seq INTEGER PRIMARY KEY, order_id TEXT UNIQUE NOT NULL, caller TEXT NOT NULL, idempotency_key TEXT NOT NULL,
    body TEXT NOT NULL, created_at REAL NOT NULL, scenario TEXT NOT NULL, cancelled_at REAL);
CREATE INDEX IF NOT EXISTS orders_by_key ON orders (caller, idempotency_key);
CREATE TABLE IF NOT EXISTS attempts (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, caller TEXT NOT NULL, idempotency_key TEXT, body_sha256 TEXT NOT NULL,
    fault TEXT, outcome TEXT NOT NULL, order_id TEXT, busy_until REAL);
CREATE INDEX IF NOT EXISTS attempts_by_key ON attempts (caller, idempotency_key);
CREATE TABLE IF NOT EXISTS reads (
    order_id TEXT NOT NULL, what TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (order_id, what));
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS challenges (
    challenge_id TEXT PRIMARY KEY, method TEXT NOT NULL, amount_cents INTEGER NOT NULL, body_sha256 TEXT,
    expires_at REAL, void INTEGER NOT NULL DEFAULT 0, claimed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS settlements (
    seq INTEGER PRIMARY KEY, challenge_id TEXT UNIQUE NOT NULL, method TEXT NOT NULL, reference TEXT NOT NULL,
    credential TEXT NOT NULL, amount_cents INTEGER NOT NULL, idempotency_key TEXT, outcome TEXT NOT NULL, order_id TEXT,
    at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS data_calls (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, caller TEXT NOT NULL, endpoint TEXT NOT NULL, query TEXT,
    result_count INTEGER, retailer TEXT, product_id TEXT);
"""
AFTER_SALE = """
CREATE TABLE IF NOT EXISTS returns (
    seq INTEGER PRIMARY KEY, return_id TEXT UNIQUE NOT NULL, order_id TEXT NOT NULL, caller TEXT NOT NULL,
    body TEXT NOT NULL, created_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS returns_by_order ON returns (order_id);
CREATE TABLE IF NOT EXISTS cases (
    seq INTEGER PRIMARY KEY, case_id TEXT UNIQUE NOT NULL, order_id TEXT NOT NULL, caller TEXT NOT NULL,
    reason TEXT NOT NULL, created_at REAL NOT NULL, closed_at REAL);
CREATE INDEX IF NOT EXISTS cases_by_order ON cases (order_id);
CREATE TABLE IF NOT EXISTS case_messages (
    seq INTEGER PRIMARY KEY, message_id TEXT UNIQUE NOT NULL, case_id TEXT NOT NULL, body TEXT NOT NULL,
    created_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS changes (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, path TEXT NOT NULL, order_id TEXT, outcome TEXT NOT NULL, fault TEXT);
"""
"""The tables of returns and cases, and every POST about them and about a cancellation; see `aftercare/requests.py`."""
SIGN_IN = """
CREATE TABLE IF NOT EXISTS device_codes (
    seq INTEGER PRIMARY KEY, device_code TEXT UNIQUE NOT NULL, user_code TEXT UNIQUE NOT NULL, name TEXT NOT NULL,
    source TEXT NOT NULL, attached TEXT, created_at REAL NOT NULL, status TEXT NOT NULL DEFAULT 'pending',
    polled_at REAL, interval REAL NOT NULL, collected INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS issued_keys (api_key TEXT PRIMARY KEY, caller TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS minted_keys (seq INTEGER PRIMARY KEY, at REAL NOT NULL, address TEXT NOT NULL);
"""
"""The tables of signing in; see `sign_in`. Codes and keys are fingerprints, except for the code that a person sees."""
WEBHOOKS = """
CREATE TABLE IF NOT EXISTS webhooks (caller TEXT PRIMARY KEY, url TEXT, secret TEXT NOT NULL, since REAL NOT NULL);
"""
"""The address of each account; see `webhooks`."""
V1 = """
CREATE TABLE IF NOT EXISTS v1_answers (
    caller TEXT NOT NULL, idempotency_key TEXT NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (caller, idempotency_key));
CREATE TABLE IF NOT EXISTS v1_requests (
    seq INTEGER PRIMARY KEY, request_id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, order_id TEXT NOT NULL,
    caller TEXT NOT NULL, body TEXT NOT NULL, created_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS v1_requests_by_order ON v1_requests (order_id);
"""
"""The tables of Zinc v1: the first answer to each key, and requests about placed orders; see `v1.book`."""

# The columns that ledgers of earlier versions lack.
_LATER_COLUMNS = {
    "orders": ("rail TEXT NOT NULL DEFAULT 'account'",),
    "attempts": ("rail TEXT NOT NULL DEFAULT 'account'", "credential TEXT"),
    "cases": ("return_request_id TEXT",),
    "case_messages": ("attachments TEXT NOT NULL DEFAULT '[]'",),
}
_LATER_INDEX = "CREATE INDEX IF NOT EXISTS orders_by_rail ON orders (rail, idempotency_key)"

Rail = Literal["account", "agent", "v1"]
"""The rail, and so the endpoint, by which an order came."""


Acceptance = Literal["created", "earlier", "in_flight"]
"""The result of `Ledger.accept`; `in_flight`: the earlier order of its key is still being processed."""


class Placed(TypedDict):
    """One order. `api_key` is a fingerprint, on the agent rail that of the order's own key.

    On the v1 rail the body has an account's secrets masked.
    """

    rail: Rail
    order_id: str
    idempotency_key: str
    api_key: str
    body: dict[str, Any]
    created_at: float
    scenario: str


class Attempt(TypedDict):
    """One `POST /orders`, `POST /agent/orders` or `POST /v1/orders`.

    `outcome` is `created`, `replayed_409`, `rejected_422`, `not_accepted_drop_before`, or `received` while the POST is
    being worked on; on the agent rail also `challenged`, for a POST without a payment. `fault` is the fault that spoilt
    the answer. `credential` is a fingerprint of the credential of a paid POST.
    """

    rail: Rail
    credential: str | None
    at: float
    idempotency_key: str | None
    api_key: str
    body_sha256: str
    outcome: str
    fault: str | None
    order_id: str | None


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One order in the ledger. Everything else about it is computed from this row and the time."""

    order_id: str
    caller: str
    body: dict[str, Any]
    created_at: float
    cancelled_at: float | None


@dataclass(frozen=True, slots=True)
class Post:
    """One recorded POST of an order."""

    number: int
    """Its place among all POSTs of the ledger."""
    nth: int
    """Its place, from 0, among the POSTs with its idempotency key, or with its body where it has no key."""
    at: float
    caller: str
    key: str | None
    content: bytes
    body: dict[str, Any]
    """The content as a JSON object, valid or not; `{}` if it is no object."""


def fingerprint(api_key: str) -> str:
    """Return the fingerprint of an API key. The ledger keeps the fingerprint and not the key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


class Ledger:
    """The orders, the POSTs and the number of reads of each order. Each method that writes is one transaction."""

    def __init__(self, path: Path | None) -> None:
        """Open the ledger, and make its file where there is none.

        Raises:
            SettingsError: if the file cannot be used.
        """
        # A server and a test may use the connection in two threads.
        self._lock = threading.RLock()
        try:
            if path is not None:
                make_folder(path.parent)
                # SQLite gives the files beside it (-wal, -shm) the permissions of the file itself.
                os.close(open_file(path, os.O_CREAT | os.O_RDWR))
            self._connection = sqlite3.connect(
                path or ":memory:", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            weakref.finalize(self, self._connection.close)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(f"The sandbox cannot keep its orders in {str(path)!r}.") from error

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        patience = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                # The orders survive a killed process; a power failure may lose the last ones.
                self._connection.execute("PRAGMA synchronous=NORMAL")
                break
            except sqlite3.OperationalError as error:
                # SQLite does not wait for this lock by itself if two processes open a new file together.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > patience:
                    raise
                time.sleep(0.02)
        with self.transaction() as database:
            for statement in filter(str.strip, f"{_SCHEMA}{AFTER_SALE}{SIGN_IN}{WEBHOOKS}{V1}".split(";")):
                database.execute(statement)
            for table, columns in _LATER_COLUMNS.items():
                known = {row["name"] for row in database.execute(f"PRAGMA table_info({table})")}
                for column in columns:
                    if column.partition(" ")[0] not in known:
                        database.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
            database.execute(_LATER_INDEX)
            database.execute("INSERT OR IGNORE INTO secrets VALUES ('payments', ?)", (secrets.token_hex(32),))
            (secret,) = database.execute("SELECT value FROM secrets WHERE name = 'payments'").fetchone()
        self.secret = str(secret)
        """The secret in the ids of challenges, for all processes that share the ledger. It is text, as in the SDKs."""

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Hold the ledger for one change, which is made as a whole or not at all."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                # SQLite rolls back by itself after some errors, such as a full disk.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def record_post(
        self,
        at: float,
        caller: str,
        key: str | None,
        content: bytes,
        body: dict[str, Any],
        *,
        rail: Rail = "account",
        credential: str | None = None,
    ) -> Post:
        """Record that a POST arrived. POSTs with a credential and POSTs without one are counted separately."""
        digest = hashlib.sha256(content).hexdigest()
        with self.transaction() as database:
            same = "idempotency_key = ?" if key is not None else "idempotency_key IS NULL AND body_sha256 = ?"
            (earlier,) = database.execute(
                f"SELECT count(*) FROM attempts WHERE caller = ? AND {same} "  # noqa: S608  # one of two constants
                "AND (credential IS NULL) = ?",
                (caller, key if key is not None else digest, credential is None),
            ).fetchone()
            written = database.execute(
                "INSERT INTO attempts (at, caller, idempotency_key, body_sha256, outcome, rail, credential) "
                "VALUES (?, ?, ?, ?, 'received', ?, ?)",
                (at, caller, key, digest, rail, credential),
            )
            return Post(int(written.lastrowid or 0), int(earlier), at, caller, key, content, body)

    def close_attempt(self, post: Post, outcome: str, fault: str | None, *, busy: bool = False) -> None:
        """Record the outcome of a POST. With `busy` it stays in flight, like a POST that is never answered."""
        with self.transaction() as database:
            database.execute(
                "UPDATE attempts SET outcome = ?, fault = ?, busy_until = iif(?, busy_until, NULL) WHERE seq = ?",
                (outcome, fault, busy, post.number),
            )

    def accept(
        self, post: Post, scenario: str, *, busy_seconds: float, honour_keys: bool
    ) -> tuple[OrderRow, Acceptance]:
        """Create the order, or return the earlier order of its key, which may still be in flight, in one transaction.

        Idempotency keys are separate for each API key (the scope is not documented). An order without one gets one.
        """
        with self.transaction() as database:
            earlier: list[sqlite3.Row] = []
            if honour_keys:
                earlier = self.select(
                    "SELECT * FROM orders WHERE caller = ? AND idempotency_key = ?", post.caller, post.key
                )
            if earlier:
                row = order_row(earlier[0])
                busy = self.select(
                    "SELECT 1 FROM attempts WHERE order_id = ? AND busy_until > ?", row.order_id, post.at
                )
                return row, "in_flight" if busy else "earlier"
            row = OrderRow(str(uuid.uuid4()), post.caller, post.body, post.at, None)
            self.insert_order(post, row, scenario, "account")
            database.execute(
                "UPDATE attempts SET busy_until = ?, outcome = 'created' WHERE seq = ?",
                (post.at + busy_seconds, post.number),
            )
            return row, "created"

    def insert_order(self, post: Post, row: OrderRow, scenario: str, rail: Rail) -> None:
        """Write the new order of a POST, inside the transaction that decides about it."""
        key = post.key if post.key is not None else str(uuid.uuid4())
        self._connection.execute(
            "INSERT INTO orders (order_id, caller, idempotency_key, body, created_at, scenario, rail) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row.order_id, row.caller, key, json.dumps(row.body), row.created_at, scenario, rail),
        )
        self._connection.execute("UPDATE attempts SET order_id = ? WHERE seq = ?", (row.order_id, post.number))

    def contested(self, post: Post) -> bool:
        """Say whether another POST with the same key arrived after this one."""
        statement = "SELECT 1 FROM attempts WHERE caller = ? AND idempotency_key = ? AND seq > ?"
        return bool(self.select(statement, post.caller, post.key, post.number))

    def cancel(self, order_id: str, at: float) -> bool:
        """Cancel an order unless it is cancelled already; return whether this call cancelled it."""
        with self.transaction() as database:
            changed = database.execute(
                "UPDATE orders SET cancelled_at = ? WHERE order_id = ? AND cancelled_at IS NULL", (at, order_id)
            )
            return changed.rowcount == 1

    def count_read(self, order_id: str, what: str) -> int:
        """Count a read of an order; return how many of this kind came before it."""
        with self.transaction() as database:
            (times,) = database.execute(
                "INSERT INTO reads VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times",
                (order_id, what),
            ).fetchone()
            return int(times) - 1

    def find(self, caller: str, order_id: str) -> OrderRow | None:
        """Return the caller's order, or None: the order of another caller looks like one that does not exist."""
        rows = self.select("SELECT * FROM orders WHERE caller = ? AND order_id = ?", caller, order_id)
        return order_row(rows[0]) if rows else None

    def orders_of(self, caller: str, *, having: str = "") -> list[OrderRow]:
        """Return all orders of a caller, newest first.

        Args:
            caller: the fingerprint of their key.
            having: only those whose body contains this text, as a part of a string or of JSON. To read thousands of
                orders takes a client longer than it waits.
        """
        rows = self.select(
            "SELECT * FROM orders WHERE caller = ? AND (instr(body, ?) OR instr(body, ?)) ORDER BY seq DESC",
            *(caller, json.dumps(having)[1:-1], having),
        )
        return [order_row(row) for row in rows]

    def signed_in(self, api_key: str) -> str | None:
        """Return the caller to whom this sandbox issued a live key by a sign-in, or None."""
        rows = self.select("SELECT caller FROM issued_keys WHERE api_key = ?", fingerprint(api_key))
        return str(rows[0]["caller"]) if rows else None

    def placed(self) -> list[Placed]:
        """Return every order, oldest first."""
        rows = self.select(
            "SELECT rail, order_id, idempotency_key, caller AS api_key, body, created_at, scenario "
            "FROM orders ORDER BY seq"
        )
        return [cast(Placed, {**dict(row), "body": json.loads(row["body"])}) for row in rows]

    def attempts(self) -> list[Attempt]:
        """Return every POST, oldest first."""
        rows = self.select(
            "SELECT rail, credential, at, idempotency_key, caller AS api_key, body_sha256, outcome, fault, order_id "
            "FROM attempts ORDER BY seq"
        )
        return [cast(Attempt, dict(row)) for row in rows]

    def select(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Read rows, inside a transaction or outside of one. A value that is None matches no row."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()


def order_row(row: sqlite3.Row) -> OrderRow:
    """Read one row of `orders`."""
    return OrderRow(row["order_id"], row["caller"], json.loads(row["body"]), row["created_at"], row["cancelled_at"])
