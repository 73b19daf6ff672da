"""A payment wallet: what it accepts, one credential per checked challenge, and what became of it.

A wallet signs; it never sends anything to Zinc. Whoever holds one keeps these rules:

* `pay` is called once per order, after "the wallet is being asked" is on disk. If it raises `PaymentRefusedError` or
  `InvalidChallengeError`, nothing that could settle exists. Anything else it raises, cancellation included, leaves
  the outcome unknown.
* The credential may go to Zinc again, byte for byte, while `settle_by` has not passed; no second one is ever made.
* `fate` says what can be proved, and only looks; `release` takes back what can be taken back.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import SecretStr

from zinc_mcp.payments.challenge import Challenge
from zinc_mcp.payments.terms import Charge, MethodTerms

Ending = Literal["settled", "unpaid", "open"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What is proved about one credential: `settled` (money moved), `unpaid` (it never can any more), or `open`."""

    ending: Ending
    reference: str | None = None
    """Where it settled, if that is known only now: a transaction hash."""


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
    """Seconds since the epoch after which it may not be sent again, and an honest payee no longer settles it."""
    reference: str | None = None
    """The receipt's reference, where it is known before sending (an unsponsored Tempo transaction)."""
    recovery: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """JSON for `fate` and `release`. Holds no secret."""


class PaymentWallet(Protocol):
    """Whoever pays: one of `tempo`, `stripe`, `command`, `practice`."""

    @property
    def terms(self) -> Mapping[str, MethodTerms]:
        """What it accepts, by payment method, in the order of preference."""
        ...

    @property
    def methods(self) -> tuple[str, ...]:
        """The payment methods it can pay."""
        ...

    @property
    def mode(self) -> Literal["live", "test", "sandbox"]:
        """Whose money it spends: the owner's, a test network's, nobody's."""
        ...

    async def warm(self) -> None:
        """Load what is slow to load, off the event loop. Called once at start; `pay` works without it."""
        ...

    async def check(self) -> None:
        """Say whether it could pay, as far as that can be told without paying or asking anybody.

        Raises:
            SettingsError: something is missing or cannot be used; the sentence names the setting, never its value.
        """
        ...

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """Make the one credential for a challenge that `terms.choose` or `terms.check` has let through.

        Raises:
            PaymentRefusedError: nothing was authorised.
            PaymentOutcomeUnknownError: the wallet was asked and did not answer clearly.
        """
        ...

    async def fate(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Look up what became of a credential; `credential` is the header value, if it is still kept."""
        ...

    async def release(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Take back an authorisation that will not be used, where the method can; then as `fate`."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@dataclass(frozen=True, slots=True)
class WalletSettings:
    """What the owner chose. Files are already read; secrets show in no `repr`."""

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
    """What the command can pay; empty for its default."""
    recipients: frozenset[str] | None = None
    """The only recipients to pay, or None for any."""
    command_seconds: float = 300.0

    def payer(self) -> str:
        """Return what tells two payers apart without telling a secret: whose key or command pays, on which chain."""
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
