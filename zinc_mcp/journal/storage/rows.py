"""Rows of the journal: entries inserted and changed, each change with its event; and payments.

Each function is one step inside a transaction.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any, cast

import sqlalchemy as sa
from pydantic import SecretStr

from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.decision import pause_of
from zinc_mcp.journal.records.entry import (
    CHANGES,
    Draft,
    Entry,
    Event,
    StaleEntryError,
    State,
    UnreadableEntryError,
)
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.storage.reading import one
from zinc_mcp.journal.storage.sqlite import execute
from zinc_mcp.journal.storage.tables import (
    COLUMNS,
    ENTRIES,
    EVENTS,
    IS_OF_THIS_VERSION,
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

_OF_DRAFT = tuple(each.name for each in fields(Draft) if each.name in ENTRIES.c)
"""The columns that an entry takes from its draft as they are."""
_BLANK: Mapping[str, Any] = dict.fromkeys(COLUMNS)

# Built once: building a query takes longer than SQLite does to answer it.
_INSERTED = sa.insert(ENTRIES).returning(ENTRIES.c.id)
_CHANGED = sa.update(ENTRIES).where(
    ENTRIES.c.id == sa.bindparam("this_id"),
    ENTRIES.c.version == sa.bindparam("this_version"),
    IS_OF_THIS_VERSION,
)
_APPENDED = sa.insert(EVENTS)
_RESEMBLING = sa.insert(NEAR_TWINS)
_META = sa.select(META.c.value).where(META.c.name == sa.bindparam("name"))


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
    # A column without a value is NULL anyhow, and the driver takes long to find out how to bind None.
    given = {name: value for name, value in _written(values).items() if value is not None}
    (entry_id,) = execute(connection, _INSERTED, given).fetchone()
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
