"""The checks of an evidence file: one line each, with the witness it rests on (Zinc, a chain, the file, or only us)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from zinc_mcp.consent.anchor import anchor_over, leaf, public_part, without_ours
from zinc_mcp.journal.records.twin import ANCHOR_FIELD, KEY_FIELD, TWIN_FIELD
from zinc_mcp.network import decoded
from zinc_mcp.spending.same_order import Wanted, is_named, may_be
from zinc_mcp.text import plain
from zinc_mcp.views.evidence.file import FORMAT
from zinc_mcp.zinc.orders import canonical
from zinc_mcp.zinc.responses import Order
from zinc_mcp.zinc.texts.notes import notes_in

MAX_FILE_BYTES = 4 * 1024 * 1024

RestsOn = Literal["Zinc", "chain", "file", "us"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was checked, and the witness it rests on."""

    rests_on: RestsOn
    """`file`: it follows from the rest of the file, or from its signature."""
    is_right: bool | None
    """None: it was not checked, or nobody can."""
    sentence: str


def part_of(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a file; an empty one if it is none."""
    part: object = of.get(name)
    return cast(dict[str, Any], part) if isinstance(part, dict) else dict[str, Any]()


def read(content: bytes) -> Mapping[str, Any] | None:
    """Return the content of an evidence file, or None where it is none, or can be read in two ways."""
    try:
        document: object = decoded(content, object_pairs_hook=_without_doubles, parse_constant=_no_number)
        canonical(document).encode()  # a document without one spelling cannot have been signed
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or cast(Mapping[str, Any], document).get("format") != FORMAT:
        return None
    return cast(Mapping[str, Any], document)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def check_signature(document: Mapping[str, Any], *, is_signed: bool, home_key: str | None) -> list[Line]:
    """Return lines that say whether the file is unchanged, and who signed it; `home_key`: this home's public key."""
    public = part_of(document, "signature").get("public_key")
    if not is_signed:
        return [Line("file", False, "The signature is not of this content: the file was changed after it was signed.")]
    said = [Line("file", True, "The file is as it was signed.")]
    if home_key is None:
        said.append(Line("us", None, f"It was signed by the key {plain(public, 64)}; there is none here to compare."))
    elif public == home_key:
        said.append(Line("us", True, "It was signed by the key of this home."))
    else:
        said.append(Line("us", False, f"It was signed by another key than this home's: {plain(public, 64)}."))
    return said


def check_content(document: Mapping[str, Any]) -> list[Line]:
    """Return lines that say whether the parts of the file agree with each other."""
    request, order = part_of(document, "request"), part_of(document, "order")
    if request.get("kept") is not True:
        return [Line("us", None, "The order's content was forgotten by a purge: its digests alone are left.")]
    metadata, public, anchor = part_of(request, "metadata"), part_of(request, "public"), part_of(request, "anchor")
    said: list[Line] = []
    same_key = metadata.get(KEY_FIELD) == order.get("key")
    if not same_key:
        said.append(Line("file", False, "The key of the order and the key that was sent differ."))
    if anchor:
        said.append(_anchored(request, public, anchor, metadata))
    else:
        said.append(Line("us", None, "The order has no anchor: it is of an earlier version, or it was adopted."))
    if isinstance(request.get("content"), str):
        said.append(_exact(request, public, metadata))
    else:
        said.append(
            Line("us", None, "The bytes that were sent are not in the file (--with-address puts them in): see sha256.")
        )
    return said


def check_order(document: Mapping[str, Any], order: Order) -> list[Line]:
    """Return a line that says whether the order that Zinc shows is the one that the file names."""
    if not is_named(order, str(part_of(document, "order").get("order_id"))):
        return [Line("Zinc", False, "Zinc answered with another order than the one of the file.")]
    at = order.created_at.isoformat() if order.created_at is not None else "a time that it does not say"
    return [Line("Zinc", True, f"Zinc has this order, created at {at}, and says that it is {plain(order.status, 40)}.")]


def check_at_zinc(document: Mapping[str, Any], order: Order) -> list[Line]:
    """Return lines that say whether the order, as Zinc shows it now, is the one of the file."""
    request, claimed = part_of(document, "request"), part_of(document, "order")
    metadata, public = part_of(request, "metadata"), part_of(request, "public")
    said = check_order(document, order)
    if not is_sound(said):
        return said
    for name, what in ((KEY_FIELD, "key"), (TWIN_FIELD, "twin digest"), (ANCHOR_FIELD, "anchor")):
        shown = order.metadata.get(name)
        if shown is None:
            said.append(Line("Zinc", None, f"Zinc does not show the {what} of this order."))
        elif request.get("kept") is True or name == KEY_FIELD:  # a purge leaves the key alone
            known = metadata.get(name) if request.get("kept") is True else claimed.get("key")
            same = shown == known  # also where the file leaves out what Zinc has
            said.append(Line("Zinc", same, f"Zinc's {what} of this order is {'the same' if same else 'ANOTHER ONE'}."))
    if request.get("kept") is not True:
        return said
    asked = part_of(public, "request")
    ceiling = asked.get("max_price")
    if order.max_price is not None:
        same = order.max_price == ceiling
        said.append(Line("Zinc", same, f"Zinc's price ceiling is {'the same' if same else 'ANOTHER ONE'}."))
    if order.items:
        same = _has_products(order, asked)
        said.append(Line("Zinc", same, f"Zinc's products are {'the same' if same else 'OTHERS'}."))
    return said


def unasked(document: Mapping[str, Any]) -> list[Line]:
    """Return a line about the facts that Zinc could confirm, for a check that does not ask it."""
    if not isinstance(part_of(document, "order").get("order_id"), str):
        return [Line("us", None, "No order of Zinc's is known for it, so Zinc can confirm nothing.")]
    has_anchor = bool(part_of(part_of(document, "request"), "anchor"))
    by_anchor = ", and by the anchor what was asked for and shown" if has_anchor else ""
    what = f"products, price ceiling, key, date{by_anchor}"
    return [Line("Zinc", None, f"Zinc was not asked (--ask-zinc): it can confirm {what}.")]


def resting_on_us(document: Mapping[str, Any]) -> list[Line]:
    """Return lines about facts that only our own record states, and about a payment that a chain could confirm."""
    said: list[Line] = []
    receipts = part_of(document, "receipts")
    if receipts.get("reference") or receipts.get("receipt"):
        reference = plain(receipts.get("receipt") or receipts.get("reference"), 100)
        method = plain(receipts.get("method") or "the payment", 20)
        where: RestsOn = "chain" if receipts.get("method") == "tempo" else "us"
        who = "anybody can look it up on the chain" if where == "chain" else f"ask {method}, or Zinc"
        said.append(Line(where, None, f"The payment's reference is {reference} ({method}); {who}. Not looked up here."))
    decision = part_of(document, "decision")
    if decision.get("yes") is not None:
        said.append(Line("us", None, "Only our own record says who decided, how and when."))
    said.append(Line("us", None, "Only our own record says the states, times, money and events between."))
    return said


def _has_products(order: Order, asked: Mapping[str, Any]) -> bool:
    retailer = {"retailer": asked["retailer"]} if "retailer" in asked else {}  # v1 names products by it
    try:
        wish = Wanted(None, None, None, {**retailer, "products": asked.get("products") or []})
        return bool(wish.body.get("products")) and may_be(order.model_copy(update={"metadata": {}}), wish)
    except (ValueError, UnicodeError):  # a forged file may hold what is no product
        return False


def _anchored(
    request: Mapping[str, Any], public: Mapping[str, Any], anchor: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Line:
    digest = str(anchor.get("private_digest"))
    private = request.get("private")
    if isinstance(private, dict):
        digest = leaf(str(anchor.get("private_salt")), cast(Mapping[str, Any], private))
    value = anchor_over(leaf(str(anchor.get("public_salt")), public), digest)
    same = value == anchor.get("value") == metadata.get(ANCHOR_FIELD) and digest == anchor.get("private_digest")
    if same:
        return Line("file", True, "The request and the question belong to the anchor.")
    return Line("file", False, "The request or the question does not belong to the anchor.")


def _exact(request: Mapping[str, Any], public: Mapping[str, Any], metadata: Mapping[str, Any]) -> Line:
    content = str(request["content"]).encode()
    body: object = None
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        pass
    sent = cast(dict[str, Any], body) if isinstance(body, dict) else dict[str, Any]()
    private = part_of(request, "private")
    asked: object = private.get("question")
    question = cast(Mapping[str, Any], asked) if isinstance(asked, dict) else None
    ours = notes_in(sent)
    same = (
        hashlib.sha256(content).hexdigest() == request.get("sha256")
        and private.get("request") == without_ours(sent)
        and public_part(sent, question) == public
        and all(ours.get(name) == value for name, value in metadata.items())
    )
    if same:
        return Line("file", True, "The bytes in the file are the order that the file describes.")
    return Line("file", False, "The bytes in the file are not the order that the file describes.")


def is_sound(lines: Sequence[Line]) -> bool:
    """Say whether nothing contradicts the file."""
    return all(line.is_right is not False for line in lines)
