"""The endpoints of the agent rail: they check an order, answer it with a 402, take the payment, and place it once.

The sequence is that of Zinc's MPP page and the SDK: a wrong body is refused before any challenge, a refused order costs
nothing, and the answer to a paid order has an order key and a receipt.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.payments.failures import InvalidChallengeError, PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential, is_digest_of, to_payment_receipt
from zinc_mcp.payments.terms import expiry
from zinc_mcp.payments.wallet import PRACTICE_METHOD, practice_proof, practice_reference
from zinc_mcp.sandbox import Sandbox, challenges, checks
from zinc_mcp.sandbox.challenges import Problem, Settled, VerificationError, challenge_id
from zinc_mcp.sandbox.checks import AnsweredError, check_form, check_products, key_in, read_body
from zinc_mcp.sandbox.faults.asked import LIES, PAID, Fault, due_fault
from zinc_mcp.sandbox.faults.lies import falsify, garble
from zinc_mcp.sandbox.faults.spoilt_answers import spoil
from zinc_mcp.sandbox.ledger import OrderRow, Post, fingerprint
from zinc_mcp.sandbox.order_view import order_at
from zinc_mcp.sandbox.products import scenario_of

Settle = Callable[[str, bytes], Awaitable[str]]
"""Verifies and settles a credential of another method than ours. It gets the header's value and the body, and returns
the reference. Every exception means that nothing was settled."""

_CALLER = "agent"
"""The ledger's caller for agent orders, because a payer has no API key."""

_CODES: dict[Problem, str] = {
    "malformed-credential": "invalid_payment_credential",
    "invalid-challenge": "invalid_payment_credential",
    "payment-expired": "payment_verification_failed",
    "verification-failed": "payment_verification_failed",
}
_PROBLEMS = "https://paymentauth.org/problems/"
_OTHER_SCHEME = f'Bearer realm="{challenges.REALM}", error="invalid_token"'

_logger = logging.getLogger(__name__)


async def create_agent_order(sandbox: Sandbox, request: Request) -> Response:
    """`POST /agent/orders`. The order of the checks: form, address, product, method, payment, key."""
    content, authorization = await request.body(), request.headers.get("authorization", "")
    paid = authorization.strip().lower().startswith("payment ")
    body, problems = read_body(content)
    post = sandbox.ledger.record_post(
        sandbox.clock(),
        _CALLER,
        key_in(body),
        content,
        body,
        rail="agent",
        credential=fingerprint(authorization) if paid else None,
    )
    method = request.query_params.get("method") if sandbox.dialect.method_query == "honoured" else None
    fault: Fault | None = None
    try:
        if content or paid:
            _check(sandbox, body, problems)
            fault = due_fault(sandbox.dialect, post, "fault" if paid else "pay_fault", "agent")
        offered = challenges.offered_methods(sandbox, content)
        if method and method not in offered:
            message, details = "There is no such payment method here.", {"available": offered}
            raise AnsweredError(checks.error(sandbox.dialect, 400, "unknown_payment_method", message, details))
        if paid:
            answer, outcome = await _answer_paid(sandbox, post, method, authorization, fault)
        else:
            answer, outcome = _answer_unpaid(sandbox, post, method, fault)
    except AnsweredError as answered:
        answer, outcome = answered.answer, f"rejected_{answered.answer.status_code}"
    sandbox.ledger.close_attempt(post, outcome, fault.name if fault else None)
    _logger.info("POST /agent/orders: %s, fault: %s", outcome, fault.name if fault else None)
    # The faults named here have changed the answer already.
    spoils = fault is not None and fault.name not in PAID | LIES | {"unpaid_201"}
    return spoil(sandbox, fault, answer) if fault and spoils else answer


