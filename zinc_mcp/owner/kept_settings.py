"""The secrets of the settings that are in the store, where neither the environment nor `zinc.toml` has them."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.invocation import command
from zinc_mcp.owner.secrets.own_files import SECRETS, InsecureFileError
from zinc_mcp.text import plain

if TYPE_CHECKING:
    from zinc_mcp.owner.secrets.records import Record
    from zinc_mcp.owner.settings import Settings

SOURCES = {"file": "secret store, file", "keyring": "secret store, keyring"}
"""The words for each place, as a source of a setting."""
_ORIGINS = {"api_key": "ZINC_API_URL", "v1_client_token": "ZINC_V1_API_URL"}
"""Secrets for one Zinc alone, and the setting with the address of the Zinc that is asked."""
_TROUBLES = {"api_key": "key_trouble", "v1_client_token": "v1_trouble"}
"""The field of `Settings` that says why a kept secret cannot be used; of any other secret it is the wallet's."""
_RARE = ("v1_client_token", "webhook_secret")
_WALLETS = {"tempo": "tempo_private_key", "stripe": "stripe_secret_key"}


@dataclass(frozen=True, slots=True)
class KeptSettings:
    """The secrets of the store for the settings. Those in a keyring are not opened yet."""

    values: Mapping[str, SecretStr] = field(default_factory=dict[str, SecretStr])
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    in_keyring: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """The records that hold a secret."""
    key_record: "Record | None" = None
    """The record of the API key, if it is the one in use."""
    key_trouble: tuple[str, str] | None = None
    """The reason why the kept API key is not used, and the step that helps, as sentences."""
    v1_trouble: tuple[str, str] | None = None
    """The same about the client token of v1; the next two are about the secret of Zinc's events, and the wallet's."""
    webhook_trouble: tuple[str, str] | None = None
    wallet_trouble: tuple[str, str] | None = None


def wanted(sources: Mapping[str, str], wallet: object, *, notifies: bool) -> list[str]:
    """Return the secrets that are needed and were found nowhere else."""
    of_wallet = [_WALLETS[wallet]] if isinstance(wallet, str) and wallet in _WALLETS else []
    names = [*_ORIGINS, "webhook_secret", *of_wallet]
    return [name for name in (*names, *(["notify_secret"] if notifies else [])) if sources.get(name) == "default"]


def kept_settings(home: Path, names: Sequence[str], origins: Mapping[str, str]) -> KeptSettings:
    """Look up secrets in the store of a home. `origins`: by the name of a secret, the address of the Zinc it is for.

    Raises:
        InsecureFileError: others can write to the store. The result tells any other trouble with it.
    """
    # A secret that few owners have is looked for only if its record is there, because opening the store takes time.
    names = [name for name in names if name not in _RARE or (home / SECRETS / f"{name}.json").exists()]
    if not names or not (home / SECRETS).is_dir():
        return KeptSettings()
    from zinc_mcp.owner.secrets.store import SecretStore

    store = SecretStore(home)
    values, sources, in_keyring, files = dict[str, SecretStr](), dict[str, str](), list[str](), list[Path]()
    key_record, troubles = None, dict[str, tuple[str, str]]()
    for name in names:
        try:
            record = store.record(name)
            if record is None:
                continue
            if name in origins and (trouble := _other_zinc(name, record, origins[name])):
                troubles[name] = trouble
                continue
            if record.place == "keyring":
                in_keyring.append(name)
            elif kept := store.get(name):
                values[name] = kept.value
                files.append(store.path(name))
            sources[name] = SOURCES[record.place]
            key_record = record if name == "api_key" else key_record
        except InsecureFileError:
            raise
        except SettingsError as error:
            troubles[name] = (error.summary, error.next_step)
    key, v1, webhook = (troubles.pop(name, None) for name in ("api_key", "v1_client_token", "webhook_secret"))
    return KeptSettings(
        values,
        sources,
        tuple(in_keyring),
        tuple(files),
        key_record,
        key_trouble=key,
        v1_trouble=v1,
        webhook_trouble=webhook,
        wallet_trouble=next(iter(troubles.values()), None),
    )


def opened(settings: "Settings") -> "Settings":
    """Return the settings with the secrets that are in a keyring. This may take some seconds, and never longer.

    `key_trouble`, `v1_trouble` or `wallet_trouble` says if a keyring cannot be used.
    """
    if not settings.in_keyring:
        return settings
    from zinc_mcp.owner.secrets.store import SecretStore

    store, found = SecretStore(settings.home), dict[str, Any]()
    for name in settings.in_keyring:
        try:
            kept = store.get(name)
            found[name] = None if kept is None else kept.value
        except SettingsError as error:
            found[_TROUBLES.get(name, "wallet_trouble")] = (error.summary, error.next_step)
            if name in _ORIGINS:
                break  # a keyring that does not answer is not waited for twice
    return dataclasses.replace(settings, in_keyring=(), **found)


def step_to_get_a_key(settings: "Settings") -> str:
    """Return the owner's step to an API key, as the end of a sentence. It begins with a verb."""
    if settings.api_key is None and settings.key_trouble is None and _is_kept_now(settings):
        return "start this server again: an API key was kept after it had started"
    return f"sign in with {command('login')}, or set ZINC_API_KEY, or ZINC_MCP_SANDBOX=1 to practise"


def _is_kept_now(settings: "Settings") -> bool:
    from zinc_mcp.owner.secrets.store import SecretStore

    try:
        record = SecretStore(settings.home).record("api_key")
    except SettingsError:
        return False
    return record is not None and _other_zinc("api_key", record, settings.api_url) is None


def _other_zinc(name: str, record: "Record", url: str) -> tuple[str, str] | None:
    """Return the trouble with a secret that was kept for another Zinc than the one that is set up; else None."""
    if record.origin is None or record.origin == url:
        return None
    from zinc_mcp.zinc.origin import check_origin

    try:
        origin = check_origin(url, _ORIGINS[name])
    except SettingsError:
        origin = None  # the first request to Zinc says that the address is wrong
    if record.origin == origin:
        return None
    kept_for = plain(cast(object, record.origin), 200)
    what, sign_in = "v1 client token", command("login", "--v1")
    if name == "api_key":
        what, sign_in = "API key", command("login")
    return (
        f"The kept {what} is for {kept_for}, and {_ORIGINS[name]} names another Zinc, so it is not used.",
        f"Correct {_ORIGINS[name]}, or sign in there: {sign_in}.",
    )
