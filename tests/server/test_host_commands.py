"""The entries that `zinc-mcp install` writes work with the hosts' own command lines.

They come from npm, so this runs where `ZINC_MCP_CLIENTS` names a folder to install them into, as `.ci/full` does.
The tests neither log in nor call a model: each host only starts the server and says whether it answered.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from started import ROOT

from bench.clients.environments import NotHadError, command_line
from zinc_mcp.known_settings import TOOLS

SHELL = "/bin/sh"
SCRATCH = os.environ.get("ZINC_MCP_CLIENTS")
TRIES = 4
"""Gemini CLI waits five seconds for a server, which a busy machine may need."""

pytestmark = pytest.mark.skipif(not SCRATCH, reason="ZINC_MCP_CLIENTS names no folder for the hosts' command lines")

PACKAGES = {
    "claude": "@anthropic-ai/claude-code@2",
    "codex": "@openai/codex",
    "gemini": "@google/gemini-cli",
    "opencode": "opencode-ai@1",
}
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "GEMINI_TELEMETRY_ENABLED": "false",
    "OPENCODE_DISABLE_AUTOUPDATE": "true",
    "OPENCODE_DISABLE_MODELS_FETCH": "true",
    "NO_COLOR": "1",
}


@dataclass
class Desk:
    """A person's machine with one host on it, and this program."""

    host: str
    home: Path
    project: Path
    environ: Mapping[str, str]

    def run(self, line: str) -> str:
        """Run a line in a shell, as it would be pasted."""
        done = subprocess.run(
            [SHELL, "-c", line],
            cwd=self.project,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def lists(self, pattern: str) -> str:
        """Return what `mcp list` says once it shows the server as the pattern wants it."""
        said = ""
        for _ in range(TRIES):
            said = self.run(f"{self.host} mcp list")
            if re.search(pattern, said):
                return said
            time.sleep(1)
        raise AssertionError(said)


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Desk]:
    host: str = request.param
    assert SCRATCH
    try:
        folders = command_line(PACKAGES[host], host, Path(SCRATCH))
    except NotHadError as error:
        pytest.skip(f"{host} cannot be had: {error}")
    home, project, own = tmp_path / "home", tmp_path / "home" / "project", tmp_path / "bin"
    project.mkdir(parents=True)
    own.mkdir()
    _put(own / "zinc-mcp", f'PYTHONPATH={ROOT} exec {sys.executable} -m zinc_mcp "$@"')
    _put(own / "uvx", 'exec "$@"')  # which would fetch a published package
    path = os.pathsep.join(map(str, [own, *folders, *map(Path, os.environ["PATH"].split(os.pathsep))]))
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "SSL_CERT_FILE") if name in os.environ}
    yield Desk(host, home, project, {**kept, **QUIET, "HOME": str(home), "PATH": path, "TERM": "dumb"})
    shutil.rmtree(home, ignore_errors=True)


def _put(program: Path, body: str) -> None:
    program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    program.chmod(0o755)


CONNECTED = {
    "claude": r"zinc: .*Connected",
    "codex": r"zinc\s+\S+.*enabled",
    "gemini": r"zinc: .*(?<!Dis)[Cc]onnected",
    "opencode": r"✓ zinc .*connected",
}
INSTALLED = {"claude": "claude-code"}
COMMENTED = {
    "claude": (".claude.json", '{\n  "numStartups": 1\n}\n'),
    "codex": (".codex/config.toml", "# mine\n[tui] # look\n"),
    "gemini": (".gemini/settings.json", '{\n  // mine\n  "mcpServers": {} // none yet\n}\n'),
    "opencode": (
        ".config/opencode/opencode.jsonc",
        '{\n  // mine\n  "$schema": "https://opencode.ai/config.json",\n}\n',
    ),
}


@pytest.mark.parametrize("desk", list(PACKAGES), indirect=True)
def test_a_host_connects_to_what_install_wrote_until_uninstall(desk: Desk) -> None:
    name, text = COMMENTED[desk.host]
    path = desk.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    if desk.host == "gemini":  # which starts servers only in folders that are trusted
        (path.parent / "trustedFolders.json").write_text(json.dumps({str(desk.project): "TRUST_FOLDER"}))
    host = INSTALLED.get(desk.host, desk.host)
    said = desk.run(f"zinc-mcp install {host} --sandbox --yes")
    assert re.search(r"it lists \d+ tools", said)
    written = path.read_text(encoding="utf-8")
    assert all(line in written for line in re.findall(r"(?://|#) \w+.*", text))
    desk.lists(CONNECTED[desk.host])
    if desk.host == "codex":
        [server] = asked_of_codex(desk)["data"]
        assert (server["name"], sorted(server["tools"])) == ("zinc", sorted(TOOLS))
    if path.read_text(encoding="utf-8") == written:
        desk.run(f"zinc-mcp uninstall {host} --yes")
        assert path.read_text(encoding="utf-8") == text
    else:  # the host wrote into its file meanwhile, as Claude Code does
        desk.run(f"zinc-mcp uninstall {host} --yes")
    assert "zinc" not in path.read_text(encoding="utf-8")


@pytest.fixture
def team(tmp_path: Path) -> Generator[tuple[str, str]]:
    """A team's server on a port, with its address and the token of a member."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {"HOME": str(tmp_path), "ZINC_MCP_HOME": str(tmp_path / "team"), "ZINC_MCP_SANDBOX": "1"}
    ours = [sys.executable, "-m", "zinc_mcp"]
    environ |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    added = subprocess.run([*ours, "members", "add", "ada"], env=environ, capture_output=True, text=True, check=True)
    with subprocess.Popen(
        [*ours, "serve", "--http", f"127.0.0.1:{port}"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as serving:
        try:
            for _ in range(200):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/mcp", added.stdout.splitlines()[0]
        finally:
            serving.terminate()


@pytest.mark.parametrize("desk", ["claude", "gemini", "opencode"], indirect=True)
def test_a_host_connects_to_a_teams_server_with_a_token_that_no_file_holds(desk: Desk, team: tuple[str, str]) -> None:
    url, token = team
    for each in COMMENTED.values():
        (desk.home / each[0]).parent.mkdir(parents=True, exist_ok=True)
    (desk.home / ".claude").mkdir()
    trusted = desk.home / ".gemini" / "trustedFolders.json"
    trusted.write_text(json.dumps({str(desk.project): "TRUST_FOLDER"}))
    host = INSTALLED.get(desk.host, desk.host)
    desk.run(f"zinc-mcp install {host} --remote {url} --token-env TEAM_TOKEN --yes")
    assert token not in (desk.home / COMMENTED[desk.host][0]).read_text(encoding="utf-8")
    desk.environ = {**desk.environ, "TEAM_TOKEN": token}
    desk.lists(CONNECTED[desk.host])


def asked_of_codex(desk: Desk) -> dict[str, Any]:
    """Return what Codex knows of its servers, having started them: what its own screen `/mcp` shows."""
    process = subprocess.Popen(
        [SHELL, "-c", "exec codex app-server"],
        cwd=desk.project,
        env=desk.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    client = {"name": "test", "title": "test", "version": "1"}
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": {"clientInfo": client}},
        {"method": "initialized"},
        {"id": 2, "method": "mcpServerStatus/list", "params": {}},
    ]
    try:
        process.stdin.write("".join(json.dumps(message) + "\n" for message in messages).encode())
        process.stdin.flush()
        for answer in process.stdout:
            said: dict[str, Any] = json.loads(answer)
            if said.get("id") == 2:
                result: dict[str, Any] = said["result"]
                return result
        raise AssertionError("codex ended without an answer")
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
