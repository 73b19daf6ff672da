"""Secrets of orders at rest: sealed with the owner's keys, or kept as they are where there are none.

A secret is encrypted by AES-256-GCM (NIST SP 800-38D), and its row and column are authenticated with it, so that no
sealed secret can be moved to another order. It names its key by a part of a hash of that key.
"""

import binascii
import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zinc_mcp.errors import JournalError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_SEALED, _PLAIN = "sealed:1:", "plain:1:"
_NONCE_BYTES = 12
_PURPOSE = b"zinc-mcp journal secrets 1"


class Sealing:
    """The owner's keys for a journal's secrets: the first one seals, all of them open. Its `repr` shows none."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys = {_name_of(derived): derived for derived in map(_derived, keys)}
        self._first = next(iter(self._keys), None)

    def seal(self, secret: str, place: str) -> str:
        """Return the text to keep for a secret in a place, which is a row and a column."""
        if self._first is None:
            return f"{_PLAIN}{secret}" if secret.startswith((_SEALED, _PLAIN)) else secret
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _cipher(self._keys[self._first]).encrypt(nonce, secret.encode(), place.encode())
        return f"{_SEALED}{self._first}:{urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, kept: str, place: str) -> str:
        """Return the secret that is kept in a place.

        Raises:
            JournalError: it is sealed with a key that is not among these.
            ValueError: it was changed, or is of another place.
        """
        if not kept.startswith(_SEALED):
            return kept.removeprefix(_PLAIN)
        from cryptography.exceptions import InvalidTag

        name, _, text = kept.removeprefix(_SEALED).partition(":")
        if name not in self._keys:
            raise _unknown_key()
        try:
            sealed = urlsafe_b64decode(text.encode("ascii"))
            secret = _cipher(self._keys[name]).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (InvalidTag, binascii.Error) as error:
            raise ValueError from error
        return secret.decode()

    def is_newest(self, kept: str) -> bool:
        """Say whether a kept text is as `seal` would keep it now: sealed with the first key, or plain without keys."""
        return kept.startswith(f"{_SEALED}{self._first}:") if self._first else not kept.startswith(_SEALED)


def _derived(key: str) -> bytes:
    """Return 32 bytes of a key for this purpose alone. The owner's key is long and random, so one hash is enough."""
    return hmac.digest(key.encode(), _PURPOSE, hashlib.sha256)


def _name_of(derived: bytes) -> str:
    return hashlib.sha256(_PURPOSE + derived).hexdigest()[:12]


def _cipher(derived: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # slow to load, and only a paying wallet needs it

    return AESGCM(derived)


def _unknown_key() -> JournalError:
    return JournalError(
        "The journal holds a secret of this order that is sealed with a key that is not known here.",
        "Tell the user that ZINC_MCP_JOURNAL_KEYS lacks a key with which this journal was sealed; then call again.",
        owner_step="Add the key with which this journal was sealed to ZINC_MCP_JOURNAL_KEYS, after the newest one.",
    )
