"""`POST /orders`: the checks, the one order of a key, and what a repeat is told."""

import logging
from typing import Any

import anyio
from starlette.responses import Response

from zinc_mcp.sandbox.answers import AnsweredError, Answers, as_json
from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.campaign.faults import Fault, spoilt
from zinc_mcp.sandbox.checks import Checks
from zinc_mcp.sandbox.ledger import Ledger, Row
from zinc_mcp.sandbox.order_form import key_in, read_body
from zinc_mcp.sandbox.order_view import order_at
from zinc_mcp.sandbox.outcome import course_of
from zinc_mcp.sandbox.products import Trouble

PROCESSING = 0.2
"""Seconds a POST is being processed, at pace 1, in dialects where that can be seen."""

_logger = logging.getLogger(__name__)


class Placing:
    """Takes orders in, one for each idempotency key."""

    def __init__(self, ledger: Ledger, dialect: Dialect, answers: Answers, pace: float) -> None:
        self._ledger = ledger
        self._dialect = dialect
        self._answers = answers
        self._checks = Checks(dialect, answers)
        self._pace = pace

    async def post(self, content: bytes, at: float, caller: str, refusal: Response | None) -> Response:
        """Answer one POST. The order of the checks is not documented; ours is API key, form, address, product, repeat.

        Args:
            content: the body.
            at: when it came.
            caller: the fingerprint of its API key.
            refusal: the answer to a caller who may not order at all.
        """
        body, problems = read_body(content)
        key = key_in(body)
        attempt, nth = self._ledger.note(at, caller, key, content)
        fault: Fault | None = None
        try:
            if refusal:
                raise AnsweredError(refusal)
            fault = self._checks.fault(body, "fault", nth, "account")
            if fault and not fault.accepts:
                answer, outcome = Response(), f"not_accepted_{fault.name}"
            else:
                self._checks.form(body, problems)
                self._refuse_cards(body)
                self._checks.products(body)
                answer, outcome = await self._place(attempt, at, caller, key, body, fault)
        except AnsweredError as answered:
            answer, outcome = answered.answer, f"rejected_{answered.answer.status_code}"
        self._ledger.close_attempt(
            attempt, outcome, fault.name if fault else None, busy=fault is not None and fault.name == "hang"
        )
        _logger.info("POST /orders: %s%s", outcome, f", then {fault.name}" if fault else "")
        if fault and fault.name == "slow" and outcome == "created" and self._dialect.concurrent != "serialised":
            return answer
        return spoilt(fault, answer, self._answers.error, self._pace) if fault else answer

    def _refuse_cards(self, body: dict[str, Any]) -> None:
        payment: dict[str, Any] = body.get("payment") or {}
        if payment.get("mode") == "card":
            raise AnsweredError(self._answers.error(402, "payment_required", "Pay for this order to place it."))

    async def _place(
        self, attempt: int, at: float, caller: str, key: str | None, body: dict[str, Any], fault: Fault | None
    ) -> tuple[Response, str]:
        concurrent = self._dialect.concurrent
        processing = 0.0 if concurrent == "serialised" else PROCESSING / self._pace
        accepted = self._ledger.accept(
            attempt,
            at=at,
            caller=caller,
            key=key,
            body=body,
            scenario=course_of(body).scenario.name,
            busy_seconds=processing + (fault.seconds / self._pace if fault else 0.0),
            honour_keys=self._dialect.keys == "honoured",
        )
        if not accepted.created:
            if not accepted.in_flight or concurrent == "serialised":
                answer = self._repeat(key, accepted.row, body)
            elif concurrent == "both_in_flight_409":
                answer = self._checks.conflict(key, accepted.row)
            else:
                answer = self._answers.error(500, "internal_error", "An internal error occurred.")
            return answer, f"replayed_{answer.status_code}"
        if processing:
            # A slow answer is slow processing here: its rivals must meet it in flight.
            late = fault.seconds / self._pace if fault and fault.name == "slow" else 0.0
            await anyio.sleep(processing + late)
        if concurrent == "both_in_flight_409" and self._ledger.contested(attempt):
            return self._checks.conflict(key, accepted.row), "created"
        return as_json(order_at(accepted.row, at, self._pace), 201), "created"

    def _repeat(self, key: str | None, row: Row, body: dict[str, Any]) -> Response:
        match self._dialect.repeat:
            case "conflict_409":
                return self._checks.conflict(key, row)
            case "conflict_500":
                return self._answers.error(500, "internal_error", "An internal error occurred.")
            case "unauthorized_401":
                return self._answers.error(401, "token_expired", "The token has expired.")
            case "payment_402":
                return self._checks.refused(Trouble("insufficient_funds", "The balance is too low."), body["max_price"])
