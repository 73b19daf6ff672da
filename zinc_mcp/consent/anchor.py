"""The anchor of an order: a salted digest of the order and its question, in the metadata that Zinc keeps.

Zinc holds it, with the date of the order, from before anybody could know of a dispute. So an owner can show later what
was ordered and what the person was asked, and nobody can write another order or another question under it.

A yes is bound to the exact bytes, and the anchor is inside these bytes. This is possible because the anchor covers
neither the bytes nor the digest that a yes is bound to. It covers the order without our own metadata, and the content
of the question, which never holds our metadata. So the question is made first, then the anchor from it, then the bytes
with the anchor, and last the digest of the question, which covers both. From then on all of it is frozen, and a repeat
sends the same bytes. An order that nobody is asked about has an anchor without a question from the beginning.

The anchor is a digest over two others, each with a salt of its own. One is over the part that may be shown to anybody
(the products, the price, and what the person saw of them), the other over everything (the address too). So a file can
prove the first and keep the second secret. Both salts are derived from one that only the journal has.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.records.twin import ANCHOR_FIELD
from zinc_mcp.zinc.orders import canonical
from zinc_mcp.zinc.texts.notes import RESERVED_METADATA, notes_field, notes_in

SALT = "anchor_salt"
"""The name of the salt among an entry's facts. A purge forgets it, with the order."""
SALT_BYTES = 16
FORMAT = "zinc-mcp anchor 1"

_SHOWN_OF_PRODUCTS = ("url", "product_id", "quantity", "variant")
_SHOWN_OF_QUESTION = ("retailer", "rail", "mode", "ceiling_cents", "fee_cents", "twin", "look_up_cents")
_SHOWN_OF_LINES = ("host", "url", "product_id", "quantity", "title", "seller", "price_cents")


def salt_of(entry: Entry) -> str | None:
    """Return the salt of an entry; None for one of an earlier version, or after a purge."""
    salt: object = entry.facts.get(SALT)
    return salt if isinstance(salt, str) and salt else None


def anchor_of(body: Mapping[str, Any], question: Mapping[str, Any] | None, salt: str) -> str:
    """Return the anchor of an order, as it would be sent, and of its question; None: nobody is asked."""
    public = leaf(salt_for(salt, "public"), public_part(body, question))
    return anchor_over(public, leaf(salt_for(salt, "private"), private_part(body, question)))


def anchor_over(public: str, private: str) -> str:
    """Return the anchor over the digests of the two parts."""
    return _digest([FORMAT, public, private])


def leaf(salt: str, part: Mapping[str, Any]) -> str:
    """Return the salted digest of one part."""
    return _digest([salt, part])


def salt_for(salt: str, part: str) -> str:
    """Return the salt of one part. It reveals neither the salt of the entry nor that of the other part."""
    return _digest([FORMAT, salt, part])


def public_part(body: Mapping[str, Any], question: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the parts of an order and its question that may be shown to anybody."""
    products = [_some(product, _SHOWN_OF_PRODUCTS) for product in _rows(body.get("products"))]
    return {
        "request": {"products": products, "max_price": body.get("max_price"), **_some(body, ("retailer",))},
        "question": None
        if question is None
        else {
            **_some(question, _SHOWN_OF_QUESTION),
            "lines": [_some(line, _SHOWN_OF_LINES) for line in _rows(question.get("lines"))],
        },
    }


def private_part(body: Mapping[str, Any], question: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return all of an order and its question, without our own metadata."""
    return {"request": without_ours(body), "question": None if question is None else dict(question)}


def without_ours(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an order's body without our own metadata."""
    field = notes_field(body)
    theirs = {name: value for name, value in notes_in(body).items() if not name.startswith(RESERVED_METADATA)}
    rest = {name: value for name, value in body.items() if name != field}
    return {**rest, **({field: theirs} if theirs else {})}


def anchored(entry: Entry, question: Mapping[str, Any]) -> bytes | None:
    """Return the bytes of an entry with the anchor of its question, before anything of it was sent.

    An entry without a salt keeps its bytes, and so does one that may have been sent.
    """
    salt = salt_of(entry)
    if salt is None or entry.body is None or entry.state != "waiting" or entry.first_sent_at is not None:
        return entry.body
    read: object = json.loads(entry.body)
    if not isinstance(read, dict):
        return entry.body
    body = cast(dict[str, Any], read)
    notes = {**notes_in(body), ANCHOR_FIELD: anchor_of(body, question, salt)}
    return canonical({**body, notes_field(body): notes}).encode()


def _rows(rows: object) -> list[Mapping[str, Any]]:
    each = cast(list[object], rows) if isinstance(rows, list) else []
    return [cast(Mapping[str, Any], row) for row in each if isinstance(row, dict)]


def _some(of: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: of[name] for name in names if of.get(name) is not None}


def _digest(value: object) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()
