"""The parts of a URL in one spelling (RFC 3986, section 6.2.2), and of a product's address.

A URL that cannot be read, or that can be read in two ways, is refused.
"""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urlsplit

_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_READ_IN_TWO_WAYS = frozenset("\u00df\u03c2\u200c\u200d")
"""Letters that IDNA 2003 (ours) replaces and IDNA 2008 (browsers) keeps, which gives two hosts (UTS 46, section 7)."""

_SHARED_SUFFIX = re.compile(r"(?:co|com|org|net|ac|edu|gov|gob|ne|or|gr|go|nom)\.[a-z]{2}|myshopify\.com")
"""Suffixes under which each label belongs to another shop. This is not the whole public list: Zinc decides the rest."""


def ascii_host(host: str) -> str:
    """Return a host in ASCII (punycode for other scripts), lower case, without `www.` and the root's dot.

    Raises:
        ValueError: the host cannot be used.
    """
    host = host.lower()
    if not host.isascii():
        if not _READ_IN_TWO_WAYS.isdisjoint(host):
            raise ValueError("has an ambiguous host")
        host = host.encode("idna").decode()
    host = host.removesuffix(".")
    # Only letters that every URL reader accepts in a host: `evil.example\.amazon.com` is not Amazon.
    if not _HOST.fullmatch(host):
        raise ValueError("has no usable host")
    return host.removeprefix("www.")


def registrable(host: str) -> str:
    """Return the domain that a host's owner registered, such as `amazon.com` or `shop.co.uk`."""
    labels = host.split(".")
    kept = 3 if _SHARED_SUFFIX.fullmatch(".".join(labels[-2:])) else 2
    return ".".join(labels[-kept:])


MAX_URL = 2048

_ESCAPED = re.compile("%([0-9a-fA-F]{2})")
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
# An escaped slash, semicolon, question mark, number sign or per cent sign is not the character itself in a path. The
# others mean the same there with and without the escape, in every server that decodes a path once.
_PLAIN_IN_PATHS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,:=@")
_KEPT_IN_PATHS = "%!$&'()*+,;=:@/"
_PLAIN_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)*/?")
_SESSION = re.compile(r";(?:jsessionid|phpsessid)(?:=[^/;]*)?", re.IGNORECASE)
_TWO_WAYS = "can be read in two ways; give the plain product page"


class ProductUrlError(ValueError):
    """An address that is not the page of one product. Its text ends a sentence about the address."""


