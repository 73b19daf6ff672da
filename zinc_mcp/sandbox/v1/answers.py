"""The answers of Zinc v1: objects with a `_type`, error objects ("Errors"), and the check of the client token."""

import base64
import binascii
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.checks import AnsweredError, as_json
from zinc_mcp.sandbox.ledger import fingerprint
from zinc_mcp.sandbox.v1.rules.codes import MESSAGES, RUNNING, STATUSES

Json = dict[str, Any]


def error_object(code: str, data: Json | None = None, message: str | None = None) -> Json:
    """Return an error object."""
    said = MESSAGES.get(code, "The order failed.") if message is None else message
    return {"_type": "error", "code": code, "message": said, "data": data or {}}


def answer(sandbox: Sandbox, shown: Json) -> Response:
    """Return an object as an answer, with the dialect's HTTP status where it is an error."""
    return as_json(shown, status_of(sandbox, shown))


def status_of(sandbox: Sandbox, shown: Json) -> int:
    """Return the HTTP status of an object."""
    wanted, code = sandbox.dialect.v1.error_status, shown.get("code")
    if shown.get("_type") != "error" or wanted == "status_200":
        return 200
    if code == "internal_error" and wanted == "status_500":
        return 500
    # An order that is being processed is no failure, so a GET of it succeeds in every dialect.
    return 200 if code == RUNNING else STATUSES.get(str(code), 400)


def refused(sandbox: Sandbox, code: str, **data: Any) -> AnsweredError:
    """Return the error that answers a request with a code."""
    return AnsweredError(answer(sandbox, error_object(code, data)))


def token_of(request: Request) -> str | None:
    """Return the client token of a request; None unless it is the user name of Basic with an empty password."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    try:
        token, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    usable = token.isascii() and token.isprintable() and " " not in token
    return token if scheme.lower() == "basic" and token and usable and colon and not password else None


def caller_of(sandbox: Sandbox, request: Request) -> str:
    """Return the fingerprint of a request's client token. Keys of v2, and `invalid` for practice, are refused.

    Raises:
        AnsweredError: with `invalid_client_token`.
    """
    token = token_of(request)
    if token is None or token.startswith("zn_") or token == "invalid":  # noqa: S105  # a practice value
        raise refused(sandbox, "invalid_client_token")
    return fingerprint(token)
