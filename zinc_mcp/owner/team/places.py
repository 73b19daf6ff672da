"""The two places where the members of a team are kept: a file, and the journal where it is on PostgreSQL.

A server on PostgreSQL reads the journal's members from its memory, which `server.http.kept_members` keeps up to date.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from zinc_mcp.errors import JournalError, SettingsError
from zinc_mcp.invocation import command
from zinc_mcp.owner.team.member import LOCAL, Identity, Member, identities_of, is_by_issuer, name_of, read_member
from zinc_mcp.private_files import make_folder, open_file, writable_by_others

if TYPE_CHECKING:
    from zinc_mcp.journal.journal import Journal
    from zinc_mcp.journal.shared.members import KeptMember, KeptTeam

FILE = "members.json"
"""The name of the file of members in the home."""
CONFIRMED_SECONDS = 10.0
"""A server lets people in by the members that it remembers for this time after it last asked the journal."""
_GONE = ""
"""The mark of somebody who is no member any more. The journal gives no such mark."""
_LET_IN: ContextVar[tuple[str, str | None] | None] = ContextVar("let_in", default=None)
"""The caller of the call in which this runs, with the mark that they had when it was let in."""
_BUSY_SECONDS = 15.0
"""The longest time for which a change of the file waits for another change, as in the journal."""
_LOOK_AGAIN_SECONDS = 0.05
_MAX_FILE_BYTES = 1024 * 1024


class UnconfirmedError(SettingsError):
    """A server cannot ask the journal whether its members are still the same. So it lets nobody in."""


@dataclass(frozen=True, slots=True)
class Listed:
    """All members at one time, by caller and by identity."""

    by_caller: Mapping[str, Member]
    by_identity: Mapping[Identity, Member]

    @classmethod
    def of(cls, members: Mapping[str, Member]) -> Self:
        """Index members, which are given by name."""
        return cls({member.caller: member for member in members.values()}, identities_of(members))


class Place(Protocol):
    """A place in which a command reads and changes members."""

    def read(self) -> dict[str, Member]:
        """Return the members by name.

        Raises:
            SettingsError, JournalError: they cannot be read.
        """
        ...

    def changing(self) -> AbstractContextManager[dict[str, Member]]:
        """Give the members to change, by name, and write the changes; nobody else changes members meanwhile.

        Raises:
            SettingsError, JournalError: they cannot be read or written.
        """
        ...


class MembersFile:
    """The members in a file, which each server reads again whenever the file changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._listed = Listed.of({})

    def listed(self) -> Listed:
        """Return the members as the file has them now.

        Raises:
            SettingsError: the file cannot be used.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._listed = None, Listed.of({})
            return self._listed
        except OSError as error:
            raise _unusable(self.path, error.strerror or "input/output error") from error
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._seen:
            self._seen = None
            self._listed = Listed.of(_read(self.path))
            self._seen = stamp
        return self._listed

    def mark_of(self, caller: str) -> str | None:
        """Return a text about a member that is another one after each change; None for everybody else.

        Raises:
            SettingsError: as `listed`.
        """
        member = self.listed().by_caller.get(caller)
        return None if member is None else json.dumps(member.record())

    def mark_in_journal(self, caller: str) -> str | None:
        """Return the mark that a journal without members has for a caller: none.

        A member who is gone, or who has changed since their call was let in (`let_in`), has one that nobody has.

        Raises:
            SettingsError: as `listed`.
        """
        mark, let_in_by = self.mark_of(caller), _LET_IN.get()
        if mark is None and caller != LOCAL and not is_by_issuer(caller):
            return _GONE
        return _GONE if let_in_by is not None and let_in_by[0] == caller and let_in_by[1] != mark else None

    def was_used(self) -> bool:
        """Say whether there is a file, as there is from the first member on, also after the last one is gone."""
        return self.path.exists()

    def read(self) -> dict[str, Member]:
        """See `Place`."""
        return _read(self.path) if self.path.exists() else {}

    @contextmanager
    def changing(self) -> Generator[dict[str, Member]]:
        """See `Place`."""
        make_folder(self.path.parent)
        with _alone(self.path):
            members = self.read()
            before = dict(members)
            yield members
            if members != before:
                _write(self.path, members)


class MembersTable:
    """The members in a journal, for commands."""

    def __init__(self, journal: "Journal") -> None:
        self._journal = journal

    def read(self) -> dict[str, Member]:
        """See `Place`."""
        return _of_journal(self._journal.team().members)

    def was_used(self) -> bool:
        """Say whether this journal ever had a member.

        Raises:
            JournalError: it cannot be read.
        """
        return self._journal.team().revision is not None

    @contextmanager
    def changing(self) -> Generator[dict[str, Member]]:
        """See `Place`."""
        from zinc_mcp.journal.shared.members import KeptMember  # the journal: the file is read without it

        with self._journal.changing_team() as kept:
            members = _of_journal(kept)
            before = dict(members)
            yield members
            for name in before.keys() - members.keys():
                del kept[name]
            for name, member in members.items():
                if member != before.get(name):
                    kept[name] = KeptMember(member.caller, json.dumps(member.record()))


def member_in_record(caller: str, record: str) -> Member:
    """Return the member whose record a journal keeps.

    Raises:
        JournalError: it cannot be read.
    """
    try:
        member = read_member(name_of(caller), json.loads(record))
    except (ValueError, RecursionError):
        member = None
    if member is None:
        raise _unreadable()
    return member


@contextmanager
def let_in(caller: str, mark: str | None) -> Generator[None]:
    """Say, while inside, that a call of this caller was let in when they had this mark."""
    token = _LET_IN.set((caller, mark))
    try:
        yield
    finally:
        _LET_IN.reset(token)


class MembersCopy:
    """The members of a journal in the memory of a server. Any thread may read them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without members. `clock` counts seconds, and cannot be set."""
        self.clock = clock
        self.revision: str | None = None
        self._listed = Listed.of({})
        self._marks: Mapping[str, str] = {}
        self._confirmed_at: float | None = None

    def listed(self) -> Listed:
        """Return the members as the journal had them within the last `CONFIRMED_SECONDS`.

        Raises:
            UnconfirmedError: the journal was not asked within that time. A token may just have been taken back.
        """
        at = self._confirmed_at
        if at is None or not 0 <= self.clock() - at <= CONFIRMED_SECONDS:
            raise UnconfirmedError(
                "The database with the members cannot be reached just now, so nobody is let in.",
                "Nothing is lost: as soon as the database answers, the same tokens count again.",
            )
        return self._listed

    def mark_of(self, caller: str) -> str | None:
        """Return the mark of a caller, which is compared with the journal's.

        In a call of theirs it is the mark with which the call was let in (`let_in`), so that a change counts which is
        heard in the middle of the call. Otherwise it is the one that was heard last, however long ago. A member who is
        gone has a mark that no member has. The owner and callers by the issuer have none.
        """
        let_in_by = _LET_IN.get()
        if let_in_by is not None and let_in_by[0] == caller:
            return let_in_by[1]
        return self._marks.get(caller, None if caller == LOCAL or is_by_issuer(caller) else _GONE)

    def take(self, team: "KeptTeam | None", asked_at: float) -> None:
        """Take over the answer of the journal.

        Args:
            team: the members; None: nothing has changed.
            asked_at: the time at which the journal was asked, by the clock of this copy.

        Raises:
            JournalError: the members cannot be used. Then those from before count for the rest of their time.
        """
        if team is not None:
            listed = Listed.of(_of_journal(team.members))
            marks = {each.caller: each.mark for each in team.members.values()}
            self._listed, self._marks, self.revision = listed, marks, team.revision
        self._confirmed_at = asked_at


def _checked(listed: Mapping[str, Any]) -> dict[str, Member] | None:
    """Return the members by name from the records under their names; None if they are not the members of a team."""
    members = {name: read_member(name, kept) for name, kept in listed.items()}
    found = {name: member for name, member in members.items() if member is not None}
    # Two members with one id would be one caller, and an identity of two members would be either of them.
    alone = len({member.caller for member in found.values()}) == len(found)
    named = sum(len(member.identities) for member in found.values())
    return None if len(found) < len(members) or not alone or len(identities_of(found)) < named else found


def _of_journal(kept: "Mapping[str, KeptMember]") -> dict[str, Member]:
    try:
        found = _checked({name: json.loads(each.kept) for name, each in kept.items()})
    except (ValueError, RecursionError):
        found = None
    if found is None or any(found[name].caller != each.caller for name, each in kept.items()):
        raise _unreadable()
    return found


def _unreadable() -> JournalError:
    return JournalError(
        "The members in the journal's database cannot be read: a row is not a member's name, id and hash.",
        "Tell the user; the owner has to put the table zinc_members right.",
        owner_step="Put the table zinc_members right, or set the database back to a backup.",
    )


def _read(path: Path) -> dict[str, Member]:
    others = writable_by_others(path)
    if others is not None:
        raise _unusable(path, f"other users of this machine can write to {others}")
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise _unusable(path, "too large")
        document: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise _unusable(path, error.strerror or "input/output error") from error
    except (ValueError, RecursionError):
        raise _unusable(path, "not JSON") from None
    listed = cast(dict[str, Any], document).get("members") if isinstance(document, dict) else None
    if not isinstance(listed, dict):
        raise _unusable(path, 'not {"members": {name: {"id": id, "hash": hash}}}')
    found = _checked(cast(dict[str, Any], listed))
    if found is None:
        raise _unusable(path, "an entry is not a member's name, id and hash")
    return found


@contextmanager
def _alone(path: Path) -> Generator[None]:
    # Two changes at the same time must both be kept: a lost removal would let somebody in.
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks of this kind; a team server does not run there
        yield
        return
    with os.fdopen(open_file(path.with_name(f".{path.name}.lock"), os.O_WRONLY | os.O_CREAT), "w") as lock:
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise SettingsError(
                        f"Another process kept the file of members busy for too long, so nothing was changed: {path}",
                        "Try again, or end the process that changes it and stands still.",
                    ) from None
                time.sleep(_LOOK_AGAIN_SECONDS)
        yield


def _write(path: Path, members: Mapping[str, Member]) -> None:
    listed = {name: member.record() for name, member in sorted(members.items())}
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600 at most
        if os.name == "posix":
            os.fchmod(handle, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"members": listed}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError as error:
        raise _unusable(path, error.strerror or "input/output error") from error


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"The file of members cannot be used ({why}): {path}",
        f"Correct it, or remove it and make it anew with {command('members', 'add', 'NAME')}.",
    )
