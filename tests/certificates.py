"""Certificates of the authorities that this machine trusts, read once in a process."""

import importlib
import os
import ssl
from collections.abc import Callable
from typing import Any

import certifi

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def read_once() -> None:
    """Let clients that trust the same authorities share what was read.

    A test makes several clients, each of them would read 140 certificates, and nearly all of them connect to this
    machine without TLS.
    """
    httpcore2: Any = importlib.import_module("httpcore2")  # the SDK's, without our types
    ssl.create_default_context = _shared(ssl.create_default_context)
    httpcore2.default_ssl_context = _shared(httpcore2.default_ssl_context)


def _shared(usual: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    """Return a function that reads the files of this machine as another one does, once each; others it reads anew."""
    ours = {certifi.where(), *(place for name in _PLACES if (place := os.environ.get(name)))}
    read: dict[str, ssl.SSLContext] = {}

    def context(*given: Any, **named: Any) -> ssl.SSLContext:
        now = {name: os.environ.get(name) for name in _PLACES}
        places = {place for place in (*now.values(), named.get("cafile"), named.get("capath")) if place}
        if given or not places <= ours:
            return usual(*given, **named)
        asked = repr((sorted(named.items()), now))
        if asked not in read:
            read[asked] = usual(**named)
        return read[asked]

    return context
