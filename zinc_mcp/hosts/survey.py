"""The hosts on this machine and their entries that start this program, for `status` and `doctor`."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.entries import NAME, environment_of, starts_us, words_of
from zinc_mcp.hosts.machine import Machine
from zinc_mcp.hosts.plan import is_ours, read_content, was_used
from zinc_mcp.hosts.record import Written
from zinc_mcp.hosts.table import HOSTS, Host
from zinc_mcp.hosts.trial import handed_over

_FETCHING = frozenset({"uvx", "pipx", "uv"})


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """An entry of a host under our name, or one that starts this program."""

    host: Host
    path: Path
    name: str
    entry: Mapping[str, Any]
    is_ours: bool

    @property
    def words(self) -> list[str]:
        """The command; empty for a server elsewhere."""
        return words_of(self.entry)

    @property
    def address(self) -> str:
        """The address of a server elsewhere, or an empty text."""
        return next((str(self.entry[key]) for key in ("url", "httpUrl", "serverUrl") if key in self.entry), "")

    @property
    def variables(self) -> dict[str, str]:
        """The variables that the entry sets."""
        return environment_of(self.entry)

    @property
    def is_off(self) -> bool:
        """Whether the person switched it off."""
        return self.entry.get("enabled") is False or self.entry.get("disabled") is True

    @property
    def fetches(self) -> bool:
        """Whether each start may fetch a package, as with uvx; such an entry is never started from here."""
        first = os.path.basename(self.words[0]).lower().removesuffix(".exe") if self.words else ""
        return first in _FETCHING

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment in which the host starts it."""
        named: object = self.entry.get("env_vars", [])
        names = [name for name in cast(list[object], named) if isinstance(name, str)] if isinstance(named, list) else []
        return handed_over(self.host.passes, self.variables, names, environ)


@dataclass(frozen=True, slots=True)
class FoundHost:
    """A host on this machine with what its files say."""

    host: Host
    files: tuple[Path, ...]
    seen: tuple[FoundEntry, ...] = ()
    trouble: tuple[RefusedError, ...] = ()
    """The errors of its files that could not be read."""


def look(machine: Machine, record: Mapping[str, Written]) -> Iterator[FoundHost]:
    """Yield each host that was used on this machine."""
    for host in HOSTS:
        if was_used(host, machine):
            yield _looked(host, machine, record)


def _looked(host: Host, machine: Machine, record: Mapping[str, Written]) -> FoundHost:
    files = tuple(path for path in map(Path, host.files(machine)) if os.path.lexists(path))
    seen: list[FoundEntry] = []
    trouble: list[RefusedError] = []
    for path in files if host.form != "yaml" else ():
        try:
            content = read_content(host, path)
        except RefusedError as error:
            trouble.append(error)
            continue
        known = record.get(str(content.found.path))
        entries = {name: cast(Mapping[str, Any], each) for name, each in content.servers.items() if type(each) is dict}
        seen += [
            FoundEntry(host, path, name, entry, is_ours(entry, known if name == NAME else None))
            for name, entry in entries.items()
            if name == NAME or starts_us(entry)
        ]
    return FoundHost(host, files, tuple(seen), tuple(trouble))
