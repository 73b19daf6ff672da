"""Where a payment may go: exactly the configured origin, encrypted."""

import ipaddress
from urllib.parse import urlsplit

from zinc_mcp.payments.failures import PaymentRefusedError

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
    if theirs[0] != "https" and not _is_loopback(theirs[1]):
        raise PaymentRefusedError("not_https")


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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
