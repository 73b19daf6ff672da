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
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect

from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.entry import Draft, Entry, Event, StaleEntryError, State, UnreadableEntryError
from zinc_mcp.journal.records.known import Marks, check_known
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.records.sealing import Sealing
from zinc_mcp.journal.storage import sqlite
from zinc_mcp.journal.storage.postgresql import Asked
from zinc_mcp.journal.storage.reading import one
from zinc_mcp.journal.storage.statements import ask, first, is_sqlite, write
from zinc_mcp.journal.storage.tables import (
    ADDRESSES,
    COLUMNS,
    ENTRIES,
    EVENTS,
    IS_KNOWN,
    IS_WRITABLE,
    JSON,
    MEMBERS,
    META,
    MOST_SECONDS,
    NEAR_TWINS,
    PAYMENTS,
    SCHEMA_VERSION,
    entry_of,
    number_or_none,
    rows_of,
)
from zinc_mcp.journal.storage.version import check_now

_OF_DRAFT = tuple(each.name for each in fields(Draft) if each.name in ENTRIES.c)
"""The columns that an entry takes from its draft as they are."""
_BLANK: Mapping[str, Any] = dict.fromkeys(COLUMNS)

# Built once: building a query takes longer than SQLite does to answer it.
_GIVEN = sa.insert(ENTRIES)
_INSERTED = _GIVEN.returning(ENTRIES.c.id)
_CHANGED = sa.update(ENTRIES).where(
    ENTRIES.c.id == sa.bindparam("this_id"),
    ENTRIES.c.version == sa.bindparam("this_version"),
    IS_WRITABLE,
)
_APPENDED = sa.insert(EVENTS)
_RESEMBLING = sa.insert(NEAR_TWINS)
_NEXT_ID = sa.select(sa.text("nextval(pg_get_serial_sequence('zinc_entries', 'id'))"))
_NO_META = sa.delete(META).where(META.c.name == sa.bindparam("this_name"))
_NEW_META = sa.insert(META)
MEMBERS_REVISION = "members"
"""The name under which the revision of the team's members is kept (`shared.members`)."""
_MARK = sa.select(MEMBERS.c.mark).where(MEMBERS.c.caller == sa.bindparam("caller"))
_META = sa.select(META.c.value).where(META.c.name == sa.bindparam("name"))


_OF_PAYMENT = PAYMENTS.c.entry_id == sa.bindparam("this_id")
_FORGOTTEN = sa.update(PAYMENTS).where(_OF_PAYMENT).values(credential=sa.null())
_FORGOTTEN_AS_UNSENT = _FORGOTTEN.values(settle_by=sa.null())
_PAYMENT = sa.select(PAYMENTS).where(PAYMENTS.c.entry_id == sa.bindparam("this_id"))
_PAYMENT_TO_CHANGE = _PAYMENT.with_for_update()


def _written_over(insert: "sqlite_dialect.Insert | postgresql_dialect.Insert") -> sa.Insert:
    """Return the insertion of a payment that takes the place of the one that is there."""
    rest = [name for name in PAYMENTS.c.keys() if name != "entry_id"]
    return insert.on_conflict_do_update(
        index_elements=["entry_id"], set_={name: insert.excluded[name] for name in rest}
    )


_PAID = _written_over(postgresql_dialect.insert(PAYMENTS))
_PAID_ON_SQLITE = _written_over(sqlite_dialect.insert(PAYMENTS))


def read(connection: sa.Connection, entry_id: int) -> Entry:
    """Read one entry.

    Raises:
        UnreadableEntryError: its row holds what no version of this program writes.
    """
    row = first(connection, *one(entry_id))
    if row is None:
        raise sa_exc.NoResultFound
    return entry_of(row)


def next_id(connection: sa.Connection) -> Asked | None:
    """Ask for the id of an entry that may be inserted; None on SQLite, where the insertion tells it at once."""
    return None if is_sqlite(connection) else ask(connection, _NEXT_ID, {})


