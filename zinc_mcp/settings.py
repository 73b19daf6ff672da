"""What the owner configured: one file, `zinc.toml`, and environment variables that override it."""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError

DEFAULT_API_URL = "https://api.zinc.com"
TOOLS = ("place_order", "place_agent_order", "get_order")
WALLETS = ("tempo", "stripe", "command", "sandbox")

_TOP_LEVEL = frozenset(
    "api_key api_key_file api_url sandbox journal journal_file tools wallet browser policy addresses".split()
)
_VARIABLES = {
    "api_key": "ZINC_API_KEY",
    "api_url": "ZINC_API_URL",
    "sandbox": "ZINC_MCP_SANDBOX",
    "journal": "ZINC_MCP_JOURNAL",
    "tools": "ZINC_MCP_TOOLS",
    "wallet": "ZINC_WALLET",
    "tempo_private_key": "ZINC_TEMPO_PRIVATE_KEY",
    "tempo_root_account": "ZINC_TEMPO_ROOT_ACCOUNT",
    "tempo_rpc_url": "ZINC_TEMPO_RPC_URL",
    "tempo_chain_id": "ZINC_TEMPO_CHAIN_ID",
    "stripe_secret_key": "ZINC_STRIPE_SECRET_KEY",
    "stripe_payment_method": "ZINC_STRIPE_PAYMENT_METHOD",
    "wallet_command": "ZINC_WALLET_COMMAND",
    "wallet_methods": "ZINC_WALLET_METHODS",
    "wallet_recipients": "ZINC_WALLET_RECIPIENTS",
    "browser": "ZINC_MCP_BROWSER",
}
_OWN_VARIABLES = frozenset(
    "ZINC_MCP_HOME ZINC_MCP_CONFIG ZINC_MCP_SANDBOX ZINC_MCP_JOURNAL ZINC_MCP_JOURNAL_FILE ZINC_MCP_TOOLS "
    "ZINC_MCP_MAX_ORDER ZINC_MCP_MAX_DAY ZINC_MCP_APPROVAL ZINC_MCP_BROWSER".split()
)
_UNFILLED = re.compile(r"^\$\{user_config\.[^}]*\}$")
_POSITION = re.compile(r"at (line \d+, column \d+|end of document)")
_MAX_FILE_BYTES = 1024 * 1024


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
    browser: bool = True
    """Whether the approval page may be opened in a browser of this desktop."""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Where each setting came from, in words; never a value."""

    @property
    def mode(self) -> Literal["sandbox", "test", "live"]:
        """Say whose money an order would spend: nobody's twice, the owner's once."""
        if self.sandbox:
            return "sandbox"
        if self.api_key is not None and self.api_key.get_secret_value().startswith("zn_test_"):
            return "test"
        return "live"

    @property
    def journal_url(self) -> str:
        """The journal's SQLAlchemy URL. It may hold a password: never show it."""
        if self.journal is not None:
            return self.journal.get_secret_value()
        return f"sqlite:///{self.home / 'journal.db'}"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and `zinc.toml`.

    Raises:
        SettingsError: if a key is unknown, a value has the wrong type, or a file cannot be read.
    """
    environment = os.environ if environ is None else environ
    _check_variables(environment)
    home = _path(environment, "ZINC_MCP_HOME")
    named_config = _path(environment, "ZINC_MCP_CONFIG")
    if named_config is not None and not named_config.is_file():
        # Going on without it would drop the owner's limits without a word.
        raise SettingsError(
            f"ZINC_MCP_CONFIG names a file that does not exist: {named_config}",
            "Create the file, correct ZINC_MCP_CONFIG or leave it out.",
        )
    home_or_default = home or _default_home()
    config = named_config or home_or_default / "zinc.toml"
    reader = _Reader(environment, config, read_config(config))
    reader.sources["home"] = "environment ZINC_MCP_HOME" if home else "default"
    reader.sources["config"] = "environment ZINC_MCP_CONFIG" if named_config else "default"
    return Settings(
        home=home_or_default,
        config=config,
        api_key=reader.secret("api_key", _header_value),
        api_url=reader.address("api_url") or DEFAULT_API_URL,
        sandbox=reader.switch("sandbox"),
        journal=reader.secret("journal", _database_url),
        tools=reader.names("tools", TOOLS),
        wallet=reader.choice("wallet", WALLETS),
        tempo_private_key=reader.secret("tempo_private_key", _header_value),
        tempo_root_account=reader.text("tempo_root_account"),
        tempo_rpc_url=reader.address("tempo_rpc_url"),
        tempo_chain_id=reader.number("tempo_chain_id"),
        stripe_secret_key=reader.secret("stripe_secret_key", _header_value),
        stripe_payment_method=reader.text("stripe_payment_method"),
        wallet_command=reader.text("wallet_command"),
        wallet_methods=reader.words("wallet_methods"),
        wallet_recipients=reader.words("wallet_recipients"),
        browser=reader.switch("browser", default=True),
        sources=MappingProxyType(reader.sources),
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return the parsed file, or an empty mapping when there is none.

    Raises:
        SettingsError: if it cannot be read, is not TOML, or has a top-level key we do not know.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise SettingsError(f"{path} is larger than 1 MB, which no configuration is.")
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror or 'input/output error'}).") from error
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text.", "Save it as UTF-8 and start again.") from None
    except tomllib.TOMLDecodeError as error:
        # Only the place: the parser's sentence may quote the line, and the line may hold a key.
        place = _POSITION.search(str(error))
        raise SettingsError(
            f"{path} is not valid TOML{f' ({place[0]})' if place else ''}.", "Correct that line and start again."
        ) from None
    for key in document:
        if key not in _TOP_LEVEL:
            raise SettingsError(
                f"{path}: unknown key `{key}`.{_did_you_mean(key, _TOP_LEVEL)}",
                "Correct or remove the key. Limits belong under [policy].",
            )
    for table in ("policy", "addresses"):
        if not isinstance(document.get(table, {}), dict):
            raise SettingsError(f"{path}: `{table}` must be a table, written as [{table}].")
    return document


def environment_value(environ: Mapping[str, str], name: str) -> str | None:
    """Return a variable's value, or None when it is unset, empty, or a placeholder that a host left unfilled."""
    value = environ.get(name, "").strip()
    return None if _unset(value) else value


