"""The owner's settings: one file, `zinc.toml`, and environment variables, which override the file."""

import os
import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.invocation import environment_value, is_left_unfilled, is_unset
from zinc_mcp.known_settings import SETTINGS, Setting, did_you_mean, settings_of
from zinc_mcp.known_settings.kinds import keys_in, objection_to, text_in
from zinc_mcp.owner.kept_settings import kept_settings, wanted
from zinc_mcp.owner.notify import Notify, names_url, read_notify
from zinc_mcp.owner.secrets.own_files import InsecureFileError, check_owners_alone
from zinc_mcp.private_files import readable_by_others, writable_by_others
from zinc_mcp.proxies import Route

if TYPE_CHECKING:
    from zinc_mcp.owner.secrets.records import Record

DEFAULT_API_URL = "https://api.zinc.com"
DEFAULT_V1_API_URL = "https://api.zinc.io/v1"

_TOP_LEVEL = frozenset(
    {"policy", "addresses", "notify"}.union(*(each.keys for each in settings_of("general", "wallet")))
)
_OWN_VARIABLES = frozenset(name for each in SETTINGS for name in each.variables if name.startswith("ZINC_MCP_"))
_POSITION = re.compile(r"at (line \d+, column \d+|end of document)")
_OF_WALLETS = frozenset(each.name for each in settings_of("wallet"))
_MAX_FILE_BYTES = 1024 * 1024
_MAX_SECRET_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. It holds secrets; its `repr` shows none."""

    home: Path
    config: Path
    """The path of `zinc.toml`, whether the file exists or not."""
    api_key: SecretStr | None = None
    api_url: str = DEFAULT_API_URL
    v1_client_token: SecretStr | None = None
    """The client token of Zinc's v1; without it there is no `place_v1_order`."""
    v1_api_url: str = DEFAULT_V1_API_URL
    sandbox: bool = False
    sandbox_pace: int = 1
    """How many times faster the built-in sandbox's orders advance; 0 is taken for 1."""
    journal: SecretStr | None = None
    """A SQLAlchemy URL, which may hold a password; None for SQLite in the home."""
    tools: frozenset[str] | None = None
    """The only tools to list and to call; None for all."""
    wallet: str | None = None
    """The payment wallet that pays for `place_agent_order`; None for none."""
    tempo_private_key: SecretStr | None = None
    tempo_root_account: str | None = None
    """The account that an access key signs for."""
    tempo_rpc_url: str | None = None
    tempo_chain_id: int | None = None
    stripe_secret_key: SecretStr | None = None
    stripe_payment_method: str | None = None
    wallet_command: str | None = field(default=None, repr=False)
    wallet_methods: tuple[str, ...] = ()
    """The payment methods that the command can pay."""
    wallet_recipients: tuple[str, ...] = ()
    """The only recipients to pay; empty for any."""
    wallet_fees: tuple[int, int] | None = None
    """The least and the most that a 402 may ask for above the price ceiling, in cents; None for Zinc's fee alone."""
    log: str | None = None
    """`text` or `json`: a line for each call; None: only for those that failed."""
    browser: bool = True
    """Whether the approval page may be opened in a browser of this desktop."""
    proxy: SecretStr | None = None
    """`environment` (also None), `none` or a proxy's address, which may hold a password; see `Route`."""
    notify_secret: SecretStr | None = None
    """Signs the messages to the owner's address; it is in `notify` too."""
    webhook_secret: SecretStr | None = None
    """Signs Zinc's events; without it a server over HTTP takes none."""
    digest_key: SecretStr | None = None
    """See `owner.digest_key`; None for the key in the home."""
    state_keys: SecretStr | None = None
    """They seal the questions that hosts of the newer protocol send back; see `keys`."""
    journal_keys: SecretStr | None = None
    """They encrypt the secrets of orders in the journal; see `journal.records.sealing`."""
    replica: str | None = None
    """The name of this server among several behind one proxy; None for a server alone."""
    stateless: bool = False
    """Whether hosts of the older protocol get no session over HTTP."""
    oauth_issuer: str | None = None
    """The issuer whose access tokens count over HTTP; None for none. `server.http.oauth.terms` checks these seven."""
    oauth_audience: tuple[str, ...] = ()
    """A token has to be for one of them; empty for the addresses of the server."""
    oauth_algorithms: tuple[str, ...] = ()
    oauth_scopes: tuple[str, ...] = ()
    """The issuer's names for the scopes to look, to order, and to decide about orders of others."""
    oauth_everyone: bool = False
    """Whether each identity of the issuer is let in, and not only those of members."""
    oauth_client_id: str | None = None
    """The issuer's name for this server as a client, for the sign-in to the approval page; None: there is none."""
    oauth_client_secret: SecretStr | None = None
    """The secret of that client; None for a public one."""
    notify: Notify | None = None
    """The place at which the owner is told about orders, by `[notify]`; None for none."""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The place that each setting was read from, in words; never its value."""
    unfilled: tuple[str, ...] = ()
    """The settings that hold a host's placeholder instead of a value."""
    wallet_trouble: tuple[str, str] | None = None
    """The mistake in a setting of the payment wallet, and the step that helps. With a mistake there is no wallet."""
    readable: tuple[Path, ...] = ()
    """Files that hold a secret and that other users of this machine can read."""
    in_keyring: tuple[str, ...] = ()
    """The settings whose secrets are in the system's keyring and not read yet; `kept_settings.opened` reads them."""
    key_record: "Record | None" = None
    """The record of the API key if it is from the secret store."""
    key_trouble: tuple[str, str] | None = None
    """The reason why the API key in the secret store cannot be used, and the step that helps."""
    v1_trouble: tuple[str, str] | None = None
    """The same about the client token of v1."""
    webhook_trouble: tuple[str, str] | None = None
    """The same about the secret that signs Zinc's events."""

    @property
    def mode(self) -> Literal["sandbox", "test", "live"]:
        """The kind of money that an order spends: none in the sandbox and with a test key, else the owner's."""
        if self.sandbox:
            return "sandbox"
        if self.api_key is not None:
            return "test" if self.api_key.get_secret_value().startswith("zn_test_") else "live"
        return "test" if self.key_record is not None and self.key_record.remark == "test" else "live"

    @property
    def has_v1(self) -> bool:
        """Whether there is a client token of v1, which may be in a keyring that is not read yet."""
        return self.v1_client_token is not None or "v1_client_token" in self.in_keyring

    @property
    def route(self) -> Route:
        """The way to every host that is asked."""
        return Route(self.proxy)

    def keys(self, name: Literal["state_keys", "journal_keys"]) -> tuple[str, ...]:
        """Return the keys in a setting, of which the first seals and all open."""
        given: SecretStr | None = getattr(self, name)
        return () if given is None else keys_in(given.get_secret_value())

    @property
    def is_shared(self) -> bool:
        """Whether the journal is a database that servers on several machines can share."""
        return self.journal_url.startswith("postgres")

    @property
    def journal_url(self) -> str:
        """The journal's SQLAlchemy URL. It may hold a password: never show it."""
        if self.journal is not None:
            return self.journal.get_secret_value()
        return f"sqlite:///{self.home / 'journal.db'}"


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and `zinc.toml`.

    A mistake in a setting of the payment wallet is kept in `Settings.wallet_trouble`: all else works without a wallet.

    Raises:
        SettingsError: a key or variable is unknown, a value has the wrong type, a file cannot be read, or other users
            can write to a file, to the home, or to a folder above them.
    """
    environment = os.environ if environ is None else environ
    _check_variables(environment)
    named = {place: _path_of(environment, place.variable) for place in settings_of("place")}
    home, config = named.values()
    if config is not None and not config.is_file():
        # Without the file the owner's limits would not hold, and nobody would be told.
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
    wallet, trouble = dict[str, Any](), None
    try:
        wallet = reader.values("wallet")
    except InsecureFileError:
        raise
    except SettingsError as error:
        trouble = (error.summary, error.next_step)
    general = reader.values("general")
    names = wanted(reader.sources, wallet.get("wallet"), notifies="notify" in document)
    # Practice uses no key, so a kept key is not even opened.
    origins = {
        "api_key": general.get("api_url", DEFAULT_API_URL),
        "v1_client_token": general.get("v1_api_url", DEFAULT_V1_API_URL),
    }
    kept = kept_settings(home, [] if general.get("sandbox") else names, origins)
    for name, secret in kept.values.items():
        (wallet if name in _OF_WALLETS else general)[name] = secret
    reader.sources |= kept.sources
    reader.secret_files += kept.files
    return Settings(
        home=home,
        config=config,
        **wallet,
        wallet_trouble=trouble or kept.wallet_trouble,
        in_keyring=kept.in_keyring,
        key_record=kept.key_record,
        key_trouble=kept.key_trouble,
        v1_trouble=kept.v1_trouble,
        webhook_trouble=kept.webhook_trouble,
        **general,
        notify=read_notify(document.get("notify"), general.get("notify_secret"), str(config)),
        sources=MappingProxyType(reader.sources),
        unfilled=_unfilled(environment, document, config.name),
        readable=tuple(path for path in dict.fromkeys(reader.secret_files) if readable_by_others(path)),
    )


def warnings_about(settings: Settings) -> tuple[str, ...]:
    """Return warnings about the settings, and which kept key is used, for the person who starts the program."""
    told = [
        f"{place} holds a placeholder that was not filled in, so it counts as not set." for place in settings.unfilled
    ]
    told += [f"Other users of this machine can read {path}, which holds a secret." for path in settings.readable]
    if settings.wallet_trouble is not None and not settings.sandbox:
        told.append(f"{settings.wallet_trouble[0]} Until it is corrected, place_agent_order cannot pay.")
    if settings.key_record is not None:
        kept = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(settings.key_record.since))
        told.append(f"The API key is the {settings.mode} key that was kept on {kept} ({settings.sources['api_key']}).")
    troubles = settings.key_trouble, settings.v1_trouble, settings.webhook_trouble
    told += [trouble[0] for trouble in troubles if trouble is not None]
    return tuple(told)


def read_config(path: Path) -> dict[str, Any]:
    """Return the parsed file, or an empty mapping if there is none.

    Raises:
        SettingsError: it cannot be read, others can write to it, it is not TOML, or it has an unknown top-level key.
    """
    check_owners_alone(path, "configuration")
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
                f"{path}: unknown key `{key}`.{did_you_mean(key, _TOP_LEVEL)}",
                "Correct or remove the key. Limits belong under [policy].",
            )
    for table in ("policy", "addresses"):
        if not isinstance(document.get(table, {}), dict):
            raise SettingsError(f"{path}: `{table}` must be a table, written as [{table}].")
    return document


class Reader:
    """Looks each setting up, first in the environment, then in the file, and notes where it was found.

    Its methods raise SettingsError for a wrong value. The sentence names the place and never the value.
    """

    def __init__(self, environ: Mapping[str, str], config: Path, document: Mapping[str, Any]) -> None:
        self._environ = environ
        self._config = config
        self._document = document
        self.sources: dict[str, str] = {}
        holds_secrets = any(isinstance(document.get(each.name), str) for each in SETTINGS if each.is_secret)
        self.secret_files: list[Path] = (
            [config] if holds_secrets or "addresses" in document or names_url(document) else []
        )
        """The files that nobody else should read."""

    def values(self, part: str) -> dict[str, Any]:
        """Return the settings of a part that are set; the others keep their defaults."""
        found = {each.name: self._secret(each) if each.is_secret else self.value(each) for each in settings_of(part)}
        return {name: value for name, value in found.items() if value is not None}

    def value(self, setting: Setting) -> object:
        """Return a setting's value, of the type of its kind; None if it is not set."""
        found = self._environment(setting.variable) or self._file(setting.name)
        self.sources[setting.name] = found[1] if found else "default"
        return None if found is None else setting.value_of(*found)

    def _secret(self, setting: Setting) -> SecretStr | None:
        """Return a secret from its variable, from the file that a variable names, or from one of its keys."""
        self.sources[setting.name] = "default"
        for look, names in ((self._environment, setting.variables), (self._file, setting.keys)):
            given, named = map(look, names)
            if given is not None and named is not None:
                raise SettingsError(f"{given[1]} and {named[1]} are both set.", "Keep one of them.")
            found = given or named
            if found is None:
                continue
            value, place = text_in(*found), found[1]
            secret = self._read_secret(value, place) if named else value.strip()
            if objection := objection_to(setting.kind, secret):
                raise SettingsError(f"{place} {objection}.")
            self.sources[setting.name] = place
            return SecretStr(secret)
        return None

    def _read_secret(self, value: str, place: str) -> str:
        # The path is not repeated: an owner who sets KEY_FILE to the key itself must not find the key in a log.
        try:
            path = self._config.parent / Path(value).expanduser()
            if writable_by_others(path) is not None:
                raise InsecureFileError(
                    f"Other users of this machine can write to the file that {place} names, or to a folder it lies in.",
                    "Take that right from them (chmod go-w), and make sure that it holds your own secret.",
                )
            if path.stat().st_size > _MAX_SECRET_BYTES:
                raise SettingsError(f"The file that {place} names is too large to hold a secret.")
            secret = path.read_text(encoding="utf-8-sig").strip()
        except OSError as error:
            reason = error.strerror or "input/output error"
            raise SettingsError(f"The file that {place} names cannot be read ({reason}).") from None
        except (UnicodeDecodeError, RuntimeError, ValueError):
            raise SettingsError(f"The file that {place} names is not text.") from None
        if not secret:
            raise SettingsError(f"The file that {place} names is empty.")
        self.secret_files.append(path)
        return secret

    def _environment(self, name: str) -> tuple[object, str] | None:
        value = environment_value(self._environ, name)
        return None if value is None else (value, f"environment {name}")

    def _file(self, key: str) -> tuple[object, str] | None:
        value = self._document.get(key)
        if value is None or (isinstance(value, str) and is_unset(value.strip())):
            return None
        return (value.strip() if isinstance(value, str) else value), f"{self._config.name} {key}"


def _unfilled(environ: Mapping[str, str], document: Mapping[str, Any], file: str) -> tuple[str, ...]:
    """Return the settings, in words, that hold a placeholder which a host did not fill in. Each counts as not set."""
    given: dict[str, object] = {
        f"environment {name}": value for name, value in sorted(environ.items()) if name.startswith("ZINC_")
    }
    given |= {f"{file} {key}": value for key, value in document.items()}
    return tuple(place for place, value in given.items() if isinstance(value, str) and is_left_unfilled(value))


def _check_variables(environ: Mapping[str, str]) -> None:
    """Refuse an unknown variable with our prefix. If a mistyped limit were ignored, the limit would not hold."""
    for name in environ:
        if name.startswith("ZINC_MCP_") and name not in _OWN_VARIABLES:
            raise SettingsError(
                f"The environment variable {name} is not one of ours.{did_you_mean(name, _OWN_VARIABLES)}",
                "Correct or remove it.",
            )


def _path_of(environ: Mapping[str, str], name: str) -> Path | None:
    """Return the absolute path that a variable names, or None if it is not set."""
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
