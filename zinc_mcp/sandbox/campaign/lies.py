"""What a 402 of the sandbox offers: real challenges, and the lies that can be told in one."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from zinc_mcp.payments.challenge import Challenge
from zinc_mcp.payments.digest import digest_of
from zinc_mcp.payments.practice import challenge_id, issue
from zinc_mcp.payments.wire import base64url, encoded_object
from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.challenges import Issued, Till
from zinc_mcp.sandbox.prices import ORDER_FEE

REALM = "api.zinc.com"
CHALLENGE_SECONDS = 300.0

_SOMEBODY = "0x000000000000000000000000000000000000dEaD"
_OTHER_SCHEME = f'Bearer realm="{REALM}", error="invalid_token"'


@dataclass(frozen=True, slots=True)
class Payee:
    """One way to be paid: what stands in the `request` of its challenges besides the amount."""

    method: str
    currency: str
    recipient: str
    decimals: int = 2
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def units(self, cents: int) -> int:
        """Return an amount in the currency's smallest unit."""
        return cents * int(10 ** (self.decimals - 2))


PAYEES = (
    Payee(
        "tempo",
        "0x20C000000000000000000000b9537d11c60E8b50",
        "0x3ba9000000000000000000000000000000005a2d",
        6,
        {"chainId": 4217},
    ),
    Payee("stripe", "usd", "acct_1SandboxSandbox", details={"networkId": "profile_sandbox"}),
    Payee("sandbox", "usd", "acct_practice"),
)
"""Zinc's two, in the shapes captured on 30 June 2026 with recipients of our own, and the one that is settled here."""


class Offers:
    """Issues challenges in one dialect."""

    def __init__(self, till: Till, dialect: Dialect, payees: Sequence[Payee], seconds: float) -> None:
        self._till = till
        self._secret = till.secret.encode()
        self._dialect = dialect
        self._payees = payees
        self._seconds = seconds

    def methods(self, *, bodyless: bool) -> list[str]:
        """Return the methods on offer. A probe without a body was seen to leave out stripe."""
        return [payee.method for payee in self._payees if not (bodyless and payee.method == "stripe")]

    def lines(
        self, content: bytes, max_price: int, at: float, method: str | None, *, lie: str | None = None, times: int = 1
    ) -> list[str]:
        """Issue one challenge for each method, or for `method` alone, as header lines.

        Args:
            content: the body; empty for a probe, which is asked for the fee alone.
            max_price: the order's ceiling in cents.
            at: now.
            method: the only method wanted.
            lie: what is wrong with every one of them.
            times: how many times what it should be is asked.
        """
        offered = [name for name in self.methods(bodyless=not content) if method in (None, name)]
        payees = [payee for payee in self._payees if payee.method in offered]
        if lie == "unknown_method_only":
            payees = [Payee("lightning", "sat", "lnbc1practice")]
        cents = (max_price + ORDER_FEE) * times * (10 if lie == "wrong_amount" else 1)
        made = [self._challenge(payee, cents, content, at, lie) for payee in payees]
        self._till.issue([issued for _, issued in made])
        written = [line for line, _ in made]
        if self._dialect.challenges == "folded":
            return [f", {_OTHER_SCHEME}, ".join(written) if len(written) > 1 else f"{_OTHER_SCHEME}, {written[0]}"]
        return written

    def _challenge(self, payee: Payee, cents: int, content: bytes, at: float, lie: str | None) -> tuple[str, Issued]:
        expires_at = {"no_expiry": None, "expired": at - 60, "expires_far": at + 10 * 365 * 86_400}.get(
            lie or "", at + self._seconds
        )
        challenge = issue(
            self._secret,
            realm="zinc" if lie == "other_realm" else REALM,
            request=_request(payee, payee.units(cents), lie),
            method=payee.method,
            intent="session" if lie == "other_intent" else "charge",
            expires=None if expires_at is None else _rfc_3339(expires_at),
            digest=self._digest(content, lie),
            # Two orders of one body at one time are two challenges. The name is that of the SDKs' servers.
            opaque=encoded_object({"_mpp_nonce": secrets.token_hex(16)}),
            header="Cookie" if lie == "other_origin_header" else None,
        )
        line, identity = challenge.to_www_authenticate(), challenge.id
        if lie == "duplicate_keys":
            line, identity = self._twice(challenge, payee.units(cents))
        elif lie == "malformed":
            line = line[:-1]
        digest = sha256(content).hexdigest() if content else None
        return line, Issued(identity, payee.method, cents, digest, expires_at)

    def _digest(self, content: bytes, lie: str | None) -> str | None:
        if lie == "wrong_digest":
            return digest_of(content + b" ")
        if not content or self._dialect.challenge_digest == "absent":
            return None
        return digest_of(content) if self._dialect.challenge_digest == "draft" else digest_of(content).replace(":", "")

    def _twice(self, challenge: Challenge, units: int) -> tuple[str, str]:
        # No writer of JSON writes this.
        honest = json.dumps(challenge.charge_request.members, separators=(",", ":"), sort_keys=True)
        forged = base64url(f'{honest[:-1]},"amount":"{units}0"}}'.encode())
        slots = {**challenge.to_parameters(), "request": forged}
        identity = challenge_id(self._secret, **{name: value for name, value in slots.items() if name != "id"})
        line = challenge.to_www_authenticate().replace(challenge.request, forged).replace(challenge.id, identity)
        return line, identity


def _request(payee: Payee, units: int, lie: str | None) -> dict[str, Any]:
    amount: str | int = str(units)
    currency, details = payee.currency, dict(payee.details)
    match lie:
        case "odd_amount_underscore":
            amount = f"{units:_}" if units >= 1_000 else f"0_{units}"
        case "odd_amount_minus":
            amount = f"-{units}"
        case "odd_amount_number":
            amount = units
        case "wrong_currency":
            currency = "eur" if payee.decimals == 2 else "0x20c0000000000000000000000000000000000bad"
        case "wrong_chain" if "chainId" in details:
            details["chainId"] = 4_217 if details["chainId"] == 42_431 else 42_431
        case "no_chain":
            details.pop("chainId", None)
        case "splits":
            details["splits"] = [{"amount": str(units // 2), "recipient": _SOMEBODY}]
        case "push_only":
            details["supportedModes"] = ["push"]
        case _:
            pass
    request: dict[str, Any] = {"amount": amount, "currency": currency, "recipient": payee.recipient}
    return {**request, "methodDetails": details} if details else request


def _rfc_3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
