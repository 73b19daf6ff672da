"""The `digest` that binds a challenge to a body (RFC 9530), in the two spellings that are in use."""

import base64
from hashlib import sha256


def digest_of(body: bytes) -> str:
    """Return the RFC 9530 digest of a body, as the draft writes it."""
    return f"sha-256=:{base64.b64encode(sha256(body).digest()).decode()}:"


def is_digest_of(digest: str, body: bytes) -> bool:
    """Say whether a `digest` is that of `body`: `sha-256=:…:` (RFC 9530) or `sha-256=…` (the SDKs)."""
    spelled = digest_of(body)
    return digest in (spelled, spelled.replace(":", ""))
