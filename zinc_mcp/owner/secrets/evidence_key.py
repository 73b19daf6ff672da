"""The home's key for evidence files: Ed25519 (RFC 8032), made on first use, readable by its owner only."""

from pathlib import Path
from typing import TYPE_CHECKING

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.secrets.own_files import own_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "evidence.key"


def sign(home: Path, content: bytes) -> tuple[str, str]:
    """Return the public key of the home and its signature, both as hex digits.

    Raises:
        SettingsError: the key cannot be made or read.
    """
    key = _key(home, make=True)
    if key is None:
        raise SettingsError("The key for evidence files cannot be made.")
    return _public(key), key.sign(content).hex()


def public_key(home: Path) -> str | None:
    """Return the public key of the home, or None if there is none yet.

    Raises:
        SettingsError: it cannot be read.
    """
    key = _key(home, make=False)
    return None if key is None else _public(key)


def is_signed(public: str, signature: str, content: bytes) -> bool:
    """Say whether a signature was made with the key of which this is the public part."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), content)
    except (ValueError, InvalidSignature):
        return False
    return True


def _key(home: Path, *, make: bool) -> "Ed25519PrivateKey | None":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    kept = own_key(home / FILE, (lambda: Ed25519PrivateKey.generate().private_bytes_raw()) if make else None)
    return None if kept is None else Ed25519PrivateKey.from_private_bytes(kept)


def _public(key: "Ed25519PrivateKey") -> str:
    return key.public_key().public_bytes_raw().hex()
