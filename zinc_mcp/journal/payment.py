"""What is written down about one payment by wallet: the one credential, what proves its fate, the order's own key.

A credential is opaque here. It is kept while it may have to go again, byte for byte, and forgotten once the order is
known or it can no longer settle. Secrets lie in a table of their own, so that no listing of entries carries one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pydantic import SecretStr

RESEND_MARGIN_SECONDS = 5.0
"""How long before its end a credential is not sent again any more."""
SETTLED_MARGIN_SECONDS = 5.0
"""How long after its end, by our own clock, nobody's word is taken that it was never taken."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One entry's payment. Times are seconds since the epoch."""

    entry_id: int
    asked_at: float
    """When the wallet was asked: it is asked once per entry."""
    credential: SecretStr | None = None
    settle_by: float | None = None
    """After this the credential can no longer settle, and may not be sent again."""
    recovery: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the wallet needs to tell what became of it; no secret."""
    order_key: SecretStr | None = None
    """The API key that came with the order and reads it."""

    def with_headers(self, order_key: SecretStr | None, receipt: str | None, *, accepted: bool) -> Self:
        """Return it with what came with an answer's headers; a key that came with an accepted order is never lost."""
        recovery: dict[str, Any] = {**self.recovery, **({"receipt": receipt} if receipt else {})}
        if order_key is None or (self.is_key_proof and not accepted):
            return replace(self, recovery=recovery)
        return replace(self, recovery={**recovery, "key_of_conflict": not accepted}, order_key=order_key)

    @property
    def named(self) -> tuple[str, ...]:
        """Ids under which a 409 said that the order is to be found."""
        return tuple(str(order_id) for order_id in self.recovery.get("named") or ())

    @property
    def is_key_proof(self) -> bool:
        """Whether an order's own key came that only an accepted order has."""
        return self.order_key is not None and not self.recovery.get("key_of_conflict")

    def may_settle(self, now: float) -> bool:
        """Say whether the credential may still be taken, as far as this machine's clock can tell."""
        return self.settle_by is not None and now <= self.settle_by + SETTLED_MARGIN_SECONDS

    def may_go_again(self, now: float) -> bool:
        """Say whether the credential may still be sent, byte for byte."""
        return (
            self.credential is not None and self.settle_by is not None and now < self.settle_by - RESEND_MARGIN_SECONDS
        )
