"""The evidence file of an order: its request, question, decision, money and events, in one signed JSON file.

It holds no secret. It holds the name and address of the recipient only if that is wanted. `views.evidence.check` tells
the parts that Zinc or a chain can confirm.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from zinc_mcp.consent.anchor import leaf, private_part, public_part, salt_for, salt_of
from zinc_mcp.journal.records.entry import CHANGES, Entry, Event
from zinc_mcp.journal.records.money import Payment, told_of
from zinc_mcp.journal.records.twin import ANCHOR_FIELD, KEY_FIELD, TWIN_FIELD
from zinc_mcp.text import plain
from zinc_mcp.zinc.aftercare.changes import Change
from zinc_mcp.zinc.orders import canonical
from zinc_mcp.zinc.texts.notes import notes_in

FORMAT = "zinc-mcp evidence 1"
MAX_EVENTS = 500

_ORDER = (
    "key", "mode", "rail", "kind", "origin", "order_id", "state", "status", "attempts", "twin", "body_digest"
)  # fmt: skip
_TIMES = ("opened_at", "first_sent_at", "zinc_at", "updated_at")
_MONEY = (
    "ceiling_cents", "fee_cents", "reserved_cents", "authorised_cents", "spent_cents", "refunded_cents", "counts_cents"
)  # fmt: skip
_RECEIPTS = (
    "wallet", "method", "challenge_id", "expires_at", "valid_before", "reference", "receipt", "payer", "chain_id",
    "transaction_hash",
)  # fmt: skip
_WORDS = frozenset({"notes", "body", "explanation", "message"})
"""The fields of a return or report (the last two are v1's) with the caller's own words, which may name a street."""
_DETAILS = frozenset({"reserved_cents", "refunded_cents", "order_id", "bought"})


def evidence(
    entry: Entry, events: Sequence[Event], payment: Payment | None, *, with_address: bool, program: str, now: float
) -> dict[str, Any]:
    """Return the content of the file, unsigned."""
    body, question = _object(entry.body), (entry.consent or {}).get("question")
    asked = cast(Mapping[str, Any], question) if isinstance(question, dict) else None
    return {
        "format": FORMAT,
        "program": program,
        "made_at": _moment(now),
        "order": {name: getattr(entry, name) for name in _ORDER}
        | {name: _moment(getattr(entry, name)) for name in _TIMES},
        "request": _request(entry, body, asked, with_address=with_address),
        "question": _question(entry),
        "decision": _decision(entry),
        "money": {name: getattr(entry, name) for name in _MONEY}
        | {"expected_back_cents": told_of(entry).expected_back_cents},
        "receipts": _receipts(payment),
        "problem": _problem(entry),
        "events": [_event(each) for each in events[:MAX_EVENTS]],
        "events_left_out": max(0, len(events) - MAX_EVENTS),
    }


def signed_content(document: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed: all of a file but its signature."""
    return canonical({name: value for name, value in document.items() if name != "signature"}).encode()


def _request(
    entry: Entry, body: Mapping[str, Any] | None, question: Mapping[str, Any] | None, *, with_address: bool
) -> dict[str, Any]:
    """Return the request that was sent, with the anchor that Zinc holds of it."""
    if entry.kind in CHANGES:
        return _change(entry, with_words=with_address)
    if entry.body is None or body is None:
        return {"kept": False, "why": "The order's content was forgotten by a purge."}
    metadata = notes_in(body)
    known: dict[str, Any] = {
        "kept": True,
        "sha256": hashlib.sha256(entry.body).hexdigest(),
        "bytes": len(entry.body),
        "metadata": {name: metadata.get(name) for name in (KEY_FIELD, TWIN_FIELD, ANCHOR_FIELD)},
        "public": public_part(body, question),
    }
    salt, anchor = salt_of(entry), metadata.get(ANCHOR_FIELD)
    if salt is not None and isinstance(anchor, str):
        private = private_part(body, question)
        known["anchor"] = {
            "value": anchor,
            "public_salt": salt_for(salt, "public"),
            "private_digest": leaf(salt_for(salt, "private"), private),
        }
        if with_address:
            known["anchor"]["private_salt"] = salt_for(salt, "private")
    if with_address:
        known["private"] = private_part(body, question)
        known["content"] = entry.body.decode("utf-8", "replace")
    return known


def _change(entry: Entry, *, with_words: bool) -> dict[str, Any]:
    """Return the request of a return or report, and Zinc's ids of it."""
    known = {name: entry.facts.get(name) for name in ("zinc_id", "case_id")}
    if (body := entry.body) is None:
        return {**known, "kept": False, "why": "Its content was forgotten by a purge."}
    known |= {"kept": True, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body), "public": shown_of(body)}
    return {**known, "content": body.decode("utf-8", "replace")} if with_words else known


def shown_of(body: bytes) -> dict[str, Any] | None:
    """Return the parts of a return or report that anybody may see; None if the bytes are no change."""
    try:
        change = Change.from_bytes(body)
        return {"path": change.path, **{name: part for name, part in change.sent.items() if name not in _WORDS}}
    except (ValueError, RecursionError):
        return None


def _question(entry: Entry) -> dict[str, Any] | None:
    consent = entry.consent or {}
    if "digest" not in consent:
        return None
    return {"digest": consent["digest"], "until": _moment(consent.get("until"))}


def _decision(entry: Entry) -> dict[str, Any]:
    consent = entry.consent or {}
    decision: object = consent.get("decision")
    if not isinstance(decision, dict):
        return {"how": plain(consent.get("how") or "nobody was asked", 40), "yes": None, "who": None, "at": None}
    said = cast(Mapping[str, Any], decision)
    return {
        "how": plain(said.get("how"), 40),
        "yes": said.get("yes") is True,
        "who": plain(said.get("who"), 64),
        "at": _moment(said.get("at")),
    }


def _receipts(payment: Payment | None) -> dict[str, Any] | None:
    """Return the facts that identify a payment to its recipient and on its chain, without credential and key."""
    if payment is None:
        return None
    known = {name: payment.recovery.get(name) for name in _RECEIPTS}
    kept = {name: value for name, value in known.items() if isinstance(value, str | int) and value != ""}
    return {"asked_at": _moment(payment.asked_at), **{name: _bounded(value) for name, value in kept.items()}}


def _problem(entry: Entry) -> dict[str, str] | None:
    problem = entry.problem or {}
    return {name: plain(problem[name], 300) for name in ("code", "summary") if name in problem} or None


def _event(event: Event) -> dict[str, Any]:
    detail = {name: _bounded(value) for name, value in event.detail.items() if name in _DETAILS}
    return {
        "version": event.version,
        "at": _moment(event.at),
        "state": event.state,
        "what": plain(event.what, 80),
        **detail,
    }


def _bounded(value: object) -> object:
    return value if isinstance(value, int | None) else plain(value, 200)


def _object(content: bytes | None) -> Mapping[str, Any] | None:
    try:
        read: object = json.loads(content or b"null")
    except (ValueError, RecursionError):
        return None
    return cast(Mapping[str, Any], read) if isinstance(read, dict) else None


def _moment(at: object) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat() if isinstance(at, int | float) else None
