"""When two orders are the same intention: the twin digest, the body digest and the key derived from them."""

import hashlib
import re
import unicodedata
import uuid
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from zinc_mcp.api.orders import RESERVED_METADATA, Address, OrderCreate, OrderProduct, canonical
from zinc_mcp.api.retailer import host_of, retailer_of

KEY_FIELD = f"{RESERVED_METADATA}key"
TWIN_FIELD = f"{RESERVED_METADATA}twin"

_NAMESPACE = uuid.UUID("6f1f2f0e-3d0b-5d0e-9a55-2a1c0f6f7b11")
"""Ours alone: keys of this program never meet another program's UUIDv5s."""

_TRACKING = frozenset(
    "gclid gbraid wbraid dclid fbclid msclkid yclid twclid ttclid igshid srsltid mc_cid mc_eid _ga _gl spm clickid "
    "irclickid irgwc wmlspartner affiliates affid afid cjevent cjdata ranmid raneaid ransiteid ref ref_ tag linkcode "
    "linkid camp creative creativeasin ascsubtag qid sr crid sprefix dib dib_tag _encoding content-id smtyp".split()
)
_TRACKING_PREFIXES = ("utm_", "pd_rd_", "pf_rd_", "hsa_", "mkt_")
_AMAZON_PRODUCT = re.compile(r"/(?:dp|gp/product|gp/aw/d)/([A-Za-z0-9]{10})(?:[/?]|$)")
_KEPT_ON_AMAZON = frozenset({"smid", "m", "aod"})  # which seller: another offer is another purchase


def normalised_url(url: str) -> str:
    """Return a product URL without what does not change the product: scheme, `www.`, tracking, fragment, order.

    On Amazon the ten-character product id is the product; the words before it and the session after it are not.
    """
    parts = urlsplit(url)
    host = host_of(url)
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _TRACKING and not name.lower().startswith(_TRACKING_PREFIXES)
    ]
    path = unquote(parts.path).rstrip("/")
    if retailer_of(url).startswith("amazon.") and (product := _AMAZON_PRODUCT.search(parts.path)):
        path = f"/dp/{product[1].upper()}"
        kept = [(name, value) for name, value in kept if name.lower() in _KEPT_ON_AMAZON]
    query = urlencode(sorted(kept))
    return f"{host}{path}?{query}" if query else f"{host}{path}"


def twin_digest(caller: str, order: OrderCreate) -> str:
    """Return the digest that is equal for the same intention: who, where to, and what.

    Rail, key, price, metadata, purchase order number and gift text do not count, nor does the telephone number.
    """
    wanted: dict[str, int] = {}
    for product in order.products:
        line = canonical([normalised_url(product.url), _variant(product)]).decode()
        wanted[line] = wanted.get(line, 0) + product.quantity
    return _digest([caller, _ship_to(order.shipping_address), sorted(wanted.items())])


def body_digest(order: OrderCreate) -> str:
    """Return the digest of everything the caller asked for, but the idempotency key."""
    return _digest({name: value for name, value in order.to_wire().items() if name != "idempotency_key"})


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


def _variant(product: OrderProduct) -> list[list[str]]:
    return sorted([_folded(option.label), _folded(option.value)] for option in product.variant or [])


def _ship_to(address: Address) -> list[str]:
    fields = (
        address.first_name,
        address.last_name,
        address.address_line1,
        address.address_line2,
        address.city,
        address.state,
        address.postal_code,
        address.country,
    )
    return [_folded(text or "") for text in fields]


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:40]
