"""The table of hosts: the file in which each keeps its servers, its form, the variables it hands on, and its limits.

Each row was measured, read in the host's code, or taken from its documents; `docs/hosts.md` is made from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from zinc_mcp.hosts.formats.jsonc import Dialect
from zinc_mcp.hosts.machine import Machine

Form = Literal[Dialect, "toml", "yaml"]
"""The form in which a host reads its file."""

Passes = Literal["all", "few", "not secrets"]
"""The variables of its own that a host hands to a server."""

Local = Literal["usual", "typed", "array", "goose", "copilot"]
"""The shape of an entry that starts a program."""

Remote = Literal["url", "http", "httpUrl", "serverUrl", "remote", "codex", "goose", "streamable", "copilot"]
"""The shape of an entry that names a server's address."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host."""

    id: str
    title: str
    form: Form
    key: tuple[str, ...]
    """The names that lead to the map of servers in its file."""
    files: Callable[[Machine], list[PurePath]]
    """Its user's file: the places where it may lie, the best one first."""
    signs: Callable[[Machine], list[PurePath]]
    """Files and folders that show that the host was used here."""
    local: Local
    remote: Remote | None
    """None: it has no entry for a server elsewhere."""
    token: str | None
    """The form in which a header names a variable; `{}` stands for the name. None: it can only hold the value
    itself."""
    passes: Passes
    after: str
    """The step for the person after the file was changed."""
    hazard: str = ""
    """A setting that would let it call tools without asking anybody, if one is known."""
    note: str = ""
    written: bool = True
    """Whether `install` writes its file; if not, it prints the text to paste."""
    every_file: bool = False
    """Whether some edition of it reads each of its files, so that all that are there are written."""
    extra: Mapping[str, object] | None = None
    """Further members of a local entry."""
    no_remote: str = ""
    """The step instead of a remote entry."""
    no_token: str = ""
    """The step where it cannot take a token from a variable."""


def _claude_desktop(machine: Machine) -> list[PurePath]:
    name = "claude_desktop_config.json"
    usual = machine.application_data / "Claude" / name
    if machine.system != "windows":
        return [usual]
    # The packaged app (MSIX, since February 2026) reads its own copy of the roaming folder.
    packages = machine.local / "Packages"
    kept = [packages / each / "LocalCache" / "Roaming" / "Claude" for each in machine.listed(packages, "Claude_*")]
    return [*(folder / name for folder in kept), usual]


def _claude_code(machine: Machine) -> list[PurePath]:
    return [machine.folder("CLAUDE_CONFIG_DIR") / ".claude.json"]


def _vs_code(machine: Machine) -> list[PurePath]:
    return [machine.application_data / "Code" / "User" / "mcp.json"]


def _opencode(machine: Machine) -> list[PurePath]:
    folder = machine.folder("XDG_CONFIG_HOME", ".config") / "opencode"
    return [folder / "opencode.jsonc", folder / "opencode.json"]


def _zed(machine: Machine) -> list[PurePath]:
    if machine.system == "windows":
        return [machine.roaming / "Zed" / "settings.json"]
    if machine.system == "linux":
        named = "FLATPAK_XDG_CONFIG_HOME" if machine.environ.get("FLATPAK_XDG_CONFIG_HOME") else "XDG_CONFIG_HOME"
        return [machine.folder(named, ".config") / "zed" / "settings.json"]
    return [machine.home / ".config" / "zed" / "settings.json"]


def _goose(machine: Machine) -> list[PurePath]:
    if machine.system == "windows":
        return [machine.roaming / "Block" / "goose" / "config" / "config.yaml"]
    return [machine.home / ".config" / "goose" / "config.yaml"]


def _at_home(*names: str) -> Callable[[Machine], list[PurePath]]:
    return lambda machine: [machine.home.joinpath(*names)]


def _folder_of(files: Callable[[Machine], list[PurePath]], up: int = 1) -> Callable[[Machine], list[PurePath]]:
    return lambda machine: [each.parents[up - 1] for each in files(machine)]


def _codex(machine: Machine) -> list[PurePath]:
    return [machine.folder("CODEX_HOME", ".codex") / "config.toml"]


def _cline(machine: Machine) -> list[PurePath]:
    named = machine.environ.get("CLINE_MCP_SETTINGS_PATH", "").strip()
    if named:
        return [type(machine.home)(named)]
    return [machine.folder("CLINE_DIR", ".cline") / "data" / "settings" / "cline_mcp_settings.json"]


_IF_NOT_SHOWN = "Start it anew if it does not show the change."
_LITERAL = "Leave --token-env out if the server offers OAuth, or use a host that takes a token from a variable."

