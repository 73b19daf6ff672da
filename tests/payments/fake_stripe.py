"""Stripe's token endpoints in memory: idempotency keys, limits, revocation and lost answers."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx

PREFIX = "/v1/shared_payment/issued_tokens"


class FakeStripe:
    """Stands in for api.stripe.com; the seller's side is `charge`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.requests: list[httpx.Request] = []
        self.tokens: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        self.faults: list[str] = []
        """The faults of the next requests, one each."""
        self.changes: dict[str, Any] = {}
        """Replaces members of the next tokens."""

    def transport(self) -> httpx.MockTransport:
        """Return what a client is opened over."""
        return httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        fault = self.faults.pop(0) if self.faults else ""
        match fault:
            case "refused connection":
                raise httpx.ConnectError("planted", request=request)
            case "lost before":
                raise httpx.ReadTimeout("planted", request=request)
            case "500":
                return httpx.Response(500, json={"error": {"type": "api_error"}})
            case "429":
                return httpx.Response(429, json={"error": {"type": "rate_limit"}})
            case "html":
                return httpx.Response(200, text="<html>planted</html>")
            case _:
                pass
        response = self._answer(request)
        if fault == "lost after":
            raise httpx.ReadError("planted", request=request)
        return response

    def charge(self, token: str, amount: int) -> None:
        """Take money with a token, as the seller does."""
        held = self._aged(token)
        limits = held["usage_limits"]
        assert held["status"] == "active" and amount <= limits["max_amount"], held
        held["usage_details"] = {"amount_captured": {"value": amount, "currency": limits["currency"]}}
        held |= {"status": "deactivated", "deactivated_reason": "consumed", "deactivated_at": int(self.clock())}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if not request.headers.get("authorization", "").startswith("Bearer rk_test_"):
            return httpx.Response(401, json={"error": {"type": "invalid_request_error", "code": "api_key_invalid"}})
        assert request.headers["stripe-version"].endswith(".preview")
        path = request.url.path
        if request.method == "POST" and path == PREFIX:
            return self._issue(request)
        token, _, verb = path.removeprefix(f"{PREFIX}/").partition("/")
        if token not in self.tokens:
            return httpx.Response(404, json={"error": {"type": "invalid_request_error", "code": "resource_missing"}})
        held = self._aged(token)
        if verb == "revoke":
            if held["status"] != "active":
                return httpx.Response(400, json={"error": {"type": "invalid_request_error"}})
            held |= {"status": "deactivated", "deactivated_reason": "revoked", "deactivated_at": int(self.clock())}
        return httpx.Response(200, json=held)

    def _issue(self, request: httpx.Request) -> httpx.Response:
        text = request.content.decode()
        key = request.headers["idempotency-key"]
        if key in self.keys:
            token, asked = self.keys[key]
            if asked != text:
                return httpx.Response(400, json={"error": {"type": "idempotency_error"}})
            first = {**self.tokens[token], "status": "active", "deactivated_reason": None, "deactivated_at": None}
            return httpx.Response(200, json=first, headers={"idempotent-replayed": "true"})
        form = {name: values[0] for name, values in parse_qs(text, strict_parsing=True).items()}
        if int(form["usage_limits[expires_at]"]) <= self.clock():
            return httpx.Response(400, json={"error": {"type": "invalid_request_error", "code": "parameter_invalid"}})
        if form["payment_method"] == "pm_declined":
            return httpx.Response(402, json={"error": {"type": "card_error", "code": "card_declined"}})
        token = f"spt_planted{len(self.tokens)}"
        self.tokens[token] = {
            "id": token,
            "object": "shared_payment.issued_token",
            "status": "active",
            "deactivated_at": None,
            "deactivated_reason": None,
            "payment_method": form["payment_method"],
            "seller_details": {"network_business_profile": form["seller_details[network_business_profile]"]},
            "usage_details": {"amount_captured": {"value": 0, "currency": "usd"}},
            "usage_limits": {
                "currency": form["usage_limits[currency]"],
                "expires_at": int(form["usage_limits[expires_at]"]),
                "max_amount": int(form["usage_limits[max_amount]"]),
            },
            **self.changes,
        }
        self.keys[key] = (token, text)
        return httpx.Response(200, content=json.dumps(self.tokens[token]))

    def _aged(self, token: str) -> dict[str, Any]:
        held = self.tokens[token]
        expires_at = held["usage_limits"]["expires_at"]
        if held["status"] == "active" and expires_at is not None and expires_at <= self.clock():
            held |= {"status": "deactivated", "deactivated_reason": "expired", "deactivated_at": expires_at}
        return held
