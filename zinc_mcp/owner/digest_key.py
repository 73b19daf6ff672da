"""The key of the digests that prove, at a repeat, that a request with secrets in it is the one that was sent before.

A plain digest of a body that holds a card's number could be tried out with all numbers; a digest with a key cannot.
The key is made on first use in a file of the home. Servers that share a journal share it by the setting `digest_key`.
"""

import hashlib
import hmac
import secrets

from pydantic import SecretBytes

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.secrets.own_files import KEY_BYTES, own_key
from zinc_mcp.owner.settings import Settings
from zinc_mcp.secret_body import SecretBody

FILE = "digest.key"
LEAST_CHARACTERS = 32
"""The least length of a key that is given."""


def digest_key(settings: Settings, *, make: bool) -> SecretBytes | None:
    """Return the key; None if there is none yet.

    `make` says whether it may be made. A new key proves nothing about requests that were sent before.

    Raises:
        SettingsError: it cannot be made or read, or is too short.
    """
    if settings.digest_key is None:
        key = own_key(settings.home / FILE, (lambda: secrets.token_bytes(KEY_BYTES)) if make else None)
        return None if key is None else SecretBytes(key)
    given = settings.digest_key.get_secret_value()
    if len(given) < LEAST_CHARACTERS:
        raise SettingsError(
            f"The key of digests (ZINC_MCP_DIGEST_KEY, `digest_key`) is shorter than {LEAST_CHARACTERS} characters.",
            "Set a longer one, which nobody can guess, and the same one for every server on this journal.",
        )
    return SecretBytes(given.encode())


def keyed_digest(key: SecretBytes, body: SecretBody) -> str:
    """Return the digest of a body (HMAC-SHA256, RFC 2104), as hex digits."""
    return hmac.new(key.get_secret_value(), body.revealed(), hashlib.sha256).hexdigest()