async def get_settlement(sandbox: Sandbox, request: Request) -> Response:
    """`GET /practice/settlements/{id}`: the ending of a challenge. It needs no key; Zinc has no such endpoint.

    A real wallet asks its own chain or bank; the practice wallet asks here.
    """
    fate = challenges.fate(sandbox.ledger, request.path_params["challenge_id"], sandbox.clock())
    if fate is None:
        return checks.error(sandbox.dialect, 404, "not_found", "No such challenge was issued here.")
    return checks.as_json({"ending": fate[0], "reference": fate[1]})


def _check(sandbox: Sandbox, body: dict[str, Any], problems: list[dict[str, Any]]) -> None:
    check_form(sandbox.dialect, body, problems)
    if body.get("payment") is not None:
        # `payment` has no documented meaning on this rail; a client that sends it wants the other rail.
        forbidden = {"type": "extra_forbidden", "loc": ["body", "payment"], "msg": "The challenge says how to pay"}
        raise AnsweredError(checks.invalid(sandbox.dialect, [forbidden]))
    # This rail has no balance that could be too low; the payment fails instead.
    check_products(sandbox.dialect, body, except_for="insufficient_funds")


def _answer_unpaid(sandbox: Sandbox, post: Post, method: str | None, fault: Fault | None) -> tuple[Response, str]:
    """Return the answer to a POST without a payment, and the outcome for the ledger."""
    if sandbox.dialect.agent_duplicate == "early_409" and (earlier := _earlier_order(sandbox, post)):
        return _conflict(sandbox, post, earlier), "replayed_409"
    if fault and fault.name == "unpaid_201":
        row = challenges.create_unpaid(sandbox.ledger, post)
        return _created(sandbox, post, row), "created"
    lie = fault.name if fault and fault.name in LIES else None
    return _pay_first(sandbox, post, method, lie=lie), "challenged"


async def _answer_paid(
    sandbox: Sandbox, post: Post, method: str | None, authorization: str, fault: Fault | None
) -> tuple[Response, str]:
    """Return the answer to a POST with a payment, and the outcome for the ledger."""
    if fault and not fault.accepts:
        return Response(), f"not_accepted_{fault.name}"
    if fault and fault.name == "second_402":
        answer = checks.error(sandbox.dialect, 402, "payment_failed", "The price has changed.")
        return _with_challenges(sandbox, answer, post, method, times=2), "challenged"
    try:
        fails = fault is not None and fault.name in PAID
        settled = await _settle(sandbox, post, method, authorization, fails=fails)
    except VerificationError as failed:
        return _unverified(sandbox, post, method, failed.problem), f"unverified_{failed.problem}"
    match settled.ending:
        case "ordered" if settled.again:
            answer = _repeated(sandbox, post, method, settled)
            return answer, f"replayed_{answer.status_code}"
        case "ordered":
            return _created(sandbox, post, settled.row, settled), "created"
        case "no_order" | "answered":
            return checks.internal_error(sandbox.dialect), "replayed_500" if settled.again else "settled_without_order"
        case "duplicate" | "unsettled":
            took_money = settled.ending == "duplicate" and not settled.again
            return _conflict(sandbox, post, settled.row), "settled_409" if took_money else "replayed_409"
        case "void":
            return _unverified(sandbox, post, method, "payment-expired"), "unverified_payment-expired"


async def _settle(sandbox: Sandbox, post: Post, method: str | None, authorization: str, *, fails: bool) -> Settled:
    """Verify a credential and take its money, or return its earlier settlement.

    Raises:
        VerificationError: the credential is not valid; nothing was taken.
    """
    challenge = challenge_in(sandbox.ledger.secret.encode(), authorization)
    issued = challenges.issued(sandbox.ledger, challenge.id)
    if issued is None:
        raise VerificationError("invalid-challenge")
    if challenge.digest is not None and not is_digest_of(challenge.digest, post.content):
        raise VerificationError("verification-failed")
    if earlier := challenges.earlier_settlement(sandbox.ledger, challenge.id, authorization):
        return earlier
    if issued.body_sha256 is None or method not in (None, challenge.method):
        # The challenge of a request without a body asks for the fee alone. The query must be the same again.
        raise VerificationError("verification-failed")
    if any(scenario_of(product["url"]).name == "insufficient_funds" for product in post.body["products"]):
        details = {"reason": "insufficient_funds"}
        answer = checks.error(sandbox.dialect, 402, "payment_failed", "The payment failed.", details)
        raise AnsweredError(_with_challenges(sandbox, answer, post, method))
    reference = await _verify(sandbox, post, challenge, authorization)
    return challenges.settle(
        sandbox,
        post,
        issued,
        reference,
        authorization,
        keep_duplicates=challenge.method != PRACTICE_METHOD or sandbox.dialect.agent_duplicate == "kept_409",
        fails=fails or issued.body_sha256 != sha256(post.content).hexdigest(),
    )


