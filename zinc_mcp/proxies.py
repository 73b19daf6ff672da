"""Proxies, trusted certificates, and confidential addresses, for every host that this program asks.

The defaults come from the environment, read as curl, pip and httpx read it: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`,
`NO_PROXY` (and the system's settings on Windows and macOS); `SSL_CERT_FILE` and `SSL_CERT_DIR` name private
authorities. Loopback addresses are never reached through a proxy.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    import ssl

    import httpx

ENVIRONMENT = "environment"
NONE = "none"
_SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443}


class UnusableRouteError(Exception):
    """A proxy or a file of certificates cannot be used. Its text is for a person and holds no password."""


@dataclass(frozen=True, slots=True)
class Route:
    """The proxy setting. `proxy` may hold a password, so no `repr` shows it."""

    proxy: SecretStr | None = None
    """`environment` (also None), `none`, or the address of a proxy."""

    def proxy_to(self, url: str) -> str | None:
        """Return the address of the proxy for a URL, or None. It may hold a password.

        Raises:
            UnusableRouteError: the configured address is not the address of a proxy.
        """
        from urllib.request import getproxies  # slow to load, and needed with the first request only

        wanted = self.proxy.get_secret_value() if self.proxy is not None else ENVIRONMENT
        parts = urlsplit(url)
        host = (parts.hostname or "").removesuffix(".")
        if wanted == NONE or is_loopback(host):
            return None
        if wanted != ENVIRONMENT:
            return checked(wanted)
        named = getproxies()
        given = named.get(parts.scheme) or named.get("all")
        if not given or _is_excepted(parts, host, named.get("no", "")):
            return None
        return checked(given if "://" in given else f"http://{given}")

    def transport(self, origin: str, limits: httpx.Limits) -> httpx.AsyncBaseTransport:
        """Return connections to an origin; nothing is connected yet.

        Raises:
            UnusableRouteError: the proxy or the certificates cannot be used.
        """
        import httpx

        address = self.proxy_to(origin)
        trusted = _trusted()
        if address is None:
            return httpx.AsyncHTTPTransport(verify=trusted, limits=limits, trust_env=False)
        proxy = httpx.Proxy(address, ssl_context=trusted if address.startswith("https:") else None)
        try:
            return httpx.AsyncHTTPTransport(verify=trusted, limits=limits, trust_env=False, proxy=proxy)
        except ImportError as error:
            raise UnusableRouteError("a SOCKS proxy needs the Python package socksio beside zinc-mcp") from error


def checked(proxy: str) -> str:
    """Return a proxy's address if it can be used.

    Raises:
        UnusableRouteError: it cannot be used.
    """
    try:
        parts = urlsplit(proxy)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0 and proxy.isascii()
    except ValueError:
        usable = False
    if not usable or any(ord(character) <= 32 for character in proxy):
        raise UnusableRouteError("the proxy's address is not one like http://proxy.example:3128")
    return proxy


def shown(proxy: str) -> str:
    """Return a proxy's address without user name and password."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def certificates() -> tuple[str, str] | None:
    """Return the variable that names trusted authorities, and its value; None for the usual authorities."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if place := os.environ.get(name):
            return name, place
    return None


def check_certificates() -> None:
    """Load the trusted certificates once, to see that they can be read.

    Raises:
        UnusableRouteError: they cannot be read.
    """
    _trusted()


def is_loopback(host: str) -> bool:
    """Say whether a host (an address without brackets, or a name) is a loopback host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_confidential(scheme: str, host: str) -> bool:
    """Say whether nobody on the way can read a request: it goes over https, or over http to a loopback host."""
    return scheme == "https" or (scheme == "http" and is_loopback(host))


def _trusted() -> ssl.SSLContext:
    import httpx

    try:
        return httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        named = certificates()
        which = f"the certificates that {named[0]} names" if named else "the usual certificates"
        raise UnusableRouteError(f"{which} cannot be read") from error


def _is_excepted(parts: SplitResult, host: str, exceptions: str) -> bool:
    """Say whether `NO_PROXY` names a host: by name, by domain, by address or by network, with or without a port."""
    port = parts.port or _PORTS.get(parts.scheme)
    for exception in exceptions.lower().split(","):
        scheme, _, name = exception.strip().rpartition("://")
        if name == "*":
            return True
        if not name or (scheme and scheme not in ("all", parts.scheme)):
            continue
        name, wanted = _without_port(name)
        if wanted is not None and wanted != port:
            continue
        if _names(name, host):
            return True
    return False


def _without_port(name: str) -> tuple[str, int | None]:
    if name.startswith("["):
        inside, _, port = name[1:].partition("]")
        return inside, int(port[1:]) if port[1:].isdecimal() else None
    before, _, port = name.rpartition(":")
    return (before, int(port)) if before and ":" not in before and port.isdecimal() else (name, None)


def _names(name: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        pass
    domain = name.removeprefix("*").removeprefix(".")
    return bool(domain) and (host.endswith(f".{domain}") or (host == domain and not name.startswith((".", "*."))))
