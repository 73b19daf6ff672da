"""`[notify]` of `zinc.toml`: the place at which the owner is told about orders, and the events that are told.

[notify]
url = "https://chat.example/hooks/T0/B0"    # or: command = ["/usr/local/bin/tell-me", "--orders"]
events = ["waiting", "in_doubt", "failed"]  # left out: all of them
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.invocation import is_unset
from zinc_mcp.known_settings import did_you_mean
from zinc_mcp.proxies import is_confidential

Notable = Literal["waiting", "placed", "in_doubt", "failed", "delivered", "refund_proved", "refund_overdue", "paused"]
"""The events that the owner can be told about."""
EVENTS: tuple[Notable, ...] = get_args(Notable)
MAX_ADDRESS = 2000
MAX_WORDS = 50
MAX_WORD = 4000

_KEYS = ("url", "command", "events")
_ADDRESS = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Notify:
    """The place at which the owner is told, which is an address or a command, and the events that are told."""

    events: frozenset[Notable]
    url: SecretStr | None = None
    """A secret: anybody who knows the address of a chat's hook may write there. It is shown only as `place`."""
    command: tuple[str, ...] = field(default=(), repr=False)
    """A program and its arguments; started without a shell."""
    secret: SecretStr | None = None
    """Signs each message to the address; None: it is not signed."""

    @property
    def place(self) -> str:
        """The place as it may be shown: the address without its path, or the program without its arguments."""
        if self.url is None:
            return self.command[0]
        parts = urlsplit(self.url.get_secret_value())
        return f"{parts.scheme}://{parts.netloc}"


def read_notify(table: object, secret: SecretStr | None, place: str) -> Notify | None:
    """Return the place and the events that the table names; None without a table.

    Args:
        table: the parsed table; None without one.
        secret: the secret that signs the messages.
        place: the path of the file, for the sentences.

    Raises:
        SettingsError: an unknown key, a wrong value, or an address that cannot be used. Values are not repeated.
    """
    if table is None:
        return None
    if not isinstance(table, dict):
        raise SettingsError(f"{place}: `notify` must be a table, written as [notify].")
    given = cast(Mapping[str, object], table)
    for key in given:
        if key not in _KEYS:
            raise SettingsError(
                f"{place}: unknown key `{key}` in [notify].{did_you_mean(key, _KEYS)}", "Correct or remove the key."
            )
    url, command = _address(given.get("url"), place), _words(given.get("command"), place)
    if (url is None) == (not command):
        raise SettingsError(f"{place}: [notify] needs either `url` or `command`, and not both.")
    return Notify(_events(given.get("events"), place), url, command, secret)


def names_url(document: Mapping[str, object]) -> bool:
    """Say whether a parsed file names the address, which is a secret."""
    table = document.get("notify")
    return isinstance(table, dict) and "url" in table


def _address(given: object, place: str) -> SecretStr | None:
    if given is None or (isinstance(given, str) and is_unset(given.strip())):
        return None
    wrong = f"{place}: `url` of [notify]"
    if not isinstance(given, str) or len(given) > MAX_ADDRESS or not _ADDRESS.fullmatch(given.strip()):
        raise SettingsError(f"{wrong} must be an address such as https://chat.example/hook.")
    url = given.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise SettingsError(f"{wrong} is not a usable address.") from None
    if "@" in parts.netloc or parts.fragment or not host:
        raise SettingsError(f"{wrong} must name a host, and carry no user name, password or `#`.")
    if not is_confidential(parts.scheme, host):
        raise SettingsError(f"{wrong} must begin with https://; plain http is only for this machine.")
    return SecretStr(url)


def _words(given: object, place: str) -> tuple[str, ...]:
    if given is None:
        return ()
    words = cast(list[object], given) if isinstance(given, list) else []
    usable = 0 < len(words) <= MAX_WORDS and all(
        isinstance(word, str) and len(word) <= MAX_WORD and "\0" not in word for word in words
    )
    if not usable or not words[0]:
        raise SettingsError(
            f'{place}: `command` of [notify] must be a list of words, such as ["/usr/local/bin/tell-me", "--orders"].',
            "No shell reads it: write the program first, then each argument as a text of its own.",
        )
    return tuple(map(str, words))


def _events(given: object, place: str) -> frozenset[Notable]:
    if given is None:
        return frozenset(EVENTS)
    words = cast(list[Any], given) if isinstance(given, list) else []
    if not words or not all(isinstance(word, str) for word in words):
        raise SettingsError(f"{place}: `events` of [notify] must be a list with some of {', '.join(EVENTS)}.")
    for word in cast(list[str], words):
        if word not in EVENTS:
            raise SettingsError(
                f"{place}: `events` of [notify] names no event: {word[:40]!r}.{did_you_mean(word, EVENTS)}",
                f"The events are {', '.join(EVENTS)}.",
            )
    return frozenset(cast(list[Notable], words))
