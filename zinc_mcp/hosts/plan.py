"""The plan of `install` or `uninstall` for one file of a host, worked out and proved before anything is written."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts import editing, files
from zinc_mcp.hosts.editing import Change
from zinc_mcp.hosts.entries import NAME, Remote, Start, entry_for, renewed, starts_us
from zinc_mcp.hosts.files import HostFile
from zinc_mcp.hosts.formats.jsonc import UnreadableTextError
from zinc_mcp.hosts.machine import Machine
from zinc_mcp.hosts.record import Written, digest, entry_digest, read_record, write_record
from zinc_mcp.hosts.table import Host


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a host's file."""

    found: HostFile
    text: str
    path: tuple[str, ...]
    """The names that lead to its map of servers."""
    servers: Mapping[str, Any]

    @property
    def entry(self) -> object:
        """The entry under our name; None if there is none."""
        return self.servers.get(NAME)

    @property
    def other_names(self) -> list[str]:
        """The other names under which this program is started."""
        return [name for name, entry in self.servers.items() if name != NAME and starts_us(entry)]


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of a host's file that was not made yet."""

    host: Host
    content: Content
    earlier: object
    """The entry that goes; None if there is none."""
    entry: Mapping[str, Any] | None
    """The entry that comes; None if it only goes."""
    data: bytes | None
    """The file's next content; None if the file goes."""
    row: Written | None
    """The record's row afterwards; None if the record forgets the file."""
    is_exact: bool = False
    """Whether it only undoes what `install` did, so that no copy is needed."""
    puts_back: bool = False
    """Whether an entry of somebody else, which `install` replaced, comes back."""


def files_of(host: Host, machine: Machine) -> list[Path]:
    """Return the files of a host to write: usually one, which may not be there yet."""
    places = [Path(each) for each in host.files(machine)]
    if host.every_file:
        return [each for each in places if each.parent.is_dir()] or places[-1:]
    there = [each for each in places if os.path.lexists(each)]
    for each in there:
        try:
            if NAME in read_content(host, each).servers:
                return [each]
        except RefusedError:
            continue
    return (there or places)[:1]


def was_used(host: Host, machine: Machine) -> bool:
    """Say whether a host left something on this machine."""
    return any(os.path.lexists(each) for each in host.signs(machine))


def read_content(host: Host, path: Path) -> Content:
    """Read a host's file.

    Raises:
        RefusedError: it cannot be read, or its host would not read it.
    """
    found = files.read_file(path)
    text = found.text
    try:
        values = editing.read(host.form, text)
    except UnreadableTextError as error:
        raise _unreadable(found, error) from None
    keys = _path_in(host, values)
    return Content(found, text, keys, editing.servers(values, keys))


def plan_install(
    host: Host, path: Path, wanted: Start | Remote, record: Mapping[str, Written], *, force: bool
) -> Plan | None:
    """Work out how a file gets our entry; None if it has it already.

    Raises:
        RefusedError: the file or the entry in it is not to be changed, or the host has no such entry.
    """
    content = read_content(host, path)
    earlier, known = content.entry, record.get(str(content.found.path))
    files.check_writable(content.found)
    if earlier is None:
        return _added(host, content, _shaped(content, entry_for(host, wanted)))
    if not is_ours(earlier, known):
        if not force:
            raise RefusedError(
                f"{content.found.path} has a server of the name {NAME} that is not this program. It was left as it is.",
                owner_step="Rename that server in the host, or say --force to replace it.",
            )
        return _replaced(host, content, _shaped(content, entry_for(host, wanted)), known, foreign=True)
    entry = _shaped(content, renewed(host, cast(Mapping[str, Any], earlier), wanted, drop_secrets=force))
    if entry_digest(entry) == entry_digest(earlier):
        return None
    return _replaced(host, content, entry, known, foreign=False)


def plan_uninstall(host: Host, path: Path, record: Mapping[str, Written], *, force: bool) -> Plan | None:
    """Work out how our entry leaves a file; None if it has none.

    Raises:
        RefusedError: the file or the entry in it is not to be changed.
    """
    content = read_content(host, path)
    earlier, known = content.entry, record.get(str(content.found.path))
    if earlier is None or content.found.data is None:
        return None
    if not is_ours(earlier, known) and not force:
        raise RefusedError(
            f"The server {NAME} in {content.found.path} is not this program. It was left as it is.",
            owner_step="Remove it in the host, or say --force to remove it here.",
        )
    files.check_writable(content.found)
    plan = Plan(host, content, earlier, None, None, None)
    if known is not None and known.after == digest(content.found.data):
        exact = _undone(plan, known)
        if exact is not None:
            return exact
    with _read_errors(content):
        change = editing.take(host.form, content.text, content.path, NAME, known.made if known else 0)
    return replace(plan, data=change.text.encode())


def carry_out(plan: Plan, home: Path, now: float) -> Path | None:
    """Make a planned change, and return the copy of the file from before, if one is kept.

    Raises:
        OvertakenError: another program changed the file right after it was written. The copy stays.
        RefusedError: something could not be written, or the file was changed in the meantime. Nothing was changed.
    """
    found, rows = plan.content.found, read_record(home)
    key = str(found.path)
    known, row = rows.get(key), plan.row
    if row is None:
        copy = None if plan.is_exact else files.back_up(found, now)
        _replace(found, plan.data, copy)
        if known is not None:
            # The change was made. A row that stays because the record cannot be written fits no file, and does no harm.
            with suppress(RefusedError):
                write_record(home, {name: each for name, each in rows.items() if name != key})
            _remove_needless(known, plan.data)
        return copy
    copy = files.back_up(found, now)
    if row.replaced and row.copy is None:
        row = replace(row, copy=str(copy))
    # First the record: after a kill between the two, the file does not match it, and nothing is lost.
    write_record(home, {**rows, key: replace(row, copy=row.copy or (str(copy) if copy else None))})
    try:
        _replace(found, plan.data, copy)
    except RefusedError:
        write_record(home, rows)
        raise
    return copy


