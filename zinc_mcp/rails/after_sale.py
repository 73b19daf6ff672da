"""The requests about an order after its purchase: returns and cases. The key never leaves these objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import SecretStr

from zinc_mcp.network import Leaving, NetworkAnswer
from zinc_mcp.zinc.aftercare.cases import (
    Case,
    answered_case,
    case_change,
    closing_change,
    get_case,
    list_cases,
    message_change,
)
from zinc_mcp.zinc.aftercare.changes import Change, send_change
from zinc_mcp.zinc.aftercare.returns import filed_return, list_returns, return_change
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.credits import ReturnSummary
from zinc_mcp.zinc.responses import Order


@dataclass(frozen=True, slots=True)
class ReturnAsked:
    """A return as it is asked for. Items are named by their ids at Zinc."""

    order_id: str
    retailer: str
    """The retailer's domain."""
    items: Sequence[tuple[str, int]]
    reason: str
    notes: str | None


@dataclass(frozen=True, slots=True)
class SentOrder:
    """The facts about an order that the journal has and that Zinc may not show."""

    content: bytes | None
    """The bytes that were sent; None after a purge, or for an order of another journal."""
    returns: Sequence[ReturnSummary]
    """The returns that were filed from here, as last known."""


class AfterSale(Protocol):
    """One key at one origin, and the form that Zinc gives returns and cases there."""

    def return_change(self, asked: ReturnAsked) -> Change:
        """Return the request that files a return.

        Raises:
            RefusedError: Zinc takes none like this.
        """
        ...

    def case_change(self, order_id: str, reason: str, message: str, sent: bytes | None) -> Change:
        """Return the request that opens a case.

        Raises:
            RefusedError: Zinc takes none about this order.
        """
        ...

    def message_change(self, case_id: str, message: str) -> Change:
        """Return the request that adds a message to a case."""
        ...

    def closing_change(self, case_id: str) -> Change:
        """Return the request that closes a case.

        Raises:
            RefusedError: Zinc closes none on request.
        """
        ...

    def wanted(self, change: Change, order_id: str) -> Mapping[str, Any]:
        """Return the content of a request by the names of v2, to compare it with what is found at Zinc.

        Raises:
            ValueError: it is no request that this object has made.
        """
        ...

    async def send(self, change: Change, leaving: Leaving) -> NetworkAnswer:
        """Send a change once.

        Raises:
            ZincUnreachableError: nothing was sent.
            ChangeOutcomeUnknownError: it was sent, and no whole answer came.
        """
        ...

    def filed_return(self, answer: NetworkAnswer, wanted: Mapping[str, Any]) -> ReturnSummary:
        """Return the return in the answer to a request that filed one.

        Raises:
            ChangeRejectedError: Zinc answered no.
            ChangeOutcomeUnknownError: the answer shows no return, or another one than was sent.
        """
        ...

    def answered_case(self, answer: NetworkAnswer, order_id: str, case_id: str | None, reason: str | None) -> Case:
        """Return the case in the answer to a change of one.

        Raises:
            ChangeRejectedError: Zinc answered no.
            ChangeOutcomeUnknownError: the answer shows no case, or another one.
        """
        ...

    async def returns(self, order_id: str) -> Sequence[ReturnSummary]:
        """List the returns of one order. An empty list proves nothing."""
        ...

    async def cases(self, order_id: str) -> Sequence[Case]:
        """List the cases of one order. An empty list proves nothing."""
        ...

    async def case(self, case_id: str) -> Case:
        """Read one case with its messages."""
        ...

    async def completed(self, order: Order, sent: SentOrder) -> Order:
        """Return an order with the returns and cases that Zinc does not show with it."""
        ...


@dataclass(frozen=True, slots=True)
class ZincAfterSale:
    """Zinc's own forms, with the account's key, or the own key of an order that a wallet paid."""

    _client: ZincClient = field(repr=False)
    _api_key: SecretStr = field(repr=False)

    def return_change(self, asked: ReturnAsked) -> Change:
        """Return the request that files a return."""
        return return_change(asked.order_id, asked.items, asked.reason, asked.notes)

    def case_change(self, order_id: str, reason: str, message: str, sent: bytes | None) -> Change:
        """Return the request that opens a case."""
        return case_change(order_id, reason, message)

    def message_change(self, case_id: str, message: str) -> Change:
        """Return the request that adds a message to a case."""
        return message_change(case_id, message)

    def closing_change(self, case_id: str) -> Change:
        """Return the request that closes a case."""
        return closing_change(case_id)

    def wanted(self, change: Change, order_id: str) -> Mapping[str, Any]:
        """Return the content that is sent."""
        return change.sent

    async def send(self, change: Change, leaving: Leaving) -> NetworkAnswer:
        """Send a change once; see `changes.send_change`."""
        return await send_change(self._client, change, self._api_key, leaving)

    def filed_return(self, answer: NetworkAnswer, wanted: Mapping[str, Any]) -> ReturnSummary:
        """Return the return in an answer; see `returns.filed_return`."""
        return filed_return(answer, wanted)

    def answered_case(self, answer: NetworkAnswer, order_id: str, case_id: str | None, reason: str | None) -> Case:
        """Return the case in an answer; see `cases.answered_case`."""
        return answered_case(answer, order_id, case_id, reason)

    async def returns(self, order_id: str) -> Sequence[ReturnSummary]:
        """List the returns of one order."""
        return await list_returns(self._client, order_id, self._api_key)

    async def cases(self, order_id: str) -> Sequence[Case]:
        """List the cases of one order."""
        return await list_cases(self._client, order_id, self._api_key)

    async def case(self, case_id: str) -> Case:
        """Read one case with its messages."""
        return await get_case(self._client, case_id, self._api_key)

    async def completed(self, order: Order, sent: SentOrder) -> Order:
        """Return the order: it shows its returns and cases itself."""
        return order
