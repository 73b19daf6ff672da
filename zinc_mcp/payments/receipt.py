"""The `Payment-Receipt` of a paid answer, read leniently: it is optional, and its absence is not a failure.

draft-httpauth-payment-01, "Payment-Receipt Header": base64url JSON with status, method, timestamp, reference. Zinc's
own documents also show `tempo receipt=rcpt_…`. By the time it arrives the money has moved, so nothing is refused here.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import SecretStr

from zinc_mcp.payments.failures import InvalidChallengeError
from zinc_mcp.payments.wire import decoded_object, encoded_object
from zinc_mcp.prose import plain

MAX_RECEIPT_BYTES = 16 * 1024

_ODD_FORM = re.compile(
    r"(?:(?P<method>[a-z][a-z0-9:_-]{0,63})[ \t;,]{1,8})?\b(?:receipt|reference|id)=\"?(?P<reference>[^\s\";,]{1,200})"
)
_BARE = re.compile(r"(?:rcpt_|pi_|ch_|0x)[A-Za-z0-9_]{6,200}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What can be told of a receipt. `raw` is a secret (draft: "sensitive"); the reference alone may be shown."""

    raw: SecretStr = field(repr=False)
    status: str | None = None
    method: str | None = None
    timestamp: str | None = None
    reference: str | None = None
    """Where the payment settled: a transaction hash, a PaymentIntent."""

    @classmethod
    def from_payment_receipt(cls, value: str | None) -> Self | None:
        """Read a header value; None when there is none. Never raises."""
        if value is None or not value.strip():
            return None
        # What is cut off here is kept nowhere: a header this long is no receipt.
        text = value.strip()[:MAX_RECEIPT_BYTES]
        raw = SecretStr(text)
        try:
            members = decoded_object(text.rstrip("="))
        except InvalidChallengeError:
            odd = _ODD_FORM.search(text)
            if odd is not None:
                return cls(raw, method=odd["method"], reference=_shown(odd["reference"]))
            return cls(raw, reference=text if _BARE.fullmatch(text) else None)
        return cls(
            raw,
            status=_shown(members.get("status")),
            method=_shown(members.get("method")),
            timestamp=_shown(members.get("timestamp")),
            reference=_shown(members.get("reference")),
        )

    @property
    def is_success(self) -> bool:
        """Say whether it states that the payment settled."""
        return self.status == "success"


def to_payment_receipt(method: str, reference: str, timestamp: str) -> str:
    """Write a receipt (the sandbox's side)."""
    members: dict[str, Any] = {"method": method, "reference": reference, "status": "success", "timestamp": timestamp}
    return encoded_object(members)


def _shown(value: object) -> str | None:
    return plain(value) or None if isinstance(value, str) else None
