"""Rows of the journal: entries inserted and changed, each change with its event; payments; and what a purge forgets.

Each function is one step inside a transaction.

A purge forgets what was ordered and where it went, once an order is over and old enough. Digests, money, states (ours
and Zinc's), times, ids, the retailer, a payment's method and reference, and who answered a question, where and when,
stay. A purge keeps only the names that are listed here, so it also forgets everything that later versions add.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any, cast

import sqlalchemy as sa
from pydantic import SecretStr

from zinc_mcp.journal.clocks import FREE
from zinc_mcp.journal.decision import pause_of
from zinc_mcp.journal.entry import CHANGES, Draft, Entry, Event, Mode, StaleEntryError, State, UnreadableEntryError
from zinc_mcp.journal.money import CREDITED_THEN, OWNERS_WORD, Payment
from zinc_mcp.journal.sqlite import execute
from zinc_mcp.journal.tables import (
    ENTRIES,
    EVENTS,
    FORGETTABLE,
    IS_CHANGE,
    IS_OF_THIS_VERSION,
    IS_ORDER,
    JSON,
    META,
    MOST_SECONDS,
    NEAR_TWINS,
    PAYMENTS,
    check_now,
    entry_of,
    number_or_none,
    rows_of,
)

SLICE = 200
"""Entries that one transaction of a purge forgets: others wait for it. A question is at most 256 KB of each."""
PAUSE_SECONDS = 0.12
"""The pause between two slices. SQLite looks at a lock more often than that, so a process that waits gets it first."""

_KEPT: Mapping[str, frozenset[str]] = {
    "facts": frozenset({"retailer", "action", "zinc_id", OWNERS_WORD, CREDITED_THEN}),
    "consent": frozenset({"how", "id", "digest", "decision", "until", "zinc_until"}),
    "problem": frozenset({"code", "summary"}),
}
"""By column of JSON: the members that a purge keeps. A `summary` is always a sentence of ours."""
_KEPT_OF_RECOVERY = ("method", "reference")
"""The proof of a payment towards its recipient. The reference is the receipt's, otherwise the wallet's own."""
_KEPT_OF_EVENTS = frozenset({"reserved_cents", "refunded_cents", "order_id", "bought"})

_OF_DRAFT = tuple(each.name for each in fields(Draft) if each.name in ENTRIES.c)
"""The columns that an entry takes from its draft as they are."""
_BLANK: Mapping[str, Any] = dict.fromkeys(ENTRIES.c.keys())

# Built once: building a query takes longer than SQLite does to answer it.
_ONE = sa.select(ENTRIES).where(ENTRIES.c.id == sa.bindparam("id"))
_ONE_TO_CHANGE = _ONE.with_for_update()
_INSERTED = sa.insert(ENTRIES).returning(ENTRIES.c.id)
_CHANGED = sa.update(ENTRIES).where(
    ENTRIES.c.id == sa.bindparam("this_id"),
    ENTRIES.c.version == sa.bindparam("this_version"),
    IS_OF_THIS_VERSION,
)
_APPENDED = sa.insert(EVENTS)
_RESEMBLING = sa.insert(NEAR_TWINS)
_NAMED: sa.BindParameter[str] = sa.bindparam("handle", type_=sa.String())
_FOLDED: sa.BindParameter[str] = sa.bindparam("folded", type_=sa.String())
_META = sa.select(META.c.value).where(META.c.name == sa.bindparam("name"))
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


def one(entry_id: int, *, to_change: bool = False) -> tuple[sa.Select[Any], Mapping[str, Any]]:
    """Return the query for one entry and its values; `to_change` locks the row, so that nobody else changes it."""
    return (_ONE_TO_CHANGE if to_change else _ONE), {"id": entry_id}


def found(handle: str, caller: str | None, mode: Mode | None) -> tuple[sa.Select[Any], Mapping[str, Any]]:
    """Return the query for the entry with this order id, otherwise for the newest with this key, and its values."""
    asked = {"handle": handle, "folded": handle.lower(), "caller": caller, "mode": mode}
    given = {name: value for name, value in asked.items() if value is not None}
    return _found(frozenset(given)), given


@cache
def _found(given: frozenset[str]) -> sa.Select[Any]:
    # Zinc's ids are UUIDs, which are compared without case.
    is_its_id = sa.or_(ENTRIES.c.order_id == _NAMED, ENTRIES.c.order_id == _FOLDED)
    query = sa.select(ENTRIES).where(sa.or_(ENTRIES.c.key == _NAMED, is_its_id), IS_ORDER)
    for name in sorted(given - {"handle", "folded"}):
        query = query.where(ENTRIES.c[name] == sa.bindparam(name))
    by_its_id = sa.case((is_its_id, 0), else_=1)
    return query.order_by(by_its_id, ENTRIES.c.id.desc()).limit(1)


_ANY_CHANGE = (
    sa.select(ENTRIES.c.id)
    .where(*(ENTRIES.c[name] == sa.bindparam(name) for name in ("order_id", "caller", "mode")), IS_CHANGE)
    .limit(1)
)


def any_change(order_id: str, caller: str, mode: Mode) -> tuple[sa.Select[Any], Mapping[str, Any]]:
    """Return the query for one change of an order, and its values."""
    return _ANY_CHANGE, {"order_id": order_id, "caller": caller, "mode": mode}


def read(connection: sa.Connection, entry_id: int) -> Entry:
    """Read one entry.

    Raises:
        UnreadableEntryError: its row holds what no version of this program writes.
    """
    return entry_of(connection.execute(*one(entry_id)).one())


def insert(
    connection: sa.Connection,
    draft: Draft,
    key: str,
    now: float,
    *,
    zinc_at: float | None = None,
    lease: Mapping[str, Any] = FREE,
    sending: Mapping[str, Any] | None = None,
) -> Entry:
    """Insert an entry with its reservation: waiting, or with what changes when it is sent, as being sent."""
    values: dict[str, Any] = {
        **{name: getattr(draft, name) for name in _OF_DRAFT},
        "key": key,
        "body": draft.to_bytes(key),
        "state": "waiting",
        "version": 1,
        **lease,
        "reserved_cents": draft.reserved_cents,
        "counts_cents": draft.reserved_cents,
        "attempts": 0,
        "opened_at": now,
        "counted_at": now if zinc_at is None else max(now, zinc_at),
        "updated_at": now,
        "zinc_at": zinc_at,
    }
    if sending is not None:
        values |= {**sending, "state": "sending", "version": 2}
    (entry_id,) = execute(connection, _INSERTED, _written(values)).fetchone()
    for digest in draft.near:
        execute(connection, _RESEMBLING, {"digest": digest, "entry_id": entry_id})
    whole: dict[str, Any] = {**_BLANK, **values, "id": entry_id}
    entry = Entry(**whole)
    opened = Event(entry.id, 1, now, "waiting", "opened", {"reserved_cents": draft.reserved_cents})
    sent = [] if sending is None else [Event(entry.id, 2, now, "sending", "sending", {})]
    append(connection, opened, *sent)
    return entry


def change(
    connection: sa.Connection,
    entry: Entry,
    state: State,
    what: str,
    detail: Mapping[str, Any],
    changes: Mapping[str, Any],
    now: float,
) -> Entry:
    """Move an entry on from exactly the version given, and write down the event.

    Raises:
        StaleEntryError: it is not at that version any more.
        JournalError: a newer version of this program has changed the journal's schema.
    """
    version = entry.version + 1
    values = {**_written(changes), "state": state, "version": version, "updated_at": now}
    given = {f"new_{name}": value for name, value in values.items()}
    exactly = {"this_id": entry.id, "this_version": entry.version}
    if execute(connection, _changing(frozenset(values)), {**given, **exactly}).rowcount == 0:
        check_now(connection)
        raise StaleEntryError(read(connection, entry.id))
    append(connection, Event(entry.id, version, now, state, what, detail))
    # At that version the row was equal to `entry`, so it need not be read again.
    return replace(entry, state=state, version=version, updated_at=now, **changes)


def _written(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if name in JSON and value is not None else value for name, value in changes.items()}


@cache
def _changing(columns: frozenset[str]) -> sa.Update:
    return _CHANGED.values({name: sa.bindparam(f"new_{name}") for name in sorted(columns)})


def append(connection: sa.Connection, *happened: Event) -> None:
    """Write down events."""
    for each in happened:
        written = {
            "entry_id": each.entry_id,
            "version": each.version,
            "at": each.at,
            "state": each.state,
            "what": each.what[:80],
            "detail": json.dumps(dict(each.detail)),
        }
        execute(connection, _APPENDED, written)


def events(connection: sa.Connection, entry_id: int) -> list[Event]:
    """Read what happened to an entry, in order."""
    query = sa.select(EVENTS).where(EVENTS.c.entry_id == entry_id).order_by(EVENTS.c.version)
    return rows_of(connection, query, None, (EVENTS.c.entry_id, EVENTS.c.version), _event_of)


def _event_of(row: Sequence[Any]) -> Event:
    entry_id, version, at, state, what, detail = row
    known: object = json.loads(detail)
    if not isinstance(known, dict) or not isinstance(what, str) or not abs(at) < MOST_SECONDS:
        raise ValueError
    return Event(entry_id, version, at, state, what, cast(dict[str, Any], known))


def meta(connection: sa.Connection, name: str) -> str | None:
    """Read a value that belongs to the journal as a whole."""
    return connection.execute(_META, {"name": name}).scalar_one_or_none()


def set_meta(connection: sa.Connection, name: str, value: str | None) -> None:
    """Set or remove a value that belongs to the journal as a whole."""
    connection.execute(sa.delete(META).where(META.c.name == name))
    if value is not None:
        connection.execute(sa.insert(META), {"name": name, "value": value})


def why_paused(connection: sa.Connection, entry: Entry) -> str | None:
    """Return why an entry may not be sent: everything is paused, or its caller on its rail."""
    # A pause of one caller on one rail is about money that was charged: a return or a report may be the answer to it.
    own = "paused" if entry.kind in CHANGES else pause_of(entry.caller, entry.mode, entry.rail)
    query = sa.select(META.c.value).where(META.c.name.in_(["paused", own])).order_by(META.c.name).limit(1)
    return connection.execute(query).scalar_one_or_none()


def read_payment(connection: sa.Connection, entry_id: int, *, to_change: bool = False) -> Payment | None:
    """Read an entry's payment, or None when its wallet was never asked; `to_change` holds the row meanwhile.

    Raises:
        UnreadableEntryError: there is one, and what it holds cannot be read.
    """
    query = sa.select(PAYMENTS).where(PAYMENTS.c.entry_id == entry_id)
    row = connection.execute(query.with_for_update() if to_change else query).first()
    if row is None:
        return None
    try:
        recovery: object = json.loads(row.recovery)
        if not isinstance(recovery, dict) or not all(isinstance(each, str | None) for each in (row[2], row[5])):
            raise ValueError
        return Payment(
            entry_id=entry_id,
            asked_at=number_or_none(row.asked_at) or 0.0,
            credential=None if row.credential is None else SecretStr(row.credential),
            settle_by=number_or_none(row.settle_by),
            recovery=cast(dict[str, Any], recovery),
            order_key=None if row.order_key is None else SecretStr(row.order_key),
        )
    except (ValueError, TypeError, RecursionError):
        raise UnreadableEntryError(entry_id, "its payment") from None


def forget_credential(connection: sa.Connection, entry_id: int, *, never_left: bool = False) -> None:
    """Forget the credential of an entry that has ended, or whose end the owner has stated.

    `never_left`: the credential was never sent, so it cannot settle, and its end is forgotten as well.
    """
    values: dict[str, Any] = {"credential": None, **({"settle_by": None} if never_left else {})}
    connection.execute(sa.update(PAYMENTS).where(PAYMENTS.c.entry_id == entry_id).values(values))


def write_payment(connection: sa.Connection, payment: Payment) -> None:
    """Write an entry's payment as it is now."""
    values = {
        "entry_id": payment.entry_id,
        "asked_at": payment.asked_at,
        "credential": None if payment.credential is None else payment.credential.get_secret_value(),
        "settle_by": payment.settle_by,
        "recovery": json.dumps(dict(payment.recovery)),
        "order_key": None if payment.order_key is None else payment.order_key.get_secret_value(),
    }
    done = connection.execute(sa.update(PAYMENTS).where(PAYMENTS.c.entry_id == payment.entry_id).values(values))
    if done.rowcount == 0:
        connection.execute(sa.insert(PAYMENTS), values)


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
        query = query.with_for_update(skip_locked=True)  # a process that holds one is moving it on
    found: list[tuple[Any, ...]] = [tuple(row) for row in connection.execute(query)]
    if not found:
        return 0
    left = [{"this_id": row[0], "now": now, **{f"new_{name}": text for name, text in _left(row[3:])}} for row in found]
    connection.execute(_FORGOTTEN, left)
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
