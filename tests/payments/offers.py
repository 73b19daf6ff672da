"""Challenges for the tests, honest unless told otherwise, and a wallet that counts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from zinc_mcp.payments.headers import Challenge, encoded_object
from zinc_mcp.payments.terms import Charge, MethodTerms, Terms
from zinc_mcp.payments.wallet import Paid, PaymentWallet

NOW = 1_795_000_000.0
ORIGIN = "https://api.zinc.com"
URL = f"{ORIGIN}/agent/orders?method=tempo"
BODY = b'{"max_price":2500,"idempotency_key":"k-1"}'
RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
USDC = "0x20C000000000000000000000b9537d11c60E8b50"
TEMPO = MethodTerms({USDC: 6}, chain_id=4217)
STRIPE = MethodTerms({"usd": 2})


def tempo_request(**changes: Any) -> dict[str, Any]:
    """$26.00 in USDC.e on the main network; a value of `...` removes the member."""
    members = {
        "amount": "26000000",
        "currency": USDC,
        "recipient": RECIPIENT,
        "methodDetails": {"chainId": 4217},
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ...}


def stripe_request(**changes: Any) -> dict[str, Any]:
    """$26.00 on a card, as Zinc was seen to ask for it."""
    members = {
        "amount": "2600",
        "currency": "usd",
        "recipient": "acct_1",
        "methodDetails": {"networkId": "profile_1"},
        **changes,
    }
    return {name: value for name, value in members.items() if value is not ...}


def rfc3339(seconds: float) -> str:
    """Return a moment as Zinc writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def offer(method: str = "tempo", request: Mapping[str, Any] | None = None, **changes: Any) -> Challenge:
    """Return one challenge; keyword arguments replace its parameters, None removes one."""
    members = request if request is not None else stripe_request() if method == "stripe" else tempo_request()
    parameters: dict[str, Any] = {
        "id": "ch_1",
        "realm": "api.zinc.com",
        "method": method,
        "intent": "charge",
        "request": encoded_object(members),
        "expires": rfc3339(NOW + 300),
        **changes,
    }
    return Challenge.from_parameters({name: value for name, value in parameters.items() if value is not None})


def terms(**changes: Any) -> Terms:
    """Return what an order of at most $25.00 expects of its charge."""
    expected: dict[str, Any] = {
        "origin": ORIGIN,
        "url": URL,
        "body": BODY,
        "max_price_cents": 2500,
        "methods": {"tempo": TEMPO, "stripe": STRIPE},
    }
    return Terms(**(expected | changes))


class CountingWallet(PaymentWallet):
    """Signs whatever it is asked to, and counts how often it was asked and what it made."""

    def __init__(self, **accepted: MethodTerms) -> None:
        self.asked = 0
        self.created = 0
        self.terms = accepted or {"tempo": TEMPO, "stripe": STRIPE}

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """Count and sign."""
        self.asked += 1
        self.created += 1
        return Paid(SecretStr("Payment e30"), charge.header, charge.expires_at)