@dataclass(frozen=True, slots=True)
class ProductAddress:
    """The parts of a product's address. Only `url` is ever sent, or shown as the address."""

    url: str
    """The address byte for byte as it was given."""
    host: str
    """The host for display: in ASCII, without `www.`."""
    retailer: str
    """The domain that the shop registered; for an alias of a shop, the shop's domain."""
    product_id: str | None
    """The shop's own number in one spelling, if the shop is known."""
    canonical: str
    """A form that is equal for two addresses of the same purchase."""
    product: str
    """A form that is equal for two addresses of one product, whatever variant, seller or sister shop they choose."""
    likely: str
    """A form that is equal for two addresses that are only likely one product's (`likeness`)."""
    choices: tuple[tuple[str, str], ...]
    """Names and values of the parts that choose a variant, a seller, a condition or a subscription."""
    chooses_seller: bool
    """Whether it chooses a seller or another offer; the page's own price and seller are then not that offer's."""
    chooses_variant: bool
    """Whether it chooses a variant."""

    @property
    def shop_host(self) -> str:
        """The host of the shop: `amazon.com` for its aliases, but `business.walmart.com` for that shop of its own."""
        return re.split("[/?#]", self.canonical, maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of a query, decoded as a form."""

    name: str
    """In lower case, without escapes, for looking it up."""
    key: str
    """With its case, in one spelling."""
    value: str
    """In one spelling; empty if there is none."""

    @property
    def spelled(self) -> str:
        """The field in one spelling."""
        return f"{self.key}={self.value}" if self.value else self.key


@dataclass(frozen=True, slots=True)
class UrlParts:
    """The parts of a URL that can be a product page."""

    host: str
    """In ASCII, without `www.`."""
    raw_path: str
    """As it was given."""
    path: str
    """In one spelling, without empty segments and the slash at the end; empty for a front page."""
    query: tuple[Parameter, ...]
    fragment: str
    """In one spelling, without a text directive, which only marks text on the page."""
    fragment_fields: tuple[Parameter, ...]
    """The fragment read as a query; empty if it has no `=`."""
    hides_slash: bool
    """Whether a segment of the path holds an escaped slash."""


def split_url(url: str) -> UrlParts:
    """Return the parts of a direct https URL of a public host.

    Raises:
        ProductUrlError: it is no such URL, or it is ambiguous.
    """
    if len(url) > MAX_URL:
        raise ProductUrlError(f"is longer than {MAX_URL} characters; give the plain product page")
    if " " in url or not url.isprintable():  # of all spaces, only this one is printable
        raise ProductUrlError("contains spaces or invisible characters; give the plain product page")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = ascii_host(parts.hostname or "")
    except ValueError:  # UnicodeError is one
        raise ProductUrlError(
            "is not a URL; give the product page, such as https://www.amazon.com/dp/B07JGBW826"
        ) from None
    if parts.scheme != "https":
        raise ProductUrlError("must start with https://")
    if parts.username is not None or parts.password is not None or port not in (None, 443):
        raise ProductUrlError("must not carry a user name, a password or a port")
    # A last label that starts with a digit makes it an address in one of its spellings (URL Standard, "ends in a
    # number"), and one with a colon was no host above.
    if "." not in host or not host.rpartition(".")[2][:1].isalpha():
        raise ProductUrlError("must name a retailer's public host")
    return _spelled(parts, host)


def host_in(url: str) -> str | None:
    """Return the host of any URL in ASCII, without `www.`; None if it has no usable host."""
    try:
        return ascii_host(urlsplit(url).hostname or "")
    except ValueError:
        return None


def undone(text: str) -> str:
    """Return text without escapes, at any depth of escaping. It is for searching only."""
    if "%" not in text:
        return text  # most text
    while (plainer := unquote(text, errors="replace")) != text:
        text = plainer
    return text


def read_fields(query: str) -> tuple[Parameter, ...]:
    """Return the fields of a query, decoded as a form. Their bytes are kept."""
    fields: list[Parameter] = []
    for field in query.split("&"):
        key, _, value = field.partition("=")
        if field:
            fields.append(Parameter(_decoded(key).lower(), _respelled_field(key), _respelled_field(value)))
    return tuple(fields)


def _spelled(parts: SplitResult, host: str) -> UrlParts:
    path, hides_slash = _path(parts.path)
    if _has_control(parts.query) or _has_control(parts.fragment):
        raise ProductUrlError(_TWO_WAYS)
    fragment = parts.fragment.partition(":~:")[0]  # a text directive marks text on the page (WICG, Text Fragments)
    return UrlParts(
        host=host,
        raw_path=parts.path,
        path=path,
        query=read_fields(parts.query),
        fragment=quote(_unescaped(fragment), safe=_KEPT_IN_PATHS + "?", errors="replace"),
        fragment_fields=read_fields(fragment) if "=" in fragment else (),
        hides_slash=hides_slash,
    )


def _path(raw: str) -> tuple[str, bool]:
    """Return a path in one spelling, and whether a segment holds an escaped slash.

    Raises:
        ProductUrlError: it has a dot segment, a backslash or a control character, in any spelling.
    """
    if _PLAIN_PATH.fullmatch(raw):
        return raw.rstrip("/"), False  # most paths are in that spelling already
    segments: list[str] = []
    hides_slash = False
    for segment in raw.split("/"):
        plain = undone(segment)
        if "\\" in plain or _has_control(segment):
            raise ProductUrlError(_TWO_WAYS)
        # RFC 3986 resolves dot segments, escaped or not. Servers with path parameters cut the parameters first.
        if any(part.partition(";")[0] in (".", "..") for part in plain.split("/")):
            raise ProductUrlError(_TWO_WAYS)
        hides_slash = hides_slash or "/" in plain
        if kept := _SESSION.sub("", segment):
            segments.append(quote(_unescaped(kept), safe=_KEPT_IN_PATHS, errors="replace"))
    return "".join(f"/{segment}" for segment in segments), hides_slash


def _unescaped(text: str) -> str:
    """Return a path's text with escapes only for characters that need one."""
    if "%" not in text:
        return text

    def plain(escape: re.Match[str]) -> str:
        character = chr(int(escape[1], 16))
        return character if character in _PLAIN_IN_PATHS else escape[0].upper()

    return _ESCAPED.sub(plain, text)


def _respelled_field(text: str) -> str:
    # Some servers also split fields at an unescaped semicolon, so it is kept unescaped.
    pieces = text.replace("+", "%20").split(";")
    return ";".join(quote(unquote_to_bytes(piece.encode(errors="replace")), safe="") for piece in pieces)


def _decoded(text: str) -> str:
    return unquote(text.replace("+", "%20"), errors="replace")


def _has_control(text: str) -> bool:
    return _CONTROL.search(undone(text)) is not None


def with_query(page: str, fields: list[str]) -> str:
    """Return a page with these fields in its query."""
    if not fields:
        return page
    return f"{page}{'&' if '?' in page else '?'}{'&'.join(fields)}"
