"""Changes of `zinc.toml` by a command: some keys are set, and every other byte of the file stays."""

import os
import secrets
import stat
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.settings import read_config
from zinc_mcp.private_files import make_folder, open_file

Value = str | int | list[str] | None
"""A value to set; None removes the key."""
_BOM = b"\xef\xbb\xbf"


def set_values(config: Path, values: Mapping[str, Value]) -> None:
    """Set top-level keys of a configuration, which is made if there is none.

    The new text is read again before it replaces the old one, to prove that nothing but these keys has changed.

    Raises:
        SettingsError: it cannot be read or written, or cannot be changed safely. It stays as it was.
    """
    before = read_config(config)
    path = config.resolve()  # a link stays a link
    try:
        content = path.read_bytes() if path.exists() else b""
        changed = _changed(content, values)
        wanted = {name: value for name, value in {**before, **values}.items() if value is not None}
        if tomllib.loads(changed.decode("utf-8-sig")) != wanted:
            raise SettingsError(f"{config} cannot be changed without changing more of it.", _by_hand(values))
        _replace(path, content, changed)
    except OSError as error:
        why = error.strerror or "input/output error"
        raise SettingsError(f"{config} cannot be changed ({why}).", _by_hand(values)) from None


def _changed(content: bytes, values: Mapping[str, Value]) -> bytes:
    import tomlkit

    text = content.decode("utf-8-sig")
    document = tomlkit.parse(text)
    for name, value in values.items():
        if value is not None:
            document[name] = value
        elif name in document:
            del document[name]
    return (_BOM if content.startswith(_BOM) else b"") + tomlkit.dumps(document).encode()


def _replace(path: Path, content: bytes, changed: bytes) -> None:
    make_folder(path.parent)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(open_file(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(changed)
            file.flush()
            os.fsync(file.fileno())
            if path.exists() and os.name == "posix":
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
        if (path.read_bytes() if path.exists() else b"") != content:
            raise SettingsError(f"{path} was changed by somebody else at the same time.", "Try again.")
        os.replace(beside, path)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _by_hand(values: Mapping[str, Value]) -> str:
    return f"Change these keys in it by hand: {', '.join(values)}."