def _replace(found: HostFile, data: bytes | None, copy: Path | None) -> None:
    """Give a file its next bytes; if that changes nothing, its needless copy goes."""
    try:
        files.replace(found, data)
    except files.OvertakenError:
        raise
    except RefusedError:
        if copy is not None:
            copy.unlink(missing_ok=True)
        raise


def is_ours(entry: object, known: Written | None) -> bool:
    """Say whether an entry starts this program, or is the one that `install` wrote."""
    return starts_us(entry) or (known is not None and known.entry == entry_digest(entry))


def _added(host: Host, content: Content, entry: Mapping[str, Any]) -> Plan:
    data = content.found.data
    with _read_errors(content):
        change = editing.put(host.form, content.text, content.path, NAME, entry)
        _check_reversible(host, content, change)
    row = Written(
        entry=entry_digest(entry),
        before=None if data is None else digest(data),
        after=digest(change.text.encode()),
        cuts=change.cuts,
        made=change.made,
        made_file=data is None,
    )
    return Plan(host, content, None, entry, change.text.encode(), row)


def _check_reversible(host: Host, content: Content, change: Change) -> None:
    if change.cuts is not None:
        return
    if editing.take(host.form, change.text, content.path, NAME, change.made).text != content.text:
        raise UnreadableTextError("its servers are written in a form that cannot be changed safely")


def _replaced(host: Host, content: Content, entry: Mapping[str, Any], known: Written | None, *, foreign: bool) -> Plan:
    data = content.found.data or b""
    is_as_written = known is not None and known.after == digest(data)
    if known is not None and is_as_written and known.cuts is not None and not foreign:
        # The file is unchanged since then, so its earlier bytes can still be given back after this change.
        text = editing.uncut(content.text, known.cuts)
        with _read_errors(content):
            change = editing.put(host.form, text, content.path, NAME, entry)
            _check_reversible(host, replace(content, text=text), change)
        row = replace(known, entry=entry_digest(entry), after=digest(change.text.encode()), cuts=change.cuts)
        return Plan(host, content, content.entry, entry, change.text.encode(), row)
    with _read_errors(content):
        change = editing.put(host.form, content.text, content.path, NAME, entry)
    row = Written(entry_digest(entry), None, digest(change.text.encode()), made=known.made if known else 0)
    if foreign:
        row = replace(row, before=digest(data), replaced=True)
    elif known is not None and is_as_written and known.replaced:
        row = replace(row, before=known.before, replaced=True, copy=known.copy)
    return Plan(host, content, content.entry, entry, change.text.encode(), row)


def _undone(plan: Plan, known: Written) -> Plan | None:
    """Return the plan that gives back the bytes from before `install`; None if they are not known any more."""
    content = plan.content
    if known.replaced:
        data = _copied(known)
        return None if data is None else replace(plan, data=data, is_exact=True, puts_back=True)
    if known.cuts is not None:
        text = editing.uncut(content.text, known.cuts)
    elif known.before is not None:
        with _read_errors(content):
            text = editing.take(plan.host.form, content.text, content.path, NAME, known.made).text
    else:
        return None
    data = text.encode()
    if known.made_file:
        return replace(plan, data=None, is_exact=True) if not data else None
    return replace(plan, data=data, is_exact=True) if digest(data) == known.before else None


def _copied(known: Written) -> bytes | None:
    """Return the bytes from before an entry of somebody else was replaced, if their copy still holds them."""
    if known.copy is None:
        return None
    try:
        data = files.read_file(Path(known.copy)).data
    except RefusedError:
        return None
    return data if data is not None and digest(data) == known.before else None


def _remove_needless(known: Written, data: bytes | None) -> None:
    """Remove the copy that `install` made if the file has its earlier bytes again."""
    if known.copy is not None and data is not None and _copied(known) == data:
        Path(known.copy).unlink(missing_ok=True)


def _path_in(host: Host, values: Mapping[str, Any]) -> tuple[str, ...]:
    # OpenCode's second form has `mcp.servers.NAME` (opencode.ai/v2/docs); in the first, `servers` would be a server.
    if host.id == "opencode":
        inner: object = editing.servers(values, host.key).get("servers")
        if isinstance(inner, dict) and "type" not in inner:
            return (*host.key, "servers")
    return host.key


def _shaped(content: Content, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as this file writes it: OpenCode's second form knows `disabled`, and not `enabled`."""
    in_second_form = content.path[-1] == "servers" and len(content.path) > 1
    if not in_second_form:
        return dict(entry)
    kept = {key: value for key, value in entry.items() if key != "enabled"}
    return {**kept, "disabled": True} if entry.get("enabled") is False else kept


@contextmanager
def _read_errors(content: Content) -> Generator[None]:
    try:
        yield
    except UnreadableTextError as error:
        raise _unreadable(content.found, error) from None


def _unreadable(found: HostFile, error: UnreadableTextError) -> RefusedError:
    return RefusedError(
        f"{found.path} cannot be read: {error}. It was left as it is.",
        owner_step="Correct the file, or add the entry by hand; --print shows it.",
    )
