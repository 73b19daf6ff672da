"""The refusal of arguments of a tool that hold a secret of this program, or of an account of the owner's own.

The secret would be kept in the journal, shown, and sent to Zinc. Its value is known here, so no form has to be guessed.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from zinc_mcp.errors import InvalidArgumentsError, Problem
from zinc_mcp.known_settings import SETTINGS
from zinc_mcp.known_settings.kinds import keys_in
from zinc_mcp.owner.settings import Settings
from zinc_mcp.zinc.texts.notes import texts_in

_SHORTEST = 6
"""The least characters of a secret that is looked for. A shorter one may stand in any text by chance."""
_SPACES = re.compile(r"[\s-]")


def secrets_in(settings: Settings) -> list[SecretStr]:
    """Return the secrets in the settings of a process."""
    given = [(each, getattr(settings, each.name)) for each in SETTINGS if each.is_secret]
    return [
        SecretStr(secret)
        for setting, value in given
        if value is not None
        for secret in _secrets_of(setting.kind, value.get_secret_value())
    ]


def refuse_secrets(given: Mapping[str, Any], secrets: Iterable[SecretStr]) -> None:
    """Check that no text in these arguments holds one of these secrets, in any case and spacing.

    Raises:
        InvalidArgumentsError: one does; the secret is not repeated.
    """
    known = [plain for each in secrets if len(plain := _plain(each.get_secret_value())) >= _SHORTEST]
    if not known:
        return
    for field, value in given.items():
        if any(secret in _plain(text) for text in texts_in(value) for secret in known):
            raise InvalidArgumentsError(
                "An argument holds a login, password or key of the owner's. Nothing was sent.",
                problems=[Problem(field, "holds a login, password or key of the owner's; leave it out")],
            )


def _secrets_of(kind: str, value: str) -> tuple[str, ...]:
    match kind:
        case "keys":
            return keys_in(value)
        case "database" | "proxy":
            password = urlsplit(value).password or ""
            return (password, unquote(password))
        case _:
            return (value,)


def _plain(text: str) -> str:
    return _SPACES.sub("", text).casefold()
