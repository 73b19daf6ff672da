"""The machine on which hosts keep their files: its system, the user's folders, and what lies in them."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Literal

System = Literal["mac", "linux", "windows"]
_MOST_NAMES = 10_000


def _listed(folder: PurePath, pattern: str) -> Sequence[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST_NAMES), strict=False)]
    except OSError:
        return ()
    return sorted(name for name in names if fnmatch(name, pattern))


@dataclass(frozen=True, slots=True)
class Machine:
    """A system with the folders of one user. Tests make one of any system; `this_machine` is the real one."""

    system: System
    home: PurePath
    environ: Mapping[str, str]
    listed: Callable[[PurePath, str], Sequence[str]] = _listed
    """Returns the names in a folder that fit a pattern."""

    def folder(self, variable: str, *beneath: str) -> PurePath:
        """Return the folder that a variable names, or a folder beneath the home where it is not set."""
        named = self.environ.get(variable, "").strip()
        return type(self.home)(named) if named else self.home.joinpath(*beneath)

    @property
    def application_data(self) -> PurePath:
        """The folder in which apps made with Electron keep their settings (electronjs.org, app.getPath, "appData")."""
        if self.system == "mac":
            return self.home / "Library" / "Application Support"
        if self.system == "windows":
            return self.roaming
        return self.folder("XDG_CONFIG_HOME", ".config")

    @property
    def roaming(self) -> PurePath:
        """The folder `%APPDATA%` of Windows."""
        return self.folder("APPDATA", "AppData", "Roaming")

    @property
    def local(self) -> PurePath:
        """The folder `%LOCALAPPDATA%` of Windows."""
        return self.folder("LOCALAPPDATA", "AppData", "Local")


def machine_of(system: System, home: str, environ: Mapping[str, str]) -> Machine:
    """Return a machine with paths as its system writes them."""
    return Machine(system, (PureWindowsPath if system == "windows" else PurePosixPath)(home), environ)


def this_machine(environ: Mapping[str, str]) -> Machine:
    """Return the machine that this program runs on."""
    system = _system()
    home = environ.get("USERPROFILE" if system == "windows" else "HOME") or os.path.expanduser("~")
    return machine_of(system, os.path.abspath(home), environ)


def _system() -> System:
    if os.name == "nt":
        return "windows"
    return "mac" if sys.platform == "darwin" else "linux"
