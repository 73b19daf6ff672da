"""Where settings are written down: environment variables first, then one file, `zinc.toml`."""

import difflib
import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import SecretStr

from zinc_mcp.errors import SettingsError
from zinc_mcp.invocation import UNFILLED, environment_value, is_unset
from zinc_mcp.known_settings import SETTINGS, Setting, settings_of
from zinc_mcp.private_files import writable_by_others

_TOP_LEVEL = frozenset({"policy", "addresses"}.union(*(each.keys for each in settings_of("general", "wallet"))))
_OWN_VARIABLES = frozenset(name for each in SETTINGS for name in each.variables if name.startswith("ZINC_MCP_"))
_OPTIONAL = re.compile(r"\$\{user_config\.[^{}]*\}")
"""What a bundle's host leaves of a setting that nobody has to give (MCPB, "user_config"): nothing is wrong there."""
_POSITION = re.compile(r"at (line \d+, column \d+|end of document)")
_CENTS_RANGE = re.compile(r"([0-9]{1,5})(?: ?- ?([0-9]{1,5}))?")
_MAX_FILE_BYTES = 1024 * 1024


def read_config(path: Path) -> dict[str, Any]:
    """Return the parsed file, or an empty mapping when there is none.

    Raises:
        SettingsError: if it cannot be read, others can write to it, it is not TOML, or has a top-level key we do not
            know.
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
                f"{path}: unknown key `{key}`.{_did_you_mean(key, _TOP_LEVEL)}",
                "Correct or remove the key. Limits belong under [policy].",
            )
    for table in ("policy", "addresses"):
        if not isinstance(document.get(table, {}), dict):
            raise SettingsError(f"{path}: `{table}` must be a table, written as [{table}].")
    return document


class InsecureFileError(SettingsError):
    """Others can write to what the owner's word is read from: nothing of it is believed."""


def check_owners_alone(path: Path, what: str) -> None:
    """Check that nobody else can change what stands at a path.

    Raises:
        InsecureFileError: others can write to it, or to a folder on the way to it.
    """
    others = writable_by_others(path)
    if others is not None:
        raise InsecureFileError(
            f"Other users of this machine can write to {others}, and so change what this program takes for its {what}.",
            f"Take that right from them: chmod go-w {shlex.quote(str(others))}. Then look at what is in it.",
        )


class Reader:
    """Looks each setting up: the environment first, then the file, and notes where it was found.

    Every method raises SettingsError where the value is none, naming the place and never the value.
    """

    def __init__(self, environ: Mapping[str, str], config: Path, document: Mapping[str, Any]) -> None:
        self._environ = environ
        self._config = config
        self._document = document
        self.sources: dict[str, str] = {}
        holds_secrets = any(isinstance(document.get(each.name), str) for each in SETTINGS if each.is_secret)
        self.secret_files: list[Path] = [config] if holds_secrets or "addresses" in document else []
        """The files that hold what nobody else should read."""

    def value(self, setting: Setting) -> object:
        """Return what is set, of the type of its kind, or None where nothing is."""
        found = self._environment(setting.variable) or self._file(setting.name)
        self.sources[setting.name] = found[1] if found else "default"
        if found is None:
            return None
        match setting.kind:
            case "switch":
                return _switch(*found)
            case "number":
                return _number(*found)
            case "range":
                return _cents_range(*found)
            case "words":
                return tuple(filter(None, _listed(*found, "words, separated by commas")))
            case "names":
                return _names(*found, setting.choices)
            case "choice":
                return _choice(*found, setting.choices)
            case "address":
                return _address(*found)
            case _:
                return _text(*found)

    def secret(self, setting: Setting, objection_to: Callable[[str], str | None]) -> SecretStr | None:
        """Take a secret from its variable, the file the variable names, or either of the two keys in the config."""
        self.sources[setting.name] = "default"
        for look, names in ((self._environment, setting.variables), (self._file, setting.keys)):
            given, named = map(look, names)
            if given is not None and named is not None:
                raise SettingsError(f"{given[1]} and {named[1]} are both set.", "Keep one of them.")
            found = given or named
            if found is None:
                continue
            value, place = _text(*found), found[1]
            secret = self._read_secret(value, place) if named else value.strip()
            if objection := objection_to(secret):
                raise SettingsError(f"{place} {objection}.")
            self.sources[setting.name] = place
            return SecretStr(secret)
        return None

    def _read_secret(self, value: str, place: str) -> str:
        path, secret = _read_secret(value, self._config.parent, place)
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


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{place} must be text in quotes.")
    return value


