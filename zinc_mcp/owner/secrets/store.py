"""The owner's secret store: it keeps the record of each secret, and reads and replaces the secret in its place.

Each secret has a record of its own in the folder `secrets` of the home: a file of mode 0600 that holds the secret, or
that names the item of the system's keyring with the secret. So a record is read without opening the secret. A record is
replaced as a whole, one process at a time, and a keyring item is written before its record names it.
"""

import json
import os
import secrets
import stat
import time
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.owner.secrets import system_keyring
from zinc_mcp.owner.secrets.own_files import SECRETS, InsecureFileError, check_owners_alone
from zinc_mcp.owner.secrets.records import (
    Kept,
    Place,
    Record,
    check_parts,
    check_place,
    is_name,
    item_of,
    json_in,
    kind_of,
    parts_in,
    record_in,
    unusable,
)
from zinc_mcp.private_files import make_folder, open_file

MAX_RECORD_BYTES = 16 * 1024
"""The longest record that is read: a character of a secret takes up to 12 bytes in it (`records.MAX_SECRET`)."""
_BUSY_SECONDS = 15.0
_LOOK_AGAIN_SECONDS = 0.05
_LOCK = ".lock"


class SecretStore:
    """The secrets of one home."""

    def __init__(self, home: Path) -> None:
        self._folder = home / SECRETS

    def path(self, name: str) -> Path:
        """Return the file of a secret's record, whether it exists or not."""
        kind_of(name)
        return self._folder / f"{name}.json"

    def names(self) -> list[str]:
        """Return the names of all kept secrets, sorted; none of them is opened."""
        with suppress(FileNotFoundError):
            return sorted(path.stem for path in self._folder.iterdir() if is_name(path.stem) and path.suffix == ".json")
        return []

    def record(self, name: str) -> Record | None:
        """Return the record of a secret, or None if it is not kept. The keyring is not asked.

        Raises:
            SettingsError: the record cannot be used; an InsecureFileError if others can write to it.
        """
        found = self._read(name)
        return None if found is None else record_in(name, found, self.path(name))

    def get(self, name: str, *, seconds: float = system_keyring.READ_SECONDS) -> Kept | None:
        """Return a secret, or None if it is not kept. `seconds` bounds the time that a keyring may take.

        Raises:
            SettingsError: the record or the keyring cannot be used; an InsecureFileError if others can write to it.
        """
        document = self._read(name)
        if document is None:
            return None
        record = record_in(name, document, self.path(name))
        parts = document.get("parts")
        if record.place == "keyring":
            content = system_keyring.read(item_of(record), seconds)
            if content is None:
                raise SettingsError(
                    f"The keyring does not hold {kind_of(name).meaning} any more, although it was kept there.",
                    kind_of(name).again,
                )
            parts = json_in(content)
        return Kept(record, parts_in(name, parts, self.path(name), record.place))

    def check_place(self, name: str, place: Place, parts: Collection[str] = ()) -> None:
        """Find out whether a secret (with these parts) could be kept in a place, before it is asked for.

        Raises:
            SettingsError: it could not.
        """
        check_place(name, place, parts)
        with self._alone():
            self._write(self._folder / f".try-{secrets.token_hex(8)}", b"{}", remove=True)
        if place == "keyring":
            system_keyring.try_out()

    def put(
        self,
        name: str,
        parts: Mapping[str, SecretStr],
        place: Place,
        *,
        instead_of: Record | None,
        origin: str | None = None,
        remark: str | None = None,
        about: Mapping[str, str] | None = None,
    ) -> Record:
        """Keep a secret in the place of the one that the caller knows of.

        Args:
            name: the kind, with the owner's name for it where the kind has names.
            parts: the parts of the secret.
            place: where to keep it.
            instead_of: the record that it replaces, None if there was none.
            origin: see `Record`.
            remark: see `Record`.
            about: see `Record`.

        Raises:
            RefusedError: another process has kept or removed one meanwhile; nothing was changed.
            SettingsError: it cannot be kept; the earlier one stays as it was.
        """
        check_parts(name, parts, place)
        path = self.path(name)
        plain_parts = {part: value.get_secret_value() for part, value in parts.items()}
        record = Record(name, place, secrets.token_hex(8), time.time(), origin, remark, dict(about or {}))
        facts: dict[str, Any] = {"in": place, "id": record.id, "since": record.since, "for": origin, "is": remark}
        facts |= {"about": record.about} if record.about else {}
        with self._alone():
            try:
                before = self.record(name)
            except SettingsError:
                before = instead_of  # a record that cannot be read may be replaced
            if (before and before.id) != (instead_of and instead_of.id):
                raise RefusedError(
                    "Another process changed the kept secret at the same time, so this one was not kept.",
                    owner_step="Look at what is kept now, and try again.",
                )
            if place == "keyring":
                # A Windows keyring counts characters, and an escaped letter would be six of them.
                system_keyring.write(item_of(record), json.dumps(plain_parts, ensure_ascii=False))
            else:
                facts["parts"] = plain_parts
            try:
                self._write(path, json.dumps(facts).encode())
            except SettingsError:
                if place == "keyring":
                    with suppress(SettingsError):
                        system_keyring.remove(item_of(record))
                raise
            if before is not None and before.place == "keyring":
                with suppress(SettingsError):  # it is named nowhere any more
                    system_keyring.remove(item_of(before))
        return record

    def remove(self, name: str, *, even_if_locked: bool = False) -> bool:
        """Forget a secret; False if none was kept. `even_if_locked` leaves the item in a keyring that cannot be used.

        Raises:
            SettingsError: it cannot be removed, so it stays.
        """
        if not self._folder.is_dir():
            return False
        with self._alone():
            path = self.path(name)
            try:
                record = self.record(name)
            except InsecureFileError:
                raise
            except SettingsError:  # a record that cannot be read, or a link, which is removed and not followed
                self._remove(path)
                return True
            if record is None:
                return False
            if record.place == "keyring":
                try:
                    system_keyring.remove(item_of(record))
                except SettingsError:
                    if not even_if_locked:
                        raise
            self._remove(path)
            return True

    def _remove(self, path: Path) -> None:
        try:
            path.unlink()
        except OSError as error:
            raise unusable(path, error.strerror or "input/output error") from None

    def _read(self, name: str) -> dict[str, Any] | None:
        """Read a record's file. A link is not followed, and nothing but a file is opened."""
        path = self.path(name)
        if self._folder.is_symlink():
            raise unusable(self._folder, "a link, which is not followed")
        try:
            descriptor = os.open(
                path,
                os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0),
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            why = "a link, which is not followed" if path.is_symlink() else error.strerror or "input/output error"
            raise unusable(path, why) from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise unusable(path, "not a file")
        with os.fdopen(descriptor, "rb") as file:
            check_owners_alone(path, "secrets")
            try:
                content = file.read(MAX_RECORD_BYTES + 1)
            except OSError as error:
                raise unusable(path, error.strerror or "input/output error") from None
        found = json_in(content.decode("utf-8", "replace")) if len(content) <= MAX_RECORD_BYTES else None
        if not isinstance(found, dict):
            raise unusable(path, "not a record of ours")
        return cast("dict[str, Any]", found)

    def _write(self, path: Path, content: bytes, *, remove: bool = False) -> None:
        """Write a file that replaces an earlier one as a whole; with `remove`, only find out whether that works."""
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            try:
                with os.fdopen(open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                if not remove:
                    os.replace(beside, path)
                    _sync(path.parent)
            finally:
                with suppress(FileNotFoundError):
                    beside.unlink()
        except OSError as error:
            raise unusable(path if not remove else self._folder, error.strerror or "input/output error") from None

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Make the folder, and let nobody else change anything in it."""
        try:
            make_folder(self._folder)
            if self._folder.is_symlink() or not self._folder.is_dir():
                raise unusable(self._folder, "not a folder of its own")
            check_owners_alone(self._folder, "secrets")
            if os.name == "posix":
                self._folder.chmod(0o700)
            descriptor = open_file(self._folder / _LOCK, os.O_WRONLY | os.O_CREAT)
        except OSError as error:
            raise unusable(self._folder, error.strerror or "input/output error") from None
        with os.fdopen(descriptor, "w") as lock:
            try:
                _wait_for(lock.fileno(), self._folder)
            except OSError as error:  # a file system without locks
                raise unusable(self._folder, error.strerror or "input/output error") from None
            yield


def _wait_for(descriptor: int, folder: Path) -> None:
    until = time.monotonic() + _BUSY_SECONDS
    while not _locked(descriptor):
        if time.monotonic() > until:
            raise SettingsError(
                f"Another process kept the secrets busy for too long, so nothing was changed: {folder}",
                "Try again, or end the process that stands still.",
            )
        time.sleep(_LOOK_AGAIN_SECONDS)


def _locked(descriptor: int) -> bool:
    """Take the lock if it is free. It ends with the descriptor."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            cast(Any, msvcrt).locking(descriptor, cast(Any, msvcrt).LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(folder: Path) -> None:
    # Otherwise a power failure may bring the earlier file back. Windows cannot open a folder.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
