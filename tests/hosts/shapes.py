"""Configuration files of hosts to try the installer on, in `shapes.json` and `shapes_unseen.json`.

The second was written before the code that edits them. Two expectations in it were changed later: a read-only file is
refused, and Gemini CLI was found not to read a comma after a last member. A file has one of these expectations:

- `added`: it gets the entry, and `uninstall` gives back the same bytes;
- `renewed`: it holds an older entry of ours, and `uninstall` afterwards leaves what `uninstall` alone would have left;
- `foreign`: somebody else's server has our name, which only `--force` replaces, and `uninstall` brings back;
- `refused`: it is left as it is.
"""

import json
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

FOLDER = Path(__file__).parent
FILES = {
    "claude-desktop": ".config/Claude/claude_desktop_config.json",
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".config/Code/User/mcp.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
    "opencode": ".config/opencode/opencode.jsonc",
}
"""The file of each host under Linux, written down here once more."""
KEYS = {"vscode": ["servers"], "codex": ["mcp_servers"], "opencode": ["mcp"]}
ENVIRONMENT = {"opencode": "environment"}


@dataclass(frozen=True)
class Shape:
    """One file with what is expected of it."""

    host: str
    name: str
    text: str | None
    expect: str
    hex: str = ""
    file: str = ""
    named: str = ""
    mode: int = 0o644
    path: list[str] = field(default_factory=list[str])
    says: str = ""
    shows: str = ""
    without: str | None = None
    stays: str | None = None
    keeps: dict[str, str] = field(default_factory=dict[str, str])
    drops: list[str] = field(default_factory=list[str])
    retains: dict[str, Any] = field(default_factory=dict[str, Any])
    repeat: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def data(self) -> bytes | None:
        """Return its bytes; None where there is no file."""
        if self.hex:
            return bytes.fromhex(self.hex)
        if self.text is None:
            return None
        if self.repeat:
            long = str(self.repeat["text"] * self.repeat["times"] + self.repeat["last"])
            return self.text.replace("%s", long).encode()
        return self.text.encode()

    @property
    def keys(self) -> list[str]:
        """Return the names that lead to the map of servers."""
        return self.path or KEYS.get(self.host, ["mcpServers"])

    def put(self, home: Path) -> Path:
        """Make a person's home with this file, and return the file's path."""
        path = home / FILES[self.host]
        if self.named:
            path = path.with_name(self.named)
        folder = path.parent
        if self.file == "folder link":
            (home / "elsewhere").mkdir(parents=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.symlink_to(home / "elsewhere")
        folder.mkdir(parents=True, exist_ok=True)
        if self.host == "claude-code":
            (home / ".claude").mkdir()
        if self.file == "folder":
            path.mkdir()
        elif self.file == "dangling":
            path.symlink_to(home / "nothing")
        elif self.data is not None:
            real = home / "dotfiles" if self.file == "link" else path
            real.write_bytes(self.data)
            real.chmod(self.mode)
            if self.file == "link":
                path.symlink_to(os.path.relpath(real, path.parent))
        return path

    def values(self, data: bytes) -> dict[str, Any]:
        """Read a file of this host with another reader than the program's."""
        text = data.decode("utf-8-sig")
        if self.host == "codex":
            return tomllib.loads(text)
        plain = without_comments(text)
        return cast(dict[str, Any], json.loads(plain)) if plain.strip() else {}

    def entry(self, data: bytes) -> dict[str, Any]:
        """Return our entry in a file."""
        at: Any = self.values(data)
        for key in (*self.keys, "zinc"):
            at = at[key]
        return cast(dict[str, Any], at)


def shapes() -> list[Shape]:
    """Return all of them."""
    return [
        Shape(**row)
        for name in ("shapes_unseen.json", "shapes.json")
        for row in json.loads((FOLDER / name).read_text(encoding="utf-8"))
    ]


def without_comments(text: str) -> str:
    """Return JSON with comments and trailing commas as plain JSON, character by character."""
    kept: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == '"':
            end = at + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            kept.append(text[at : end + 1])
            at = end + 1
        elif text.startswith("//", at):
            while at < len(text) and text[at] not in "\r\n":
                at += 1
        elif text.startswith("/*", at):
            at = text.index("*/", at) + 2
        else:
            if text[at] in "}]":
                last = next((place for place in reversed(range(len(kept))) if kept[place].strip()), None)
                if last is not None and kept[last] == ",":
                    del kept[last]
            kept.append(text[at])
            at += 1
    return "".join(kept)


def comments_of(text: str) -> list[str]:
    """Return the comments of JSON with comments, in their order."""
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == '"':
            at += 1
            while text[at] != '"':
                at += 2 if text[at] == "\\" else 1
            at += 1
        elif text.startswith(("//", "/*"), at):
            stop = text.find("*/", at) + 2 if text[at + 1] == "*" else at
            while text[at + 1] == "/" and stop < len(text) and text[stop] not in "\r\n":
                stop += 1
            found.append(text[at:stop])
            at = stop
        else:
            at += 1
    return found