def _address(value: object, place: str) -> str:
    """Return a URL without a user name or a password."""
    if "@" in (url := _text(value, place)):
        raise SettingsError(f"{place} must not carry a user name or a password.")
    return url


def _choice(value: object, place: str, choices: tuple[str, ...]) -> str:
    # The value is not repeated: a private key pasted into the wrong field would be shown.
    if (chosen := _text(value, place)) not in choices:
        raise SettingsError(f"{place} must be one of {', '.join(choices)}.")
    return chosen


def _switch(value: object, place: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("1", "true", "yes", "on"):
        return True
    if isinstance(value, str) and value.lower() in ("0", "false", "no", "off"):
        return False
    raise SettingsError(f"{place} must be true or false.")


def _number(value: object, place: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        return int(value)
    if type(value) is int and value >= 0:
        return value
    raise SettingsError(f"{place} must be a whole number.")


def _cents_range(value: object, place: str) -> tuple[int, int]:
    """Return the least and the most of a range in cents; one number is both."""
    matched = _CENTS_RANGE.fullmatch(str(value)) if isinstance(value, str) or type(value) is int else None
    lowest, highest = (int(matched[1]), int(matched[2] or matched[1])) if matched else (1, 0)
    if lowest > highest:
        raise SettingsError(f"{place} must be cents, such as 100, or the least and the most, such as 50-100.")
    return lowest, highest


def _listed(value: object, place: str, wanted: str) -> list[str]:
    """Return the words of a list, or those that commas separate."""
    listed = value.split(",") if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(word, str) for word in cast(list[object], listed)):
        raise SettingsError(f"{place} must be {wanted}.")
    return [word.strip() for word in cast(list[str], listed)]


def _names(value: object, place: str, known: tuple[str, ...]) -> frozenset[str]:
    """Return some of the known names, at least one."""
    chosen = frozenset(_listed(value, place, f"names, such as {known[-1]}")) - {""}
    if not chosen:
        raise SettingsError(f"{place} names no tool.", f"Name some of {', '.join(known)}, or leave it out.")
    for name in sorted(chosen - set(known)):
        raise SettingsError(
            f"{place} names a tool that does not exist: {name[:60]!r}.{_did_you_mean(name, known)}",
            f"The tools are {', '.join(known)}.",
        )
    return chosen


def unfilled(environ: Mapping[str, str], document: Mapping[str, Any], file: str) -> tuple[str, ...]:
    """Return the settings that hold a placeholder which a host did not fill in, in words; each counts as not set."""
    given: dict[str, object] = {
        f"environment {name}": value for name, value in sorted(environ.items()) if name.startswith("ZINC_")
    }
    given |= {f"{file} {key}": value for key, value in document.items()}
    return tuple(
        place
        for place, value in given.items()
        if isinstance(value, str)
        and UNFILLED.fullmatch(value.strip()) is not None
        and _OPTIONAL.fullmatch(value.strip()) is None
    )


def check_variables(environ: Mapping[str, str]) -> None:
    """Refuse a variable that is spelt as ours and is none.

    Raises:
        SettingsError: naming it, and what may have been meant.
    """
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


def path_of(environ: Mapping[str, str], name: str) -> Path | None:
    """Return the absolute path that a variable names, or None where it is not set.

    Raises:
        SettingsError: it is no usable path.
    """
    value = environment_value(environ, name)
    if value is None:
        return None
    try:
        return Path(os.path.abspath(Path(value).expanduser()))
    except (RuntimeError, ValueError) as error:
        raise SettingsError(f"environment {name} is not a usable path.") from error


def _read_secret(value: str, base: Path, place: str) -> tuple[Path, str]:
    # The path is not repeated: who sets KEY_FILE to the key itself must not find it in a log.
    try:
        path = base / Path(value).expanduser()
        if writable_by_others(path) is not None:
            raise InsecureFileError(
                f"Other users of this machine can write to the file that {place} names, or to a folder it lies in.",
                "Take that right from them (chmod go-w), and make sure that it holds your own secret.",
            )
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
    return path, secret
