"""The owner's PIN: kept as a slow hash, a few tries for each order."""

import hashlib
import hmac
import secrets

MOST_TRIES = 5
"""So many wrong PINs are a no."""
MIN_LENGTH = 4
FORGET_SECONDS = 86_400.0
"""How long a PIN that is said to be forgotten stays: so long its owner can see that, if it was somebody else."""

_COST = {"n": 2**14, "r": 8, "p": 1}
_MOST_BYTES = 1024


def hashed(pin: str) -> str:
    """Return what to keep of a PIN: scrypt, its cost, a salt of its own and the hash."""
    salt = secrets.token_bytes(16)
    return f"scrypt${_COST['n']}${_COST['r']}${_COST['p']}${salt.hex()}${_scrypt(pin, salt, **_COST).hex()}"


def matches(kept: str, pin: str) -> bool:
    """Say whether this is the PIN that was kept; what cannot be read as one matches nothing."""
    try:
        scheme, n, r, p, salt, digest = kept.split("$")
        if scheme != "scrypt":
            return False
        return hmac.compare_digest(bytes.fromhex(digest), _scrypt(pin, bytes.fromhex(salt), int(n), int(r), int(p)))
    except (ValueError, OverflowError):
        return False


def notice(ends: float, now: float) -> str:
    """Say that the PIN is going to end, to whoever is asked for it."""
    hours = max(1, int(ends - now + 3599) // 3600)
    return (
        f"Somebody said that the PIN is forgotten, so it ends in {hours} hour{'' if hours == 1 else 's'}. "
        "The right PIN, given with any yes before that, keeps it."
    )


def _scrypt(pin: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(pin.encode("utf-8", "surrogatepass")[:_MOST_BYTES], salt=salt, n=n, r=r, p=p, dklen=32)