async def _verify(sandbox: Sandbox, post: Post, challenge: Challenge, authorization: str) -> str:
    """Verify a credential, settle it with `sandbox.settle` if its method is not ours, and return the reference."""
    if challenge.method == PRACTICE_METHOD:
        return verify(sandbox.ledger.secret.encode(), authorization, body=post.content, now=post.at)[1]
    if sandbox.settle is None:
        raise VerificationError("verification-failed")
    refuse_expired(challenge, post.at)
    # Checked before the settlement: the money of a real settlement cannot be refunded here.
    if sandbox.dialect.agent_duplicate != "kept_409" and (earlier := _earlier_order(sandbox, post)):
        raise AnsweredError(_conflict(sandbox, post, earlier))
    if not challenges.claim(sandbox.ledger, challenge.id):
        raise AnsweredError(checks.error(sandbox.dialect, 409, "bad_request", "This payment is being settled."))
    try:
        return await sandbox.settle(authorization, post.content)
    except Exception as refusal:
        _logger.info("the payment was refused: %s", type(refusal).__name__)
        challenges.release(sandbox.ledger, challenge.id)
        raise VerificationError("verification-failed") from None


def challenge_in(secret: bytes, authorization: str) -> Challenge:
    """Return the challenge that a credential answers; its id binds its other parameters.

    Raises:
        VerificationError: it is no credential, or its challenge was not made with this secret.
    """
    try:
        challenge = Credential.from_authorization(authorization).challenge
    except InvalidChallengeError:
        raise VerificationError("malformed-credential") from None
    given = challenge.id.encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(challenge_id(secret, challenge).encode(), given):
        raise VerificationError("invalid-challenge")
    return challenge


def refuse_expired(challenge: Challenge, now: float) -> None:
    """Refuse a challenge whose time is over.

    Raises:
        VerificationError: it has expired, or its end cannot be read.
    """
    try:
        if challenge.expires is not None and expiry(challenge) <= now:
            raise VerificationError("payment-expired")
    except PaymentRefusedError:
        raise VerificationError("invalid-challenge") from None


def verify(secret: bytes, authorization: str, *, body: bytes, now: float) -> tuple[Challenge, str]:
    """Verify a practice credential as a payee must: form, binding, expiry, body, proof. The caller checks for replay.

    Return its challenge and the settlement's reference.

    Raises:
        VerificationError: with the problem.
    """
    challenge = challenge_in(secret, authorization)
    refuse_expired(challenge, now)
    if challenge.digest is not None and not is_digest_of(challenge.digest, body):
        raise VerificationError("verification-failed")
    payload = Credential.from_authorization(authorization).payload
    proof = payload.get("proof")
    if (
        challenge.method != PRACTICE_METHOD
        or payload.get("type") != "practice"
        or not isinstance(proof, str)
        or not hmac.compare_digest(practice_proof(challenge).encode(), proof.encode("utf-8", "surrogatepass"))
    ):
        raise VerificationError("verification-failed")
    return challenge, practice_reference(proof)


def _earlier_order(sandbox: Sandbox, post: Post) -> OrderRow | None:
    return challenges.order_of_key(sandbox.ledger, post.key) if sandbox.dialect.keys == "honoured" else None


