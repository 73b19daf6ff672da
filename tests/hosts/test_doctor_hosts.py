"""`zinc-mcp doctor` says which hosts start this server, with which settings, and whether that start works."""

import json
import re
import sys
from pathlib import Path

import pytest
from hosts.test_install_command import Desk
from started import PLANTED
from wanted import LISTED

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the files lie where Linux has them")


def doctor(desk: Desk, **variables: str) -> tuple[int, str]:
    return desk.run("doctor", ZINC_MCP_SANDBOX="1", **variables)


def put(desk: Desk, host: str, entry: object, name: str = "zinc") -> None:
    desk.file(host).write_text(json.dumps({"mcpServers": {name: entry}}))


def program(desk: Desk, body: str) -> dict[str, object]:
    """Make a program of our name that does something else."""
    path = desk.user / "zinc-mcp"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return {"command": str(path)}


def test_doctor_starts_the_server_as_a_host_does_and_counts_the_tools(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor", "codex", "gemini")
    assert desk.run("install", "cursor", "codex", "--sandbox", "--yes", "--no-start")[0] == 0
    code, said = doctor(desk)
    assert code == 0, said
    for title in ("Cursor", "Codex"):
        assert re.search(rf"ok +{title}: starts \S+.*ZINC_MCP_SANDBOX=1; it lists {len(LISTED)} tools", said)
    assert "Gemini CLI does not have this server" in said


def test_a_program_that_is_gone_is_told_with_the_command_that_mends_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor", "gemini")
    put(desk, "cursor", {"command": "/gone/venv/bin/zinc-mcp"})
    put(desk, "gemini", {"command": "zinc-mcp"})
    code, said = doctor(desk)
    assert code == 1
    assert "WRONG Cursor: starts /gone/venv/bin/zinc-mcp, which is not there." in said
    assert "WRONG Gemini CLI: starts zinc-mcp, which is not there on its short PATH." in said
    assert "install cursor\n" in said
    assert "install gemini\n" in said


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("exit 3", "it ended without an answer"),
        ("echo 'zinc-mcp: The setting is wrong.' >&2; exit 2", "zinc-mcp: The setting is wrong."),
        ("echo not json; cat", "it ended without an answer"),
        ("yes '{}'", "it ended without an answer"),
        ("head -c 9000000 /dev/zero; cat", "it ended without an answer"),
        (r"printf '\033[31mred\n' >&2; exit 1", "red"),
    ],
)
def test_a_start_that_fails_says_why(tmp_path: Path, body: str, why: str) -> None:
    desk = Desk(tmp_path, "cursor")
    put(desk, "cursor", program(desk, body))
    code, said = doctor(desk)
    assert (code, f"which does not answer: {why}" in said) == (1, True), said
    assert "\x1b" not in said


def test_a_wrong_setting_of_the_entry_is_found(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    assert desk.run("install", "cursor", "--yes", "--no-start")[0] == 0
    text = desk.file("cursor").read_text().replace('"ZINC_MCP_HOME"', '"ZINC_MCP_MAX_ODRER": "5",\n "ZINC_MCP_HOME"')
    desk.file("cursor").write_text(text)
    code, said = doctor(desk)
    assert (code, "ZINC_MCP_MAX_ODRER is not one of ours" in said) == (1, True), said


def test_a_server_only_gets_the_variables_that_its_host_hands_over(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor", "codex", "gemini", "claude-code")
    shown = program(desk, 'env > "$0.$MARK"; exit 1')
    for host in ("cursor", "gemini", "claude-code"):
        put(desk, host, {**shown, "env": {"MARK": host, "UNFILLED": "${env:X}"}})
    start = f"command = {json.dumps(shown['command'])}\nenv = {{ MARK = 'codex' }}\nenv_vars = ['ZINC_API_KEY']\n"
    desk.file("codex").write_text(f"[mcp_servers.zinc]\n{start}")
    doctor(desk, ZINC_API_KEY="zn_test_1", PLAIN="1")
    seen: dict[str, dict[str, str]] = {}
    for path in desk.user.glob("zinc-mcp.*"):
        pairs = [line.partition("=") for line in path.read_text().splitlines()]
        seen[path.suffix[1:]] = {name: value for name, _, value in pairs}
    given = {host: ("ZINC_API_KEY" in had, "PLAIN" in had) for host, had in seen.items()}
    assert given == {
        "claude-code": (True, True),
        "codex": (True, False),
        "cursor": (False, False),
        "gemini": (False, True),
    }
    for had in seen.values():
        assert had["HOME"] == str(desk.user)
        assert "bin" in had["PATH"] and str(Path(sys.executable).parent) not in had["PATH"]
        assert "UNFILLED" not in had


def test_a_command_that_may_fetch_a_package_is_never_started(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    for command in (["uvx", "zinc-mcp"], ["uv", "run", "zinc-mcp"], ["pipx", "run", "zinc-mcp"]):
        put(desk, "cursor", {"command": command[0], "args": command[1:]})
        code, said = doctor(desk)
        assert code == 0, said
        assert f"note  Cursor: starts this server with {command[0]}, which may fetch" in said


def test_two_homes_are_named_as_two_journals(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor", "codex")
    assert desk.run("install", "cursor", "codex", "--sandbox", "--yes", "--no-start")[0] == 0
    assert "journals" not in doctor(desk)[1]
    text = desk.file("codex").read_text()
    desk.file("codex").write_text(text.replace(str(desk.home), str(tmp_path / "another")))
    said = doctor(desk)[1]
    assert re.search(rf"The hosts keep 2 journals \(Cursor: {re.escape(str(desk.home))}; Codex: .*another\)", said)
    desk.file("cursor").unlink()
    assert re.search(r"The hosts use \S+another, and this command looks at", doctor(desk)[1])
    secret = f'ZINC_MCP_JOURNAL = "postgresql://u:{PLANTED}@127.0.0.1:9/d", ZINC_MCP_HOME'
    desk.file("codex").write_text(text.replace("ZINC_MCP_HOME", secret))
    assert "a database of its own" in doctor(desk)[1]


def test_a_strangers_server_a_second_name_and_a_broken_file_are_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor", "gemini", "vscode", "claude-code")
    put(desk, "cursor", {"command": "/opt/alloys"})
    entry = program(desk, "exit 1")
    desk.file("gemini").write_text(json.dumps({"mcpServers": {"zinc": entry, "shop": entry}}))
    desk.file("vscode").write_text("{ broken")
    put(desk, "claude-code", {"type": "http", "url": "https://team.example/mcp"})
    code, said = doctor(desk)
    assert code == 1
    assert "has a server zinc that is not this program" in said
    assert "has this server 2 times: zinc, shop." in said
    assert "mcp.json cannot be read: it is not valid JSON." in said
    assert "Claude Code" in said


def test_a_server_that_is_switched_off_is_not_started(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "cursor")
    put(desk, "cursor", {**program(desk, "touch started; exit 1"), "disabled": True})
    code, said = doctor(desk)
    assert (code, "switched off" in said) == (0, True), said
