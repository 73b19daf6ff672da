"""Payment wallets: their base, the practice wallet, their settings, and opening the wallet that the owner chose.

A wallet signs; it never sends anything to Zinc. Its caller keeps these rules:

* Call `pay` once per order, after "the wallet is being asked" is on disk. After a `PaymentRefusedError` or an
  `InvalidChallengeError`, nothing exists that could settle. Any other error, and a cancellation, leaves the outcome
  unknown.
* Send the credential to Zinc again only byte for byte, and only until `settle_by`. Never make a second one.
* `fate` reads what can be proved and changes nothing; `release` takes back what can be taken back.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.payments.failures import PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential, base64url, encoded_object
from zinc_mcp.payments.terms import Charge, MethodTerms
from zinc_mcp.proxies import Route

if TYPE_CHECKING:
    import httpx


Ending = Literal["settled", "unpaid", "open"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What is proved about one credential.

    `settled`: money moved. `unpaid`: money can never move any more. `open`: neither is proved.
    """

    ending: Ending
    reference: str | None = None
    """The transaction hash, if it becomes known only now."""


SettlementLookup = Callable[[str], Awaitable[Fate]]
"""Asks the sandbox what became of the challenge with this id."""

OPEN = Fate("open")
UNPAID = Fate("unpaid")


