"""Where a payment may go: exactly the configured origin, encrypted."""

from urllib.parse import urlsplit

from zinc_mcp.payments.failures import PaymentRefusedError
from zinc_mcp.proxies import is_loopback

_DEFAULT_PORTS = {"https": 443, "http": 80}


def check_origin(url: str, origin: str) -> None:
    """Refuse unless `url` is at exactly this origin, over https or on a loopback address.

    Called before the unpaid request as well: that one carries an address.

    Raises:
        PaymentRefusedError: `origin` or `not_https`.
    """
    ours, theirs = _place(origin), _place(url)
    if ours is None or theirs is None or ours != theirs:
        raise PaymentRefusedError("origin")
    if not is_private_or_encrypted(url):
        raise PaymentRefusedError("not_https")


def is_private_or_encrypted(url: str) -> bool:
    """Say whether what is sent to this address is read by nobody on the way."""
    place = _place(url)
    return place is not None and (place[0] == "https" or (place[0] == "http" and is_loopback(place[1])))


def _place(address: str) -> tuple[str, str, int] | None:
    if not address.isascii() or any(ord(character) <= 0x20 or character == "\\" for character in address):
        return None
    try:
        parts = urlsplit(address)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.username is not None or parts.password is not None or not parts.hostname or port is None:
        return None
    return parts.scheme, parts.hostname, port
