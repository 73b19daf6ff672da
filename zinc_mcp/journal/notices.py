"""The messages that the owner was sent about each entry: one process alone on a journal sends each of them.

A row `noticed<id>` of `zinc_meta` lists the messages about one entry. It is changed only by compare-and-set on its
whole text, so one process alone sends a message. One more row holds the newest entry that was looked at. Only the task
that sends messages writes these rows, so no order waits for them. The next look sees every change of an entry, from
any process, command or page.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy as sa

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.journal.storage import rows
from zinc_mcp.journal.storage.database import Database
from zinc_mcp.journal.storage.tables import ANY_MODE, ENTRIES, IS_LOOK_UP, META, UNFINISHED, entries_of

MOST_NEW = 100
MOST_OPEN = 500
MOST_FOLLOWED = 500

_CURSOR = "notices"
_LAST = "notices_last"
PAUSES = "notices_paused"
"""The row about pauses."""
_OPEN = sa.select(ENTRIES).where(UNFINISHED, ANY_MODE, ~IS_LOOK_UP).order_by(ENTRIES.c.id.desc()).limit(MOST_OPEN)
_FOLLOWED = (
    sa.select(META.c.name)
    # Letters alone decide this range: some databases pass over other signs when they compare.
    .where(META.c.name > sa.bindparam("after"), META.c.name < sa.literal_column("'noticee'"))
    .order_by(META.c.name)
    .limit(MOST_FOLLOWED)
)


@dataclass(frozen=True, slots=True)
class FollowedEntry:
    """An entry, with what was told about it."""

    entry: Entry
    text: str | None
    """The text of the row; None: there is none yet."""
    told: Mapping[str, Any]
    """Its content; empty where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Looked:
    """One look at the journal."""

    followed: list[FollowedEntry] = field(default_factory=list[FollowedEntry])
    open: frozenset[int] = frozenset()
    """The entries that somebody still has to move on."""
    cursor: int = 0
    newest: int = 0
    """The newest entry of this look: the next one begins after it."""
    last: str | None = None
    """The last row of this page of followed entries: the next page begins after it. None: this was the last page."""


class Notices(Database):
    """The part of a journal that remembers what the owner was told."""

    def look_for_notices(self, left: Collection[int], page_after: str | None) -> Looked:
        """Return the entries about which something may have to be told.

        They are the new ones, those that are not over, and those in `left`. With `page_after` (first the empty text),
        also the next page of all that are followed.
        """
        with self._reading() as connection:
            cursor = _number(rows.meta(connection, _CURSOR))
        if cursor is None:
            cursor = self._begin()
        with self._reading() as connection:
            query = sa.select(ENTRIES.c.id).where(ENTRIES.c.id > cursor).order_by(ENTRIES.c.id).limit(MOST_NEW)
            new = list(connection.execute(query).scalars())
        if new and self._engine.dialect.name != "sqlite":
            # An entry with a lower id may be committed later than these; while this lock is held, none is being opened.
            with self._writing() as connection:
                new = list(connection.execute(query).scalars())
        with self._reading() as connection:
            unfinished = entries_of(connection, _OPEN)
            names = [] if page_after is None else _page(connection, page_after)
            wanted = {*new, *left, *(int(name[7:]) for name in names if name[7:].isdecimal())}
            found = {entry.id: entry for entry in unfinished}
            ids = sorted(wanted - found.keys())
            for first in range(0, len(ids), MOST_NEW):
                some = ENTRIES.c.id.in_(ids[first : first + MOST_NEW])
                read = entries_of(connection, sa.select(ENTRIES).where(some, ~IS_LOOK_UP))
                found |= {each.id: each for each in read}
            kept = _kept(connection, sorted(found))
        return Looked(
            [FollowedEntry(found[number], kept.get(number), _read(kept.get(number))) for number in sorted(found)],
            frozenset(entry.id for entry in unfinished),
            cursor,
            max(new, default=cursor),
            names[-1] if len(names) == MOST_FOLLOWED else None,
        )

    def keep_notice(self, name: str, before: str | None, told: Mapping[str, Any]) -> str | None:
        """Write down what was told, in a row (`row_of`), if nobody has changed it since; return the row's new text.

        None: another process was first.
        """
        text = json.dumps(dict(told), sort_keys=True)
        with self._writing() as connection:
            return text if _swapped(connection, name, before, text) else None

    def kept_notice(self, name: str) -> tuple[str | None, Mapping[str, Any]]:
        """Return a row as it stands, with its content."""
        with self._reading() as connection:
            text = rows.meta(connection, name)
        return text, _read(text)

    def drop_notice(self, name: str, before: str) -> None:
        """Follow an entry no longer, if nobody has changed what was told about it since."""
        with self._writing() as connection:
            connection.execute(sa.delete(META).where(META.c.name == name, META.c.value == before))

    def has_looked(self, cursor: int, newest: int) -> None:
        """Write down the newest entry that was looked at, if no other process has done so since."""
        with self._writing() as connection:
            _swapped(connection, _CURSOR, str(cursor), str(newest))

    def note_last_notice(self, what: Mapping[str, Any]) -> None:
        """Keep the result of the latest message, for the owner who asks."""
        with self._writing() as connection:
            rows.set_meta(connection, _LAST, json.dumps(dict(what)))

    def last_notice(self) -> Mapping[str, Any]:
        """Return the result of the latest message; empty if there was none."""
        with self._reading() as connection:
            return _read(rows.meta(connection, _LAST))

    def _begin(self) -> int:
        """Begin to follow entries; nothing is told about those that are over by now. Return the newest entry."""
        with self._writing() as connection:
            newest = connection.execute(sa.select(sa.func.coalesce(sa.func.max(ENTRIES.c.id), 0))).scalar_one()
            _swapped(connection, _CURSOR, None, str(newest))
            return _number(rows.meta(connection, _CURSOR)) or 0


def row_of(entry_id: int) -> str:
    """Return the name of the row that holds what was told about an entry."""
    return f"noticed{entry_id}"


def _swapped(connection: sa.Connection, name: str, before: str | None, after: str) -> bool:
    """Change a row if it still holds the text `before`; say whether it did. The journal's lock keeps others out."""
    if before is not None:
        changed = sa.update(META).where(META.c.name == name, META.c.value == before).values(value=after)
        return connection.execute(changed).rowcount == 1
    if rows.meta(connection, name) is not None:
        return False
    connection.execute(sa.insert(META), {"name": name, "value": after})
    return True


def _page(connection: sa.Connection, after: str) -> list[str]:
    return list(connection.execute(_FOLLOWED, {"after": after or "noticed"}).scalars())


def _kept(connection: sa.Connection, ids: Sequence[int]) -> dict[int, str]:
    kept: dict[int, str] = {}
    for first in range(0, len(ids), MOST_NEW):
        names = [row_of(number) for number in ids[first : first + MOST_NEW]]
        query = sa.select(META.c.name, META.c.value).where(META.c.name.in_(names))
        kept |= {int(name[7:]): value for name, value in connection.execute(query)}
    return kept


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 20 else None


def _read(text: str | None) -> dict[str, Any]:
    try:
        value: object = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
