"""What is checked before either POST takes an order, and the refusals that both of them speak."""

from typing import Any

from starlette.responses import Response

from zinc_mcp.sandbox.answers import AnsweredError, Answers
from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.campaign.faults import Fault, UnknownFaultError, check, fault_for
from zinc_mcp.sandbox.ledger import Rail, Row
from zinc_mcp.sandbox.order_form import address_problem
from zinc_mcp.sandbox.prices import ORDER_FEE
from zinc_mcp.sandbox.products import Trouble, scenario_of


class Checks:
    """Refuses what Zinc refuses, in one dialect."""

    def __init__(self, dialect: Dialect, answers: Answers) -> None:
        self._dialect = dialect
        self._answers = answers

    def fault(self, body: object, parameter: str, nth: int, rail: Rail) -> Fault | None:
        """Return the fault that is due on the nth attempt.

        Raises:
            AnsweredError: with a 400, if the order asks for one that there is not.
        """
        try:
            check(body, rail)
            return fault_for(body, parameter, nth, rail)
        except UnknownFaultError as error:
            raise AnsweredError(self._answers.error(400, "bad_request", str(error))) from None

    def form(self, body: dict[str, Any], problems: list[dict[str, Any]]) -> None:
        """Refuse a malformed body, or an address that cannot be right.

        Raises:
            AnsweredError: with the refusal.
        """
        if problems:
            raise AnsweredError(self._answers.invalid(problems))
        if wrong := address_problem(body["shipping_address"]):
            field, message = wrong
            if self._dialect.address == "detail_422":
                located = {"type": "value_error", "loc": ["body", "shipping_address", field], "msg": message}
                raise AnsweredError(self._answers.invalid([located]))
            raise AnsweredError(self._answers.error(400, "invalid_shipping_address", message, {"field": field}))

    def products(self, body: dict[str, Any], *, except_for: str | None = None) -> None:
        """Refuse what cannot be ordered at all; `except_for` is a code that does not count.

        Raises:
            AnsweredError: with the refusal.
        """
        refusals = [scenario_of(product["url"]).refusal for product in body["products"]]
        if refusal := next((each for each in refusals if each and each.code != except_for), None):
            raise AnsweredError(self.refused(refusal, body["max_price"]))

    def refused(self, refusal: Trouble, max_price: int) -> Response:
        """Return the answer to an order that is refused at once."""
        if refusal.code != "insufficient_funds":
            return self._answers.error(refusal.status, refusal.code, refusal.message)
        required = max_price + ORDER_FEE
        details = {"required": required, "available": min(250, required - 1), "fund_with": ["card", "ach", "wire"]}
        status = 402 if self._dialect.insufficient_funds == "status_402" else 400
        return self._answers.error(status, refusal.code, refusal.message, details)

    def conflict(self, key: str | None, row: Row) -> Response:
        """Return the answer to an idempotency key that was used before."""
        details: dict[str, Any] | None = {"resource": "Order", "identifier": key}
        match self._dialect.conflict_identifier:
            case "key":
                pass
            case "order_id":
                details = {"resource": "Order", "identifier": row.order_id}
            case "details_order_id":
                details = {"resource": "Order", "identifier": key, "order_id": row.order_id}
            case "none":
                details = None
        return self._answers.error(409, "already_exists", "Order already exists.", details)