def insert(
    connection: sa.Connection,
    draft: Draft,
    key: str,
    now: float,
    *,
    zinc_at: float | None = None,
    lease: Mapping[str, Any] = FREE,
    sending: Mapping[str, Any] | None = None,
    its_id: Asked | None = None,
) -> Entry:
    """Insert an entry with its reservation: it is waiting, or being sent if `sending` has the columns for that.

    `its_id` is the answer to `next_id`, if that was asked before other reads.
    """
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
    bound = {name: value for name, value in _written(values).items() if value is not None}
    if (asked := its_id or next_id(connection)) is None:
        [(entry_id,)] = sqlite.execute(connection, _INSERTED, bound).fetchall()
    else:
        [(entry_id,)] = asked.rows()
        write(connection, _GIVEN, {"id": entry_id, **bound})
    for digest in draft.near:
        write(connection, _RESEMBLING, {"digest": digest, "entry_id": entry_id})
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
    marks: Marks | None = None,
    by: str | None = None,
) -> Entry:
    """Move an entry on from exactly the version given, and write down the event.

    `marks`: of this process, where the caller who asks for it must be known here as in the journal. That is `by`, or
    the entry's own one. The update compares the marks itself.

    Raises:
        StaleEntryError: it is not at that version any more.
        RefusedError: as `check_known`.
        JournalError: only a newer version of this program may use the journal.
    """
    version = entry.version + 1
    values = {**_written(changes), "state": state, "version": version, "updated_at": now}
    given = {f"new_{name}": value for name, value in values.items()}
    exactly: dict[str, Any] = {"this_id": entry.id, "this_version": entry.version}
    if marks is not None:
        exactly |= {"this_caller": by or entry.caller, "this_mark": marks(by or entry.caller)}
    statement = _changing(frozenset(values), is_known=marks is not None)
    write(connection, statement, {**given, **exactly}, lambda after: _moved_on(after, entry, marks, by or entry.caller))
    append(connection, Event(entry.id, version, now, state, what, detail))
    # At that version the row was equal to `entry`, so it need not be read again.
    return replace(entry, state=state, version=version, updated_at=now, **changes)


def _moved_on(connection: sa.Connection, entry: Entry, marks: Marks | None, by: str) -> None:
    check_now(connection)
    if marks is not None:
        row = first(connection, _MARK, {"caller": by})
        check_known(marks, by, None if row is None else row[0])
    raise StaleEntryError(read(connection, entry.id))


def _written(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if name in JSON and value is not None else value for name, value in changes.items()}


@cache
def _changing(columns: frozenset[str], *, is_known: bool) -> sa.Update:
    exactly = _CHANGED.where(IS_KNOWN) if is_known else _CHANGED
    return exactly.values({name: sa.bindparam(f"new_{name}") for name in sorted(columns)})


def append(connection: sa.Connection, *happened: Event) -> None:
    """Write down events."""
    for each in happened:
        written = {
            "entry_id": each.entry_id,
            "version": each.version,
            "at": each.at,
            "state": each.state,
            "what": each.what[:80],
            "detail": json.dumps(dict(each.detail)) if each.detail else "{}",
            "writer": SCHEMA_VERSION,
        }
        write(connection, _APPENDED, written)


def events(connection: sa.Connection, entry_id: int) -> list[Event]:
    """Read what happened to an entry, in order."""
    told = [column for column in EVENTS.c if column.name != "writer"]
    query = sa.select(*told).where(EVENTS.c.entry_id == entry_id).order_by(EVENTS.c.version)
    return rows_of(connection, query, None, (EVENTS.c.entry_id, EVENTS.c.version), _event_of)


def _event_of(row: Sequence[Any]) -> Event:
    entry_id, version, at, state, what, detail = row
    known: object = json.loads(detail)
    if not isinstance(known, dict) or not isinstance(what, str) or not abs(at) < MOST_SECONDS:
        raise ValueError
    return Event(entry_id, version, at, state, what, cast(dict[str, Any], known))


def meta(connection: sa.Connection, name: str) -> str | None:
    """Read a value that belongs to the journal as a whole."""
    row = first(connection, _META, {"name": name})
    return None if row is None else row[0]


def set_meta(connection: sa.Connection, name: str, value: str | None) -> None:
    """Set or remove a value that belongs to the journal as a whole."""
    write(connection, _NO_META, {"this_name": name})
    if value is not None:
        write(connection, _NEW_META, {"name": name, "value": value})