class _Reader:
    """Looks each setting up: the environment first, then the file, and notes where it was found."""

    def __init__(self, environ: Mapping[str, str], config: Path, document: Mapping[str, Any]) -> None:
        self._environ = environ
        self._config = config
        self._document = document
        self.sources: dict[str, str] = {}

    def text(self, key: str) -> str | None:
        found = self._find(key)
        if found is None:
            return None
        value, place = found
        if not isinstance(value, str):
            raise SettingsError(f"{place} must be text in quotes.")
        return value

    def address(self, key: str) -> str | None:
        value = self.text(key)
        if value is not None and "@" in value:
            raise SettingsError(f"{self.sources[key]} must not carry a user name or a password.")
        return value

    def switch(self, key: str, *, default: bool = False) -> bool:
        found = self._find(key)
        if found is None:
            return default
        value, place = found
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("1", "true", "yes", "on"):
            return True
        if isinstance(value, str) and value.lower() in ("0", "false", "no", "off"):
            return False
        raise SettingsError(f"{place} must be true or false.")

    def choice(self, key: str, choices: tuple[str, ...]) -> str | None:
        value = self.text(key)
        # The value is not repeated: a private key pasted into the wrong field would be shown.
        if value is not None and value not in choices:
            raise SettingsError(f"{self.sources[key]} must be one of {', '.join(choices)}.")
        return value

    def number(self, key: str) -> int | None:
        found = self._find(key)
        if found is None:
            return None
        value, place = found
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
            return int(value)
        if type(value) is int and value >= 0:
            return value
        raise SettingsError(f"{place} must be a whole number.")

    def words(self, key: str) -> tuple[str, ...]:
        found = self._find(key)
        if found is None:
            return ()
        value, place = found
        listed = value.split(",") if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(word, str) for word in cast(list[object], listed)):
            raise SettingsError(f"{place} must be words, separated by commas.")
        return tuple(word for each in cast(list[str], listed) if (word := each.strip()))

    def names(self, key: str, known: tuple[str, ...]) -> frozenset[str] | None:
        found = self._find(key)
        if found is None:
            return None
        value, place = found
        listed = value.split(",") if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in cast(list[object], listed)):
            raise SettingsError(f"{place} must be names, such as {known[-1]}.")
        chosen = frozenset(name.strip() for name in cast(list[str], listed)) - {""}
        if not chosen:
            raise SettingsError(f"{place} names no tool.", f"Name some of {', '.join(known)}, or leave it out.")
        for name in sorted(chosen - set(known)):
            raise SettingsError(
                f"{place} names a tool that does not exist: {name[:60]!r}.{_did_you_mean(name, known)}",
                f"The tools are {', '.join(known)}.",
            )
        return chosen

    def secret(self, key: str, objection_to: Callable[[str], str | None]) -> SecretStr | None:
        """Take a secret from its variable, the file the variable names, or either of the two keys in the config."""
        variable = _VARIABLES[key]
        self.sources[key] = "default"
        for look, direct, indirect in (
            (self._environment, variable, f"{variable}_FILE"),
            (self._file, key, f"{key}_file"),
        ):
            given, named = look(direct), look(indirect)
            if given is not None and named is not None:
                raise SettingsError(f"{given[1]} and {named[1]} are both set.", "Keep one of them.")
            found = given or named
            if found is None:
                continue
            value, place = found
            if not isinstance(value, str):
                raise SettingsError(f"{place} must be text in quotes.")
            secret = _read_secret(value, self._config.parent, place) if named else value.strip()
            if objection := objection_to(secret):
                raise SettingsError(f"{place} {objection}.")
            self.sources[key] = place
            return SecretStr(secret)
        return None

    def _find(self, key: str) -> tuple[object, str] | None:
        found = self._environment(_VARIABLES[key]) or self._file(key)
        self.sources[key] = found[1] if found else "default"
        return found

    def _environment(self, name: str) -> tuple[object, str] | None:
        value = environment_value(self._environ, name)
        return None if value is None else (value, f"environment {name}")

    def _file(self, key: str) -> tuple[object, str] | None:
        value = self._document.get(key)
        if value is None or (isinstance(value, str) and _unset(value.strip())):
            return None
        return (value.strip() if isinstance(value, str) else value), f"{self._config.name} {key}"


