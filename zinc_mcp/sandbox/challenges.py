"""The money side of the ledger: challenges that were issued, what was settled for them, and the keys of paid orders.

Several processes that share a ledger share its secret: each verifies what another issued, and one challenge is settled
once among all of them.
"""

import hmac
import secrets
import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, TypedDict

from zinc_mcp.payments.practice import VerificationError
from zinc_mcp.sandbox.ledger import Ledger, Row, fingerprint, insert_order, row_of
from zinc_mcp.sandbox.order_view import age_of
from zinc_mcp.sandbox.outcome import course_of
from zinc_mcp.sandbox.prices import ORDER_FEE, charged_cents

ORDER_KEY_PREFIX = "zn_live_sandbox_"
"""Zinc's order keys look like `zn_live_…`; nobody can take these for one of them."""

REFUND_AFTER = 5.0
"""Seconds from the end of an order until its refund, at pace 1."""

Outcome = Literal["ordered", "duplicate", "no_order"]


class Settlement(TypedDict):
    """One payment that was taken. `order_id` is what it bought; for a `duplicate`, the earlier order of its key."""

    challenge_id: str
    method: str
    reference: str
    amount_cents: int
    refunded_cents: int
    idempotency_key: str | None
    outcome: Outcome
    order_id: str | None
    at: float


@dataclass(frozen=True, slots=True)
class Issued:
    """A challenge as the ledger keeps it. `body_sha256` is None for one that was asked without a body."""

    challenge_id: str
    method: str
    amount_cents: int
    body_sha256: str | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a payment: `void` and `unsettled` took nothing."""

    outcome: Outcome | Literal["void", "unsettled"]
    row: Row | None = None
    method: str = ""
    reference: str = ""
    at: float = 0.0
    again: bool = False
    """Whether it had been settled before, and this is how."""


class Till:
    """Every method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        """Open the till, and make the ledger's secret where there is none."""
        self._ledger = ledger
        with ledger.transaction() as database:
            database.execute("INSERT OR IGNORE INTO secrets VALUES ('payments', ?)", (secrets.token_hex(32),))
            (found,) = database.execute("SELECT value FROM secrets WHERE name = 'payments'").fetchone()
        self.secret = str(found)
        """Binds the challenges. Text, as the SDKs' servers want it."""

    def order_key(self, order_id: str) -> str:
        """Return the key of one paid order: derived, so that it is stored nowhere."""
        return ORDER_KEY_PREFIX + hmac.digest(self.secret.encode(), f"order {order_id}".encode(), sha256).hex()[:40]

    def issue(self, challenges: Sequence[Issued]) -> None:
        """Write down challenges that are about to be offered."""
        with self._ledger.transaction() as database:
            database.executemany(
                "INSERT OR IGNORE INTO challenges (challenge_id, method, amount_cents, body_sha256, expires_at) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (one.challenge_id, one.method, one.amount_cents, one.body_sha256, one.expires_at)
                    for one in challenges
                ],
            )

    def issued(self, challenge_id: str) -> Issued | None:
        """Return a challenge that was issued here, or None."""
        for row in self._ledger.select("SELECT * FROM challenges WHERE challenge_id = ?", challenge_id):
            return Issued(
                row["challenge_id"], row["method"], row["amount_cents"], row["body_sha256"], row["expires_at"]
            )
        return None

    def fate(self, challenge_id: str, now: float) -> tuple[Literal["settled", "unpaid", "open"], str | None] | None:
        """Say what became of a challenge, or None if there is none: an `unpaid` one can never be settled any more."""
        with self._ledger.transaction() as database:
            settled = database.execute(
                "SELECT reference FROM settlements WHERE challenge_id = ?", (challenge_id,)
            ).fetchone()
            if settled:
                return "settled", str(settled["reference"])
            known = database.execute("SELECT * FROM challenges WHERE challenge_id = ?", (challenge_id,)).fetchone()
            if known is None:
                return None
            if known["expires_at"] is None or known["expires_at"] > now or known["claimed"]:
                return "open", None
            # A request that was verified in time may still be on its way to the till: from now on it is turned away.
            database.execute("UPDATE challenges SET void = 1 WHERE challenge_id = ?", (challenge_id,))
            return "unpaid", None

    def claim(self, challenge_id: str) -> bool:
        """Reserve a challenge for one settlement elsewhere; say whether this did it."""
        with self._ledger.transaction() as database:
            changed = database.execute(
                "UPDATE challenges SET claimed = 1 WHERE challenge_id = ? AND claimed = 0 AND void = 0", (challenge_id,)
            )
            return changed.rowcount == 1

    def release(self, challenge_id: str) -> None:
        """Give a challenge back whose settlement elsewhere was refused."""
        with self._ledger.transaction() as database:
            database.execute("UPDATE challenges SET claimed = 0 WHERE challenge_id = ?", (challenge_id,))

    def earlier(self, challenge_id: str, credential: str) -> Settled | None:
        """Return how a challenge was settled, or None.

        Raises:
            VerificationError: if it was settled with another credential.
        """
        with self._ledger.transaction() as database:
            return _earlier(database, challenge_id, credential)

    def ordered_with(self, key: str | None) -> Row | None:
        """Return the agent order of an idempotency key, or None."""
        with self._ledger.transaction() as database:
            return _ordered_with(database, key)

    def settle(
        self,
        attempt: int,
        challenge: Issued,
        reference: str,
        credential: str,
        *,
        at: float,
        key: str | None,
        body: dict[str, Any],
        scenario: str,
        honour_keys: bool,
        keep_duplicates: bool,
        fails: bool = False,
    ) -> Settled:
        """Take a payment and create its order, in one transaction; once for each challenge and each key.

        The scope of keys is not documented. Who pays has no account: here a key stands for one order among all payers.

        Args:
            attempt: the number of the request.
            challenge: what is paid.
            reference: where it was settled.
            credential: what paid; only a fingerprint is kept.
            at: when it came.
            key: the idempotency key.
            body: the order.
            scenario: how the order will go.
            honour_keys: whether a used key is noticed.
            keep_duplicates: whether a payment is taken for a used key as well.
            fails: the payment is taken and no order comes of it.

        Raises:
            VerificationError: if the challenge was settled with another credential.
        """
        with self._ledger.transaction() as database:
            if earlier := _earlier(database, challenge.challenge_id, credential):
                return earlier
            (void,) = database.execute(
                "SELECT void FROM challenges WHERE challenge_id = ?", (challenge.challenge_id,)
            ).fetchone()
            if void:
                return Settled("void")
            twin = _ordered_with(database, key) if honour_keys else None
            if twin and not keep_duplicates:
                return Settled("unsettled", twin)
            row = twin or (None if fails else self._new(body, at))
            outcome: Outcome = "duplicate" if twin else "ordered" if row else "no_order"
            database.execute(
                "INSERT INTO settlements (challenge_id, method, reference, credential, amount_cents, idempotency_key, "
                "outcome, order_id, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    challenge.challenge_id,
                    challenge.method,
                    reference,
                    fingerprint(credential),
                    challenge.amount_cents,
                    key,
                    outcome,
                    row.order_id if row else None,
                    at,
                ),
            )
            if row and outcome == "ordered":
                insert_order(database, row, key, scenario, "agent")
                database.execute("UPDATE attempts SET order_id = ? WHERE seq = ?", (row.order_id, attempt))
            return Settled(outcome, row, challenge.method, reference, at)

    def give(self, attempt: int, *, at: float, key: str | None, body: dict[str, Any], scenario: str) -> Row:
        """Create an agent order that nobody paid for, or return the one of its key."""
        with self._ledger.transaction() as database:
            if twin := _ordered_with(database, key):
                return twin
            row = self._new(body, at)
            insert_order(database, row, key, scenario, "agent")
            database.execute("UPDATE attempts SET order_id = ? WHERE seq = ?", (row.order_id, attempt))
            return row

    def settlements(self, now: float, pace: float) -> list[Settlement]:
        """Return every payment taken, oldest first, with what of it has been given back by now."""
        rows = self._ledger.select(
            "SELECT settlements.*, caller, body, created_at, cancelled_at FROM settlements "
            "LEFT JOIN orders USING (order_id) ORDER BY settlements.seq"
        )
        return [
            Settlement(
                challenge_id=row["challenge_id"],
                method=row["method"],
                reference=row["reference"],
                amount_cents=row["amount_cents"],
                refunded_cents=(
                    refunded_cents(row_of(row), row["amount_cents"], now, pace) if row["outcome"] == "ordered" else 0
                ),
                idempotency_key=row["idempotency_key"],
                outcome=row["outcome"],
                order_id=row["order_id"],
                at=row["at"],
            )
            for row in rows
        ]

    def _new(self, body: dict[str, Any], at: float) -> Row:
        order_id = str(uuid.uuid4())
        return Row(order_id, fingerprint(self.order_key(order_id)), body, at, None)


