"""Each host has its file in a known place on each system, and gets an entry of its own shape."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import PurePath, PureWindowsPath
from typing import Any

import pytest
from started import PLANTED

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.entries import Remote, Start, entry_for, remote_server, renewed, shown, starts_us
from zinc_mcp.hosts.machine import Machine, System, machine_of
from zinc_mcp.hosts.snippet import snippet
from zinc_mcp.hosts.table import BY_ID, HOSTS
from zinc_mcp.known_settings import SETTINGS

HOMES: dict[System, str] = {"mac": "/Users/ada", "linux": "/home/ada", "windows": "C:\\Users\\Ada"}
MAC, LINUX = "/Users/ada/Library/Application Support", "/home/ada/.config"
ROAMING = "C:\\Users\\Ada\\AppData\\Roaming"

FILES: dict[str, tuple[str, str, str]] = {
    "claude-desktop": (
        f"{MAC}/Claude/claude_desktop_config.json",
        f"{LINUX}/Claude/claude_desktop_config.json",
        f"{ROAMING}\\Claude\\claude_desktop_config.json",
    ),
    "claude-code": ("/Users/ada/.claude.json", "/home/ada/.claude.json", "C:\\Users\\Ada\\.claude.json"),
    "cursor": ("/Users/ada/.cursor/mcp.json", "/home/ada/.cursor/mcp.json", "C:\\Users\\Ada\\.cursor\\mcp.json"),
    "vscode": (f"{MAC}/Code/User/mcp.json", f"{LINUX}/Code/User/mcp.json", f"{ROAMING}\\Code\\User\\mcp.json"),
    "codex": ("/Users/ada/.codex/config.toml", "/home/ada/.codex/config.toml", "C:\\Users\\Ada\\.codex\\config.toml"),
    "gemini": (
        "/Users/ada/.gemini/settings.json",
        "/home/ada/.gemini/settings.json",
        "C:\\Users\\Ada\\.gemini\\settings.json",
    ),
    "opencode": (
        "/Users/ada/.config/opencode/opencode.jsonc",
        f"{LINUX}/opencode/opencode.jsonc",
        "C:\\Users\\Ada\\.config\\opencode\\opencode.jsonc",
    ),
    "windsurf": (
        "/Users/ada/.codeium/windsurf/mcp_config.json",
        "/home/ada/.codeium/windsurf/mcp_config.json",
        "C:\\Users\\Ada\\.codeium\\windsurf\\mcp_config.json",
    ),
    "zed": ("/Users/ada/.config/zed/settings.json", f"{LINUX}/zed/settings.json", f"{ROAMING}\\Zed\\settings.json"),
    "goose": (
        "/Users/ada/.config/goose/config.yaml",
        f"{LINUX}/goose/config.yaml",
        f"{ROAMING}\\Block\\goose\\config\\config.yaml",
    ),
    "cline": (
        "/Users/ada/.cline/data/settings/cline_mcp_settings.json",
        "/home/ada/.cline/data/settings/cline_mcp_settings.json",
        "C:\\Users\\Ada\\.cline\\data\\settings\\cline_mcp_settings.json",
    ),
    "lm-studio": (
        "/Users/ada/.lmstudio/mcp.json",
        "/home/ada/.lmstudio/mcp.json",
        "C:\\Users\\Ada\\.lmstudio\\mcp.json",
    ),
    "copilot": (
        "/Users/ada/.copilot/mcp-config.json",
        "/home/ada/.copilot/mcp-config.json",
        "C:\\Users\\Ada\\.copilot\\mcp-config.json",
    ),
}
"""The files of each host on a Mac, on Linux and on Windows, from the hosts' own documents and code."""


def test_every_host_has_its_file_on_every_system() -> None:
    assert set(FILES) == set(BY_ID)
    for name, wanted in FILES.items():
        systems: tuple[System, ...] = ("mac", "linux", "windows")
        for system, path in zip(systems, wanted, strict=True):
            [first, *_] = BY_ID[name].files(machine_of(system, HOMES[system], {}))
            assert str(first) == path


