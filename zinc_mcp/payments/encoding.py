"""The encodings of the payment scheme: base64url JSON objects, read strictly, and the digest of a body."""

import base64
import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast

from zinc_mcp.network import decoded
from zinc_mcp.payments.failures import InvalidChallengeError

MAX_HEADER_BYTES = 16 * 1024
"""The draft asks for at least 4 KB ("Size Considerations"); 16 KiB is where the SDKs stop."""
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def decoded_object(text: str, limit: int = MAX_HEADER_BYTES) -> dict[str, Any]:
    """Decode base64url without padding (RFC 4648 section 5) that holds one JSON object without duplicate keys.

    Of two equal keys, some readers keep the first and some the last: a price must not depend on that.

    Raises:
        InvalidChallengeError: the text is anything else.
    """
    if len(text) > limit:
        raise InvalidChallengeError("too long")
    if not BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise InvalidChallengeError("not base64url")
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except ValueError:
        raise InvalidChallengeError("not base64url of text") from None
    return strict_object(plain)


def strict_object(text: str) -> dict[str, Any]:
    """Read one JSON object without duplicate keys at any depth.

    Raises:
        InvalidChallengeError: the text is anything else.
    """
    try:
        members: object = decoded(text.encode(), object_pairs_hook=_once, parse_constant=_no_constant)
        # An escaped half of a surrogate pair cannot be written again.
        json.dumps(members, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise InvalidChallengeError("not a JSON object without duplicate keys") from None
    if not isinstance(members, dict):
        raise InvalidChallengeError("not a JSON object")
    return cast(dict[str, Any], members)


def encoded_object(members: Mapping[str, Any]) -> str:
    """Encode as base64url without padding over compact JSON with sorted keys.

    For the strings and whole numbers in use here that is RFC 8785.
    """
    compact = json.dumps(members, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return base64url(compact.encode())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _no_constant(name: str) -> None:
    raise ValueError(name)


def base64url(data: bytes) -> str:
    """Encode as RFC 4648 section 5, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def digest_of(body: bytes) -> str:
    """Return the RFC 9530 digest of a body, as the draft writes it."""
    return f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"


def is_digest_of(digest: str, body: bytes) -> bool:
    """Say whether a `digest` is that of `body`: `sha-256=:…:` (RFC 9530) or `sha-256=…` (the SDKs)."""
    spelled = digest_of(body)
    return digest in (spelled, spelled.replace(":", ""))
