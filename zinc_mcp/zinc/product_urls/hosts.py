"""Hosts of shops: the one spelling they are compared and shown in, and the domain that a shop registered."""

import re

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_READ_IN_TWO_WAYS = frozenset("\u00df\u03c2\u200c\u200d")
"""Letters that IDNA 2003 (ours) maps away and IDNA 2008 (browsers) keeps: two different hosts (UTS 46, section 7)."""

_SHARED_SUFFIX = re.compile(r"(?:co|com|org|net|ac|edu|gov|gob|ne|or|gr|go|nom)\.[a-z]{2}|myshopify\.com")
"""Suffixes under which every label is somebody else's shop. Not the whole public list: Zinc decides the rest."""


def ascii_host(host: str) -> str:
    """Return a host in ASCII (punycode for other scripts), lower case, without `www.` and the root's dot.

    Raises:
        ValueError: if it is no usable host.
    """
    host = host.lower()
    if not host.isascii():
        if not _READ_IN_TWO_WAYS.isdisjoint(host):
            raise ValueError("has an ambiguous host")
        host = host.encode("idna").decode()
    host = host.removesuffix(".")
    # Only letters that every reader of URLs takes for part of a host: `evil.example\.amazon.com` is not Amazon.
    if not _HOST.fullmatch(host):
        raise ValueError("has no usable host")
    return host.removeprefix("www.")


def registrable(host: str) -> str:
    """Return the domain that a host's owner registered, such as `amazon.com` or `shop.co.uk`."""
    labels = host.split(".")
    kept = 3 if _SHARED_SUFFIX.fullmatch(".".join(labels[-2:])) else 2
    return ".".join(labels[-kept:])
