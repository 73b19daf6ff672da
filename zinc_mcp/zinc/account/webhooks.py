"""Zinc's webhooks: the one address of an account to which Zinc sends events, and how it signs them.

Nothing in an event has to be believed: it only says which order may have news. Zinc sends some events twice, and in any
order. It signs no time, so anybody who has seen an event can send it again (Webhooks; PUT /webhooks/endpoint, SDK
2026.10.18).
"""

import hashlib
import hmac
import json
from dataclasses import dataclass, field

from pydantic import SecretStr

from zinc_mcp.network import decoded
from zinc_mcp.zinc.client import ZincClient, json_of, members
from zinc_mcp.zinc.responses import is_a_segment

SIGNATURE_HEADER = "X-Webhook-Signature"
_PATH = "/webhooks/endpoint"
_MAX_URL = 2000
_MAX_SECRET = 500


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address to which Zinc sends the events of an account, and the secret that signs them."""

    url: str | None = field(repr=False)
    """None: Zinc sends no events. The address may belong to another program, and hold a secret of that program."""
    secret: SecretStr | None
    """The secret stays the same when the address is replaced or removed; None before the first address."""


async def get_endpoint(client: ZincClient, api_key: SecretStr) -> Endpoint:
    """Read `GET /webhooks/endpoint`.

    Raises:
        ZincUnreachableError, UnreadableAnswerError, OrderRejectedError: see `ZincClient`.
    """
    return _endpoint(await client.get_json(_PATH, api_key))


async def set_endpoint(client: ZincClient, api_key: SecretStr, url: str) -> Endpoint:
    """Send `PUT /webhooks/endpoint` once. It replaces any address that the account had.

    Raises:
        ZincUnreachableError, ChangeOutcomeUnknownError, UnreadableAnswerError, OrderRejectedError: see `ZincClient`.
    """
    body = json.dumps({"url": url}).encode()
    return _endpoint(json_of(await client.change(_PATH, body, api_key, verb="PUT")))


async def remove_endpoint(client: ZincClient, api_key: SecretStr) -> None:
    """Send `DELETE /webhooks/endpoint` once.

    Raises:
        ZincUnreachableError, ChangeOutcomeUnknownError, UnreadableAnswerError, OrderRejectedError: see `ZincClient`.
    """
    answer = await client.change(_PATH, b"", api_key, verb="DELETE")
    if answer.status != 204:
        json_of(answer)


def is_signed(content: bytes, signature: str, secret: SecretStr) -> bool:
    """Say whether a signature is the one of these bytes: HMAC-SHA256, in hexadecimal digits.

    It takes the same time for each wrong signature.
    """
    wanted = hmac.new(secret.get_secret_value().encode(), content, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), signature.strip().lower().encode("utf-8", "surrogatepass"))


def order_in_event(content: bytes) -> str | None:
    """Return the id of the order that an event names, in small letters; None if it names none."""
    try:
        order_id = members(decoded(content)).get("order_id")
    except ValueError:
        return None
    return order_id.lower() if isinstance(order_id, str) and is_a_segment(order_id) else None


def _endpoint(content: object) -> Endpoint:
    facts = members(content)
    url, secret = facts.get("webhook_url"), facts.get("webhook_secret")
    is_secret = isinstance(secret, str) and 0 < len(secret) <= _MAX_SECRET and secret.isascii() and secret.isprintable()
    return Endpoint(
        url[:_MAX_URL] if isinstance(url, str) and url else None,
        SecretStr(secret) if isinstance(secret, str) and is_secret else None,
    )
