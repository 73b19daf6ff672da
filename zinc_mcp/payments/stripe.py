"""The Stripe wallet: the owner's Stripe account issues a shared payment token.

The token is valid for one seller, one amount and a few minutes. It is a credential, so `recovery` does not hold it. A
look-up takes it from the kept credential. Without that it asks Stripe again under the same idempotency key, but only
after the token's time is over, when Stripe can no longer issue a new one.

The endpoints are those of the Stripe API reference, "Shared Payment Issued Token" (preview).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from pydantic import SecretStr

from zinc_mcp import network
from zinc_mcp.errors import SettingsError
from zinc_mcp.network import Exchange, NotSentError
from zinc_mcp.payments.failures import InvalidChallengeError, PaymentOutcomeUnknownError, PaymentRefusedError
from zinc_mcp.payments.headers import Challenge, Credential, strict_object
from zinc_mcp.payments.terms import Charge, MethodTerms
from zinc_mcp.payments.wallet import OPEN, UNPAID, Fate, Paid, PaymentWallet

if TYPE_CHECKING:
    import httpx

    from zinc_mcp.proxies import Route


API = "https://api.stripe.com/v1/shared_payment/issued_tokens"
API_VERSION = "2026-04-22.preview"
TOKEN = re.compile(r"spt_[A-Za-z0-9_]{1,250}")

_ANSWER_SECONDS = 15.0
_SETTLING_SECONDS = 60.0
"""A charge may be under way when a token is revoked or expires. Only after this time is "nothing taken" believed."""
_CODE = re.compile(r"[a-z_]{1,60}")


class StripeSilentError(Exception):
    """Stripe gave no readable answer; `sent` says whether the request may have reached it."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("no answer")
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON object. The object may hold a token, so no `repr` shows it."""

    status: int
    members: Mapping[str, Any] = field(repr=False)

    @property
    def token(self) -> str | None:
        """The token's id, if this is a token."""
        token = self.members.get("id")
        return token if self.status == 200 and isinstance(token, str) and TOKEN.fullmatch(token) else None

    @property
    def error_code(self) -> str:
        """Stripe's own code for an error; its sentences are not repeated."""
        error = _member(self.members, "error")
        for name in ("code", "type"):
            value = error.get(name)
            if isinstance(value, str) and _CODE.fullmatch(value):
                return value
        return "other"

    @property
    def is_of_another_request(self) -> bool:
        """Whether the idempotency key was used with other parameters."""
        return _member(self.members, "error").get("type") == "idempotency_error"