def refunded_cents(row: Row, paid: int, now: float, pace: float) -> int:
    """Return what of an order's payment has been given back by now.

    MPP page: the difference to the actual total and the fee, or everything if the order fails. When is not documented,
    and no field of the order shows it.
    """
    age, course = age_of(row, now, pace), course_of(row.body)
    ended = [at for at, kind in course.milestones if kind in ("order_failed", "order_placed")]
    lost = [at for at, kind in course.milestones if kind in ("order_failed", "cancelled")]
    if any(age >= at + REFUND_AFTER for at in lost):
        return paid
    if any(age >= at + REFUND_AFTER for at in ended) and not course.failure:
        return max(0, paid - charged_cents(course.bought, row.body["max_price"]) - ORDER_FEE)
    return 0


def _earlier(database: sqlite3.Connection, challenge_id: str, credential: str) -> Settled | None:
    found = database.execute("SELECT * FROM settlements WHERE challenge_id = ?", (challenge_id,)).fetchone()
    if found is None:
        return None
    if found["credential"] != fingerprint(credential):
        raise VerificationError("verification-failed")
    order = database.execute("SELECT * FROM orders WHERE order_id = ?", (found["order_id"],)).fetchone()
    row = row_of(order) if order else None
    return Settled(found["outcome"], row, found["method"], found["reference"], found["at"], again=True)


def _ordered_with(database: sqlite3.Connection, key: str | None) -> Row | None:
    found = None
    if key is not None:
        found = database.execute("SELECT * FROM orders WHERE rail = 'agent' AND idempotency_key = ?", (key,)).fetchone()
    return row_of(found) if found else None
