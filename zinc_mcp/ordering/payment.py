"""What is written down about one payment by wallet: the one credential, what proves its fate, the order's own key.

A credential is opaque here. It is kept while it may have to go again, byte for byte, and forgotten once the order is
known or it can no longer settle. Secrets lie in a table of their own, so that no listing of entries carries one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

RESEND_MARGIN_SECONDS = 5.0
"""How long before its end a credential is not sent again any more."""


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

    def may_go_again(self, now: float) -> bool:
        """Say whether the credential may still be sent, byte for byte."""
        return (
            self.credential is not None and self.settle_by is not None and now < self.settle_by - RESEND_MARGIN_SECONDS
        )
