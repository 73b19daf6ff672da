"""`POST /agent/orders`: checked, challenged with a 402, paid, and ordered once.

The sequence is that of Zinc's MPP page and the SDK: a wrong body is told before any challenge, a wrong order costs
nothing, and a paid one brings the order with a key of its own and a receipt.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from starlette.responses import Response

from zinc_mcp.payments.challenge import Challenge
from zinc_mcp.payments.credential import Credential
from zinc_mcp.payments.digest import is_digest_of
from zinc_mcp.payments.failures import InvalidChallengeError, PaymentRefusedError
from zinc_mcp.payments.practice import METHOD, VerificationError, challenge_id, verify
from zinc_mcp.payments.terms import expiry
from zinc_mcp.sandbox.answers import AnsweredError, Answers
from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.campaign.faults import LIES, PAID, Fault, spoilt
from zinc_mcp.sandbox.campaign.lies import Offers
from zinc_mcp.sandbox.challenges import Issued, Settled, Till
from zinc_mcp.sandbox.checks import Checks
from zinc_mcp.sandbox.ledger import Ledger, Row, fingerprint
from zinc_mcp.sandbox.order_form import key_in, read_body
from zinc_mcp.sandbox.outcome import course_of
from zinc_mcp.sandbox.payment_answers import Asked, PaymentAnswers
from zinc_mcp.sandbox.products import scenario_of

Settle = Callable[[str, bytes], Awaitable[str]]
"""Verifies and settles a credential of a method that is not ours, given the header's value and the body; returns the
reference. Whatever it raises means that nothing was settled."""

_CALLER = "agent"
"""Stands where an API key's fingerprint would: who pays has none."""

_logger = logging.getLogger(__name__)


