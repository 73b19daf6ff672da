"""The schema of the secret store: the kinds of secrets, and what their records hold."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError

MAX_SECRET = 1024
"""Characters of all parts of one secret. Windows keeps 2,560 bytes of an item, at two bytes for a character."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_ID = re.compile(r"[0-9a-f]{16}")

Place = Literal["file", "keyring"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of secret: the parts that it needs, those that it may have, and the places in which it may be."""

    meaning: str
    parts: tuple[str, ...] = ("value",)
    more: tuple[str, ...] = ()
    places: tuple[Place, ...] = get_args(Place)
    has_names: bool = False
    """Whether there may be several, each with a name that the owner chose."""


KINDS: Mapping[str, Kind] = {
    "api_key": Kind("the Zinc API key"),
    "v1_client_token": Kind("the client token of Zinc's v1"),
    "tempo_private_key": Kind("the key of the Tempo wallet"),
    "stripe_secret_key": Kind("the Stripe wallet's key"),
    "notify_secret": Kind("the secret that signs messages to you", places=("file",)),
    "v1_account": Kind(
        "an account at a shop, for Zinc's v1",
        ("login", "password"),
        ("totp_key", "card"),
        places=("keyring",),  # a card and a password of a shop are worth more than a key that can be revoked
        has_names=True,
    ),
}
"""Every kind of secret. The name of one of a kind with names is `kind.name`. A setting's secret has the setting's name,
and is read where neither the environment nor `zinc.toml` has it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known about a kept secret without opening it."""

    name: str
    place: Place
    id: str
    """Differs for each secret that was ever kept."""
    since: float
    """Seconds since the epoch."""
    origin: str | None = None
    """The only Zinc that the secret is for; None for a secret of somebody else's."""
    remark: str | None = None
    """What is known of the secret and tells nothing of it, such as `live` or `test`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A secret with its record."""

    record: Record
    parts: Mapping[str, SecretStr]

    @property
    def value(self) -> SecretStr:
        """The secret of a kind with one part."""
        return self.parts["value"]


def kind_of(name: str) -> Kind:
    """Return the kind of a secret.

    Raises:
        SettingsError: a secret of this kind has a name of its own and this has none, or the other way round.
    """
    base, dot, own = name.partition(".")
    kind = KINDS[base]
    if bool(dot) != kind.has_names or (dot and not _NAME.fullmatch(own)):
        raise SettingsError(
            f"A secret of the kind {base} {'needs a' if kind.has_names else 'has no'} name.",
            "Use 1 to 40 of a-z, 0-9, dash and underscore." if kind.has_names else None,
        )
    return kind


def is_name(name: str) -> bool:
    """Say whether a text is the name of a secret that could be kept."""
    base = name.partition(".")[0]
    if base not in KINDS:
        return False
    try:
        kind_of(name)
    except SettingsError:
        return False
    return True


def check_place(name: str, place: Place) -> None:
    """Check that a secret of this kind may be in a place.

    Raises:
        SettingsError: it may not.
    """
    if place not in kind_of(name).places:
        raise SettingsError(f"This kind of secret is not kept in the {place}.", "Choose another place for it.")


def check_parts(name: str, parts: Mapping[str, SecretStr], place: Place) -> None:
    """Check that a secret has the parts of its kind, is short enough, and may be in a place.

    Raises:
        SettingsError: it has not, or is not.
    """
    check_place(name, place)
    kind = kind_of(name)
    if not set(kind.parts) <= parts.keys() <= {*kind.parts, *kind.more}:
        raise SettingsError(f"A secret of this kind has the parts {', '.join((*kind.parts, *kind.more))}.")
    if any(not value.get_secret_value() for value in parts.values()):
        raise SettingsError("A part of the secret is empty.")
    if sum(len(value.get_secret_value()) for value in parts.values()) > MAX_SECRET:
        raise SettingsError(f"The secret is longer than {MAX_SECRET} characters.")


def record_in(name: str, document: Mapping[str, Any], path: Path) -> Record:
    """Return the record in a file's content.

    Raises:
        SettingsError: it is not a record.
    """
    place, identity, since = document.get("in"), document.get("id"), document.get("since")
    origin, remark = document.get("for"), document.get("is")
    if (
        place not in get_args(Place)
        or place not in kind_of(name).places
        or not isinstance(identity, str)
        or not _ID.fullmatch(identity)
        or isinstance(since, bool)
        or not isinstance(since, int | float)
        or not 0 <= since < 1e11
        or not isinstance(origin, str | None)
        or not isinstance(remark, str | None)
    ):
        raise unusable(path, "not a record of ours")
    return Record(name, place, identity, float(since), origin, remark)


def parts_in(name: str, parts: object, path: Path) -> Mapping[str, SecretStr]:
    """Return the parts of a secret as they were kept.

    Raises:
        SettingsError: they are not those of its kind.
    """
    kind = kind_of(name)
    found = cast("dict[str, object]", parts) if isinstance(parts, dict) else {}
    are_known = set(kind.parts) <= found.keys() <= {*kind.parts, *kind.more}
    if not are_known or not all(isinstance(each, str) and each for each in found.values()):
        raise unusable(path, "not a record of ours")
    return {part: SecretStr(str(value)) for part, value in found.items()}


def json_in(content: str) -> object:
    """Return decoded JSON, or None."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def item_of(record: Record) -> str:
    """Return the name of the keyring item of a record."""
    return f"{record.name} {record.id}"


def unusable(path: Path, why: str) -> SettingsError:
    """Return the error for a record, or for the whole store, that cannot be used."""
    return SettingsError(
        f"The secret store cannot be used ({why}): {path}",
        "Correct it, or move it away and sign in again.",
    )
