"""The practice wallet, which pays with imaginary money, and the payee's side: issue challenges, verify credentials.

The header format is the real one. The challenge's id is the HMAC that the draft recommends ("Challenge Binding"), and
the credential proves that its maker saw exactly this challenge. The sandbox uses the payee's side, in this process or
another.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from pydantic import SecretStr

from zinc_mcp.payments.encoding import base64url, encoded_object, is_digest_of
from zinc_mcp.payments.failures import InvalidChallengeError, PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential
from zinc_mcp.payments.terms import Charge, MethodTerms, expiry
from zinc_mcp.payments.wallet import OPEN, Fate, Paid, SettlementLookup

METHOD = "sandbox"
CURRENCY = "usd"

# Not a secret: the money is imaginary, and a sandbox in another process must know the key too.
_PRACTICE_KEY = b"zinc-mcp practice purse"

Problem = Literal["malformed-credential", "invalid-challenge", "payment-expired", "verification-failed"]
"""Slugs of the draft's problem types ("Error Codes")."""


class PracticeWallet:
    """Pays the sandbox only: no real payee offers its method."""

    mode: Literal["live", "test", "sandbox"] = "sandbox"

    def __init__(self, lookup: SettlementLookup | None = None) -> None:
        self._lookup = lookup

    @property
    def terms(self) -> Mapping[str, MethodTerms]:
        """One method, in cents."""
        return {METHOD: MethodTerms({CURRENCY: 2})}

    @property
    def methods(self) -> tuple[str, ...]:
        """The payment methods it can pay."""
        return tuple(self.terms)

    async def warm(self) -> None:
        """Do nothing: nothing is slow to load."""

    async def check(self) -> None:
        """Do nothing: nothing can be missing."""

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """Sign the challenge."""
        if challenge.method != METHOD:
            raise PaymentRefusedError("method")
        proof = _proof(challenge)
        credential = Credential(challenge, {"type": "practice", "proof": proof})
        return Paid(
            authorization=SecretStr(credential.to_authorization()),
            header=charge.header,
            settle_by=charge.expires_at,
            reference=_reference(proof),
            recovery={"method": METHOD, "challenge_id": challenge.id, "reference": _reference(proof)},
        )

    async def fate(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Ask the sandbox, if a look-up was given."""
        return await self._lookup(str(recovery.get("challenge_id", ""))) if self._lookup else OPEN

    async def release(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Ask as `fate` does: a practice payment cannot be taken back."""
        return await self.fate(recovery, now=now)

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A valid credential: the challenge that it answers, and the settlement's reference."""

    challenge: Challenge
    payload: Mapping[str, Any]
    reference: str


class VerificationError(Exception):
    """The payee refuses the credential, with one of the draft's problems."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem: Problem = problem


def issue(
    secret: bytes,
    *,
    realm: str,
    request: Mapping[str, Any],
    method: str = METHOD,
    intent: str = "charge",
    expires: str | None = None,
    digest: str | None = None,
    opaque: str | None = None,
    description: str | None = None,
    header: str | None = None,
) -> Challenge:
    """Make a challenge whose id binds all other parameters; `to_www_authenticate` writes it."""
    encoded = encoded_object(request)
    identity = challenge_id(
        secret,
        realm=realm,
        method=method,
        intent=intent,
        request=encoded,
        expires=expires,
        digest=digest,
        opaque=opaque,
        header=header,
    )
    return Challenge(identity, realm, method, intent, encoded, expires, digest, description, opaque, header)


def verify(secret: bytes, authorization: str, *, body: bytes, now: float) -> Verified:
    """Verify a practice credential as a payee must: form, binding, expiry, body, proof. The caller checks for replay.

    Raises:
        VerificationError: with the problem.
    """
    try:
        credential = Credential.from_authorization(authorization)
    except InvalidChallengeError:
        raise VerificationError("malformed-credential") from None
    challenge = credential.challenge
    bound = challenge_id(
        secret,
        realm=challenge.realm,
        method=challenge.method,
        intent=challenge.intent,
        request=challenge.request,
        expires=challenge.expires,
        digest=challenge.digest,
        opaque=challenge.opaque,
        header=challenge.header,
    )
    if not hmac.compare_digest(bound.encode(), challenge.id.encode("utf-8", "surrogatepass")):
        raise VerificationError("invalid-challenge")
    try:
        if challenge.expires is not None and expiry(challenge) <= now:
            raise VerificationError("payment-expired")
    except PaymentRefusedError:
        raise VerificationError("invalid-challenge") from None
    if challenge.digest is not None and not is_digest_of(challenge.digest, body):
        raise VerificationError("verification-failed")
    proof = credential.payload.get("proof")
    if (
        challenge.method != METHOD
        or credential.payload.get("type") != "practice"
        or not isinstance(proof, str)
        or not hmac.compare_digest(_proof(challenge).encode(), proof.encode("utf-8", "surrogatepass"))
    ):
        raise VerificationError("verification-failed")
    return Verified(challenge, credential.payload, _reference(proof))


def challenge_id(
    secret: bytes,
    *,
    realm: str,
    method: str,
    intent: str,
    request: str,
    expires: str | None = None,
    digest: str | None = None,
    opaque: str | None = None,
    header: str | None = None,
) -> str:
    """Return the HMAC-SHA256 over the challenge's slots ("Recommended: HMAC-SHA256 Binding").

    A header other than the default has a slot of its own before `opaque`, as the SDKs and the conformance vectors
    have it (the draft's -01 puts it last).
    """
    slots = [realm, method, intent, request, expires or "", digest or ""]
    if header is not None and header.lower() != "authorization":
        slots.append(header)
    slots.append(opaque or "")
    return base64url(hmac.digest(secret, "|".join(slots).encode("utf-8", "surrogatepass"), sha256))


def _proof(challenge: Challenge) -> str:
    """Return a MAC over all parameters of the challenge."""
    return base64url(hmac.digest(_PRACTICE_KEY, encoded_object(challenge.to_parameters()).encode(), sha256))


def _reference(proof: str) -> str:
    return f"practice_{sha256(proof.encode()).hexdigest()[:24]}"
