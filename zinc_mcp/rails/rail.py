"""A rail is a way to buy: it can send, find again and read. It holds no policy and no state."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, TypeGuard

from pydantic import SecretStr

from zinc_mcp.errors import ErrorCode, ZincMcpError
from zinc_mcp.journal.entry import RailIdentity
from zinc_mcp.zinc.prices import Product
from zinc_mcp.zinc.responses import Order

Leaving = Callable[[], None]
"""Called right before the first byte leaves; what it raises stops that byte, and is raised."""


class Rail(RailIdentity, Protocol):
    """One way to buy, bound to one origin and one account."""

    async def fee_cents(self) -> int:
        """Return what Zinc adds to an order, as far as can be told quickly."""
        ...

    async def ask_the_time(self) -> None:
        """Have Zinc answer something that costs nothing: each answer carries the time. Failures are no trouble."""
        ...

    async def send(self, body: bytes, leaving: Leaving) -> Order:
        """Put exactly these bytes on the wire once.

        Raises:
            ZincUnreachableError: nothing was sent.
            OrderRejectedError, OrderAlreadyExistsError: Zinc answered no.
            OrderOutcomeUnknownError: sent, unanswered.
        """
        ...

    async def find(self, metadata_key: str, value: str) -> list[Order]:
        """List orders by one metadata pair; an empty list proves nothing."""
        ...

    async def read(self, order_id: str) -> Order:
        """Read one order."""
        ...

    async def product(self, retailer: str, product_id: str) -> Product:
        """Read what a product page says; may cost a cent."""
        ...


OnHeaders = Callable[[SecretStr | None, str | None], Awaitable[None]]
"""Called with the order's API key and the receipt's reference as soon as they have arrived, before the body."""

Ending = Literal["settled", "unpaid", "open"]
"""What is proved about a payment: money moved, it never can any more, or neither."""


class LeaseOverError(Exception):
    """The time to send was over before the first byte left: nothing was sent. Never leaves `checkout`."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What Zinc asks to be paid for an order, checked against it. Money is US cents."""

    method: str
    amount_cents: int
    fee_cents: int
    recovery: Mapping[str, Any]
    """What proves the fate of a wallet that was asked and never answered; no secret."""
    challenge: object = field(repr=False)
    """The rail's own; opaque here."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The one credential for a quote: opaque, secret, and of use until `settle_by`."""

    credential: SecretStr
    settle_by: float
    recovery: Mapping[str, Any]


class WalletSilentError(ZincMcpError):
    """The wallet was asked and gave no clear answer: something that can settle may exist."""

    default_code: ClassVar[ErrorCode] = "outcome_unknown"
    default_next_step = "Do not order again. Call get_order with the key to find out what happened."
    money_may_have_moved = True

    def __init__(self, summary: str, recovery: Mapping[str, Any], reason: str) -> None:
        super().__init__(summary, facts={"reason": reason})
        self.recovery = dict(recovery)


class PayingRail(Rail, Protocol):
    """A rail that pays each order by wallet: asked for a price, signed once, sent with the credential."""

    @property
    def sign_seconds(self) -> float:
        """How long its wallet may take: some ask a person."""
        ...

    @property
    def signs_only(self) -> bool:
        """Whether its wallet moves nothing by itself: what it made and nobody has sent can never settle."""
        ...

    async def quote(
        self,
        body: bytes,
        ceiling_cents: int,
        fee_cents: int,
        on_headers: OnHeaders,
        on_conflict: OnHeaders | None = None,
    ) -> Quote | Order:
        """Send the order unpaid and check what Zinc asks for; an order means that Zinc asked for nothing.

        `on_conflict` as with `send_paid`.

        Raises:
            RefusedError: what was asked for is not what it should be; nothing was signed.
            OrderAlreadyExistsError: there is an order with this key already; nothing was paid for it this time.
            ZincUnreachableError, OrderRejectedError, OrderOutcomeUnknownError: as `send`; nothing was paid.
        """
        ...

    async def sign(self, quote: Quote) -> Signed:
        """Ask the wallet for its one credential.

        Raises:
            RefusedError: nothing was authorised.
            WalletSilentError: it cannot be told whether something was.
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

        `on_conflict` is called with what came with a 409 that says that the order is there already.
        """
        ...

    async def fate(self, recovery: Mapping[str, Any], credential: SecretStr | None) -> Ending:
        """Say what can be proved about a payment. Only looks."""
        ...

    async def release(self, recovery: Mapping[str, Any], credential: SecretStr | None) -> Ending:
        """Take back an authorisation that will not be used, where the wallet can; then as `fate`."""
        ...

    async def read_paid(self, order_id: str, order_key: SecretStr) -> Order:
        """Read one order with the key that came with it."""
        ...

    async def find_paid(self, metadata_key: str, value: str, order_key: SecretStr) -> list[Order]:
        """List by one metadata pair what the order's own key can see."""
        ...


def is_paying(rail: Rail) -> TypeGuard[PayingRail]:
    """Say whether a rail pays each order by wallet."""
    return hasattr(rail, "send_paid")
