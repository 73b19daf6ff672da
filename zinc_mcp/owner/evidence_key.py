"""The home's key for evidence files: Ed25519 (RFC 8032), made on first use, readable by its owner only."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from zinc_mcp.errors import SettingsError
from zinc_mcp.private_files import make_folder, open_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "evidence.key"
_KEY_BYTES = 32


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

    path = home / FILE
    try:
        if make:
            make_folder(home)
            # Another process may make it at the same time: then its key is taken.
            with suppress(FileExistsError):
                _write(path, Ed25519PrivateKey.generate().private_bytes_raw())
        with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
            kept = file.read(_KEY_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} cannot be used ({error.strerror or 'input/output error'}).") from None
    if len(kept) != _KEY_BYTES:
        raise SettingsError(f"{path} is not a key.", "Put its backup in its place, or move it away: a new one is made.")
    return Ed25519PrivateKey.from_private_bytes(kept)


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole as soon as it is there."""
    if path.exists():
        return
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with os.fdopen(open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _public(key: "Ed25519PrivateKey") -> str:
    return key.public_key().public_bytes_raw().hex()