@dataclass(frozen=True, slots=True)
class Paid:
    """One credential, made and not yet sent."""

    authorization: SecretStr
    """The header's value. A secret until `settle_by`."""
    header: str
    """The header's name."""
    settle_by: float
    """Seconds since the epoch. Afterwards it must not be sent again, and an honest payee no longer settles it."""
    reference: str | None = None
    """The receipt's reference, if it is known before sending (an unsponsored Tempo transaction)."""
    recovery: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Facts as JSON for `fate` and `release`. They hold no secret."""


class PaymentWallet:
    """The base of all wallets. A wallet overrides what it does differently."""

    mode: Literal["live", "test", "sandbox"] = "live"
    """Whose money it spends: `live` the owner's, `test` a test network's, `sandbox` nobody's."""
    terms: Mapping[str, MethodTerms]
    """The accepted terms of each payment method, in the order of preference."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The payment methods it can pay."""
        return tuple(self.terms)

    async def warm(self) -> None:
        """Load slow libraries off the event loop. Called once at start; `pay` works without it."""

    async def check(self) -> None:
        """Check that it could pay, as far as that can be told without paying or asking anybody.

        Raises:
            SettingsError: a setting is missing or cannot be used. The sentence names the setting, never its value.
        """

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """Make the one credential for a challenge that `terms.choose` or `terms.check` has accepted.

        Raises:
            PaymentRefusedError: nothing was authorised.
            PaymentOutcomeUnknownError: the wallet was asked and did not answer clearly.
        """
        raise NotImplementedError

    async def fate(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Look up what became of a credential, and change nothing. `credential` is the header value, if it is kept."""
        return OPEN

    async def release(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Take back an authorisation that will not be used, if the method can; return as `fate`."""
        return await self.fate(recovery, now=now, credential=credential)

    async def aclose(self) -> None:
        """Close connections."""


PRACTICE_METHOD = "sandbox"
# Not a secret: the money is imaginary, and a sandbox in another process must know the key too.
_PRACTICE_KEY = b"zinc-mcp practice purse"


class PracticeWallet(PaymentWallet):
    """Pays the sandbox with imaginary money. No real payee offers its method."""

    mode = "sandbox"

    def __init__(self, lookup: SettlementLookup | None = None) -> None:
        self.terms = {PRACTICE_METHOD: MethodTerms({"usd": 2})}
        self._lookup = lookup

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """Sign the challenge."""
        if challenge.method != PRACTICE_METHOD:
            raise PaymentRefusedError("method")
        proof = practice_proof(challenge)
        reference = practice_reference(proof)
        credential = Credential(challenge, {"type": "practice", "proof": proof})
        return Paid(
            authorization=SecretStr(credential.to_authorization()),
            header=charge.header,
            settle_by=charge.expires_at,
            reference=reference,
            recovery={"method": PRACTICE_METHOD, "challenge_id": challenge.id, "reference": reference},
        )

    async def fate(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Ask the sandbox, if a look-up was given."""
        return await self._lookup(str(recovery.get("challenge_id", ""))) if self._lookup else OPEN


def practice_proof(challenge: Challenge) -> str:
    """Return a MAC over all parameters of a challenge: it proves that its maker saw exactly this challenge."""
    return base64url(hmac.digest(_PRACTICE_KEY, encoded_object(challenge.to_parameters()).encode(), hashlib.sha256))


def practice_reference(proof: str) -> str:
    """Return the settlement's reference, which the wallet knows before it sends."""
    return f"practice_{hashlib.sha256(proof.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True)
class WalletSettings:
    """The owner's settings of the wallet. Files are already read; no `repr` shows a secret."""

    kind: Literal["tempo", "stripe", "command", "sandbox"]
    tempo_private_key: SecretStr | None = None
    tempo_root_account: str | None = None
    """The account that an access key signs for."""
    tempo_rpc_url: str | None = None
    tempo_chain_id: int = 4217
    stripe_secret_key: SecretStr | None = None
    stripe_payment_method: str | None = None
    command: str | None = field(default=None, repr=False)
    methods: tuple[str, ...] = ()
    """The methods that the command can pay; empty for the default."""
    recipients: frozenset[str] | None = None
    """The only recipients to pay, or None for any."""
    command_seconds: float = 300.0

    def payer(self) -> str:
        """Return a digest of key, command, method and chain. It differs for two payers and reveals no secret."""
        secrets = (self.tempo_private_key, self.stripe_secret_key)
        told = [
            self.kind,
            *("" if secret is None else secret.get_secret_value() for secret in secrets),
            self.tempo_root_account or "",
            str(self.tempo_chain_id) if self.kind in ("tempo", "command") else "",
            self.stripe_payment_method or "",
            self.command or "",
            *sorted(self.methods),
        ]
        return hashlib.sha256("\0".join(["zinc-mcp wallet", *told]).encode()).hexdigest()[:16]


_T = TypeVar("_T")


def wallet_from(
    settings: WalletSettings,
    *,
    route: Route | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    lookup: SettlementLookup | None = None,
) -> PaymentWallet:
    """Build the configured wallet. Nothing is contacted and nothing slow is imported.

    `route` has the proxy to a Tempo node or Stripe, `transport` replaces the network there, `lookup` asks the sandbox.

    Raises:
        SettingsError: a setting is missing or malformed. The sentence names the setting, never its value.
    """
    match settings.kind:
        case "sandbox":
            return PracticeWallet(lookup)
        case "tempo":
            from zinc_mcp.payments.tempo import TempoWallet

            return TempoWallet(
                _given(settings.tempo_private_key, "ZINC_TEMPO_PRIVATE_KEY", "tempo"),
                chain_id=settings.tempo_chain_id,
                root_account=settings.tempo_root_account,
                rpc_url=settings.tempo_rpc_url,
                recipients=settings.recipients,
                route=route,
                transport=transport,
            )
        case "stripe":
            from zinc_mcp.payments.stripe import StripeWallet

            return StripeWallet(
                _given(settings.stripe_secret_key, "ZINC_STRIPE_SECRET_KEY", "stripe"),
                _given(settings.stripe_payment_method, "ZINC_STRIPE_PAYMENT_METHOD", "stripe"),
                recipients=settings.recipients,
                route=route,
                transport=transport,
            )
        case "command":
            from zinc_mcp.payments.command import CommandWallet

            return CommandWallet(
                _given(settings.command, "ZINC_WALLET_COMMAND", "command"),
                _accepted(settings),
                seconds=settings.command_seconds,
            )


def _given(value: _T | None, variable: str, kind: str) -> _T:
    if value is None:
        raise SettingsError(f"ZINC_WALLET is {kind}, but {variable} is not set.")
    return value


def _accepted(settings: WalletSettings) -> Mapping[str, MethodTerms]:
    """Return the terms of a command wallet: on Tempo the network's tokens, elsewhere US dollars in cents."""
    from zinc_mcp.payments.tempo_chain import NETWORKS  # which imports this module

    accepted: dict[str, MethodTerms] = {}
    for method in settings.methods or ("stripe",):
        if method == "tempo":
            network = NETWORKS.get(settings.tempo_chain_id)
            if network is None:
                raise SettingsError("ZINC_TEMPO_CHAIN_ID must be 4217 (Tempo) or 42431 (the test network Moderato).")
            accepted[method] = MethodTerms(network.currencies, network.chain_id, settings.recipients)
        elif method == "sandbox" or not method.isascii() or not method.replace("-", "").isalnum():
            raise SettingsError("ZINC_WALLET_METHODS must be payment methods such as stripe or tempo.")
        else:
            accepted[method] = MethodTerms({"usd": 2}, recipients=settings.recipients)
    return accepted
