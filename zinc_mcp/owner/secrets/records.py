"""The schema of the secret store: the kinds of secrets, and what their records hold."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError

MAX_SECRET = 1024
"""The most characters of all parts of one secret. Windows keeps 2,560 bytes of an item, two for each character."""
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
    never_in_files: tuple[str, ...] = ()
    """The parts that only a keyring may hold."""
    has_names: bool = False
    """Whether there may be several, each with a name that the owner chose."""
    again: str = "Sign in again, or sign out to forget it."
    """The owner's next step if the secret is lost."""


KINDS: Mapping[str, Kind] = {
    "api_key": Kind("the Zinc API key"),
    "v1_client_token": Kind("the client token of Zinc's v1"),
    "tempo_private_key": Kind("the key of the Tempo wallet"),
    "stripe_secret_key": Kind("the Stripe wallet's key"),
    "notify_secret": Kind("the secret that signs messages to you", places=("file",)),
    "webhook_secret": Kind("the secret that signs Zinc's events", places=("file",), again="Run webhooks set again."),
    "retailer_account": Kind(
        "an account of yours at a retailer",
        ("email", "password", "billing_address"),
        ("totp_key", "card"),
        never_in_files=("card",),  # a card pays everywhere, and a file is easily copied
        has_names=True,
        again="Add the account again, or remove it.",
    ),
}
"""Every kind of secret. The name of one of a kind with names is `kind.name`. A setting's secret has the setting's name,
and is read where neither the environment nor `zinc.toml` has it."""


@dataclass(frozen=True, slots=True)
class Record:
    """The facts about a kept secret that is not opened."""

    name: str
    place: Place
    id: str
    """Differs for each secret that was ever kept."""
    since: float
    """Seconds since the epoch."""
    origin: str | None = None
    """The origin of the only Zinc that the secret is for; None for a secret that is not for Zinc."""
    remark: str | None = None
    """A word about the secret that reveals nothing of it, such as `live` or `test`."""
    about: Mapping[str, str] = field(default_factory=dict[str, str])
    """More such words, by name, for a kind that has them."""


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


def check_place(name: str, place: Place, parts: Collection[str] = ()) -> None:
    """Check that a secret of this kind, with these parts, may be in a place.

    Raises:
        SettingsError: it may not.
    """
    kind = kind_of(name)
    if place not in kind.places:
        raise SettingsError(f"This kind of secret is not kept in the {place}.", "Choose another place for it.")
    for part in parts:
        if place == "file" and part in kind.never_in_files:
            raise SettingsError(
                f"A {part} is kept in the system's keyring only, never in a file, so nothing was kept.",
                "Keep it there: --store keyring.",
            )


def check_parts(name: str, parts: Mapping[str, SecretStr], place: Place) -> None:
    """Check that a secret has the parts of its kind, is short enough, and may be in a place.

    Raises:
        SettingsError: it has not, or is not.
    """
    check_place(name, place, parts)
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
    origin, remark, about = document.get("for"), document.get("is"), document.get("about", {})
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
        or not _is_text_by_name(about)
    ):
        raise unusable(path, "not a record of ours")
    return Record(name, place, identity, float(since), origin, remark, cast("dict[str, str]", about))


def _is_text_by_name(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(isinstance(each, str) for each in cast("dict[str, object]", value).values())


def parts_in(name: str, parts: object, path: Path, place: Place) -> Mapping[str, SecretStr]:
    """Return the parts of a secret as they were kept in a place.

    Raises:
        SettingsError: they are not those of its kind, or may not be in that place.
    """
    kind = kind_of(name)
    found = cast("dict[str, object]", parts) if isinstance(parts, dict) else {}
    are_known = set(kind.parts) <= found.keys() <= {*kind.parts, *kind.more}
    if not are_known or not all(isinstance(each, str) and each for each in found.values()):
        raise unusable(path, "not a record of ours")
    if place == "file" and not found.keys().isdisjoint(kind.never_in_files):
        raise unusable(path, f"it holds a {', a '.join(kind.never_in_files)}, which only a keyring may hold")
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
        "Correct it, or move it away and keep the secret again.",
    )
