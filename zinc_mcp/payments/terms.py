"""The checks of a charge before anything is signed for it. Each kind of lie has its own reason to refuse.

draft-httpauth-payment-01, "Amount Verification": a client verifies amount, recipient, currency and validity window
itself. The amount is not "at most": it is the price ceiling plus Zinc's fee, to the cent. A payment goes to exactly the
configured origin, encrypted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

from zinc_mcp.payments.failures import PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, ChargeRequest, is_digest_of
from zinc_mcp.proxies import is_confidential

CREDENTIAL_HEADERS = ("Authorization", "Payment-Authorization")

_KNOWN_METHODS = frozenset({"tempo", "stripe", "evm", "card", "x402", "lightning", "solana", "sandbox"})
_AMOUNT = re.compile(r"[1-9][0-9]{0,17}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_STRIPE_ID = re.compile(r"[A-Za-z0-9_]{1,255}")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class MethodTerms:
    """The currencies, chain and recipients that a wallet accepts for one payment method."""

    currencies: Mapping[str, int]
    """Each currency's decimals, which a challenge does not name; the preferred currency first. Case is ignored."""
    chain_id: int | None = None
    """The chain that a challenge must name. No default is assumed, because the drafts and the SDKs differ in it."""
    recipients: frozenset[str] | None = None
    """The only recipients to pay, or None for any: Zinc's may change with every order."""

    def decimals(self, currency: str) -> int | None:
        """Return the decimals of a currency, or None if it is not accepted."""
        return {name.lower(): decimals for name, decimals in self.currencies.items()}.get(currency.lower())


@dataclass(frozen=True, slots=True)
class Terms:
    """The conditions for the charge of one order, fixed before Zinc is asked."""

    origin: str
    url: str
    body: bytes = field(repr=False)
    max_price_cents: int
    methods: Mapping[str, MethodTerms]
    """In the order of preference."""
    fee_range_cents: tuple[int, int] = (100, 100)
    """The lowest and the highest fee of Zinc's."""
    window_seconds: tuple[float, float] = (15.0, 900.0)
    """The shortest and the longest time until the challenge expires."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge that passed all checks."""

    method: str
    amount_cents: int
    """The amount that is taken up front: ceiling and fee."""
    fee_cents: int
    amount: str
    """The same amount in base units of the currency, as it was received."""
    currency: str
    recipient: str | None
    expires_at: float
    """Seconds since the epoch."""
    header: str
    """The header that carries the credential."""
    chain_id: int | None = None
    sponsored: bool = False
    """Whether the payee pays the network fee (tempo's `feePayer`)."""
    network_id: str | None = None
    """The seller's profile (stripe's `networkId`)."""


def choose(challenges: Sequence[Challenge], terms: Terms, now: float, *, status: int) -> tuple[Challenge, Charge]:
    """Choose the one challenge to pay, and check it.

    The first of our methods that is offered is used, and in it the first of our currencies (a payee may list one
    challenge per token). If that challenge fails a check, the payment ends: no other challenge is tried.

    Raises:
        PaymentRefusedError: a check failed; it has the reason.
    """
    if status != HTTPStatus.PAYMENT_REQUIRED:
        raise PaymentRefusedError("status", {"http_status": status})
    refuse_other_origin(terms.url, terms.origin)
    for method, accepted in terms.methods.items():
        offered = [challenge for challenge in challenges if challenge.method == method]
        if not offered:
            continue
        payable = [
            challenge
            for challenge in offered
            if challenge.intent == "charge" and accepted.decimals(challenge.charge_request.currency or "") is not None
        ]
        order = [currency.lower() for currency in accepted.currencies]
        payable.sort(key=lambda challenge: order.index((challenge.charge_request.currency or "").lower()))
        chosen = (payable or offered)[0]
        return chosen, check(chosen, terms, now)
    raise PaymentRefusedError("method", {"offered": _named({challenge.method for challenge in challenges})})


def check(challenge: Challenge, terms: Terms, now: float) -> Charge:
    """Check all that can be checked before signing. Call it again after a person was asked.

    Raises:
        PaymentRefusedError: a check failed; it has the reason.
    """
    refuse_other_origin(terms.url, terms.origin)
    accepted = terms.methods.get(challenge.method)
    if accepted is None:
        raise PaymentRefusedError("method", {"offered": _named({challenge.method})})
    if challenge.intent != "charge":
        raise PaymentRefusedError("intent")
    asked = challenge.charge_request
    cents, fee, currency = _money(asked, accepted, terms)
    details = asked.method_details
    chain_id = _chain(details, accepted)
    # No order needs several recipients.
    if details.get("splits") is not None or asked.members.get("splits") is not None:
        raise PaymentRefusedError("splits")
    _check_modes(details)
    expires_at = _expiry(challenge, terms, now)
    _check_digest(challenge, terms.body)
    return Charge(
        method=challenge.method,
        amount_cents=cents,
        fee_cents=fee,
        amount=asked.amount or "",
        currency=currency,
        recipient=_recipient(asked, accepted),
        expires_at=expires_at,
        header=_header(challenge),
        chain_id=chain_id,
        sponsored=_sponsored(details),
        network_id=_network(challenge.method, details),
    )


def _named(methods: set[str]) -> list[str]:
    # An unknown name is the server's own text, which is not repeated.
    return sorted({method if method in _KNOWN_METHODS else "other" for method in methods})


