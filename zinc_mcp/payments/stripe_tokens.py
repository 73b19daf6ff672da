"""Stripe's endpoints for shared payment tokens: issue, read, revoke, over plain HTTPS.

Stripe API reference, "Shared Payment Issued Token" (preview).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from pydantic import SecretStr

from zinc_mcp import network
from zinc_mcp.network import Exchange, NotSentError
from zinc_mcp.payments.encoding import strict_object
from zinc_mcp.payments.failures import InvalidChallengeError
from zinc_mcp.payments.wallet import OPEN, UNPAID, Fate

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


class NoAnswerError(Exception):
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
            NoAnswerError: it is not known what Stripe did, or nothing was sent.
        """
        lost = False
        for _ in range(2):
            try:
                answer = await self._asked("POST", "", form, idempotency_key)
            except NoAnswerError as error:
                if not error.sent and not lost:
                    raise
                lost = True
                continue
            # 409: the first request under this key is still at work. After a lost answer only a token is an answer.
            if answer.status == 200 or (answer.status < 500 and answer.status != 409 and not lost):
                return answer
            lost = True
        raise NoAnswerError(sent=True)

    async def read(self, token: str) -> Mapping[str, Any]:
        """Return the token's present state; empty if Stripe does not tell it."""
        try:
            answer = await self._asked("GET", f"/{token}")
        except NoAnswerError:
            return {}
        return answer.members if answer.status == 200 else {}

    async def revoke(self, token: str) -> Mapping[str, Any]:
        """Revoke a token and return its present state; empty if Stripe does not tell it."""
        try:
            answer = await self._asked("POST", f"/{token}/revoke", {})
        except NoAnswerError:
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
            raise NoAnswerError(sent=False) from None
        except (network.NoAnswerError, UnicodeDecodeError, InvalidChallengeError):
            # Not chained: an error of the HTTP library may hold the request, which holds the key.
            raise NoAnswerError(sent=True) from None


def fate_of(token: Mapping[str, Any], now: float, *, issued_at: float, expires_at: float) -> Fate:
    """Return what a token's state proves. What it says about time counts only if our own clock agrees."""
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