def read_payment(
    connection: sa.Connection, entry_id: int, sealing: Sealing, *, to_change: bool = False
) -> Payment | None:
    """Read an entry's payment, or None when its wallet was never asked; `to_change` holds the row meanwhile.

    Raises:
        UnreadableEntryError: there is one, and what it holds cannot be read.
        JournalError: a secret in it is sealed with a key that is not known here.
    """
    row = first(connection, _PAYMENT_TO_CHANGE if to_change else _PAYMENT, {"this_id": entry_id})
    if row is None:
        return None
    _, asked_at, credential, settle_by, kept, order_key = row
    try:
        recovery: object = json.loads(kept)
        if not isinstance(recovery, dict) or not all(isinstance(each, str | None) for each in (credential, order_key)):
            raise ValueError
        return Payment(
            entry_id=entry_id,
            asked_at=number_or_none(asked_at) or 0.0,
            credential=_opened(credential, entry_id, "credential", sealing),
            settle_by=number_or_none(settle_by),
            recovery=cast(dict[str, Any], recovery),
            order_key=_opened(order_key, entry_id, "order_key", sealing),
        )
    except (ValueError, TypeError, RecursionError):
        raise UnreadableEntryError(entry_id, "its payment") from None


def forget_credential(connection: sa.Connection, entry_id: int, *, never_left: bool = False) -> None:
    """Forget the credential of an entry that has ended, or whose end the owner has stated.

    `never_left`: the credential was never sent, so it cannot settle, and its end is forgotten as well.
    """
    write(connection, _FORGOTTEN_AS_UNSENT if never_left else _FORGOTTEN, {"this_id": entry_id})


def write_payment(connection: sa.Connection, payment: Payment, sealing: Sealing) -> None:
    """Write an entry's payment as it is now, its secrets sealed."""
    values = {
        "entry_id": payment.entry_id,
        "asked_at": payment.asked_at,
        "credential": _sealed(payment.credential, payment.entry_id, "credential", sealing),
        "settle_by": payment.settle_by,
        "recovery": json.dumps(dict(payment.recovery)),
        "order_key": _sealed(payment.order_key, payment.entry_id, "order_key", sealing),
    }
    write(connection, _PAID_ON_SQLITE if is_sqlite(connection) else _PAID, values)


def _sealed(secret: SecretStr | None, entry_id: int, column: str, sealing: Sealing) -> str | None:
    return None if secret is None else sealing.seal(secret.get_secret_value(), _place(column, entry_id))


def _opened(kept: str | None, entry_id: int, column: str, sealing: Sealing) -> SecretStr | None:
    return None if kept is None else SecretStr(sealing.open(kept, _place(column, entry_id)))


def _place(column: str, entry_id: int) -> str:
    return f"{PAYMENTS.name}.{column}.{entry_id}"


def seal_payments_anew(
    connection: sa.Connection, after: int, limit: int, sealing: Sealing
) -> tuple[int, list[int], int | None]:
    """Seal the secrets of the next payments after an entry's id as `sealing` would keep them now.

    A secret that another process changes meanwhile is left: that process has sealed it.

    Returns:
        The number of secrets that were sealed anew, the entries of those that cannot be read, and the id of the last
        entry that was looked at; None when there is none left.

    Raises:
        JournalError: a secret is sealed with a key that is not known here.
    """
    secrets = [column for column in PAYMENTS.c if column.info.get("secret")]
    wanted = sa.select(PAYMENTS.c.entry_id, *secrets).where(
        PAYMENTS.c.entry_id > after, sa.or_(*(column.is_not(None) for column in secrets))
    )
    found = connection.execute(wanted.order_by(PAYMENTS.c.entry_id).limit(limit)).all()
    count, unreadable = 0, list[int]()
    for entry_id, *texts in found:
        for column, kept in zip(secrets, texts, strict=True):
            if kept is None or sealing.is_newest(kept):
                continue
            place = _place(column.name, entry_id)
            try:
                new = sealing.seal(sealing.open(kept, place), place)
            except ValueError:
                unreadable.append(entry_id)
                continue
            change = sa.update(PAYMENTS).where(PAYMENTS.c.entry_id == entry_id, column == kept)
            count += connection.execute(change.values({column.name: new})).rowcount
    return count, unreadable, found[-1][0] if found else None


def addresses(connection: sa.Connection) -> dict[str, Mapping[str, Any]]:
    """Return the addresses that the owner saved in the journal, by name, without those that cannot be read."""
    return dict(rows_of(connection, sa.select(ADDRESSES), None, (ADDRESSES.c.name,), _address_of))


def _address_of(row: Sequence[Any]) -> tuple[str, Mapping[str, Any]]:
    name, fields_of = row
    known: object = json.loads(fields_of)
    if not isinstance(known, dict) or not isinstance(name, str):
        raise ValueError
    return name, cast(dict[str, Any], known)
