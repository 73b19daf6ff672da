"""Links that a host opens to add this server: for Cursor, VS Code, LM Studio and Goose.

A link ends in the history of a browser and in chats. So it may hold a command, an address and switches, and never a
value that could be a secret.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.entries import DESCRIPTION, NAME, is_server_address
from zinc_mcp.known_settings import SETTINGS

TITLE = "Zinc"
MOST_CHARACTERS = 2000
"""The longest link: several systems cut longer ones when they hand them to an app."""

_HARMLESS = frozenset({"switch", "folder", "file"})
"""Kinds of settings whose value is never a secret."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The server's entry at a host: a program with its words and variables, or the address of a server."""

    command: str = ""
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    url: str = ""

    def __post_init__(self) -> None:
        """Refuse an entry that a link must not carry.

        Raises:
            RefusedError: it has a variable that may hold a secret, or an address that is not one of a server.
        """
        if bool(self.command) == bool(self.url):
            raise ValueError("an entry has a command or an address")
        allowed = {each.variable for each in SETTINGS if each.kind in _HARMLESS}
        for name in sorted(self.environment.keys() - allowed):
            raise RefusedError(
                f"A link is kept in histories and chats, so {name} is not put into one.",
                owner_step="Leave it out: a key in the home reaches the server from every host.",
                code="settings_invalid",
            )
        if self.url:
            _check_address(self.url)

    @property
    def members(self) -> dict[str, object]:
        """Return the entry as Cursor and LM Studio write it."""
        if self.url:
            return {"url": self.url}
        members: dict[str, object] = {"command": self.command}
        if self.arguments:
            members["args"] = list(self.arguments)
        if self.environment:
            members["env"] = dict(self.environment)
        return members


def _check_address(url: str) -> None:
    if not is_server_address(url):
        raise RefusedError(
            "This is no address of a server that a link can name.",
            owner_step="Give its https address without a user, a password, ? or #, such as "
            "https://zinc.example.com/mcp.",
            code="settings_invalid",
        )


def _cursor(entry: Entry) -> str:
    # cursor.com/docs/mcp/install-links: base64 of the entry's JSON, without the name.
    return f"cursor://anysphere.cursor-deeplink/mcp/install?{_named(name=NAME, config=_base64(entry.members))}"


def _vscode(entry: Entry) -> str:
    # code.visualstudio.com, "MCP installation URL": the JSON itself, with the name in it, percent-encoded.
    return f"vscode:mcp/install?{quote(_json(_as_in_vs_code(entry)), safe='')}"


def _vscode_web(entry: Entry) -> str:
    # For pages that show only https links, such as a README at GitHub.
    return f"https://vscode.dev/redirect/mcp/install?{_named(name=NAME, config=_json(_as_in_vs_code(entry)))}"


def _as_in_vs_code(entry: Entry) -> dict[str, object]:
    return {"name": NAME, "type": "http" if entry.url else "stdio", **entry.members}


def _lm_studio(entry: Entry) -> str:
    # lmstudio.ai/docs/app/mcp/deeplink.
    return f"lmstudio://add_mcp?{_named(name=NAME, config=_base64(entry.members))}"


def _goose(entry: Entry) -> str:
    # Goose opens links only for addresses, and for the programs cargo, npx, uvx and a few more, by their bare names.
    if not entry.url:
        raise RefusedError(
            "Goose opens no link that starts a program by its full path.",
            owner_step="Add it in Goose under Extensions, as a command, or give the address of a server with --remote.",
            code="settings_invalid",
        )
    described = {"id": NAME, "name": TITLE, "description": DESCRIPTION, "timeout": "300"}
    return f"goose://extension?{_named(url=entry.url, type='streamable_http', **described)}"


LINKS: Mapping[str, Callable[[Entry], str]] = {
    "cursor": _cursor,
    "vscode": _vscode,
    "vscode-web": _vscode_web,
    "lm-studio": _lm_studio,
    "goose": _goose,
}
"""The maker of each host's link."""


def link_for(host: str, entry: Entry) -> str:
    """Return the link that adds the entry to a host.

    Raises:
        RefusedError: the host opens no link for such an entry, or the link would be too long.
    """
    link = LINKS[host](entry)
    if len(link) > MOST_CHARACTERS:
        raise RefusedError(
            f"The link would have {len(link)} characters, and links of more than {MOST_CHARACTERS} are cut.",
            owner_step="Write the entry into the host's file instead.",
            code="settings_invalid",
        )
    return link


def _named(**parts: str) -> str:
    return urlencode(parts, quote_via=quote, safe="")


def _base64(members: Mapping[str, object]) -> str:
    return base64.b64encode(_json(members).encode()).decode()


def _json(members: Mapping[str, object]) -> str:
    return json.dumps(members, ensure_ascii=True, separators=(",", ":"))
