"""Forgetting what was ordered and where it went, once an order is over and old enough.

Digests, money, states (ours and Zinc's), times, ids, the shop, a payment's method and reference, and who answered a
question, where and when, stay. Everything else that stands in an entry, in its events and in its payment is
forgotten: what stays is named here, so that whatever is written down later is forgotten as well.

It goes by slices, each a short transaction of its own with a pause after it, so that orders are placed meanwhile, and
bodies are never read.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from zinc_mcp.journal.money import OWNERS_WORD
from zinc_mcp.journal.tables import ENTRIES, EVENTS, FORGETTABLE, PAYMENTS

SLICE = 200
"""Entries of one transaction: as long as others wait for it at most. A question is at most 256 KB of each."""
PAUSE_SECONDS = 0.12
"""Between two slices. Longer than SQLite lets pass between two looks at a lock: whoever waits gets it first."""

_KEPT: Mapping[str, frozenset[str]] = {
    "facts": frozenset({"retailer", OWNERS_WORD}),
    "consent": frozenset({"how", "id", "digest", "decision", "until", "zinc_until"}),
    "problem": frozenset({"code", "summary"}),
}
"""What stays of the columns of JSON. A `summary` is always a sentence of ours."""
_KEPT_OF_RECOVERY = ("method", "reference")
"""What proves a payment to whoever took it. The reference is the receipt's, otherwise the wallet's own."""
_KEPT_OF_EVENTS = frozenset({"reserved_cents", "refunded_cents", "order_id", "bought"})

_CHANGED = (
    sa.update(ENTRIES)
    .where(ENTRIES.c.id == sa.bindparam("this_id"))
    .values(
        body=None,
        version=ENTRIES.c.version + 1,
        updated_at=sa.bindparam("now"),
        **{name: sa.bindparam(f"new_{name}") for name in _KEPT},
    )
)


def forget_slice(connection: sa.Connection, before: float, now: float) -> int:
    """Forget the content of some entries that are over and were last changed before then; return of how many.

    Runs inside a writing transaction; 0 means that none is left.
    """
    query: sa.Select[Any] = (
        sa.select(ENTRIES.c.id, ENTRIES.c.version, ENTRIES.c.state, *_texts(connection))
        .where(FORGETTABLE, ENTRIES.c.updated_at < before)
        .order_by(ENTRIES.c.updated_at)
        .limit(SLICE)
    )
    if connection.dialect.name != "sqlite":
        query = query.with_for_update(skip_locked=True)  # whoever holds one moves it on just now
    found: list[tuple[Any, ...]] = [tuple(row) for row in connection.execute(query)]
    if not found:
        return 0
    left = [{"this_id": row[0], "now": now, **{f"new_{name}": text for name, text in _left(row[3:])}} for row in found]
    connection.execute(_CHANGED, left)
    purged = {"at": now, "what": "purged", "detail": "{}"}
    events = [{"entry_id": row[0], "version": row[1] + 1, "state": row[2], **purged} for row in found]
    connection.execute(sa.insert(EVENTS), events)
    forget_rest(connection, [row[0] for row in found])
    return len(found)


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
    """Forget the keys and credentials of entries, and what their payments and events hold beside ids and money."""
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
    # SQLite keeps text that is none: as bytes it is read in any case, and forgotten.
    return sa.cast(column, sa.LargeBinary) if connection.dialect.name == "sqlite" else column