def _header(challenge: Challenge) -> str:
    # "Clients MUST treat any other header value as an unrecognized challenge" (draft, "Credentials"). The SDKs also
    # write the default out, which is the same header.
    for name in CREDENTIAL_HEADERS:
        if (challenge.header or CREDENTIAL_HEADERS[0]).lower() == name.lower():
            return name
    raise PaymentRefusedError("header")


def _money(asked: ChargeRequest, accepted: MethodTerms, terms: Terms) -> tuple[int, int, str]:
    currency = asked.currency
    decimals = accepted.decimals(currency) if currency else None
    if currency is None or decimals is None:
        raise PaymentRefusedError("currency")
    if asked.amount is None or not _AMOUNT.fullmatch(asked.amount):
        raise PaymentRefusedError("amount_syntax")
    cents, rest = divmod(int(asked.amount), 10 ** (decimals - 2))
    lowest, highest = terms.fee_range_cents
    fee = cents - terms.max_price_cents
    if rest or not lowest <= fee <= highest:
        raise PaymentRefusedError(
            "amount",
            {
                "asked_cents": cents,
                "expected_cents": [terms.max_price_cents + lowest, terms.max_price_cents + highest],
            },
        )
    return cents, fee, currency


def _chain(details: Mapping[str, Any], accepted: MethodTerms) -> int | None:
    if accepted.chain_id is None:
        return None
    named = details.get("chainId")
    # `type`, because True is 1.
    if type(named) is not int or named != accepted.chain_id:
        raise PaymentRefusedError("chain")
    return named


def _check_modes(details: Mapping[str, Any]) -> None:
    # draft-tempo-charge-01, "Submission Modes": without the list both are supported.
    modes = details.get("supportedModes")
    if modes is not None and not (isinstance(modes, list) and "pull" in cast(list[object], modes)):
        raise PaymentRefusedError("push_only")


def _sponsored(details: Mapping[str, Any]) -> bool:
    value = details.get("feePayer")
    if value is not None and not isinstance(value, bool):
        raise PaymentRefusedError("gas")
    return value is True


def _recipient(asked: ChargeRequest, accepted: MethodTerms) -> str | None:
    recipient = asked.recipient
    if recipient is None and ("recipient" in asked.members or accepted.chain_id is not None):
        raise PaymentRefusedError("recipient")
    if recipient is not None and not (_ADDRESS if accepted.chain_id is not None else _STRIPE_ID).fullmatch(recipient):
        raise PaymentRefusedError("recipient")
    if accepted.chain_id is not None and recipient is not None:
        # Money sent to the zero address or to the token itself is lost.
        burnt = int(recipient, 16) == 0 or recipient.lower() == (asked.currency or "").lower()
        if burnt:
            raise PaymentRefusedError("recipient")
    if accepted.recipients is not None:
        allowed = {one.lower() for one in accepted.recipients}
        if recipient is None or recipient.lower() not in allowed:
            raise PaymentRefusedError("recipient")
    return recipient


def _network(method: str, details: Mapping[str, Any]) -> str | None:
    network = details.get("networkId")
    if method != "stripe" and network is None:
        return None
    if not isinstance(network, str) or not _STRIPE_ID.fullmatch(network):
        raise PaymentRefusedError("network")
    return network


def _expiry(challenge: Challenge, terms: Terms, now: float) -> float:
    if challenge.expires is None:
        raise PaymentRefusedError("no_expiry")
    expires_at = expiry(challenge)
    earliest, latest = terms.window_seconds
    left = expires_at - now
    if left < earliest:
        raise PaymentRefusedError("expires_too_soon", {"seconds_left": int(left)})
    if left > latest:
        raise PaymentRefusedError("expires_too_late", {"seconds_left": int(left)})
    return expires_at


def expiry(challenge: Challenge) -> float:
    """Return the challenge's `expires` (RFC 3339) as seconds since the epoch.

    Raises:
        PaymentRefusedError: if it is no date-time with an offset.
    """
    try:
        if _RFC_3339.fullmatch(challenge.expires or "") is None:
            raise ValueError
        return datetime.fromisoformat((challenge.expires or "").upper()).timestamp()
    except (ValueError, OverflowError):
        raise PaymentRefusedError("expiry_syntax") from None


def _check_digest(challenge: Challenge, body: bytes) -> None:
    if challenge.digest is not None and not is_digest_of(challenge.digest, body):
        raise PaymentRefusedError("digest")


_DEFAULT_PORTS = {"https": 443, "http": 80}


def refuse_other_origin(url: str, origin: str) -> None:
    """Refuse unless `url` is at exactly this origin, over https or on a loopback address.

    Call it before the unpaid request as well, which carries a shipping address.

    Raises:
        PaymentRefusedError: `origin` or `not_https`.
    """
    ours, theirs = _origin_of(origin), _origin_of(url)
    if ours is None or theirs is None or ours != theirs:
        raise PaymentRefusedError("origin")
    if not is_confidential_address(url):
        raise PaymentRefusedError("not_https")


def is_confidential_address(url: str) -> bool:
    """Say whether this is an address, and nobody on the way can read a request to it."""
    place = _origin_of(url)
    return place is not None and is_confidential(place[0], place[1])


def _origin_of(address: str) -> tuple[str, str, int] | None:
    if not address.isascii() or any(ord(character) <= 0x20 or character == "\\" for character in address):
        return None
    try:
        parts = urlsplit(address)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.username is not None or parts.password is not None or not parts.hostname or port is None:
        return None
    return parts.scheme, parts.hostname, port