def _repeated(sandbox: Sandbox, post: Post, method: str | None, settled: Settled) -> Response:
    """Return the answer to a credential that has already bought its order."""
    match sandbox.dialect.agent_repeat:
        case "same_order":
            return _created(sandbox, post, settled.row, settled)
        case "conflict_409":
            return _conflict(sandbox, post, settled.row)
        case "forbidden_403_replayed":
            return _payment_refused(sandbox, 403, "verification-failed", "This payment was already used.")
        case "payment_402_fresh":
            return _pay_first(sandbox, post, method)


def _created(sandbox: Sandbox, post: Post, row: OrderRow | None, paid: Settled | None = None) -> Response:
    """Return a 201 with an order, its key, and the receipt of its payment if there was one."""
    if row is None:
        raise LookupError("a settlement without its order")
    dialect = sandbox.dialect
    answer = checks.as_json(order_at(row, post.at, sandbox.pace), 201)
    answer.headers["cache-control"] = "no-store, private"
    if dialect.order_key == "present":
        answer.headers["x-api-key"] = challenges.order_key(sandbox.ledger.secret, row.order_id)
    if paid and dialect.receipt == "present":
        when = datetime.fromtimestamp(paid.at, UTC).isoformat().replace("+00:00", "Z")
        answer.headers["payment-receipt"] = to_payment_receipt(paid.method, paid.reference, when)
    elif paid and dialect.receipt == "odd":
        answer.headers["payment-receipt"] = f"{paid.method} receipt={paid.reference}"
    return answer


def _conflict(sandbox: Sandbox, post: Post, row: OrderRow | None) -> Response:
    """Return the answer to a used idempotency key."""
    if row is None:
        raise LookupError("a duplicate of nothing")
    dialect = sandbox.dialect
    answer = checks.conflict(dialect, post.key, row)
    # The third-party client that reads `details.order_id` expects the order key beside it.
    if dialect.conflict_identifier == "details_order_id" and dialect.order_key == "present":
        answer.headers["x-api-key"] = challenges.order_key(sandbox.ledger.secret, row.order_id)
    return answer


def _unverified(sandbox: Sandbox, post: Post, method: str | None, problem: Problem) -> Response:
    """Return the answer to an invalid credential, with new challenges (draft, "Error Codes")."""
    answer = _payment_refused(sandbox, 402, problem, "The payment could not be verified.")
    return _with_challenges(sandbox, answer, post, method)


def _payment_refused(sandbox: Sandbox, status: int, problem: Problem, message: str) -> Response:
    if sandbox.dialect.payment_errors == "envelope":
        return checks.error(sandbox.dialect, status, _CODES[problem], message, {"reason": problem})
    title = problem.replace("-", " ").capitalize()
    answer = checks.as_json(
        {"type": f"{_PROBLEMS}{problem}", "title": title, "status": status, "detail": message}, status
    )
    answer.headers["content-type"] = "application/problem+json"
    return answer


def _pay_first(sandbox: Sandbox, post: Post, method: str | None, *, lie: str | None = None) -> Response:
    answer = checks.error(sandbox.dialect, 402, "payment_method_required", "Pay to place this order.")
    return _with_challenges(sandbox, answer, post, method, lie=lie)


def _with_challenges(
    sandbox: Sandbox, answer: Response, post: Post, method: str | None, *, lie: str | None = None, times: int = 1
) -> Response:
    """Add new challenges to an answer: one for each offered method, or for `method` alone."""
    drafts = challenges.draft_challenges(sandbox, post, method, times=times)
    if lie:
        drafts = falsify(lie, drafts, post)
    lines = [garble(lie, line) for line in challenges.issue(sandbox, drafts, post.content)]
    if sandbox.dialect.challenges == "folded":
        # Another scheme is put between the challenges, or before the only one.
        lines = [f", {_OTHER_SCHEME}, ".join(lines) if len(lines) > 1 else f"{_OTHER_SCHEME}, {lines[0]}"]
    for line in lines:
        answer.headers.append("www-authenticate", line)
    answer.headers["cache-control"] = "no-store"
    return answer
