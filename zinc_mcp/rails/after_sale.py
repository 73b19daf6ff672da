"""What one API key can do about its orders after the purchase: returns and cases. The key never leaves this object."""

from dataclasses import dataclass, field

from pydantic import SecretStr

from zinc_mcp.network import Leaving, NetworkAnswer
from zinc_mcp.zinc.cases import Case, get_case, list_cases
from zinc_mcp.zinc.changes import Change, send_change
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.returns import ReturnRequest, list_returns


@dataclass(frozen=True, slots=True)
class AfterSale:
    """One key at one origin: the account's, or the own key of an order that a wallet paid."""

    _client: ZincClient = field(repr=False)
    _api_key: SecretStr = field(repr=False)

    async def send(self, change: Change, leaving: Leaving) -> NetworkAnswer:
        """Send a change once.

        Raises:
            ZincUnreachableError: nothing was sent.
            ChangeOutcomeUnknownError: it was sent, and no whole answer came.
        """
        return await send_change(self._client, change, self._api_key, leaving)

    async def returns(self, order_id: str) -> list[ReturnRequest]:
        """List the returns of one order."""
        return await list_returns(self._client, order_id, self._api_key)

    async def cases(self, order_id: str) -> list[Case]:
        """List the cases of one order."""
        return await list_cases(self._client, order_id, self._api_key)

    async def case(self, case_id: str) -> Case:
        """Read one case with its messages."""
        return await get_case(self._client, case_id, self._api_key)