class TokenIssuer:
    """Issues, reads and revokes tokens of one Stripe account with its secret key."""

    def __init__(
        self,
        secret_key: SecretStr,
        route: Route | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._secret_key = secret_key
        self._exchange = Exchange(API, route, transport=transport)

    async def issue(self, form: Mapping[str, str], idempotency_key: str) -> Answer:
        """Ask for a token. If the answer is lost, ask once more under the same key, which gives the same token.

        Raises:
            StripeSilentError: it is not known what Stripe did, or nothing was sent.
        """
        lost = False
        for _ in range(2):
            try:
                answer = await self._asked("POST", "", form, idempotency_key)
            except StripeSilentError as error:
                if not error.sent and not lost:
                    raise
                lost = True
                continue
            # 409: the first request under this key is still at work. After a lost answer only a token is an answer.
            if answer.status == 200 or (answer.status < 500 and answer.status != 409 and not lost):
                return answer
            lost = True
        raise StripeSilentError(sent=True)

    async def read(self, token: str) -> Mapping[str, Any]:
        """Return the token's present state; empty if Stripe does not tell it."""
        try:
            answer = await self._asked("GET", f"/{token}")
        except StripeSilentError:
            return {}
        return answer.members if answer.status == 200 else {}

    async def revoke(self, token: str) -> Mapping[str, Any]:
        """Revoke a token and return its present state; empty if Stripe does not tell it."""
        try:
            answer = await self._asked("POST", f"/{token}/revoke", {})
        except StripeSilentError:
            return {}
        # A spent or expired token cannot be revoked; its state tells which it is.
        return answer.members if answer.status == 200 else await self.read(token)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._exchange.aclose()

    async def _asked(
        self, verb: str, path: str, form: Mapping[str, str] | None = None, idempotency_key: str | None = None
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self._secret_key.get_secret_value()}", "Stripe-Version": API_VERSION}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        content = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            content = urlencode(form).encode()
        try:
            answer = await self._exchange.ask(verb, path, headers, seconds=_ANSWER_SECONDS, content=content)
            return Answer(answer.status, strict_object(answer.content.decode()))
        except NotSentError:
            raise StripeSilentError(sent=False) from None
        except (network.NoAnswerError, UnicodeDecodeError, InvalidChallengeError):
            # Not chained: an error of the HTTP library may hold the request, which holds the key.
            raise StripeSilentError(sent=True) from None


def _member(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object inside another, or an empty one."""
    value = members.get(name)
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


METHOD = "stripe"

_KEY_KEPT_SECONDS = 23 * 3600.0
"""Stripe keeps an idempotency key for at least 24 hours."""
_OWN_GRACE_SECONDS = 30.0
"""Our own clock must be this far past a token's end before a refusal by Stripe proves anything."""
_SECRET_KEY = re.compile(r"(?:rk|sk)_(?:live|test)_[A-Za-z0-9_]{8,250}")
_PAYMENT_METHOD = re.compile(r"(?:pm|card|src)_[A-Za-z0-9_]{1,250}")


class StripeWallet(PaymentWallet):
    """Pays from a card or bank account of the owner, with a token for exactly one charge."""

    def __init__(
        self,
        secret_key: SecretStr,
        payment_method: str,
        *,
        recipients: frozenset[str] | None = None,
        route: Route | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        key = secret_key.get_secret_value()
        if not _SECRET_KEY.fullmatch(key):
            raise SettingsError(
                "ZINC_STRIPE_SECRET_KEY is not a secret or restricted key of Stripe (rk_live_…, rk_test_…)."
            )
        if not _PAYMENT_METHOD.fullmatch(payment_method):
            raise SettingsError("ZINC_STRIPE_PAYMENT_METHOD is not a payment method of Stripe (pm_…).")
        self._issuer = TokenIssuer(secret_key, route, transport)
        self._account = _digest("account", key + payment_method)[:16]
        self._payment_method = payment_method
        self.terms = {METHOD: MethodTerms({"usd": 2}, recipients=recipients)}
        self.mode = "test" if key[2:8] == "_test_" else "live"  # test keys move no money

    async def pay(self, challenge: Challenge, charge: Charge, *, now: float) -> Paid:
        """Issue one token: for this seller and amount, until the challenge expires. Raises as `PaymentWallet.pay`."""
        recovery: dict[str, Any] = {
            "wallet": "stripe",
            "method": METHOD,
            "challenge_id": challenge.id,
            "idempotency_key": f"zinc-mcp-{_digest('key', challenge.id)[:40]}",
            "account": self._account,
            "amount": charge.amount,
            "currency": charge.currency.lower(),
            "network_id": charge.network_id,
            # Whole seconds, rounded down: a token must not outlive the challenge it answers.
            "expires_at": int(charge.expires_at),
            "issued_at": int(now),
        }
        answer = await self._issued(recovery)
        token = answer.token
        if token is None:
            raise PaymentOutcomeUnknownError("unreadable_answer", recovery)
        recovery["token_digest"] = _digest("token", token)
        if answer.members.get("status") not in (None, "active") or not _is_limited(answer.members, recovery):
            # The token needs a person (3-D Secure), or allows more than was asked for. Nobody else has it yet.
            if (await self._issuer.revoke(token)).get("deactivated_reason") != "revoked":
                raise PaymentOutcomeUnknownError("unusable_token", recovery)
            raise PaymentRefusedError("wallet_refused", {"stripe_code": "unusable_token"})
        payload: dict[str, Any] = {"spt": token}
        if challenge.charge_request.external_id is not None:
            # draft-stripe-charge-00, "Credential Schema": the seller's reference is echoed when it gave one.
            payload["externalId"] = challenge.charge_request.external_id
        return Paid(
            authorization=SecretStr(Credential(challenge, payload).to_authorization()),
            header=charge.header,
            settle_by=float(recovery["expires_at"]),
            recovery=recovery,
        )

    async def fate(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Read the token: a consumed one is `settled`; a revoked or expired one without a charge is `unpaid`."""
        token = await self._token(recovery, now, credential)
        return _fate_of(await self._issuer.read(token), recovery, now) if isinstance(token, str) else token

    async def release(self, recovery: Mapping[str, Any], *, now: float, credential: SecretStr | None = None) -> Fate:
        """Revoke the token, unless it is spent. A minute later, `fate` can prove that it is `unpaid`."""
        token = await self._token(recovery, now, credential)
        return _fate_of(await self._issuer.revoke(token), recovery, now) if isinstance(token, str) else token

    async def aclose(self) -> None:
        """Close the connection to Stripe."""
        await self._issuer.aclose()

    async def _issued(self, recovery: Mapping[str, Any]) -> Answer:
        try:
            answer = await self._issuer.issue(self._form(recovery), str(recovery["idempotency_key"]))
        except StripeSilentError as error:
            if error.sent:
                raise PaymentOutcomeUnknownError("wallet_did_not_answer", recovery) from None
            raise PaymentRefusedError("wallet_unavailable") from None
        if answer.status == 429:
            raise PaymentRefusedError("wallet_unavailable", {"http_status": 429})
        if 400 <= answer.status < 500:
            raise PaymentRefusedError(
                "wallet_refused", {"stripe_code": answer.error_code, "http_status": answer.status}
            )
        return answer

    def _form(self, recovery: Mapping[str, Any]) -> dict[str, str]:
        return {
            "payment_method": self._payment_method,
            "usage_limits[currency]": str(recovery["currency"]),
            "usage_limits[max_amount]": str(recovery["amount"]),
            "usage_limits[expires_at]": str(recovery["expires_at"]),
            "seller_details[network_business_profile]": str(recovery["network_id"]),
        }

    async def _token(self, recovery: Mapping[str, Any], now: float, credential: SecretStr | None) -> str | Fate:
        """Find the token again, or return the ending that is known without it."""
        known = recovery.get("token_digest")
        if credential is not None:
            try:
                token = Credential.from_authorization(credential.get_secret_value()).payload.get("spt")
            except InvalidChallengeError:
                token = None
            if isinstance(token, str) and TOKEN.fullmatch(token):
                return token if known in (None, _digest("token", token)) else OPEN
        issued_at, expires_at = recovery.get("issued_at"), recovery.get("expires_at")
        if type(issued_at) is not int or type(expires_at) is not int or recovery.get("account") != self._account:
            return OPEN
        # Earlier, this request could issue a token that the first one did not; later, Stripe has forgotten the key.
        if not expires_at < now < issued_at + _KEY_KEPT_SECONDS:
            return OPEN
        try:
            answer = await self._issuer.issue(self._form(recovery), str(recovery["idempotency_key"]))
        except (KeyError, StripeSilentError):
            return OPEN
        if answer.token is not None:
            return answer.token if known in (None, _digest("token", answer.token)) else OPEN
        # Stripe refuses an end in the past, so the first request never arrived, and no token was ever issued.
        never_issued = answer.status == 400 and known is None and not answer.is_of_another_request
        return UNPAID if never_issued and now > expires_at + _OWN_GRACE_SECONDS else OPEN


def _fate_of(token: Mapping[str, Any], recovery: Mapping[str, Any], now: float) -> Fate:
    """Return the ending that a token's state proves. Its times count only if our own clock agrees."""
    issued_at, expires_at = recovery.get("issued_at"), recovery.get("expires_at")
    if type(issued_at) is not int or type(expires_at) is not int:
        issued_at = expires_at = 0
    taken = _member(_member(token, "usage_details"), "amount_captured").get("value")
    reason, when = token.get("deactivated_reason"), token.get("deactivated_at")
    if reason == "consumed" or (type(taken) is int and taken > 0):
        return Fate("settled")
    if reason in ("revoked", "expired") and taken == 0 and type(when) is int:
        since = max(when, expires_at if reason == "expired" else issued_at)
        return UNPAID if now - since >= _SETTLING_SECONDS else OPEN
    # `resolved` is the seller's own word, and may mean a charge outside Stripe.
    return OPEN


def _is_limited(token: Mapping[str, Any], recovery: Mapping[str, Any]) -> bool:
    """Say whether the token allows what was asked for and no more."""
    limits, seller = _member(token, "usage_limits"), _member(token, "seller_details")
    expires_at = limits.get("expires_at")
    return (
        limits.get("max_amount") == int(recovery["amount"])
        and limits.get("currency") == recovery["currency"]
        and type(expires_at) is int
        and expires_at <= recovery["expires_at"]
        and seller.get("network_business_profile") == recovery["network_id"]
    )


def _digest(kind: str, text: str) -> str:
    return sha256(f"zinc-mcp stripe {kind}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
