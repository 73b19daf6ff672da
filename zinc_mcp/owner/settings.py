"""What the owner configured: one file, `zinc.toml`, and environment variables that override it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.known_settings import Setting, settings_of
from zinc_mcp.owner.configuration import (
    InsecureFileError,
    Reader,
    check_owners_alone,
    check_variables,
    path_of,
    read_config,
    unfilled,
)
from zinc_mcp.private_files import readable_by_others
from zinc_mcp.proxies import ENVIRONMENT, NONE, Route, UnusableRouteError, checked

DEFAULT_API_URL = "https://api.zinc.com"


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process was configured with. Holds secrets; no `repr` of it shows one."""

    home: Path
    config: Path
    """Where `zinc.toml` is, or would be."""
    api_key: SecretStr | None = None
    api_url: str = DEFAULT_API_URL
    sandbox: bool = False
    journal: SecretStr | None = None
    """A SQLAlchemy URL (it may hold a password), or None for SQLite in the home."""
    tools: frozenset[str] | None = None
    """The only tools to list and to call, or None for all."""
    wallet: str | None = None
    """Which payment wallet pays for `place_agent_order`, or None for none."""
    tempo_private_key: SecretStr | None = None
    tempo_root_account: str | None = None
    """The account that an access key signs for."""
    tempo_rpc_url: str | None = None
    tempo_chain_id: int | None = None
    stripe_secret_key: SecretStr | None = None
    stripe_payment_method: str | None = None
    wallet_command: str | None = field(default=None, repr=False)
    wallet_methods: tuple[str, ...] = ()
    """What the command can pay."""
    wallet_recipients: tuple[str, ...] = ()
    """The only recipients to pay; empty for any."""
    wallet_fees: tuple[int, int] | None = None
    """The least and the most that a 402 may ask for above the price ceiling, in cents; None for Zinc's fee alone."""
    browser: bool = True
    """Whether the approval page may be opened in a browser of this desktop."""
    proxy: SecretStr | None = None
    """`environment` (also None), `none` or a proxy's address, which may hold a password; see `Route`."""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Where each setting came from, in words; never a value."""
    unfilled: tuple[str, ...] = ()
    """The settings that hold a host's placeholder instead of a value."""
    wallet_trouble: tuple[str, str] | None = None
    """What is wrong with a setting of the payment wallet, and what to do about it: then there is no wallet."""
    readable: tuple[Path, ...] = ()
    """Files that hold a secret and that other users of this machine can read."""

    @property
    def mode(self) -> Literal["sandbox", "test", "live"]:
        """Say whose money an order would spend: nobody's twice, the owner's once."""
        if self.sandbox:
            return "sandbox"
        if self.api_key is not None and self.api_key.get_secret_value().startswith("zn_test_"):
            return "test"
        return "live"

    @property
    def route(self) -> Route:
        """The way to every host that is asked."""
        return Route(self.proxy)

    @property
    def journal_url(self) -> str:
        """The journal's SQLAlchemy URL. It may hold a password: never show it."""
        if self.journal is not None:
            return self.journal.get_secret_value()
        return f"sqlite:///{self.home / 'journal.db'}"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and `zinc.toml`.

    Raises:
        SettingsError: if a key is unknown, a value has the wrong type, a file cannot be read, or others can write to
            one, to the home, or to a folder on the way. What is wrong with the payment wallet alone is kept
            (`Settings.wallet_trouble`): everything else works without one.
    """
    environment = os.environ if environ is None else environ
    check_variables(environment)
    named = {place: path_of(environment, place.variable) for place in settings_of("place")}
    home, config = named.values()
    if config is not None and not config.is_file():
        # Going on without it would drop the owner's limits without a word.
        raise SettingsError(
            f"ZINC_MCP_CONFIG names a file that does not exist: {config}",
            "Create the file, correct ZINC_MCP_CONFIG or leave it out.",
        )
    home = home or _default_home()
    config = config or home / "zinc.toml"
    check_owners_alone(home, "home folder")
    document = read_config(config)
    reader = Reader(environment, config, document)
    reader.sources |= {each.name: f"environment {each.variable}" if path else "default" for each, path in named.items()}
    wallet, trouble = _wallet(reader)
    return Settings(
        home=home,
        config=config,
        **wallet,
        wallet_trouble=trouble,
        **_values(reader, settings_of("general")),
        sources=MappingProxyType(reader.sources),
        unfilled=unfilled(environment, document, config.name),
        readable=tuple(path for path in dict.fromkeys(reader.secret_files) if readable_by_others(path)),
    )


def _values(reader: Reader, settings: Iterable[Setting]) -> dict[str, Any]:
    """Return what is set; the others keep their defaults."""
    found = {
        each.name: reader.secret(each, _OBJECTIONS[each.kind]) if each.is_secret else reader.value(each)
        for each in settings
    }
    return {name: value for name, value in found.items() if value is not None}


def _wallet(reader: Reader) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """Read what is set about the payment wallet; nothing of it, and why, where some of it is wrong."""
    try:
        return _values(reader, settings_of("wallet")), None
    except InsecureFileError:
        raise
    except SettingsError as error:
        return {}, (error.summary, error.next_step)


def warnings_about(settings: Settings) -> tuple[str, ...]:
    """Return what to tell whoever starts the program about its settings, a line each."""
    told = [
        f"{place} holds a placeholder that was not filled in, so it counts as not set." for place in settings.unfilled
    ]
    told += [f"Other users of this machine can read {path}, which holds a secret." for path in settings.readable]
    if settings.wallet_trouble is not None and not settings.sandbox:
        told.append(f"{settings.wallet_trouble[0]} Until it is corrected, place_agent_order cannot pay.")
    return tuple(told)


def _default_home() -> Path:
    try:
        return Path.home() / ".zinc-mcp"
    except RuntimeError as error:
        raise SettingsError("This user has no home folder.", "Set ZINC_MCP_HOME to a folder of its own.") from error


def _header_value(key: str) -> str | None:
    # It travels in an HTTP header, where a line break or a foreign letter has no place.
    if any(not 33 <= ord(character) <= 126 for character in key):
        return "holds spaces or characters that no key has"
    return None


def _proxy_address(address: str) -> str | None:
    if address in (ENVIRONMENT, NONE):
        return None
    try:
        checked(address)
    except UnusableRouteError:
        return "must be environment, none or an address like http://proxy.example:3128"
    return None


def _database_url(url: str) -> str | None:
    if not url.startswith(("sqlite:", "sqlite+", "postgresql:", "postgresql+")) or "://" not in url:
        return "must be an address such as postgresql://user:password@host/name"
    return None


_OBJECTIONS = {"key": _header_value, "database": _database_url, "proxy": _proxy_address}
