"""The key of the digests that prove, at a repeat, that a request with secrets in it is the one that was sent before.

A plain digest of a body that holds a card's number could be tried out with all numbers; a digest with a key cannot.
The key is made on first use in a file of the home. Servers that share a journal share it by the setting `digest_key`.
"""

import hashlib
import hmac
import secrets

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.own_files import KEY_BYTES, own_key
from zinc_mcp.owner.settings import Settings
from zinc_mcp.secret_body import SecretBody

FILE = "digest.key"
LEAST_CHARACTERS = 32
"""A key that is given is at least as long."""


def digest_of(settings: Settings, body: SecretBody, *, make: bool) -> str | None:
    """Return the keyed digest of a body (HMAC-SHA256, RFC 2104), as hex digits; None if there is no key yet.

    Args:
        settings: the settings, which may hold the key.
        body: the bytes as they go out.
        make: whether the key may be made. A new key proves nothing about what was sent before.

    Raises:
        SettingsError: the key cannot be made or read, or is too short.
    """
    if settings.digest_key is not None:
        given = settings.digest_key.get_secret_value()
        if len(given) < LEAST_CHARACTERS:
            raise SettingsError(
                f"ZINC_MCP_DIGEST_KEY is shorter than {LEAST_CHARACTERS} characters.",
                "Set a longer one, which nobody can guess, in every server on this journal.",
            )
        key: bytes | None = given.encode()
    else:
        key = own_key(settings.home / FILE, (lambda: secrets.token_bytes(KEY_BYTES)) if make else None)
    return None if key is None else hmac.new(key, body.revealed(), hashlib.sha256).hexdigest()