HOSTS = (
    Host(
        "claude-desktop", "Claude Desktop", "json", ("mcpServers",), _claude_desktop, _folder_of(_claude_desktop),
        "usual", None, None, "few",
        after="Quit the app and open it again; closing its window is not enough.",
        note="On Windows the packaged app reads a file of its own folder, and not the one in `%APPDATA%`; both are "
        "written where both folders are there.",
        every_file=True,
        no_remote="Add the address in the app: Settings, Connectors, Add custom connector.",
    ),
    Host(
        "claude-code", "Claude Code", "json", ("mcpServers",), _claude_code,
        lambda machine: [machine.home / ".claude", *_claude_code(machine)],
        "typed", "http", "${{{}}}", "all",
        after="A session that runs reads it when it is started anew.",
        hazard="`--dangerously-skip-permissions`, and a rule `mcp__zinc__…` under `permissions.allow`, let it call "
        "tools without asking.",
        note="The entry is for every folder (scope `user`). It writes the file itself while it runs.",
    ),
    Host(
        "cursor", "Cursor", "jsonc", ("mcpServers",), _at_home(".cursor", "mcp.json"), _at_home(".cursor"),
        "usual", "url", "${{env:{}}}", "few",
        after=_IF_NOT_SHOWN,
    ),
    Host(
        "vscode", "VS Code", "jsonc", ("servers",), _vs_code, _folder_of(_vs_code, 2),
        "typed", "http", "${{env:{}}}", "few",
        after="VS Code asks whether you trust the server when it first starts it.",
        hazard="`sandboxEnabled` in the entry approves all its tools without asking.",
        note="It is the file of the usual profile; another profile has one of its own.",
    ),
    Host(
        "codex", "Codex", "toml", ("mcp_servers",), _codex, _folder_of(_codex),
        "usual", "codex", "{}", "few",
        after="A session that runs reads it when it is started anew.",
        hazard='`default_tools_approval_mode = "approve"`, or `approval_mode` of one tool, lets it call tools without '
        "asking.",
        note="It hands a server only `HOME`, `PATH`, `LANG` and a few more. It waits 10 seconds for a server to start "
        "unless `startup_timeout_sec` says more. It refuses the whole file if one entry mixes `command` and `url`.",
        extra={"startup_timeout_sec": 60},
    ),
    Host(
        "gemini", "Gemini CLI", "commented", ("mcpServers",), _at_home(".gemini", "settings.json"), _at_home(".gemini"),
        "usual", "httpUrl", "${{{}}}", "not secrets",
        after="A session that runs reads it when it is started anew.",
        hazard="`trust: true` in the entry lets it call tools without asking.",
        note="It starts servers only in folders that you trust. A name looks secret with KEY, TOKEN, SECRET, AUTH, "
        "PASSWORD or CREDENTIAL in it.",
    ),
    Host(
        "opencode", "OpenCode", "jsonc", ("mcp",), _opencode, _folder_of(_opencode),
        "array", "remote", "{{env:{}}}", "all",
        after="A session that runs reads it when it is started anew.",
        note="It cannot show a server's question, so you decide on the page or in a terminal. Both forms of its file "
        "are known: `mcp.NAME`, and `mcp.servers.NAME` of its second version.",
    ),
    Host(
        "windsurf", "Windsurf", "jsonc", ("mcpServers",), _at_home(".codeium", "windsurf", "mcp_config.json"),
        _at_home(".codeium", "windsurf"), "usual", "serverUrl", "${{env:{}}}", "few",
        after=_IF_NOT_SHOWN,
        note="All servers together may have 100 tools.",
        written=False,
    ),
    Host(
        "zed", "Zed", "jsonc", ("context_servers",), _zed, _folder_of(_zed), "usual", "url", None, "few",
        after=_IF_NOT_SHOWN,
        written=False,
        no_token=_LITERAL,
    ),
    Host(
        "goose", "Goose", "yaml", ("extensions",), _goose, _folder_of(_goose), "goose", "goose", None, "few",
        after="A session that runs reads it when it is started anew.",
        written=False,
        no_token=_LITERAL,
    ),
    Host(
        "cline", "Cline", "jsonc", ("mcpServers",), _cline, _folder_of(_cline), "usual", "streamable", None, "few",
        after=_IF_NOT_SHOWN,
        hazard="Names under `autoApprove` in the entry are called without asking.",
        note="It waits 60 seconds for an answer unless `timeout` says more.",
        written=False,
        no_token=_LITERAL,
    ),
    Host(
        "lm-studio", "LM Studio", "jsonc", ("mcpServers",), _at_home(".lmstudio", "mcp.json"), _at_home(".lmstudio"),
        "usual", "url", None, "few",
        after=_IF_NOT_SHOWN,
        written=False,
        no_token=_LITERAL,
    ),
    Host(
        "copilot", "Copilot CLI", "jsonc", ("mcpServers",), _at_home(".copilot", "mcp-config.json"),
        _at_home(".copilot"), "copilot", "copilot", None, "few",
        after="A session that runs reads it when it is started anew.",
        hazard="`--allow-all-tools` and `--allow-tool zinc` let it call tools without asking.",
        written=False,
        no_token=_LITERAL,
    ),
)  # fmt: skip

BY_ID: Mapping[str, Host] = {host.id: host for host in HOSTS}
