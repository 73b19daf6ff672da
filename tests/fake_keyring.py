"""A keyring of the system, for programs in processes of their own: its items are in a JSON file.

`PYTHON_KEYRING_BACKEND=fake_keyring.Ours` chooses it. `FAKE_KEYRING` names the file, and `FAKE_KEYRING_IS` says how the
keyring behaves: `locked`, `silent` (it never answers), `forgetful` (it keeps nothing), `broken` (its errors quote
secrets).
"""

import json
import os
import time
from pathlib import Path
from typing import Any, cast

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class Ours(KeyringBackend):
    """The keyring."""

    priority = 1  # pyright: ignore[reportAssignmentType]  # the library reads a number

    def get_password(self, service: str, username: str) -> str | None:
        """Return an item."""
        self._behave("")
        return self._items().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write an item."""
        self._behave(password)
        if os.environ.get("FAKE_KEYRING_IS") != "forgetful":
            self._write({**self._items(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        """Remove an item."""
        self._behave("")
        items = self._items()
        if items.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError(username)
        self._write(items)

    @property
    def _path(self) -> Path:
        return Path(os.environ["FAKE_KEYRING"])

    def _behave(self, password: str) -> None:
        match os.environ.get("FAKE_KEYRING_IS"):
            case "locked":
                raise KeyringLocked("locked")
            case "silent":
                time.sleep(3600)
            case "broken":
                raise RuntimeError(f"cannot keep {password or 'zn_live_planted_5a1e'}")
            case _:
                pass

    def _items(self) -> dict[str, str]:
        return dict(json.loads(self._path.read_text())) if self._path.exists() else {}

    def _write(self, items: dict[str, str]) -> None:
        self._path.write_text(json.dumps(items))


def ours() -> KeyringBackend:
    """Return the keyring, for a test that sets it in its own process."""
    return cast(KeyringBackend, cast(Any, Ours)())
