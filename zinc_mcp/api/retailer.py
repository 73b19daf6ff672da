"""Which retailer a product URL belongs to, and whether it can be a product page at all."""

import re
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

_SHARED_SUFFIXES = frozenset(
    "co.uk org.uk com.au net.au co.nz co.jp com.mx com.br com.be co.in co.za com.tr com.sg com.hk myshopify.com".split()
)
"""Suffixes under which every label is somebody else's shop. Not the whole public list: Zinc decides the rest."""

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_READ_IN_TWO_WAYS = frozenset("\u00df\u03c2\u200c\u200d")
"""Letters that IDNA 2003 (ours) maps away and IDNA 2008 (browsers) keeps: two different hosts (UTS 46, section 7)."""

_SHORTENERS = frozenset("a.co amzn.to amzn.eu amzn.asia ebay.us bit.ly tinyurl.com t.co goo.gl".split())
_SEARCH_SEGMENTS = frozenset({"s", "search", "searchpage.jsp", "sch"})
_SEARCH_PARAMETERS = frozenset({"k", "q", "query", "st", "_nkw", "searchterm", "keyword", "keywords"})


@lru_cache(maxsize=256)  # asked for each product by every rule that is about its shop
def host_of(url: str) -> str:
    """Return a URL's host in ASCII (punycode for other scripts), lower case, without `www.`.

    Raises:
        ValueError: if there is no usable host.
    """
    host = (urlsplit(url).hostname or "").lower()
    if not host.isascii():
        if not _READ_IN_TWO_WAYS.isdisjoint(host):
            raise ValueError("has an ambiguous host")
        host = host.encode("idna").decode()
    host = host.removesuffix(".")
    # Only letters that every reader of URLs takes for part of a host: `evil.example\.amazon.com` is not Amazon.
    if not _HOST.fullmatch(host):
        raise ValueError("has no usable host")
    return host.removeprefix("www.")


def retailer_of(url: str) -> str:
    """Return the registrable domain a product URL is sold under, such as `amazon.com` or `shop.co.uk`."""
    labels = host_of(url).split(".")
    kept = 3 if ".".join(labels[-2:]) in _SHARED_SUFFIXES else 2
    return ".".join(labels[-kept:])


def objection_to(url: str) -> str | None:
    """Say why a URL cannot be a direct https product page, or None when it can.

    Zinc asks for a link that leads to the product page and not to search results (Create Order, "Product URLs").
    """
    if len(url) > 2048:
        return "is longer than 2048 characters; give the plain product page"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "contains spaces or invisible characters; give the plain product page"
    try:
        parts = urlsplit(url)
        port = parts.port
        host = host_of(url)
    except ValueError:  # UnicodeError is one
        return "is not a URL; give the product page, such as https://www.amazon.com/dp/B07JGBW826"
    if parts.scheme != "https":
        return "must start with https://"
    if parts.username is not None or parts.password is not None or port not in (None, 443):
        return "must not carry a user name, a password or a port"
    # A last label that starts with a digit makes it an address in one of its spellings (URL Standard, "ends in a
    # number"), and one with a colon was no host above.
    if "." not in host or not host.rpartition(".")[2][:1].isalpha():
        return "must name a retailer's public host"
    if host in _SHORTENERS:
        return "is a short link; give the page it leads to"
    segments = [segment.lower() for segment in parts.path.split("/") if segment]
    if not segments and not parts.query:
        return "is a shop's front page; give the page of one product"
    queried = {name.lower() for name, _ in parse_qsl(parts.query)}
    if _SEARCH_SEGMENTS.intersection(segments) and queried & _SEARCH_PARAMETERS:
        return "is a page of search results; give the page of one product"
    return None
