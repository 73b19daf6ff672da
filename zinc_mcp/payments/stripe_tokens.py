"""Stripe's endpoints for shared payment tokens: issue, read, revoke, over plain HTTPS.

Stripe API reference, "Shared Payment Issued Token" (preview).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import httpx
from pydantic import SecretStr

from zinc_mcp.payments.failures import InvalidChallengeError
from zinc_mcp.payments.silence import silence_transports
from zinc_mcp.payments.wallet import OPEN, UNPAID, Fate
from zinc_mcp.payments.wire import strict_object

API = "https://api.stripe.com/v1/shared_payment/issued_tokens"
API_VERSION = "2026-04-22.preview"
TOKEN = re.compile(r"spt_[A-Za-z0-9_]{1,250}")

_MAX_ANSWER_BYTES = 256 * 1024
_SECONDS = 15.0
_SETTLING_SECONDS = 60.0
"""A charge may be under way at the moment of a revocation or an expiry: only after this is "nothing taken" believed."""
_CODE = re.compile(r"[a-z_]{1,60}")


class NoAnswerError(Exception):
    """Stripe did not answer readably; `sent` says whether it may have been asked."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("no answer")
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON object. The object may hold a token: no `repr` shows it."""

    status: int
    members: Mapping[str, Any] = field(repr=False)

    @property
    def token(self) -> str | None:
        """The token's id, if this is a token."""
        token = self.members.get("id")
        return token if self.status == 200 and isinstance(token, str) and TOKEN.fullmatch(token) else None

    @property
    def error_code(self) -> str:
        """Stripe's code for an error, from a list of its own; its sentences are not repeated."""
        error = member(self.members, "error")
        for name in ("code", "type"):
            value = error.get(name)
            if isinstance(value, str) and _CODE.fullmatch(value):
                return value
        return "other"

    @property
    def is_of_another_request(self) -> bool:
        """Whether the idempotency key was used with other parameters."""
        return member(self.members, "error").get("type") == "idempotency_error"


class TokenIssuer:
    """One Stripe account, reached with its secret key."""

    def __init__(self, secret_key: SecretStr, transport: httpx.AsyncBaseTransport | None = None) -> None:
        silence_transports()
        self._secret_key = secret_key
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def issue(self, form: Mapping[str, str], idempotency_key: str) -> Answer:
        """Ask for a token; again under the same key, for the same token, if the first answer was lost.

        Raises:
            NoAnswerError: if it is not known what Stripe did, or nothing was sent.
        """
        lost = False
        for _ in range(2):
            try:
                answer = await self._exchange("POST", API, form, idempotency_key)
            except NoAnswerError as error:
                if not error.sent and not lost:
                    raise
                lost = True
                continue
            # 409: the first request under this key is still at work. After a lost answer only a token is one.
            if answer.status == 200 or (answer.status < 500 and answer.status != 409 and not lost):
                return answer
            lost = True
        raise NoAnswerError(sent=True)

    async def read(self, token: str) -> Mapping[str, Any]:
        """Return what a token has become, or nothing."""
        try:
            answer = await self._exchange("GET", f"{API}/{token}")
        except NoAnswerError:
            return {}
        return answer.members if answer.status == 200 else {}

    async def revoke(self, token: str) -> Mapping[str, Any]:
        """Revoke a token and return what it has become, or nothing."""
        try:
            answer = await self._exchange("POST", f"{API}/{token}/revoke", {})
        except NoAnswerError:
            return {}
        # One that is spent or over cannot be revoked; what it is, it says itself.
        return answer.members if answer.status == 200 else await self.read(token)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _exchange(
        self, verb: str, url: str, form: Mapping[str, str] | None = None, idempotency_key: str | None = None
    ) -> Answer:
        if self._client is None:
            self._client = httpx.AsyncClient(transport=self._transport, timeout=_SECONDS, follow_redirects=False)
        headers = {"Authorization": f"Bearer {self._secret_key.get_secret_value()}", "Stripe-Version": API_VERSION}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        content = bytearray()
        try:
            with anyio.fail_after(_SECONDS):
                async with self._client.stream(verb, url, data=form, headers=headers) as response:
                    async for chunk in response.aiter_bytes():
                        content += chunk
                        if len(content) > _MAX_ANSWER_BYTES:
                            raise NoAnswerError(sent=True)
            return Answer(response.status_code, strict_object(content.decode()))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise NoAnswerError(sent=False) from None
        except (httpx.HTTPError, TimeoutError, UnicodeDecodeError, InvalidChallengeError):
            # Not chained: an httpx error carries the request, and that the key.
            raise NoAnswerError(sent=True) from None


def fate_of(token: Mapping[str, Any], now: float, *, issued_at: float, expires_at: float) -> Fate:
    """Say what a token's own words prove; those about time only together with our own clock."""
    taken = member(member(token, "usage_details"), "amount_captured").get("value")
    reason, when = token.get("deactivated_reason"), token.get("deactivated_at")
    if reason == "consumed" or (type(taken) is int and taken > 0):
        return Fate("settled")
    if reason in ("revoked", "expired") and taken == 0 and type(when) is int:
        since = max(when, expires_at if reason == "expired" else issued_at)
        return UNPAID if now - since >= _SETTLING_SECONDS else OPEN
    # `resolved` is the seller's own word, and may mean a charge outside Stripe.
    return OPEN


def member(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object inside another, or an empty one."""
    value = members.get(name)
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
