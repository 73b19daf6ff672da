"""The questions about products without an account: a POST with a query and without a body, answered with a 402 first.

Arguments that cannot be used are refused before any payment is asked for. A payment buys one answer, and only to the
question for which its challenge was made.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.payments.headers import to_payment_receipt
from zinc_mcp.sandbox import Sandbox, challenges, checks
from zinc_mcp.sandbox.challenges import Issued, VerificationError
from zinc_mcp.sandbox.faults.asked import BEFORE, LIES
from zinc_mcp.sandbox.faults.lies import falsify, garble
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.find.details import details_content, offers_content
from zinc_mcp.sandbox.find.faults import due_answer_fault, due_pay_fault
from zinc_mcp.sandbox.find.parameters import required
from zinc_mcp.sandbox.find.search import search_content, search_one_content
from zinc_mcp.sandbox.ledger import Ledger, Post, fingerprint
from zinc_mcp.sandbox.orders.agent import verify

_Json = dict[str, Any]


async def search(sandbox: Sandbox, request: Request) -> Response:
    """`POST /agent/search`."""
    return _answer(sandbox, request, lambda: search_content(sandbox, request))


async def search_one(sandbox: Sandbox, request: Request) -> Response:
    """`POST /agent/products/search`."""
    return _answer(sandbox, request, lambda: search_one_content(sandbox, request))


async def get_details(sandbox: Sandbox, request: Request) -> Response:
    """`POST /agent/products/details`."""
    product_id = required(sandbox, request, "product_id")
    return _answer(sandbox, request, lambda: details_content(sandbox, request, product_id))


async def get_offers(sandbox: Sandbox, request: Request) -> Response:
    """`POST /agent/products/offers`."""
    product_id = required(sandbox, request, "product_id")
    return _answer(sandbox, request, lambda: offers_content(sandbox, request, product_id))


def _answer(sandbox: Sandbox, request: Request, content: Callable[[], _Json]) -> Response:
    found = content()  # a wrong question is refused before it is paid for
    authorization, now = request.headers.get("authorization", ""), sandbox.clock()
    question = f"{request.url.path}?{request.url.query}".encode()
    if not authorization.strip().lower().startswith("payment "):
        fault = due_pay_fault(sandbox, request)
        if fault is not None and fault.name in BEFORE:
            return spoil(sandbox, fault, Response())
        lie = fault.name if fault is not None and fault.name in LIES else None
        asked = _pay_first(sandbox, question, now, "payment_method_required", lie)
        return asked if fault is None or lie is not None else spoil(sandbox, fault, asked)
    fault = due_answer_fault(sandbox, request)
    if fault is not None and not fault.accepts:
        return spoil(sandbox, fault, Response())
    try:
        challenge, reference = verify(sandbox.ledger.secret.encode(), authorization, body=b"", now=now)
    except VerificationError:
        return _pay_first(sandbox, question, now, "payment_failed")
    issued = challenges.issued(sandbox.ledger, challenge.id)
    if issued is None or issued.body_sha256 != sha256(question).hexdigest():
        return _pay_first(sandbox, question, now, "payment_failed")
    if not _settle(sandbox.ledger, issued, reference, authorization, now):
        return _pay_first(sandbox, question, now, "payment_failed")
    answer = checks.as_json(found)
    when = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
    answer.headers["payment-receipt"] = to_payment_receipt(issued.method, reference, when)
    answer.headers["cache-control"] = "no-store, private"
    return answer if fault is None else spoil(sandbox, fault, answer)


def _pay_first(sandbox: Sandbox, question: bytes, now: float, code: str, lie: str | None = None) -> Response:
    answer = checks.error(sandbox.dialect, 402, code, "Pay for this question to have it answered.")
    drafts = challenges.draft_for_question(sandbox, now)
    if lie is not None:
        drafts = falsify(lie, drafts, Post(0, 0, now, "", None, b"", {}))
    lines = [garble(lie, line) for line in challenges.issue(sandbox, drafts, question)]
    for line in [", ".join(lines)] if sandbox.dialect.challenges == "folded" else lines:
        answer.headers.append("www-authenticate", line)
    answer.headers["cache-control"] = "no-store"
    return answer


def _settle(ledger: Ledger, challenge: Issued, reference: str, credential: str, now: float) -> bool:
    """Take the payment for a question about products, once; say whether this call took it."""
    with ledger.transaction() as database:
        taken = ledger.select("SELECT 1 FROM settlements WHERE challenge_id = ?", challenge.challenge_id)
        void = ledger.select("SELECT 1 FROM challenges WHERE challenge_id = ? AND void", challenge.challenge_id)
        if taken or void:
            return False
        database.execute(
            "INSERT INTO settlements (challenge_id, method, reference, credential, amount_cents, idempotency_key, "
            "outcome, order_id, at) VALUES (?, ?, ?, ?, ?, NULL, 'answered', NULL, ?)",
            (
                challenge.challenge_id,
                challenge.method,
                reference,
                fingerprint(credential),
                challenge.amount_cents,
                now,
            ),
        )
        return True