def test_the_packaged_claude_desktop_on_windows_has_its_own_copy_of_the_folder() -> None:
    def listed(folder: PurePath, pattern: str) -> Sequence[str]:
        assert (str(folder), pattern) == ("C:\\Users\\Ada\\AppData\\Local\\Packages", "Claude_*")
        return ["Claude_pzs8sxrjxfjjc"]

    machine = Machine("windows", PureWindowsPath("C:\\Users\\Ada"), {}, listed)
    assert [str(each) for each in BY_ID["claude-desktop"].files(machine)] == [
        "C:\\Users\\Ada\\AppData\\Local\\Packages\\Claude_pzs8sxrjxfjjc\\LocalCache\\Roaming\\Claude\\"
        "claude_desktop_config.json",
        f"{ROAMING}\\Claude\\claude_desktop_config.json",
    ]


@pytest.mark.parametrize(
    ("host", "system", "environ", "path"),
    [
        ("codex", "linux", {"CODEX_HOME": "/c"}, "/c/config.toml"),
        ("claude-code", "mac", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/.claude.json"),
        ("vscode", "linux", {"XDG_CONFIG_HOME": "/x"}, "/x/Code/User/mcp.json"),
        ("opencode", "linux", {"XDG_CONFIG_HOME": "/x"}, "/x/opencode/opencode.jsonc"),
        ("zed", "linux", {"FLATPAK_XDG_CONFIG_HOME": "/f"}, "/f/zed/settings.json"),
        ("claude-desktop", "windows", {"APPDATA": "D:\\R"}, "D:\\R\\Claude\\claude_desktop_config.json"),
        ("cline", "linux", {"CLINE_MCP_SETTINGS_PATH": "/s.json"}, "/s.json"),
    ],
)
def test_a_variable_that_moves_a_hosts_folder_is_followed(
    host: str, system: System, environ: dict[str, str], path: str
) -> None:
    assert str(BY_ID[host].files(machine_of(system, HOMES[system], environ))[0]) == path


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.id)
def test_a_printed_entry_reads_back_as_the_entry(host: Any) -> None:
    entry = entry_for(host, Start(["C:\\a b\\zinc-mcp.exe", "-m", 'it\'s "x"'], {"ZINC_MCP_SANDBOX": "1"}))
    text = snippet(host, entry)
    at: Any = (
        tomllib.loads(text) if host.form == "toml" else read_yaml(text) if host.form == "yaml" else json.loads(text)
    )
    for key in (*host.key, "zinc"):
        at = at[key]
    assert at == entry
    assert starts_us(entry)
    assert PLANTED not in text


def read_yaml(text: str) -> dict[str, Any]:
    """Read the little YAML that is written here: maps by their indent, and values as in JSON."""
    whole: dict[str, Any] = {}
    open_maps = [whole]
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, value = line.strip().partition(":")
        open_maps = open_maps[: depth + 1]
        open_maps[-1][name] = json.loads(value) if value else {}
        if not value:
            open_maps.append(open_maps[-1][name])
    return whole


REMOTE: dict[str, object] = {
    "claude-code": {"type": "http", "url": "U", "headers": {"Authorization": "Bearer ${TEAM_TOKEN}"}},
    "cursor": {"url": "U", "headers": {"Authorization": "Bearer ${env:TEAM_TOKEN}"}},
    "vscode": {"type": "http", "url": "U", "headers": {"Authorization": "Bearer ${env:TEAM_TOKEN}"}},
    "codex": {"url": "U", "bearer_token_env_var": "TEAM_TOKEN"},
    "gemini": {"httpUrl": "U", "headers": {"Authorization": "Bearer ${TEAM_TOKEN}"}},
    "opencode": {
        "type": "remote",
        "url": "U",
        "enabled": True,
        "headers": {"Authorization": "Bearer {env:TEAM_TOKEN}"},
        "oauth": False,
    },
    "windsurf": {"serverUrl": "U", "headers": {"Authorization": "Bearer ${env:TEAM_TOKEN}"}},
}


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.id)
def test_a_token_stays_in_its_variable_or_the_host_is_told_that_it_cannot(host: Any) -> None:
    wanted = Remote("U", "TEAM_TOKEN")
    if host.id in REMOTE:
        assert entry_for(host, wanted) == REMOTE[host.id]
        without = entry_for(host, Remote("U"))
        assert "TEAM_TOKEN" not in json.dumps(without)
        assert "U" in without.values()
        return
    with pytest.raises(RefusedError) as refused:
        entry_for(host, wanted)
    assert refused.value.owner_step
    if host.remote is not None:
        assert "U" in entry_for(host, Remote("U")).values()