class AgentPlacing:
    """Takes paid orders in: one settlement for each challenge, one order for each idempotency key."""

    def __init__(
        self,
        ledger: Ledger,
        till: Till,
        offers: Offers,
        dialect: Dialect,
        answers: Answers,
        pace: float,
        settle: Settle | None,
    ) -> None:
        self._ledger = ledger
        self._till = till
        self._offers = offers
        self._dialect = dialect
        self._answers = answers
        self._checks = Checks(dialect, answers)
        self._tell = PaymentAnswers(till, offers, dialect, answers, pace)
        self._pace = pace
        self._settle = settle

    async def post(self, content: bytes, at: float, method: str | None, authorization: str | None) -> Response:
        """Answer one POST. The order of the checks: form, address, product, method, payment, key.

        Args:
            content: the body.
            at: when it came.
            method: the query's `method`.
            authorization: the header's value.
        """
        paid = authorization is not None and authorization.strip().lower().startswith("payment ")
        body, problems = read_body(content) if content or paid else ({}, [])
        key = key_in(body)
        mark = fingerprint(authorization) if authorization is not None and paid else None
        number, nth = self._ledger.note(at, _CALLER, key, content, rail="agent", credential=mark)
        attempt = Asked(number, at, content, body, key, method if self._dialect.method_query == "honoured" else None)
        fault: Fault | None = None
        try:
            if content or paid:
                self._check(body, problems)
                fault = self._checks.fault(body, "fault" if paid else "pay_fault", nth, "agent")
            if attempt.method and attempt.method not in self._offers.methods(bodyless=not content):
                raise AnsweredError(self._tell.unknown_method(attempt))
            if authorization is not None and paid:
                answer, outcome = await self._paid(attempt, authorization, fault)
            else:
                answer, outcome = self._unpaid(attempt, fault)
        except AnsweredError as answered:
            answer, outcome = answered.answer, f"rejected_{answered.answer.status_code}"
        self._ledger.close_attempt(number, outcome, fault.name if fault else None, busy=False)
        _logger.info("POST /agent/orders: %s%s", outcome, f", then {fault.name}" if fault else "")
        # The others have made the answer what it is.
        spoils = fault is not None and fault.name not in PAID | LIES | {"unpaid_201"}
        return spoilt(fault, answer, self._answers.error, self._pace) if fault and spoils else answer

    def _check(self, body: dict[str, Any], problems: list[dict[str, Any]]) -> None:
        self._checks.form(body, problems)
        if body.get("payment") is not None:
            # Whether it means anything here is not documented: whoever sends it means another rail.
            forbidden = {"type": "extra_forbidden", "loc": ["body", "payment"], "msg": "The challenge says how to pay"}
            raise AnsweredError(self._answers.invalid([forbidden]))
        # There is no balance that could be too low: the payment fails instead.
        self._checks.products(body, except_for="insufficient_funds")

    def _unpaid(self, attempt: Asked, fault: Fault | None) -> tuple[Response, str]:
        if self._dialect.agent_duplicate == "early_409" and (twin := self._twin(attempt)):
            return self._tell.conflict(attempt.key, twin), "replayed_409"
        if fault and fault.name == "unpaid_201":
            row = self._till.give(
                attempt.number, at=attempt.at, key=attempt.key, body=attempt.body, scenario=_scenario(attempt.body)
            )
            return self._tell.created(row, attempt.at, None), "created"
        lie = fault.name if fault and fault.name in LIES else None
        return self._tell.challenged(
            attempt, "payment_method_required", "Pay to place this order.", lie=lie
        ), "challenged"

    async def _paid(self, attempt: Asked, authorization: str, fault: Fault | None) -> tuple[Response, str]:
        if fault and not fault.accepts:
            return Response(), f"not_accepted_{fault.name}"
        if fault and fault.name == "second_402":
            return self._tell.challenged(attempt, "payment_failed", "The price has changed.", times=2), "challenged"
        try:
            settled = await self._settled(attempt, authorization, fails=fault is not None and fault.name in PAID)
        except VerificationError as error:
            return self._tell.unverified(attempt, error.problem), f"unverified_{error.problem}"
        if settled.again and settled.outcome == "ordered":
            answer = self._tell.repeated(attempt, settled)
            return answer, f"replayed_{answer.status_code}"
        match settled.outcome:
            case "ordered":
                return self._tell.created(settled.row, attempt.at, settled), "created"
            case "no_order":
                answer = self._answers.error(500, "internal_error", "An internal error occurred.")
                return answer, "replayed_500" if settled.again else "settled_without_order"
            case "duplicate" if not settled.again:
                return self._tell.conflict(attempt.key, settled.row), "settled_409"
            case "duplicate" | "unsettled":
                return self._tell.conflict(attempt.key, settled.row), "replayed_409"
            case "void":
                return self._tell.unverified(attempt, "payment-expired"), "unverified_payment-expired"

    async def _settled(self, attempt: Asked, authorization: str, *, fails: bool) -> Settled:
        """Verify a credential and take its money, or say how it was taken before.

        Raises:
            VerificationError: if it does not hold; nothing was taken.
        """
        challenge, issued = self._issued(authorization)
        if challenge.digest is not None and not is_digest_of(challenge.digest, attempt.content):
            raise VerificationError("verification-failed")
        if earlier := self._till.earlier(challenge.id, authorization):
            return earlier
        if issued.body_sha256 is None or attempt.method not in (None, challenge.method):
            # A probe's challenge is over the fee alone, and the query goes again as it was.
            raise VerificationError("verification-failed")
        products: list[dict[str, Any]] = attempt.body["products"]
        if any(scenario_of(product["url"]).name == "insufficient_funds" for product in products):
            details = {"reason": "insufficient_funds"}
            raise AnsweredError(self._tell.challenged(attempt, "payment_failed", "The payment failed.", details))
        reference = await self._verified(challenge, authorization, attempt)
        return self._till.settle(
            attempt.number,
            issued,
            reference,
            authorization,
            at=attempt.at,
            key=attempt.key,
            body=attempt.body,
            scenario=_scenario(attempt.body),
            honour_keys=self._dialect.keys == "honoured",
            keep_duplicates=challenge.method != METHOD or self._dialect.agent_duplicate == "kept_409",
            fails=fails or issued.body_sha256 != sha256(attempt.content).hexdigest(),
        )

    def _issued(self, authorization: str) -> tuple[Challenge, Issued]:
        try:
            challenge = Credential.from_authorization(authorization).challenge
        except InvalidChallengeError:
            raise VerificationError("malformed-credential") from None
        slots = challenge.to_parameters()
        given = slots.pop("id")
        slots.pop("description", None)
        issued = self._till.issued(given)
        if issued is None or not hmac.compare_digest(given, challenge_id(self._till.secret.encode(), **slots)):
            raise VerificationError("invalid-challenge")
        return challenge, issued

    async def _verified(self, challenge: Challenge, authorization: str, attempt: Asked) -> str:
        if challenge.method == METHOD:
            secret = self._till.secret.encode()
            return verify(secret, authorization, body=attempt.content, now=attempt.at).reference
        if self._settle is None:
            raise VerificationError("verification-failed")
        try:
            expired = challenge.expires is not None and expiry(challenge) <= attempt.at
        except PaymentRefusedError:
            raise VerificationError("invalid-challenge") from None
        if expired:
            raise VerificationError("payment-expired")
        # Asked here already: nothing takes the money back once it was settled elsewhere.
        if self._dialect.agent_duplicate != "kept_409" and (twin := self._twin(attempt)):
            raise AnsweredError(self._tell.conflict(attempt.key, twin))
        if not self._till.claim(challenge.id):
            raise AnsweredError(self._answers.error(409, "bad_request", "This payment is being settled."))
        try:
            return await self._settle(authorization, attempt.content)
        except Exception as error:
            _logger.info("the payment was refused: %s", type(error).__name__)
            self._till.release(challenge.id)
            raise VerificationError("verification-failed") from None

    def _twin(self, attempt: Asked) -> Row | None:
        return self._till.ordered_with(attempt.key) if self._dialect.keys == "honoured" else None


def _scenario(body: dict[str, Any]) -> str:
    return course_of(body).scenario.name
