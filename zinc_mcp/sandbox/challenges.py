"""The challenges of a 402 and their settlements.

The header format is the real one. A challenge's id is the HMAC that the draft recommends ("Challenge Binding").
Processes that share a ledger share its secret. Each of them can verify a challenge that another issued, and all of
them together settle a challenge once.
"""

import hmac
import secrets
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, TypedDict, cast

from zinc_mcp.payments.headers import Challenge, base64url, digest_of, encoded_object
from zinc_mcp.payments.wallet import PRACTICE_METHOD
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.ledger import Ledger, OrderRow, Post, fingerprint, order_row
from zinc_mcp.sandbox.products import ORDER_FEE, age_of, charged_cents, outcome_of

REALM = "api.zinc.com"
QUESTION_CENTS = 1
"""The price of a question about products."""

ORDER_KEY_PREFIX = "zn_live_sandbox_"
"""Zinc's order keys look like `zn_live_…`; this prefix tells ours apart from them."""

REFUND_AFTER_SECONDS = 5.0
"""The time from the end of an order until its refund, at pace 1."""

Ending = Literal["ordered", "duplicate", "no_order", "answered"]
"""`answered`: the payment was for a question about products."""

Problem = Literal["malformed-credential", "invalid-challenge", "payment-expired", "verification-failed"]
"""Slugs of the draft's problem types ("Error Codes")."""


