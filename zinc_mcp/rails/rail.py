"""The protocols of a rail, a way to buy: it sends, finds and reads orders. It holds no policy and no state."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeGuard

from pydantic import SecretStr

from zinc_mcp.errors import ErrorCode, ZincMcpError
from zinc_mcp.journal.entry import RailIdentity
from zinc_mcp.zinc.prices import Product
from zinc_mcp.zinc.responses import Order

Leaving = Callable[[], None]
"""Called right before the first byte leaves. An error that it raises stops the request and is raised."""


class Rail(RailIdentity, Protocol):
    """One way to buy, bound to one origin and one account."""

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

    async def product(self, retailer: str, product_id: str) -> Product:
        """Read a product's title and price; may cost a cent."""
        ...


OnHeaders = Callable[[SecretStr | None, str | None], Awaitable[None]]
"""Called with the order's API key and the receipt's reference as soon as they have arrived, before the body."""

Ending = Literal["settled", "unpaid", "open"]
"""What is proved about a payment: money moved, money can never move any more, or neither."""


class LeaseOverError(Exception):
    """The time to send was over before the first byte left, so nothing was sent. It never leaves `checkout`."""


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


class PayingRail(Rail, Protocol):
    """A rail that pays each order by wallet: it asks for a quote, signs once, and sends the credential."""

    @property
    def sign_seconds(self) -> float:
        """How long its wallet may take. Some wallets ask a person."""
        ...

    @property
    def signs_only(self) -> bool:
        """Whether its wallet moves no money by itself, so that a credential that was never sent can never settle."""
        ...

    async def quote(
        self,
        body: bytes,
        ceiling_cents: int,
        fee_cents: int,
        on_headers: OnHeaders,
        on_conflict: OnHeaders | None = None,
    ) -> Quote | Order:
        """Send the order unpaid and check the payment that Zinc asks for. An order means that Zinc asked for none.

        `on_conflict` as with `send_paid`.

        Raises:
            RefusedError: the payment asked for is not the expected one; nothing was signed.
            OrderAlreadyExistsError: there is an order with this key already; nothing was paid for it this time.
            ZincUnreachableError, OrderRejectedError, OrderOutcomeUnknownError: as `send`; nothing was paid.
        """
        ...

    async def sign(self, quote: Quote) -> Signed:
        """Ask the wallet for its one credential.

        Raises:
            RefusedError: nothing was authorised.
            WalletSilentError: something may have been authorised.
        """
        ...

    async def send_paid(
        self,
        body: bytes,
        credential: SecretStr,
        on_headers: OnHeaders,
        leaving: Leaving,
        on_conflict: OnHeaders | None = None,
    ) -> Order:
        """Send the same bytes to the same URL with the credential; raises as `send`.

        `on_conflict` is called with the headers of a 409 that says that the order exists already.
        """
        ...

    async def fate(self, recovery: Mapping[str, Any], credential: SecretStr | None) -> Ending:
        """Return what can be proved about a payment. Nothing is changed."""
        ...

    async def release(self, recovery: Mapping[str, Any], credential: SecretStr | None) -> Ending:
        """Take back an authorisation that will not be used, if the wallet can; return as `fate`."""
        ...

    async def read_paid(self, order_id: str, order_key: SecretStr) -> Order:
        """Read one order with the key that came with it."""
        ...

    async def find_paid(self, metadata_key: str, value: str, order_key: SecretStr) -> list[Order]:
        """List the orders with one metadata pair that the order's own key can read."""
        ...


def is_paying(rail: Rail) -> TypeGuard[PayingRail]:
    """Say whether a rail pays each order by wallet."""
    return hasattr(rail, "send_paid")
