"""The system's keyring, through the library `keyring`, which is loaded only when a secret is there or goes there.

A keyring may ask its person to unlock it, or may never answer. So it is asked in a thread of its own, and only for a
while. The error of a backend is not repeated, because it may quote the secret.
"""

import queue
import threading
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from zinc_mcp.errors import SettingsError
from zinc_mcp.invocation import install_command

SERVICE = "zinc-mcp"
"""The name under which a person finds our items in their keyring."""
READ_SECONDS = 8.0
"""The longest wait for a keyring when a program starts: a host does not wait for a server much longer."""
PERSON_SECONDS = 60.0
"""The longest wait in a command, where a person may have to unlock the keyring."""

_Answer = TypeVar("_Answer")


def read(item: str, seconds: float) -> str | None:
    """Return the content of an item, or None if there is no such item.

    Raises:
        SettingsError: the keyring cannot be used.
    """
    content: str | None = _asked(lambda keyring: keyring.get_password(SERVICE, item), seconds)
    return content


def write(item: str, content: str) -> None:
    """Write a new item, and read it again: some backends take what they do not keep.

    Raises:
        SettingsError: it was not kept.
    """

    def both(keyring: ModuleType) -> bool:
        keyring.set_password(SERVICE, item, content)
        return bool(keyring.get_password(SERVICE, item) == content)

    if not _asked(both, PERSON_SECONDS):
        raise SettingsError("The system's keyring did not keep the secret.", ELSE)


def remove(item: str) -> None:
    """Remove an item. One that is gone already is no error.

    Raises:
        SettingsError: the keyring cannot be used.
    """

    def gone(keyring: ModuleType) -> None:
        if keyring.get_password(SERVICE, item) is not None:
            keyring.delete_password(SERVICE, item)

    _asked(gone, PERSON_SECONDS)


def try_out() -> None:
    """Write, read and remove an item that is no secret.

    Raises:
        SettingsError: the keyring cannot be used.
    """
    write("try", "no secret")
    remove("try")


def name() -> str:
    """Return the name of the keyring that is used, for its owner.

    Raises:
        SettingsError: the keyring cannot be used.
    """
    return _asked(lambda keyring: str(keyring.get_keyring().name), READ_SECONDS)


ELSE = "Keep it in a file of the home instead: --store file."
"""The other place, as a sentence. It does not hold for a secret that no file may hold."""


def _asked(ask: Callable[[ModuleType], _Answer], seconds: float) -> _Answer:
    """Ask the keyring in a thread, and wait no longer than `seconds`."""
    answers: queue.Queue[tuple[_Answer] | SettingsError] = queue.Queue()

    def run() -> None:
        try:
            answers.put((ask(_library()),))
        except SettingsError as error:
            answers.put(error)
        except Exception as error:  # backends raise what the system's service raised
            answers.put(_failure(type(error)))

    # A daemon: an answer that never comes does not keep the program from ending.
    threading.Thread(target=run, name="keyring", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise SettingsError(
            f"The system's keyring did not answer within {seconds:g} seconds. It may be locked, and wait for you.",
            f"Unlock it and try again. {ELSE}",
        ) from None
    if isinstance(answer, SettingsError):
        raise answer from None
    return answer[0]


def _library() -> ModuleType:
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        raise SettingsError(
            "The system's keyring cannot be used: the library for it is not installed.",
            f"Install it with {install_command('keyring')}.",
        ) from None
    if isinstance(keyring.get_keyring(), fail.Keyring | null.Keyring):
        raise SettingsError("This system has no keyring that could be used here.", ELSE)
    return keyring


def _failure(kind: type[Exception]) -> SettingsError:
    if kind.__name__ in ("KeyringLocked", "InitError"):
        return SettingsError("The system's keyring is locked.", f"Unlock it and try again. {ELSE}")
    return SettingsError(f"The system's keyring failed ({kind.__name__}).", f"Try again. {ELSE}")
