"""A rail is a way to buy: it sends, finds and reads orders. It holds no policy and no state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import SecretStr

from zinc_mcp.errors import ErrorCode, ZincMcpError
from zinc_mcp.journal.records.entry import RailIdentity
from zinc_mcp.network import Leaving
from zinc_mcp.rails.after_sale import AfterSale
from zinc_mcp.zinc.find.products import A, DataCall
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.rails.account import AccountRail
    from zinc_mcp.rails.agent import AgentRail
    from zinc_mcp.rails.v1 import V1Rail


class Rail(RailIdentity, Protocol):
    """One way to buy, bound to one origin and one account."""

    @property
    def paying(self) -> "AgentRail | None":
        """This rail, if a wallet pays each order; None if Zinc debits something. The kinds are told apart by it."""
        ...

    @property
    def on_balance(self) -> "AccountRail | None":
        """This rail, if the Zinc balance of an API key pays each order."""
        ...

    @property
    def on_v1(self) -> "V1Rail | None":
        """This rail, if Zinc's v1 takes the orders."""
        ...

    @property
    def lists(self) -> "AccountRail | V1Rail | None":
        """This rail, if Zinc lists the orders of its payer."""
        ...

    async def fee_cents(self) -> int:
        """Return the fee that Zinc adds to an order, in cents, as far as it can be found out quickly."""
        ...

    async def ask_the_time(self) -> None:
        """Send a free request, because each answer carries Zinc's time. Errors are ignored."""
        ...

    async def send(self, body: bytes, leaving: Leaving) -> Order:
        """Send exactly these bytes once.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderRejectedError, OrderAlreadyExistsError: Zinc answered no.
            OrderOutcomeUnknownError: the order was sent and not answered.
        """
        ...

    async def find(self, metadata_key: str, value: str) -> list[Order]:
        """List orders by one metadata pair; an empty list proves nothing."""
        ...

    async def read(self, order_id: str) -> Order:
        """Read one order."""
        ...

    async def look_up(self, call: DataCall[A]) -> A:
        """Ask Zinc about products; costs a cent with a live key.

        Raises:
            ZincUnreachableError: nothing was asked.
            OrderRejectedError: Zinc refused to answer, which costs nothing.
            UnreadableAnswerError: it was not answered, or this rail cannot ask it.
        """
        ...

    def after_sale(self, order_key: SecretStr | None) -> AfterSale | None:
        """Return the requests about an order after its purchase, made with the account's key or the order's own.

        None: that key is not there.
        """
        ...


Ending = Literal["settled", "unpaid", "open"]
"""The proof about a payment: money moved, money can never move any more, or neither is proved."""


class LeaseOverError(Exception):
    """The time to send was over before the first byte left, so nothing was sent. Each sending function catches it."""


@dataclass(frozen=True, slots=True)
class Quote:
    """The payment that Zinc asks for an order, checked against the order. Money is US cents."""

    method: str
    amount_cents: int
    fee_cents: int
    recovery: Mapping[str, Any]
    """Facts for a look-up, if the wallet is asked and does not answer. They hold no secret."""
    challenge: object = field(repr=False)
    """For the rail only."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The one credential for a quote. It is secret, only the rail can read it, and it is valid until `settle_by`."""

    credential: SecretStr
    settle_by: float
    recovery: Mapping[str, Any]


class WalletSilentError(ZincMcpError):
    """The wallet was asked and gave no clear answer, so a credential that can settle may exist."""

    default_code: ClassVar[ErrorCode] = "outcome_unknown"
    default_next_step = "Do not order again. Call get_order with the key to find out what happened."
    money_may_have_moved = True

    def __init__(self, summary: str, recovery: Mapping[str, Any], reason: str) -> None:
        super().__init__(summary, facts={"reason": reason})
        self.recovery = dict(recovery)
