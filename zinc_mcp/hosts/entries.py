"""The server's entry in each host's own shape, and the test whether an entry in a host's file is ours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PureWindowsPath
from typing import Any, cast
from urllib.parse import urlsplit

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.table import Host
from zinc_mcp.invocation import is_unset
from zinc_mcp.known_settings import SETTINGS
from zinc_mcp.proxies import is_confidential

NAME = "zinc"
DESCRIPTION = "Buys real things through Zinc: one intention, one purchase."
_SECRETS = frozenset(each.variable for each in SETTINGS if each.is_secret)
_ABOUT_THE_START = frozenset(
    {"command", "cmd", "args", "env", "environment", "envs", "cwd", "type", "url", "httpUrl", "serverUrl", "uri"}
    | {"headers", "http_headers", "env_http_headers", "bearer_token_env_var", "transport", "source"}
)
"""Members that say how a server is reached. The others are the person's own choices, such as tools to leave out."""
_RUNNERS = re.compile(r"(?:uvx?|pipx|pyw?|python[0-9.]*w?|env|cmd|wsl)", re.IGNORECASE)
_OF_ONE_KIND = frozenset(
    {"envFile", "env_vars", "sandbox", "sandboxEnabled", "dev"}
    | {"oauth", "oauth_resource", "auth", "authProviderType", "scopes", "headersHelper", "http_headers_helper"}
)
"""The person's choices that fit only a program, or only an address. For one that does not fit, a host may refuse its
whole file."""
_VARIABLES = frozenset({"env", "environment", "envs", "headers", "http_headers"})
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_OURS = re.compile(r"zinc[-_]mcp(?:[\[=<>~!@ ].*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Start:
    """The command and the variables with which a host starts the server."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Remote:
    """The address of a team's server, and the variable that holds a person's token; without one, OAuth is used."""

    url: str
    token_variable: str | None = None


def remote_server(url: str, token_variable: str | None) -> Remote:
    """Return a server elsewhere.

    Raises:
        RefusedError: the address may not be given a token, or the name is not that of a variable. The error repeats
            neither, because a token may stand in either of them.
    """
    if not is_server_address(url) or is_unset(url):
        raise RefusedError(
            "This is no address of a server that a host can use.",
            owner_step="Give its https address without a user, a password, ? or #, such as "
            "https://zinc.example.com/mcp.",
            code="invalid_arguments",
        )
    if token_variable is not None and not _VARIABLE.fullmatch(token_variable):
        raise RefusedError(
            "--token-env needs the name of a variable, in capitals, and never the token itself.",
            owner_step="Set a variable such as TEAM_TOKEN to the token, and give its name.",
            code="invalid_arguments",
        )
    return Remote(url, token_variable)


def is_server_address(url: str) -> bool:
    """Say whether an address leads to a server over TLS, or on this machine, and holds nothing that may be a secret."""
    try:
        parts = urlsplit(url)
        is_safe = is_confidential(parts.scheme, parts.hostname or "")
        is_clean = bool(parts.hostname) and "@" not in parts.netloc and not parts.query and not parts.fragment
        return is_safe and is_clean and (parts.port is None or parts.port > 0) and _is_one_word(url)
    except ValueError:
        return False


def _is_one_word(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url


def entry_for(host: Host, wanted: Start | Remote) -> dict[str, Any]:
    """Return the server's entry as a host writes it.

    Raises:
        RefusedError: the host has no such entry. The step says what to do instead.
    """
    return _remote(host, wanted) if isinstance(wanted, Remote) else _local(host, wanted)


def _local(host: Host, start: Start) -> dict[str, Any]:
    command, *args = start.words
    environment = dict(start.environment)
    extra = dict(host.extra or {})
    if host.local == "array":
        return {"type": "local", "command": list(start.words), "environment": environment, "enabled": True, **extra}
    if host.local == "goose":
        named = {"name": NAME, "description": DESCRIPTION, "type": "stdio", "enabled": True, "timeout": 300}
        return {**named, "cmd": command, "args": args, "envs": environment}
    kind = {"type": "stdio"} if host.local in ("typed", "copilot") else {}
    tools = {"tools": ["*"]} if host.local == "copilot" else {}
    given = {"env": environment} if environment else {}
    return {**kind, "command": command, "args": args, **given, **tools, **extra}


def _remote(host: Host, remote: Remote) -> dict[str, Any]:
    if host.remote is None:
        raise RefusedError(
            f"{host.title} reads no server elsewhere from its file, so nothing was written.",
            owner_step=host.no_remote,
        )
    if remote.token_variable is not None and host.token is None:
        raise RefusedError(
            f"The file of {host.title} could only hold the token itself, and no secret is written into a host's file.",
            owner_step=host.no_token,
        )
    named = host.token.format(remote.token_variable) if host.token and remote.token_variable else None
    headers = {"headers": {"Authorization": f"Bearer {named}"}} if named else {}
    match host.remote:
        case "codex":
            return {"url": remote.url, **({"bearer_token_env_var": named} if named else {})}
        case "url":
            return {"url": remote.url, **headers}
        case "http":
            return {"type": "http", "url": remote.url, **headers}
        case "copilot":
            return {"type": "http", "url": remote.url, **headers, "tools": ["*"]}
        case "streamable":
            return {"type": "streamableHttp", "url": remote.url, **headers}
        case "remote":
            # A header with a token, and a search for OAuth besides, would ask the person twice.
            return {
                "type": "remote",
                "url": remote.url,
                "enabled": True,
                **headers,
                **({"oauth": False} if named else {}),
            }
        case "goose":
            about = {"name": NAME, "description": DESCRIPTION, "enabled": True, "timeout": 300}
            return {**about, "type": "streamable_http", "uri": remote.url}
        case _:
            return {host.remote: remote.url, **headers}


def words_of(entry: object) -> list[str]:
    """Return the command of an entry with its arguments, from any shape; empty if it starts no program."""
    if not isinstance(entry, dict):
        return []
    members = cast(dict[str, object], entry)
    command, args = members.get("command", members.get("cmd")), members.get("args", [])
    parts = [*(cast(list[object], command) if isinstance(command, list) else [command])]
    parts += cast(list[object], args) if isinstance(args, list) else []
    return [part for part in parts if isinstance(part, str)]


def environment_of(entry: object) -> dict[str, str]:
    """Return the variables that an entry sets."""
    if not isinstance(entry, dict):
        return {}
    members = cast(dict[str, object], entry)
    for key in ("env", "environment", "envs"):
        given = members.get(key)
        if isinstance(given, dict):
            named = cast(dict[str, object], given)
            return {name: value for name, value in named.items() if isinstance(value, str)}
    return {}


def starts_us(entry: object) -> bool:
    """Say whether an entry starts this program: our script, our module, or our package by a runner."""
    words = words_of(entry)
    if not words:
        return False
    first, *others = words
    if _stem(first) == "zinc-mcp":
        return True
    if not _RUNNERS.fullmatch(_stem(first)):
        return False
    is_module = any(pair == ("-m", "zinc_mcp") for pair in pairwise(others))
    return is_module or any(_OURS.fullmatch(word) or _stem(word) == "zinc-mcp" for word in others)


def _stem(word: str) -> str:
    name = PureWindowsPath(word).name  # which knows both kinds of slashes
    return name[:-4] if name.lower().endswith((".exe", ".cmd")) else name


def renewed(
    host: Host, earlier: Mapping[str, Any], wanted: Start | Remote, *, drop_secrets: bool = False
) -> dict[str, Any]:
    """Return the entry that takes the place of an earlier one of ours: a whole one, with the person's own choices.

    Its variables stay as well, so that a limit or the sandbox is not lost; of two values the wanted one counts.

    Raises:
        RefusedError: as `entry_for`, or the earlier one holds a secret that must not be dropped.
    """
    held = {name: value for name, value in environment_of(earlier).items() if name != "PYTHONPATH"}
    secret = next((name for name in sorted(_SECRETS & held.keys()) if not is_unset(held[name].strip())), None)
    if drop_secrets:
        held = {name: value for name, value in held.items() if name not in _SECRETS or is_unset(value.strip())}
    elif secret is not None:
        raise RefusedError(
            f"The entry that {host.title} has holds {secret}, and no secret is written into a host's file.",
            owner_step="Keep the secret in the home of zinc-mcp first. Then say --force: the entry is replaced without "
            "it, and the earlier file stays beside it as a copy.",
        )
    if isinstance(wanted, Start):
        wanted = Start(wanted.words, {**held, **wanted.environment})
    entry = entry_for(host, wanted)
    is_same_kind = bool(words_of(earlier)) is isinstance(wanted, Start)
    gone = _ABOUT_THE_START if is_same_kind else _ABOUT_THE_START | _OF_ONE_KIND
    own = {key: value for key, value in earlier.items() if key not in gone}
    return {**entry, **own}


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry for a screen, without the values of variables and headers that may be secret."""
    return {
        key: shown_variables(cast(dict[str, Any], value)) if key in _VARIABLES and isinstance(value, dict) else value
        for key, value in entry.items()
    }


def shown_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables or headers, with `…` for each value that may be secret."""
    return {name: value if _is_harmless(name, value) else "…" for name, value in variables.items()}


_HARMLESS = frozenset(each.variable for each in SETTINGS if not each.is_secret) | {"PYTHONPATH"}


def _is_harmless(name: str, value: object) -> bool:
    if name in _HARMLESS:
        return True
    return isinstance(value, str) and is_unset(value.removeprefix("Bearer ").strip())
