"""When two orders are the same intention: the twin digest, the body digest and the key derived from them."""

import hashlib
import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

from zinc_mcp.api.orders import RESERVED_METADATA, Address, OrderCreate, OrderProduct, canonical
from zinc_mcp.api.retailer import host_of, retailer_of

KEY_FIELD = f"{RESERVED_METADATA}key"
TWIN_FIELD = f"{RESERVED_METADATA}twin"

_NAMESPACE = uuid.UUID("6f1f2f0e-3d0b-5d0e-9a55-2a1c0f6f7b11")
"""Ours alone: keys of this program never meet another program's UUIDv5s."""

_TRACKING = frozenset(
    "gclid gbraid wbraid dclid gad_source gad_campaignid fbclid msclkid yclid twclid ttclid igshid srsltid mc_cid "
    "mc_eid _ga _gl spm clickid irclickid irgwc wmlspartner cjevent cjdata ranmid raneaid ransiteid affid afid".split()
)
"""Parameters that only say where a visitor came from. `ref`, `tag` and the like are not here: in some shops they are
the product's own number."""

_TRACKING_PREFIXES = ("utm_", "hsa_", "mkt_")


@dataclass(frozen=True, slots=True)
class _Shop:
    """A shop whose product pages carry the product's number in the path: it is the product, not the words around it."""

    page: re.Pattern[str]
    form: str
    kept: frozenset[str]
    """Parameters that choose another offer or another variant; every other one is where the visitor came from."""


_SHOPS = {
    "amazon": _Shop(
        re.compile(
            r"/(?:dp|gp/product|gp/aw/d|gp/offer-listing|exec/obidos/asin)/([a-z0-9]{10})(?:/|$)", re.IGNORECASE
        ),
        "/dp/{}",
        frozenset({"smid", "m"}),  # which seller
    ),
    "ebay": _Shop(re.compile(r"^/itm/(?:[^/]+/)?(\d{9,15})$"), "/itm/{}", frozenset({"var"})),
    "walmart": _Shop(
        re.compile(r"^/ip/(?:[^/]+/)?(\d{5,15})$"), "/ip/{}", frozenset({"selectedsellerid", "selectedofferid"})
    ),
}
_ESCAPED = re.compile("%([0-9a-fA-F]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def normalised_url(url: str) -> str:
    """Return a product URL without what does not change the product: scheme, `www.`, tracking, fragment, order.

    In shops that number their products, the number is the product; the words before it and the session after it are
    not. It never decodes what may be a delimiter or another encoding: two pages are never spelled alike.

    Raises:
        ValueError: if there is no usable host.
    """
    parts = urlsplit(url)
    host, retailer = host_of(url), retailer_of(url)
    path = _respelled(parts.path).rstrip("/")
    fields = [field for field in parts.query.split("&") if field and not _tracks(_name(field))]
    shop = _SHOPS.get(retailer.partition(".")[0])
    if shop is not None and (product := shop.page.search(path)):
        host, path = retailer, shop.form.format(product[1].upper())
        fields = [field for field in fields if _name(field) in shop.kept]
    query = "&".join(sorted(_respelled(field.replace("+", "%20")) for field in fields))
    return f"{host}{path}?{query}" if query else f"{host}{path}"


def _respelled(text: str) -> str:
    """Return text of a URL in the one spelling of RFC 3986, section 6.2.2: only what needs an escape has one."""

    def unescaped(escape: re.Match[str]) -> str:
        character = chr(int(escape[1], 16))
        return character if character in _UNRESERVED else escape[0].upper()

    return quote(_ESCAPED.sub(unescaped, text), safe="%!$&'()*+,;=:@/?[]|", errors="replace")


def _name(field: str) -> str:
    return unquote(field.partition("=")[0]).lower()


def _tracks(name: str) -> bool:
    return name in _TRACKING or name.startswith(_TRACKING_PREFIXES)


def twin_digest(caller: str, order: OrderCreate) -> str:
    """Return the digest that is equal for the same intention: who, where to, and what.

    Rail, key, price, metadata, purchase order number and gift text do not count, nor does the telephone number.
    """
    wanted: dict[str, int] = {}
    for product in order.products:
        line = canonical([normalised_url(product.url), _variant(product)]).decode()
        wanted[line] = wanted.get(line, 0) + product.quantity
    return _digest([caller, ship_to(order.shipping_address), sorted(wanted.items())])


def body_digest(order: OrderCreate) -> str:
    """Return the digest of everything the caller asked for, but the idempotency key.

    What is left out and what is given as its default are one wish.
    """
    return _digest(_essence(order.model_dump(mode="json", exclude_defaults=True, exclude={"idempotency_key"})))


def derived_key(caller: str, mode: str, twin: str, earlier: int) -> str:
    """Return the idempotency key of the `earlier`+1st entry with this twin digest (a UUIDv5, 36 characters)."""
    return str(uuid.uuid5(_NAMESPACE, canonical([caller, mode, twin, earlier]).decode()))


def given_key(caller: str, key: str) -> str:
    """Return the key to use on the wire for one the caller gave: unchanged, but a member's own for a member.

    Members share one Zinc account: without this, two members who both say `order-1` would collide.
    """
    return key if caller == "local" else str(uuid.uuid5(_NAMESPACE, canonical(["given", caller, key]).decode()))


def to_bytes(order: OrderCreate, key: str, twin: str) -> bytes:
    """Return the exact bytes to send: the order, its key, and the metadata by which it can be found again."""
    body: dict[str, Any] = order.to_wire()
    body["idempotency_key"] = key
    body["metadata"] = {**(order.metadata or {}), KEY_FIELD: key, TWIN_FIELD: twin}
    return canonical(body)


def _essence(value: Any) -> Any:
    """Return plain data without what says nothing: null, empty text, empty lists and objects."""
    if isinstance(value, dict):
        parts = {name: _essence(part) for name, part in cast(dict[str, Any], value).items()}
        return {name: part for name, part in parts.items() if part not in (None, "", [], {})}
    if isinstance(value, list):
        return [_essence(part) for part in cast(list[Any], value)]
    return value


def _variant(product: OrderProduct) -> list[list[str]]:
    return sorted([_folded(option.label), _folded(option.value)] for option in product.variant or [])


def ship_to(address: Address) -> list[str]:
    """Return where an order goes, so that two spellings of one place are equal."""
    # Where a name or a line is broken in two does not matter, and in the US the ZIP code says the state: "NY" and
    # "New York", 10001 and 10001-1234 are one place.
    in_the_us = address.country == "US"
    fields = (
        f"{address.first_name} {address.last_name}",
        f"{address.address_line1} {address.address_line2 or ''}",
        address.city,
        "" if in_the_us else address.state or "",
        address.postal_code[:5] if in_the_us else address.postal_code,
        address.country,
    )
    return [_folded(text) for text in fields]


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:40]
