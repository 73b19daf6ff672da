"""An install link holds the entry that it promises, and no secret."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from mcp import Client, StdioServerParameters
from started import ROOT
from wanted import LISTED

from zinc_mcp.errors import RefusedError
from zinc_mcp.hosts.links import LINKS, MOST_CHARACTERS, Entry, link_for
from zinc_mcp.known_settings import SETTINGS

LOCAL = Entry("/home/ada lovelace/.venv/bin/zinc-mcp", ["-m", 'a "b" %41 &=+#'], {"ZINC_MCP_SANDBOX": "1"})
REMOTE = Entry(url="https://zinc.example.com:8443/mcp")
STARTS_PROGRAMS = sorted(LINKS.keys() - {"goose"})


def read(host: str, link: str) -> dict[str, Any]:
    """Return what a host reads out of its link: the name and the entry."""
    parts = urlsplit(link)
    if host == "vscode":
        assert (parts.scheme, parts.path) == ("vscode", "mcp/install")
        found = json.loads(unquote(parts.query))
        return {"name": found.pop("name"), "entry": found}
    given = dict(parse_qsl(parts.query, strict_parsing=True))
    if host == "goose":
        assert f"{parts.scheme}://{parts.netloc}" == "goose://extension"
        assert given["type"] == "streamable_http" and "cmd" not in given
        return {"name": given["id"], "entry": {"url": given["url"]}}
    if host == "vscode-web":
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://vscode.dev/redirect/mcp/install"
        found = json.loads(given["config"])
        return {"name": found.pop("name"), "entry": found}
    begins = {"cursor": "cursor://anysphere.cursor-deeplink/mcp/install?", "lm-studio": "lmstudio://add_mcp?"}
    assert link.startswith(begins[host])
    return {"name": given["name"], "entry": json.loads(base64.b64decode(given["config"], validate=True))}


@pytest.mark.parametrize("host", STARTS_PROGRAMS)
def test_a_link_holds_the_program_with_its_words_and_variables(host: str) -> None:
    found = read(host, link_for(host, LOCAL))
    kind = {"type": "stdio"} if host.startswith("vscode") else {}
    assert found == {
        "name": "zinc",
        "entry": {**kind, "command": LOCAL.command, "args": LOCAL.arguments, "env": {"ZINC_MCP_SANDBOX": "1"}},
    }


@pytest.mark.parametrize("host", sorted(LINKS))
def test_a_link_holds_the_address_of_a_teams_server(host: str) -> None:
    kind = {"type": "http"} if host.startswith("vscode") else {}
    assert read(host, link_for(host, REMOTE)) == {"name": "zinc", "entry": {**kind, "url": REMOTE.url}}


@pytest.mark.parametrize("host", sorted(LINKS))
def test_a_link_is_one_word_of_ascii(host: str) -> None:
    for entry in [REMOTE, *([LOCAL] if host != "goose" else [])]:
        link = link_for(host, entry)
        assert link.isascii() and link.isprintable() and not set(" \"<>'`\\") & set(link)


def test_goose_opens_no_link_for_a_program_and_the_refusal_says_what_does() -> None:
    with pytest.raises(RefusedError, match="full path") as refused:
        link_for("goose", LOCAL)
    assert "--remote" in str(refused.value.owner_step)


@pytest.mark.parametrize("name", [name for each in SETTINGS if each.is_secret for name in each.variables] + ["OTHER"])
def test_a_variable_that_may_hold_a_secret_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(RefusedError, match=name) as refused:
        Entry("/bin/zinc-mcp", environment={name: "zn_live_planted"})
    assert "planted" not in f"{refused.value}{refused.value.owner_step}"


@pytest.mark.parametrize(
    "url",
    [
        "http://zinc.example.com/mcp",
        "https://ada:secret@zinc.example.com/mcp",
        "https://zinc.example.com/mcp?token=secret",
        "https://zinc.example.com/mcp#secret",
        "https://zinc.example.com/a b",
        "https://zïnc.example.com/mcp",
        "https:///mcp",
        "http://[::1",
        "javascript:alert(1)",
        "ftp://zinc.example.com/",
    ],
)
def test_an_address_that_is_no_servers_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(RefusedError, match="no address of a server") as refused:
        Entry(url=url)
    assert "secret" not in f"{refused.value}{refused.value.owner_step}"


def test_a_link_that_systems_would_cut_is_refused() -> None:
    with pytest.raises(RefusedError, match="characters"):
        link_for("cursor", Entry(f"/{'x' * MOST_CHARACTERS}"))


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), **variables}
    return subprocess.run(
        [sys.executable, "-m", "zinc_mcp", "link", *words],
        cwd=folder,
        env=environ,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


async def test_the_command_prints_a_link_whose_program_starts_and_lists_the_tools(tmp_path: Path) -> None:
    ended = run(tmp_path, "cursor", "--sandbox", ZINC_MCP_HOME="moved", ZINC_API_KEY="zn_live_planted")
    assert (ended.returncode, ended.stderr) == (0, "")
    entry = read("cursor", ended.stdout.strip())["entry"]
    assert entry["env"] == {"ZINC_MCP_HOME": str(tmp_path / "moved"), "ZINC_MCP_SANDBOX": "1"}
    assert os.path.isabs(entry["command"]) and "planted" not in json.dumps(entry)
    environ = {**entry["env"], "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    started = StdioServerParameters(command=entry["command"], args=entry["args"], env=environ, cwd=tmp_path)
    async with Client(started) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == LISTED


def test_a_program_that_is_not_installed_gets_no_link(tmp_path: Path) -> None:
    ended = run(tmp_path, "cursor", PYTHONPATH=str(ROOT))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "without being installed" in ended.stderr


def test_the_command_names_the_address_of_a_server(tmp_path: Path) -> None:
    ended = run(tmp_path, "goose", "--remote", REMOTE.url)
    assert read("goose", ended.stdout.strip())["entry"] == {"url": REMOTE.url}
    assert run(tmp_path, "cursor", "--remote", REMOTE.url, "--sandbox").returncode == 2


def test_the_command_refuses_a_journal_whose_address_may_hold_a_password(tmp_path: Path) -> None:
    ended = run(tmp_path, "cursor", ZINC_MCP_JOURNAL="postgresql://ada:planted@db/zinc")
    assert ended.returncode == 1 and ended.stdout == ""
    assert "Set journal in zinc.toml instead." in ended.stderr and "planted" not in ended.stderr