@pytest.mark.parametrize(
    "url",
    ["http://team.example/mcp", "https://u:p@team.example/mcp", "https://team.example/mcp?token=x", "team.example",
     "https://", "https://team.example/mcp#x", "file:///etc", "https://team.example/ mcp", "${URL}", "https://é.example",
     "https://team.example:x/mcp", "http://127.0.0.1.evil.example/mcp"],
)  # fmt: skip
def test_an_address_that_could_leak_a_token_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(RefusedError) as refused:
        remote_server(url, None)
    assert url not in refused.value.summary


@pytest.mark.parametrize("name", ["zmt_live_token", "TOKEN VALUE", "1TOKEN", "", "A" * 65])
def test_a_token_in_the_place_of_its_variables_name_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(RefusedError) as refused:
        remote_server("https://team.example/mcp", name)
    assert not name or name not in f"{refused.value.summary} {refused.value.owner_step}"


@pytest.mark.parametrize(
    ("entry", "is_ours"),
    [
        ({"command": "zinc-mcp"}, True),
        ({"command": "C:\\x\\Scripts\\zinc-mcp.EXE"}, True),
        ({"command": "/x/python3.12", "args": ["-m", "zinc_mcp"]}, True),
        ({"command": ["uvx", "--from", "/clone", "zinc-mcp"]}, True),
        ({"command": "uvx", "args": ["zinc-mcp[tempo]@latest"]}, True),
        ({"command": "pipx", "args": ["run", "zinc-mcp==0.1.0"]}, True),
        ({"command": "env", "args": ["A=b", "/x/zinc-mcp"]}, True),
        ({"cmd": "uv", "args": ["run", "--directory", "/clone", "zinc-mcp"]}, True),
        ({"command": "npx", "args": ["-y", "zinc-mcp"]}, False),
        ({"command": "node", "args": ["/home/ada/zinc-mcp/index.js"]}, False),
        ({"command": "python", "args": ["-m", "zinc_mcp_other"]}, False),
        ({"command": "uvx", "args": ["zinc-mcp-alloys"]}, False),
        ({"command": "/opt/zinc-mcp/bin/server"}, False),
        ({"url": "https://zinc-mcp.example/mcp"}, False),
        ({"command": 3, "args": "zinc-mcp"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_an_entry_is_ours_only_if_it_starts_this_program(entry: object, is_ours: bool) -> None:
    assert starts_us(entry) is is_ours


def test_no_secret_of_ours_is_written_or_shown_whatever_its_name() -> None:
    secrets = [setting.variable for setting in SETTINGS if setting.is_secret]
    assert len(secrets) >= 6
    for host in HOSTS:
        for name in secrets:
            earlier = {"command": "zinc-mcp", "env": {name: PLANTED, "ZINC_MCP_MAX_DAY": "100"}}
            with pytest.raises(RefusedError, match=name) as refused:
                renewed(host, earlier, Start(["/x/zinc-mcp"]))
            assert PLANTED not in str(refused.value)
            kept = renewed(host, earlier, Start(["/x/zinc-mcp"]), drop_secrets=True)
            assert PLANTED not in json.dumps(kept)
            assert "ZINC_MCP_MAX_DAY" in json.dumps(kept)
            assert PLANTED not in json.dumps(shown(earlier))
    other = {"command": "x", "headers": {"Authorization": f"Bearer {PLANTED}"}, "env": {"OTHER": PLANTED}}
    assert PLANTED not in json.dumps(shown(other))
