"""The credential that answers a challenge: `Authorization: Payment <base64url JSON>`.

draft-httpauth-payment-01, "Credentials": the challenge's parameters as they were, and the method's `payload`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, cast

from zinc_mcp.payments.challenge import Challenge
from zinc_mcp.payments.failures import InvalidChallengeError
from zinc_mcp.payments.wire import decoded_object, encoded_object

MAX_CREDENTIAL_BYTES = 64 * 1024
"""It echoes a challenge of up to 16 KiB, encoded once more; the SDKs stop here too."""
_SCHEME = "payment "


@dataclass(frozen=True, slots=True)
class Credential:
    """Proof of payment. Whoever holds it may have the payment settled: no `repr` shows it."""

    challenge: Challenge = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)
    source: str | None = field(default=None, repr=False)

    def to_authorization(self) -> str:
        """Write the header value; it names the challenge's own strings, byte for byte.

        Raises:
            ValueError: if it would be longer than a server has to read.
        """
        members: dict[str, Any] = {"challenge": self.challenge.to_parameters(), "payload": dict(self.payload)}
        if self.source is not None:
            members["source"] = self.source
        value = f"Payment {encoded_object(members)}"
        if len(value) > MAX_CREDENTIAL_BYTES:
            raise ValueError("the credential is too long for a header")
        return value

    @classmethod
    def from_authorization(cls, value: str) -> Self:
        """Read a header value (the payee's side: the sandbox and the tests).

        Raises:
            InvalidChallengeError: if it is not a credential.
        """
        stripped = value.strip(" \t")
        if not stripped.lower().startswith(_SCHEME):
            raise InvalidChallengeError("not a Payment credential")
        members = decoded_object(stripped[len(_SCHEME) :].strip(" "), MAX_CREDENTIAL_BYTES)
        echo, payload, source = members.get("challenge"), members.get("payload"), members.get("source")
        if not isinstance(echo, dict) or not isinstance(payload, dict) or not isinstance(source, str | None):
            raise InvalidChallengeError("a credential without challenge or payload")
        return cls(
            Challenge.from_parameters(cast(dict[str, object], echo)), cast(dict[str, Any], payload), source or None
        )