class VerificationError(Exception):
    """The payee refuses the credential, with one of the draft's problems."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem: Problem = problem


@dataclass(frozen=True, slots=True)
class Payee:
    """One way to be paid: the `request` of its challenges, except for the amount."""

    method: str
    currency: str
    recipient: str
    decimals: int = 2
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])


PAYEES = (
    Payee(
        "tempo",
        "0x20C000000000000000000000b9537d11c60E8b50",
        "0x3ba9000000000000000000000000000000005a2d",
        6,
        {"chainId": 4217},
    ),
    Payee("stripe", "usd", "acct_1SandboxSandbox", details={"networkId": "profile_sandbox"}),
    Payee("sandbox", "usd", "acct_practice"),
)
"""Zinc's two methods, as captured on 30 June 2026 but with other recipients, and the practice method."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A challenge before it has its id and its header line. `cents` is the amount of its `request`."""

    method: str
    cents: int
    request: Mapping[str, Any]
    expires_at: float | None
    digest: str | None
    realm: str = REALM
    intent: str = "charge"
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A challenge in the ledger. `body_sha256` is None if the request had no body."""

    challenge_id: str
    method: str
    amount_cents: int
    body_sha256: str | None


class Settlement(TypedDict):
    """One payment that was taken. `order_id` is the bought order, or for a `duplicate` the earlier order of its key."""

    challenge_id: str
    method: str
    reference: str
    amount_cents: int
    refunded_cents: int
    idempotency_key: str | None
    outcome: Ending
    order_id: str | None
    at: float


@dataclass(frozen=True, slots=True)
class Settled:
    """The ending of a payment: `void` and `unsettled` took nothing."""

    ending: Ending | Literal["void", "unsettled"]
    row: OrderRow | None = None
    method: str = ""
    reference: str = ""
    at: float = 0.0
    again: bool = False
    """Whether the settlement was made by an earlier request."""


def offered_methods(sandbox: Sandbox, content: bytes) -> list[str]:
    """Return the offered methods. Zinc was seen to leave out stripe for a request without a body."""
    return [payee.method for payee in sandbox.payees or PAYEES if content or payee.method != "stripe"]


def draft_challenges(sandbox: Sandbox, post: Post, method: str | None, *, times: int = 1) -> list[Draft]:
    """Draft a challenge for each offered method, or for `method` alone.

    Each asks for max_price and the fee, `times` times, or for the fee alone if the request has no body.
    """
    offered = [name for name in offered_methods(sandbox, post.content) if method in (None, name)]
    cents: int = (post.body.get("max_price", 0) + ORDER_FEE) * times
    digest = None
    if post.content and sandbox.dialect.challenge_digest != "absent":
        digest = digest_of(post.content)
        digest = digest if sandbox.dialect.challenge_digest == "draft" else digest.replace(":", "")
    expires_at = post.at + sandbox.challenge_seconds
    return [
        Draft(payee.method, cents, _request(payee, cents), expires_at, digest)
        for payee in sandbox.payees or PAYEES
        if payee.method in offered
    ]


def draft_for_question(sandbox: Sandbox, now: float) -> list[Draft]:
    """Draft a challenge for each payee that asks for the price of a question about products."""
    expires_at = now + sandbox.challenge_seconds
    return [
        Draft(payee.method, QUESTION_CENTS, _request(payee, QUESTION_CENTS), expires_at, None)
        for payee in sandbox.payees or PAYEES
    ]


def _request(payee: Payee, cents: int) -> dict[str, Any]:
    amount = str(cents * int(10 ** (payee.decimals - 2)))
    request = {"amount": amount, "currency": payee.currency, "recipient": payee.recipient}
    return {**request, "methodDetails": dict(payee.details)} if payee.details else request


def issue(sandbox: Sandbox, drafts: Sequence[Draft], content: bytes) -> list[str]:
    """Give the challenges their ids, store them, and return them as header lines."""
    made = [
        bound(
            sandbox.ledger.secret.encode(),
            realm=draft.realm,
            request=draft.request,
            method=draft.method,
            intent=draft.intent,
            expires=None if draft.expires_at is None else _rfc_3339(draft.expires_at),
            digest=draft.digest,
            # The nonce tells the challenges of two equal orders apart. The SDKs' servers use the same name.
            opaque=encoded_object({"_mpp_nonce": secrets.token_hex(16)}),
            header=draft.header,
        )
        for draft in drafts
    ]
    digest = sha256(content).hexdigest() if content else None
    with sandbox.ledger.transaction() as database:
        database.executemany(
            "INSERT INTO challenges (challenge_id, method, amount_cents, body_sha256, expires_at) "
            "VALUES (?, ?, ?, ?, ?)",
            [
                (challenge.id, draft.method, draft.cents, digest, draft.expires_at)
                for challenge, draft in zip(made, drafts, strict=True)
            ],
        )
    return [challenge.to_www_authenticate() for challenge in made]


def _rfc_3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def bound(secret: bytes, *, realm: str, request: Mapping[str, Any], **others: Any) -> Challenge:
    """Return a challenge whose id binds its other parameters: a practice charge, unless `others` say otherwise."""
    parameters = {"method": PRACTICE_METHOD, "intent": "charge", **others}
    challenge = Challenge(id="unbound", realm=realm, request=encoded_object(request), **parameters)
    return replace(challenge, id=challenge_id(secret, challenge))


def challenge_id(secret: bytes, challenge: Challenge) -> str:
    """Return the HMAC-SHA256 over the challenge's slots ("Recommended: HMAC-SHA256 Binding").

    A header other than the default has a slot of its own before `opaque`, as the SDKs and the conformance vectors
    have it (the draft's -01 puts it last).
    """
    slots = [challenge.realm, challenge.method, challenge.intent, challenge.request]
    slots += [challenge.expires or "", challenge.digest or ""]
    if challenge.header is not None and challenge.header.lower() != "authorization":
        slots.append(challenge.header)
    slots.append(challenge.opaque or "")
    return base64url(hmac.digest(secret, "|".join(slots).encode("utf-8", "surrogatepass"), sha256))


def issued(ledger: Ledger, challenge_id: str) -> Issued | None:
    """Return a challenge that was issued here, or None."""
    for row in ledger.select("SELECT * FROM challenges WHERE challenge_id = ?", challenge_id):
        return Issued(row["challenge_id"], row["method"], row["amount_cents"], row["body_sha256"])
    return None


def fate(
    ledger: Ledger, challenge_id: str, now: float
) -> tuple[Literal["settled", "unpaid", "open"], str | None] | None:
    """Return the ending of a challenge and its reference; None for an unknown challenge.

    An `unpaid` challenge can never be settled any more.
    """
    with ledger.transaction() as database:
        for settled in ledger.select("SELECT reference FROM settlements WHERE challenge_id = ?", challenge_id):
            return "settled", str(settled["reference"])
        found = ledger.select("SELECT expires_at, claimed FROM challenges WHERE challenge_id = ?", challenge_id)
        if not found:
            return None
        expires_at, claimed = found[0]
        if expires_at is None or expires_at > now or claimed:
            return "open", None
        # A request may have been verified in time and not settled yet; `settle` refuses it from now on.
        database.execute("UPDATE challenges SET void = 1 WHERE challenge_id = ?", (challenge_id,))
        return "unpaid", None


def claim(ledger: Ledger, challenge_id: str) -> bool:
    """Reserve a challenge for one settlement by `sandbox.settle`; return whether this call reserved it."""
    with ledger.transaction() as database:
        changed = database.execute(
            "UPDATE challenges SET claimed = 1 WHERE challenge_id = ? AND claimed = 0 AND void = 0", (challenge_id,)
        )
        return changed.rowcount == 1


def release(ledger: Ledger, challenge_id: str) -> None:
    """End the reservation of a challenge whose settlement was refused."""
    with ledger.transaction() as database:
        database.execute("UPDATE challenges SET claimed = 0 WHERE challenge_id = ?", (challenge_id,))


def earlier_settlement(ledger: Ledger, challenge_id: str, credential: str) -> Settled | None:
    """Return the settlement of a challenge, or None.

    Raises:
        VerificationError: the challenge was settled with another credential.
    """
    for found in ledger.select("SELECT * FROM settlements WHERE challenge_id = ?", challenge_id):
        if found["credential"] != fingerprint(credential):
            raise VerificationError("verification-failed")
        orders = ledger.select("SELECT * FROM orders WHERE order_id = ?", found["order_id"])
        row = order_row(orders[0]) if orders else None
        return Settled(found["outcome"], row, found["method"], found["reference"], found["at"], again=True)
    return None


def order_of_key(ledger: Ledger, key: str | None) -> OrderRow | None:
    """Return the agent order of an idempotency key, or None."""
    for row in ledger.select("SELECT * FROM orders WHERE rail = 'agent' AND idempotency_key = ?", key):
        return order_row(row)
    return None


def settle(
    sandbox: Sandbox,
    post: Post,
    challenge: Issued,
    reference: str,
    credential: str,
    *,
    keep_duplicates: bool,
    fails: bool = False,
) -> Settled:
    """Take a payment and create its order, in one transaction; once for each challenge and each key.

    The scope of keys is not documented, and a payer has no account. So a key names one order among all payers.

    Only a fingerprint of the credential is kept. With `keep_duplicates` a payment is also taken for a used key; with
    `fails` the payment is taken and no order is created.

    Raises:
        VerificationError: the challenge was settled with another credential.
    """
    ledger = sandbox.ledger
    with ledger.transaction() as database:
        if earlier := earlier_settlement(ledger, challenge.challenge_id, credential):
            return earlier
        if ledger.select("SELECT 1 FROM challenges WHERE challenge_id = ? AND void", challenge.challenge_id):
            return Settled("void")
        earlier_order = order_of_key(ledger, post.key) if sandbox.dialect.keys == "honoured" else None
        if earlier_order and not keep_duplicates:
            return Settled("unsettled", earlier_order)
        row = earlier_order or (None if fails else _new_order(ledger, post))
        ending: Ending = "duplicate" if earlier_order else "ordered" if row else "no_order"
        database.execute(
            "INSERT INTO settlements (challenge_id, method, reference, credential, amount_cents, idempotency_key, "
            "outcome, order_id, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                challenge.challenge_id,
                challenge.method,
                reference,
                fingerprint(credential),
                challenge.amount_cents,
                post.key,
                ending,
                row.order_id if row else None,
                post.at,
            ),
        )
        return Settled(ending, row, challenge.method, reference, post.at)


def create_unpaid(ledger: Ledger, post: Post) -> OrderRow:
    """Create an agent order without a payment, or return the one of its key."""
    with ledger.transaction():
        return order_of_key(ledger, post.key) or _new_order(ledger, post)


def settlements(ledger: Ledger, now: float, pace: float) -> list[Settlement]:
    """Return every payment that was taken, oldest first, with the amount refunded by now."""
    rows = ledger.select(
        "SELECT settlements.*, caller, body, created_at, cancelled_at FROM settlements "
        "LEFT JOIN orders USING (order_id) ORDER BY settlements.seq"
    )
    kept = [name for name in Settlement.__annotations__ if name != "refunded_cents"]
    return [
        cast(Settlement, {**{name: row[name] for name in kept}, "refunded_cents": _refunded_cents(row, now, pace)})
        for row in rows
    ]


def _refunded_cents(settled: sqlite3.Row, now: float, pace: float) -> int:
    """Return the amount of a payment that has been refunded by now.

    MPP page: the part above the actual total and the fee, or everything if the order fails. The time of the refund is
    not documented, and no field of the order shows it.
    """
    if settled["outcome"] != "ordered":
        return 0
    row, paid_cents = order_row(settled), int(settled["amount_cents"])
    age, outcome = age_of(row, now, pace), outcome_of(row.body)
    over = {kind for at, kind in outcome.milestones if age >= at + REFUND_AFTER_SECONDS}
    if over & {"order_failed", "cancelled"}:
        return paid_cents
    if "order_placed" in over:
        return max(0, paid_cents - charged_cents(outcome.bought, row.body["max_price"]) - ORDER_FEE)
    return 0


def order_key(secret: str, order_id: str) -> str:
    """Return the key of one paid order. It is derived from the secret and never stored."""
    return ORDER_KEY_PREFIX + hmac.digest(secret.encode(), f"order {order_id}".encode(), sha256).hex()[:40]


def _new_order(ledger: Ledger, post: Post) -> OrderRow:
    order_id = str(uuid.uuid4())
    row = OrderRow(order_id, fingerprint(order_key(ledger.secret, order_id)), post.body, post.at, None)
    ledger.insert_order(post, row, outcome_of(post.body).scenario.name, "agent")
    return row
