"""The purge of a journal: the facts that it forgets, and those that it keeps.

It forgets the products and the address of an order that is over and old enough. It keeps digests, money, states (ours
and Zinc's), times, ids, the retailer, the account there, and a payment's method and reference. Of an answered question
it keeps the person, the place and the time. It keeps only the names that are listed here, so it also forgets everything
that later versions add.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from zinc_mcp.journal.records.entry import ADOPTED
from zinc_mcp.journal.records.money import CREDITED_THEN, OWNERS_WORD
from zinc_mcp.journal.storage.tables import ENTRIES, EVENTS, FORGETTABLE, PAYMENTS, SCHEMA_VERSION

SLICE = 200
"""The number of entries that one transaction of a purge forgets. Other processes wait for it, and the question of one
entry alone has up to 256 KB."""

PAUSE_SECONDS = 0.12
"""The pause between two slices. SQLite looks at a lock more often than that, so a process that waits gets it first."""

_KEPT: Mapping[str, frozenset[str]] = {
    "facts": frozenset({"retailer", "retailer_account", "action", "zinc_id", ADOPTED, OWNERS_WORD, CREDITED_THEN}),
    "consent": frozenset({"how", "id", "digest", "decision", "until", "zinc_until"}),
    "problem": frozenset({"code", "summary"}),
}
"""By column of JSON: the members that a purge keeps. A `summary` is always a sentence of ours."""

_KEPT_OF_RECOVERY = ("method", "reference")
"""The proof of a payment towards its recipient. The reference is the receipt's, otherwise the wallet's own."""

_KEPT_OF_EVENTS = frozenset({"reserved_cents", "refunded_cents", "order_id", "bought"})

_OVER = frozenset({"placed", "failed", "cancelled", "rejected", "refused", "declined"})

_FORGOTTEN = (
    sa.update(ENTRIES)
    .where(ENTRIES.c.id == sa.bindparam("this_id"))
    .values(
        body=None,
        version=ENTRIES.c.version + 1,
        updated_at=sa.bindparam("now"),
        **{name: sa.bindparam(f"new_{name}") for name in _KEPT},
    )
)


def forget_slice(connection: sa.Connection, before: float | None, now: float, caller: str | None = None) -> int:
    """Forget the content of at most `SLICE` entries that are over; return their number, which is 0 if none is left.

    It runs inside a writing transaction.

    Args:
        connection: the one with the transaction.
        before: only entries that were last changed before this time; None: entries of any age.
        now: the present time, for the events.
        caller: only entries of this caller; None: those of all callers.
    """
    query: sa.Select[Any] = (
        sa.select(ENTRIES.c.id, ENTRIES.c.version, ENTRIES.c.state, *_texts(connection))
        .where(FORGETTABLE)
        .order_by(ENTRIES.c.updated_at)
        .limit(SLICE)
    )
    if before is not None:
        query = query.where(ENTRIES.c.updated_at < before)
    if caller is not None:
        query = query.where(ENTRIES.c.caller == caller)
    if connection.dialect.name != "sqlite":
        query = query.with_for_update(skip_locked=True)  # a process that holds one is moving it on
    found: list[tuple[Any, ...]] = [tuple(row) for row in connection.execute(query)]
    if not found:
        return 0
    left = [{"this_id": row[0], "now": now, **{f"new_{name}": text for name, text in _left(row[3:])}} for row in found]
    connection.execute(_FORGOTTEN, left)
    purged = {"at": now, "what": "purged", "detail": "{}", "writer": SCHEMA_VERSION}
    events = [{"entry_id": row[0], "version": row[1] + 1, "state": row[2], **purged} for row in found]
    connection.execute(sa.insert(EVENTS), events)
    forget_rest(connection, [row[0] for row in found])
    return len(found)


def rename_slice(connection: sa.Connection, caller: str, renamed: str, now: float, after: int) -> int | None:
    """Give some of a caller's entries another caller, where they are over and purged, and rename their decisions.

    It begins after the entry `after`, and returns the last one that it looked at, or None when none is left. A caller
    is named in their own entries, and in those of others that they decided about.
    """
    own = ENTRIES.c.caller == caller
    decided = ENTRIES.c.consent.contains(json.dumps(caller), autoescape=True)
    query = sa.select(
        ENTRIES.c.id, ENTRIES.c.version, ENTRIES.c.state, ENTRIES.c.caller, ENTRIES.c.body, ENTRIES.c.consent
    )
    query = query.where(ENTRIES.c.id > after, sa.or_(own, decided)).order_by(ENTRIES.c.id).limit(SLICE)
    found = connection.execute(query).fetchall()
    for entry_id, version, state, whose, body, consent in found:
        is_over = whose == caller and state in _OVER and body is None
        if whose == caller and not is_over:
            continue
        values = {"caller": renamed if is_over else whose, "consent": _renamed(consent, caller, renamed)}
        this = (ENTRIES.c.id == entry_id, ENTRIES.c.version == version)
        connection.execute(sa.update(ENTRIES).where(*this).values(**values, version=version + 1))
        event = {"entry_id": entry_id, "version": version + 1, "state": state, "at": now, "what": "forgotten"}
        connection.execute(sa.insert(EVENTS), {**event, "detail": "{}", "writer": SCHEMA_VERSION})
    return found[-1][0] if found else None


def _renamed(consent: str | None, caller: str, renamed: str) -> str | None:
    parts = _parts(consent)
    decision: object = None if parts is None else parts.get("decision")
    if parts is None or not isinstance(decision, dict):
        return consent
    kept = cast(dict[str, Any], decision)
    if kept.get("by", caller) == caller:
        name = renamed.partition("#")[0]
        parts["decision"] = {**kept, "who": name, **({"by": renamed} if "by" in kept else {})}
    return json.dumps(parts)


def forget_again(connection: sa.Connection) -> None:
    """Forget what purges of earlier versions left behind."""
    over = sa.and_(ENTRIES.c.body.is_(None), ENTRIES.c.state.not_in(["paid_no_order", "unknown", "accepted"]))
    after = 0
    while True:
        query = sa.select(ENTRIES.c.id, *_texts(connection)).where(over, ENTRIES.c.id > after)
        found = connection.execute(query.order_by(ENTRIES.c.id).limit(SLICE)).fetchall()
        if not found:
            return
        changed = sa.update(ENTRIES).where(ENTRIES.c.id == sa.bindparam("this_id"))
        left = [{"this_id": row[0], **dict(_left(row[1:]))} for row in found]
        connection.execute(changed.values({name: sa.bindparam(name) for name in _KEPT}), left)
        forget_rest(connection, [row[0] for row in found])
        after = found[-1][0]


def forget_rest(connection: sa.Connection, ids: Sequence[int]) -> None:
    """Forget the keys and credentials of entries, and all that their payments and events hold except ids and money."""
    recoveries = sa.select(PAYMENTS.c.entry_id, _as_read(connection, PAYMENTS.c.recovery))
    payments = [
        {"of": entry_id, "new_recovery": json.dumps(_left_of_recovery(_parts(text) or {}))}
        for entry_id, text in connection.execute(recoveries.where(PAYMENTS.c.entry_id.in_(ids)))
    ]
    if payments:
        forgotten = sa.update(PAYMENTS).where(PAYMENTS.c.entry_id == sa.bindparam("of"))
        none = {"order_key": None, "credential": None}
        connection.execute(forgotten.values(recovery=sa.bindparam("new_recovery"), **none), payments)
    detail = _as_read(connection, EVENTS.c.detail)
    query = sa.select(EVENTS.c.entry_id, EVENTS.c.version, detail).where(EVENTS.c.entry_id.in_(ids))
    rest: list[dict[str, Any]] = []
    for entry_id, version, text in connection.execute(query):
        parts = _parts(text)
        if parts is None or not parts.keys() <= _KEPT_OF_EVENTS:
            kept = {name: part for name, part in (parts or {}).items() if name in _KEPT_OF_EVENTS}
            rest.append({"of": entry_id, "this_version": version, "new_detail": json.dumps(kept)})
    if rest:
        this = (EVENTS.c.entry_id == sa.bindparam("of"), EVENTS.c.version == sa.bindparam("this_version"))
        connection.execute(sa.update(EVENTS).where(*this).values(detail=sa.bindparam("new_detail")), rest)


def _left(texts: Sequence[Any]) -> list[tuple[str, str | None]]:
    """Return what stays of an entry's columns of JSON; nothing of one that cannot be read."""
    left: list[tuple[str, str | None]] = []
    for (name, kept), text in zip(_KEPT.items(), texts, strict=True):
        parts = {key: part for key, part in (_parts(text) or {}).items() if key in kept}
        left.append((name, json.dumps(parts) if parts or name == "facts" else None))
    return left


def _left_of_recovery(recovery: Mapping[str, Any]) -> dict[str, Any]:
    proof = {**recovery, "reference": recovery.get("receipt") or recovery.get("reference")}
    return {name: proof[name] for name in _KEPT_OF_RECOVERY if isinstance(proof.get(name), str)}


def _parts(text: str | bytes | None) -> dict[str, Any] | None:
    try:
        value: object = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, Any], value) if isinstance(value, dict) else None


def _texts(connection: sa.Connection) -> list[sa.ColumnElement[Any]]:
    return [_as_read(connection, ENTRIES.c[name]) for name in _KEPT]


def _as_read(connection: sa.Connection, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    # SQLite may hold bytes that are no text. Read as bytes they cause no failure, and are forgotten.
    return sa.cast(column, sa.LargeBinary) if connection.dialect.name == "sqlite" else column
