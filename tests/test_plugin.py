"""The plugin for Claude Code says what the program is, teaches only what there is, and passes the host's own check."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from started import ROOT

from bench.clients.environments import NotHadError, command_line
from bench.icon import FILES, SIZE, chunks, pixels
from zinc_mcp.errors import ErrorCode
from zinc_mcp.known_settings import TOOLS

PLUGIN = ROOT / "plugin"
SKILL = (PLUGIN / "skills" / "buying" / "SKILL.md").read_text(encoding="utf-8")
CONTRACT: list[dict[str, Any]] = json.loads((ROOT / "tests" / "tools.json").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PLUGIN / path).read_text(encoding="utf-8"))
    return found


def test_the_plugin_has_the_packages_version_and_names_no_address() -> None:
    plugin, market = read(".claude-plugin/plugin.json"), read(".claude-plugin/marketplace.json")
    assert (plugin["version"], plugin["license"]) == (PROJECT["version"], PROJECT["license"])
    assert [(each["name"], each["source"]) for each in market["plugins"]] == [(plugin["name"], "./")]
    for path in PLUGIN.rglob("*"):
        if path.suffix in (".json", ".md"):
            assert re.findall(r"https?://[^\s\"')]+", path.read_text(encoding="utf-8")) == [], path


def test_the_plugins_server_is_the_program_and_holds_no_setting_and_no_key() -> None:
    assert read(".mcp.json") == {"mcpServers": {"zinc": {"command": "zinc-mcp"}}}
    assert "userConfig" not in read(".claude-plugin/plugin.json")
    assert not (ROOT / ".mcp.json").exists(), "a host would offer it to everybody who opens this tree"


def test_the_skill_says_when_it_is_for_in_what_a_host_reads_first() -> None:
    found = re.match(r"---\nname: ([a-z-]+)\ndescription: ([^\n]+)\n---\n", SKILL)
    assert found is not None
    assert found[1] == "buying" and "Use it when" in found[2] and len(found[2]) <= 1024
    assert len(SKILL.splitlines()) < 100


def test_the_skill_names_every_tool_and_only_what_there_is() -> None:
    named = set(re.findall(r"`([a-z_]+)`", SKILL)) | set(re.findall(r"\b([a-z]+_[a-z0-9_]+)\b", SKILL))
    inputs = {name for tool in CONTRACT for name in tool["inputSchema"]["properties"]}
    results = {name for tool in CONTRACT for name in tool["outputSchema"]["properties"]}
    assert named - set(TOOLS) - set(get_args(ErrorCode)) - inputs - results == set()
    assert set(TOOLS) - named - {"get_balance"} == set()


@pytest.mark.thorough
def test_the_icons_are_the_one_that_its_program_draws() -> None:
    drawn = pixels()
    for path in FILES:
        parts = dict(chunks(path.read_bytes()))
        assert parts[b"IHDR"][:8] == SIZE.to_bytes(4, "big") * 2
        assert zlib.decompress(parts[b"IDAT"]) == drawn, f"python -m bench.icon --write renews {path}"


# The host's own program, which comes from npm


def claude(folder: Path) -> Mapping[str, str]:
    """Return an environment in which Claude Code and this program are on the PATH, or skip."""
    scratch = os.environ.get("ZINC_MCP_CLIENTS")
    folders: list[Path] = []
    if scratch:
        try:
            folders = list(command_line("@anthropic-ai/claude-code@2", "claude", Path(scratch)))
        except NotHadError as error:
            pytest.skip(f"Claude Code cannot be had: {error}")
    elif shutil.which("claude") is None:
        pytest.skip("Claude Code is not there, and ZINC_MCP_CLIENTS names no folder to install it into")
    own = folder / "bin"
    own.mkdir()
    (own / "zinc-mcp").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m zinc_mcp "$@"\n')
    (own / "zinc-mcp").chmod(0o755)
    path = os.pathsep.join(map(str, [own, *folders, os.environ["PATH"]]))
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}
    return {**quiet, "HOME": str(folder), "PATH": path, "TERM": "dumb", "NO_COLOR": "1"}


def run(line: str, environ: Mapping[str, str], cwd: Path = ROOT) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("what", ["plugin", "plugin/.claude-plugin/plugin.json"])
def test_claude_code_finds_nothing_to_complain_about(tmp_path: Path, what: str) -> None:
    assert "Validation passed" in run(f"claude plugin validate --strict {what}", claude(tmp_path))


def test_claude_code_installs_it_by_the_lines_of_its_readme_and_connects(tmp_path: Path) -> None:
    environ = claude(tmp_path)
    [lines] = re.findall(r"```\n(claude .*?)```", (PLUGIN / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    run(f"set -e\n{lines}", environ)
    said = ""
    for _ in range(3):
        said = run("claude mcp list", environ, tmp_path)
        if re.search(r"plugin:zinc:zinc: zinc-mcp .*Connected", said):
            return
    raise AssertionError(said)
