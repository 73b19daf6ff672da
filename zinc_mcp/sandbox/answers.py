"""Answers of several endpoints: JSON and errors in the dialect's envelope. And the check of an API key."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox.ledger import OrderRow, fingerprint
from zinc_mcp.sandbox.outcome import ORDER_FEE
from zinc_mcp.sandbox.products import Reason
from zinc_mcp.sandbox.sandbox import Dialect, Sandbox


class AnsweredError(Exception):
    """Ends an endpoint early with this answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def as_json(content: object, status: int = 200) -> Response:
    """Return a JSON answer in ASCII, which can hold every text of an order, even half a surrogate pair."""
    return Response(json.dumps(content), status, media_type="application/json")


def error(dialect: Dialect, status: int, code: str, message: str, details: dict[str, Any] | None = None) -> Response:
    """Return an error in the envelope: nested as in the SDK, or flat as the docs pages print it."""
    content = {"code": code, "message": message, "details": details}
    return as_json({"error": content} if dialect.errors == "nested" else content, status)


def internal_error(dialect: Dialect) -> Response:
    """Return a 500."""
    return error(dialect, 500, "internal_error", "An internal error occurred.")


def invalid(dialect: Dialect, problems: list[dict[str, Any]]) -> Response:
    """Return a 422: FastAPI's `detail` list, or `validation_error` in the envelope."""
    if dialect.validation == "detail_list":
        return as_json({"detail": problems}, 422)
    return error(dialect, 422, "validation_error", "The request is invalid.", {"errors": problems})


def refused(dialect: Dialect, reason: Reason, max_price: int) -> Response:
    """Return the answer to an order that is refused at once."""
    if reason.code != "insufficient_funds":
        return error(dialect, reason.status, reason.code, reason.message)
    required = max_price + ORDER_FEE
    details = {"required": required, "available": min(250, required - 1), "fund_with": ["card", "ach", "wire"]}
    status = 402 if dialect.insufficient_funds == "status_402" else 400
    return error(dialect, status, reason.code, reason.message, details)


def conflict(dialect: Dialect, key: str | None, row: OrderRow) -> Response:
    """Return the answer to an idempotency key that was used before."""
    names: dict[str, Any] = {"resource": "Order", "identifier": key}
    details = {
        "key": names,
        "order_id": {**names, "identifier": row.order_id},
        "details_order_id": {**names, "order_id": row.order_id},
        "none": None,
    }[dialect.conflict_identifier]
    return error(dialect, 409, "already_exists", "Order already exists.", details)


def token_of(request: Request) -> str:
    """Return the token of a request's `Authorization`, of any scheme; empty without one."""
    return request.headers.get("authorization", "").partition(" ")[2]


def authorised_caller(sandbox: Sandbox, request: Request) -> str:
    """Return the fingerprint of the caller's API key.

    Raises:
        AnsweredError: with a 401, unless it is a test key. A live key is always refused, even with X-Test-Mode.
    """
    scheme, token = request.headers.get("authorization", "").partition(" ")[0], token_of(request)
    if scheme.lower() == "bearer" and token.startswith("zn_test_") and len(token) > len("zn_test_"):
        return fingerprint(token)
    code = "invalid_token" if token else "unauthorized"
    raise AnsweredError(error(sandbox.dialect, 401, code, "Not authenticated."))
