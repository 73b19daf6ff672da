"""What the agent rail answers: challenges, refusals of a payment, and the paid order with its headers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from zinc_mcp.payments.practice import Problem
from zinc_mcp.payments.receipt import to_payment_receipt
from zinc_mcp.sandbox.answers import Answers, as_json
from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.campaign.lies import Offers
from zinc_mcp.sandbox.challenges import Settled, Till
from zinc_mcp.sandbox.checks import Checks
from zinc_mcp.sandbox.ledger import Row
from zinc_mcp.sandbox.order_view import order_at

_CODES: dict[Problem, str] = {
    "malformed-credential": "invalid_payment_credential",
    "invalid-challenge": "invalid_payment_credential",
    "payment-expired": "payment_verification_failed",
    "verification-failed": "payment_verification_failed",
}
_PROBLEMS = "https://paymentauth.org/problems/"


@dataclass(frozen=True, slots=True)
class Asked:
    """One POST, as far as it was read."""

    number: int
    """Of the attempt in the ledger."""
    at: float
    content: bytes
    body: dict[str, Any]
    key: str | None
    method: str | None
    """What `?method=` asks for, where the dialect heeds it."""


class PaymentAnswers:
    """Makes the answers of one dialect."""

    def __init__(self, till: Till, offers: Offers, dialect: Dialect, answers: Answers, pace: float) -> None:
        self._till = till
        self._offers = offers
        self._dialect = dialect
        self._answers = answers
        self._checks = Checks(dialect, answers)
        self._pace = pace

    def repeated(self, asked: Asked, settled: Settled) -> Response:
        """Answer a credential that has bought its order already."""
        match self._dialect.agent_repeat:
            case "same_order":
                return self.created(settled.row, asked.at, settled)
            case "conflict_409":
                return self.conflict(asked.key, settled.row)
            case "forbidden_403_replayed":
                return self._refused(403, "verification-failed", "This payment was already used.")
            case "payment_402_fresh":
                return self.challenged(asked, "payment_method_required", "Pay to place this order.")

    def created(self, row: Row | None, at: float, paid: Settled | None) -> Response:
        """Answer with an order, its key, and the receipt of its payment if there was one."""
        if row is None:
            raise LookupError("a settlement without its order")
        answer = as_json(order_at(row, at, self._pace), 201)
        answer.headers["cache-control"] = "no-store, private"
        if self._dialect.order_key == "present":
            answer.headers["x-api-key"] = self._till.order_key(row.order_id)
        if paid and self._dialect.receipt == "present":
            when = datetime.fromtimestamp(paid.at, UTC).isoformat().replace("+00:00", "Z")
            answer.headers["payment-receipt"] = to_payment_receipt(paid.method, paid.reference, when)
        elif paid and self._dialect.receipt == "odd":
            answer.headers["payment-receipt"] = f"{paid.method} receipt={paid.reference}"
        return answer

    def conflict(self, key: str | None, row: Row | None) -> Response:
        """Answer a used idempotency key."""
        if row is None:
            raise LookupError("a duplicate of nothing")
        answer = self._checks.conflict(key, row)
        # The third-party client that reads `details.order_id` wants the key beside it.
        if self._dialect.conflict_identifier == "details_order_id" and self._dialect.order_key == "present":
            answer.headers["x-api-key"] = self._till.order_key(row.order_id)
        return answer

    def unverified(self, asked: Asked, problem: Problem) -> Response:
        """Answer a credential that does not hold, with fresh challenges (draft, "Error Codes")."""
        answer = self._refused(402, problem, "The payment could not be verified.")
        return self._with_challenges(answer, asked)

    def _refused(self, status: int, problem: Problem, message: str) -> Response:
        if self._dialect.payment_errors == "envelope":
            return self._answers.error(status, _CODES[problem], message, {"reason": problem})
        title = problem.replace("-", " ").capitalize()
        answer = as_json({"type": f"{_PROBLEMS}{problem}", "title": title, "status": status, "detail": message}, status)
        answer.headers["content-type"] = "application/problem+json"
        return answer

    def challenged(
        self,
        asked: Asked,
        code: str,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        lie: str | None = None,
        times: int = 1,
    ) -> Response:
        """Ask for the payment: a 402 with a challenge for each method; `lie` and `times` as in `Offers.lines`."""
        return self._with_challenges(self._answers.error(402, code, message, details), asked, lie=lie, times=times)

    def _with_challenges(self, answer: Response, asked: Asked, *, lie: str | None = None, times: int = 1) -> Response:
        max_price: int = asked.body.get("max_price", 0)
        for line in self._offers.lines(asked.content, max_price, asked.at, asked.method, lie=lie, times=times):
            answer.headers.append("www-authenticate", line)
        answer.headers["cache-control"] = "no-store"
        return answer

    def unknown_method(self, asked: Asked) -> Response:
        """Answer a `?method=` that is not on offer."""
        details = {"available": self._offers.methods(bodyless=not asked.content)}
        return self._answers.error(400, "unknown_payment_method", "There is no such payment method here.", details)