def _unset(value: str) -> bool:
    return not value or _UNFILLED.match(value) is not None


def _check_variables(environ: Mapping[str, str]) -> None:
    # A mistyped limit that is passed over would be a limit that does not hold.
    for name in environ:
        if name.startswith("ZINC_MCP_") and name not in _OWN_VARIABLES:
            raise SettingsError(
                f"The environment variable {name} is not one of ours.{_did_you_mean(name, _OWN_VARIABLES)}",
                "Correct or remove it.",
            )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    value = environment_value(environ, name)
    if value is None:
        return None
    try:
        return Path(os.path.abspath(Path(value).expanduser()))
    except (RuntimeError, ValueError) as error:
        raise SettingsError(f"environment {name} is not a usable path.") from error


def _default_home() -> Path:
    try:
        return Path.home() / ".zinc-mcp"
    except RuntimeError as error:
        raise SettingsError("This user has no home folder.", "Set ZINC_MCP_HOME to a folder of its own.") from error


def _read_secret(value: str, base: Path, place: str) -> str:
    # The path is not repeated: who sets KEY_FILE to the key itself must not find it in a log.
    try:
        path = base / Path(value).expanduser()
        if path.stat().st_size > 64 * 1024:
            raise SettingsError(f"The file that {place} names is too large to hold a secret.")
        secret = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        reason = error.strerror or "input/output error"
        raise SettingsError(f"The file that {place} names cannot be read ({reason}).") from None
    except (UnicodeDecodeError, RuntimeError, ValueError):
        raise SettingsError(f"The file that {place} names is not text.") from None
    if not secret:
        raise SettingsError(f"The file that {place} names is empty.")
    return secret


def _header_value(key: str) -> str | None:
    # It travels in an HTTP header, where a line break or a foreign letter has no place.
    if any(not 33 <= ord(character) <= 126 for character in key):
        return "holds spaces or characters that no key has"
    return None


def _database_url(url: str) -> str | None:
    if not url.startswith(("sqlite:", "sqlite+", "postgresql:", "postgresql+")) or "://" not in url:
        return "must be an address such as postgresql://user:password@host/name"
    return None
