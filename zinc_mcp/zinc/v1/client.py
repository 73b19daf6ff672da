"""The client of Zinc's v1: each request, and the order or error that its answer proves.

The client token is the user name of Basic authentication, and the password is empty (RFC 7617; v1, "Authorizations").
It is never in an address. As for v2, nothing is repeated, no redirect is followed, and only bounded answers are read.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NoReturn, cast

from pydantic import SecretStr

from zinc_mcp.errors import (
    ChangeOutcomeUnknownError,
    ChangeRejectedError,
    OrderNotFoundError,
    OrderOutcomeUnknownError,
    ZincUnreachableError,
)
from zinc_mcp.network import MAX_ANSWER_BYTES, Leaving, NetworkAnswer, NoAnswerError, Parameters
from zinc_mcp.secret_body import SecretBody
from zinc_mcp.zinc.client import members
from zinc_mcp.zinc.connection import UNANSWERED, Connection
from zinc_mcp.zinc.responses import Order, is_a_segment
from zinc_mcp.zinc.v1 import answers
from zinc_mcp.zinc.v1.codes import code_of

_ABORTED = "aborted_request"


class V1Client(Connection):
    """Sends requests to one Zinc's v1, whose origin ends in `/v1`."""

    address_setting = "ZINC_V1_API_URL"

    # Orders

    async def create(self, body: bytes | SecretBody, token: SecretStr, leaving: Leaving | None = None) -> Order:
        """Send `POST /v1/orders` once with exactly these bytes. No words of an answer to a `SecretBody` are kept.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderRejectedError: Zinc did not take it.
            OrderAlreadyExistsError: it looks like one that Zinc has had before.
            OrderOutcomeUnknownError: sent, and nothing proves what became of it.
        """
        try:
            answer = await self._ask("POST", "/orders", token, content=body, leaving=leaving)
        except NoAnswerError as error:
            raise OrderOutcomeUnknownError(
                f"The order was sent, but {UNANSWERED[error.reason]}.", facts={"reason": error.reason}
            ) from error
        return answers.placed_order(answer, has_secrets=isinstance(body, SecretBody))

    async def read(self, request_id: str, token: SecretStr, sent: Mapping[str, Any] | None = None) -> Order:
        """Read one order. `sent` is the order as it was sent, if known: it tells the amounts added to the price.

        Raises:
            OrderNotFoundError: Zinc has no such request.
            ZincUnreachableError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
        """
        return answers.order_in_answer(await self._get(path_of(request_id), token), request_id, sent)

    async def list_orders(
        self,
        token: SecretStr,
        *,
        limit: int,
        skip: int = 0,
        since: float | None = None,
        until: float | None = None,
        retailer: str | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> list[object]:
        """Return the rows of one page of a list: of orders from `since` to before `until`, in seconds of the epoch.

        Raises:
            ZincUnreachableError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
        """
        # List Orders: "unix timestamps in milliseconds", the start inclusive, the end exclusive.
        parameters = {
            "limit": str(limit),
            **({"skip": str(skip)} if skip else {}),
            **({} if since is None else {"starting_after": str(int(since * 1000 // 1))}),
            **({} if until is None else {"ending_before": str(-int(-until * 1000 // 1))}),
            **({} if retailer is None else {"retailer": retailer}),
        }
        answer = await self._get("/orders", token, parameters, most_bytes)
        content: object = answer.json()
        rows: object = cast(object, content) if isinstance(content, list) else members(content).get("orders")
        if isinstance(rows, list):
            return cast(list[object], rows)
        _raise_if_error(answer)
        raise answers.unreadable_error()

    # After the order

    async def abort(self, request_id: str, token: SecretStr, leaving: Leaving | None = None) -> Order:
        """Ask Zinc to stop an order that it works on. The answer is the order, which may go on all the same.

        Raises:
            ZincUnreachableError: nothing was sent.
            ChangeRejectedError: Zinc refused it.
            ChangeOutcomeUnknownError: the answer does not say what became of it. Read the order then.
        """
        answer = await self.change(f"{path_of(request_id)}/abort", b"{}", token, leaving)
        content = members(answer.json())
        code = answers.code_in(content)
        is_clear = content.get("_type") == "error" and (code == _ABORTED or code_of(code).later == "running")
        if content.get("_type") == "order_response" or is_clear:
            return answers.order_in_answer(answer, request_id)
        changed(answer)
        _raise_unknown_change("the answer does not say what became of the order")

    async def read_cancellation(self, cancellation_id: str, token: SecretStr) -> Mapping[str, Any]:
        """Read a cancellation, whose `_type` and `code` tell its outcome; raises as `get_object`."""
        return await self.get_object(path_of(cancellation_id, "cancellations"), token)

    async def read_return(self, return_id: str, token: SecretStr) -> Mapping[str, Any]:
        """Read a return, whose `_type` and `code` tell its outcome; raises as `get_object`."""
        return await self.get_object(path_of(return_id, "returns"), token)

    async def get_case(self, request_id: str, token: SecretStr) -> Mapping[str, Any]:
        """Read the case of a managed order; raises as `get_object`."""
        return await self.get_object(f"{path_of(request_id)}/case", token)

    async def balance(self, token: SecretStr) -> Mapping[str, Any]:
        """Read the balance of the managed accounts; raises as `get_object`."""
        return await self.get_object("/addax/balance", token)

    async def transactions(self, token: SecretStr, *, count: int, offset: int = 0) -> Mapping[str, Any]:
        """Read a page of the debits and credits of the managed accounts. A bare list is put under `transactions`."""
        answer = await self._get("/addax/transactions", token, {"count": str(count), "offset": str(offset)})
        content: object = answer.json()
        return {"transactions": content} if isinstance(content, list) else _told(answer)

    # Requests

    async def change(self, path: str, body: bytes, token: SecretStr, leaving: Leaving | None = None) -> NetworkAnswer:
        """Send one POST request that changes something other than a purchase, and return the answer.

        Raises:
            ZincUnreachableError: nothing was sent.
            ChangeOutcomeUnknownError: sent, and no whole answer came.
        """
        try:
            return await self._ask("POST", path, token, content=body, leaving=leaving)
        except NoAnswerError as error:
            how = f"The request was sent, but {UNANSWERED[error.reason]}."
            raise ChangeOutcomeUnknownError(how, facts={"reason": error.reason}) from error

    async def get_object(self, path: str, token: SecretStr) -> Mapping[str, Any]:
        """Send one GET request and return the object in its answer.

        Raises:
            ZincUnreachableError, OrderNotFoundError, OrderRejectedError, UnreadableAnswerError: nothing was learned.
        """
        return _told(await self._get(path, token))

    async def _get(
        self,
        path: str,
        token: SecretStr,
        parameters: Parameters | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> NetworkAnswer:
        try:
            return await self._ask("GET", path, token, parameters=parameters, most_bytes=most_bytes)
        except NoAnswerError as error:
            raise answers.unreadable_error() from error

    async def _ask(
        self,
        verb: str,
        path: str,
        token: SecretStr,
        *,
        content: bytes | SecretBody | None = None,
        parameters: Parameters | None = None,
        most_bytes: int = MAX_ANSWER_BYTES,
        leaving: Leaving | None = None,
    ) -> NetworkAnswer:
        typed = {} if content is None else {"Content-Type": "application/json"}
        headers = {**typed, **_basic_header(token)}
        return await self.ask(
            verb, path, headers, content=content, parameters=parameters, most_bytes=most_bytes, leaving=leaving
        )


def path_of(request_id: str, kind: str = "orders") -> str:
    """Return the path of an order or, with another `kind`, of a change of one.

    Raises:
        OrderNotFoundError: it is no such id.
    """
    if not is_a_segment(request_id) or request_id.startswith(answers.BY_KEY):
        raise OrderNotFoundError("No order has an id like this.")
    return f"/{kind}/{request_id}"


def changed_id(answer: NetworkAnswer) -> str:
    """Return the id, named by the answer to a change, with which the outcome of the change can be read.

    Raises:
        ChangeRejectedError: Zinc refused it.
        ChangeOutcomeUnknownError: the answer does not say what became of it.
    """
    request_id = answers.request_id_of(changed(answer))
    if request_id is None:
        _raise_unknown_change("the answer names no id to ask for its outcome")
    return request_id


def changed(answer: NetworkAnswer) -> Mapping[str, Any]:
    """Return the object in the answer to a change.

    Raises:
        ChangeRejectedError: Zinc refused it.
        ChangeOutcomeUnknownError: the answer does not say what became of it.
    """
    content = members(answer.json())
    if content.get("_type") != "error":
        if not content:
            _raise_unknown_change("the answer could not be read")
        return content
    refused = answers.refusal(answer.status, content, has_secrets=True)  # its order may have held a login
    if code_of(refused.zinc_code).post != "rejected":
        _raise_unknown_change(f"Zinc answered with an error that does not say what became of it ({refused.zinc_code})")
    raise ChangeRejectedError(
        f"Zinc did not accept this ({refused.zinc_code}).", facts=refused.facts, problems=refused.problems
    )


def _raise_unknown_change(how: str) -> NoReturn:
    raise ChangeOutcomeUnknownError(f"The request was sent, but {how}.", facts={"reason": "unreadable"})


def _told(answer: NetworkAnswer) -> Mapping[str, Any]:
    """Return the object in the answer to a question; also one with `_type` error, if that refuses nothing."""
    _raise_if_error(answer)
    content = members(answer.json())
    if not content:
        raise answers.unreadable_error()
    return content


def _raise_if_error(answer: NetworkAnswer) -> None:
    content = members(answer.json())
    if content.get("_type") != "error":
        return
    code = answers.code_in(content)
    if code == "invalid_request_id":
        raise OrderNotFoundError("Zinc knows no such request for this client token.")
    if code_of(code).later == "no_answer":
        raise answers.refusal(answer.status, content)


def _basic_header(token: SecretStr) -> dict[str, str]:
    """Return the header that carries the client token.

    Raises:
        ZincUnreachableError: the token has characters that no user name can have.
    """
    secret = token.get_secret_value()
    if not secret or any(not 33 <= ord(character) <= 126 or character == ":" for character in secret):
        raise ZincUnreachableError(
            "The client token holds characters that no client token has, so Zinc cannot be asked with it.",
            "Tell the user to correct ZINC_V1_CLIENT_TOKEN.",
            owner_step="Correct ZINC_V1_CLIENT_TOKEN.",
        )
    return {"Authorization": f"Basic {base64.b64encode(f'{secret}:'.encode()).decode()}"}
