"""The program helps a person, says in a sentence why it cannot start, and loads nothing that it does not need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from started import Started

from zinc_mcp.known_settings import TOOLS

_HEAVY = "('sqlalchemy', 'mcp', 'httpx', 'jinja2', 'rich', 'zinc_mcp.journal', 'zinc_mcp.checkout', 'zinc_mcp.zinc')"


def test_help_lists_the_commands_without_loading_one(tmp_path: Path) -> None:
    script = f"""
import sys
sys.argv = ["zinc-mcp", "--help"]
from zinc_mcp.__main__ import main
from zinc_mcp.known_settings import TOOLS
try:
    main()
except SystemExit:
    pass
loaded = sorted(name for name, module in sys.modules.items() if module and name.startswith({_HEAVY}))
sys.exit(f"loaded: {{loaded}}" if loaded else 0)
"""
    ended = Started(tmp_path).process("-c", script)
    assert ended.stderr == ""
    assert ended.returncode == 0
    for name in ("demo", "doctor", "members", "orders", "pause", "policy", "resume", "sandbox", "serve"):
        assert f"\n  {name} " in ended.stdout


def test_the_stdio_server_starts_without_loading_commands_or_the_journal(tmp_path: Path) -> None:
    script = """
import sys
sys.argv = ["zinc-mcp"]
from zinc_mcp.__main__ import main
try:
    main()
except SystemExit as ended:
    assert ended.code in (0, None), ended.code
heavy = ("zinc_mcp.cli", "sqlalchemy", "jinja2", "rich", "pygments")
loaded = sorted(name for name in sys.modules if name.startswith(heavy) and name != "zinc_mcp.__main__")
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""
    ended = Started(tmp_path).process("-c", script, ZINC_MCP_SANDBOX="1")
    assert "loaded" not in ended.stderr
    assert ended.returncode == 0
    assert ended.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_program_prints_help(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "zinc_mcp"],
            stdin=theirs,
            env=Started(tmp_path).environment,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert ended.returncode == 0
    assert "Commands:" in ended.stdout


def test_every_listed_command_explains_itself(tmp_path: Path) -> None:
    started = Started(tmp_path)
    for name in ("doctor", "members", "orders", "pause", "policy", "resume", "sandbox", "serve"):
        ended = started.run(name, "--help")
        assert ended.returncode == 0
        assert "Usage:" in ended.stdout
    assert not started.home.exists()


def test_an_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("by")
    assert ended.returncode == 2
    assert "No such command" in ended.stderr


@pytest.mark.parametrize("command", ["", "doctor", "orders", "serve --http 127.0.0.1:0"])
def test_a_wrong_setting_stops_every_command_with_a_sentence_and_a_next_step(tmp_path: Path, command: str) -> None:
    ended = Started(tmp_path).quickly(*command.split(), ZINC_MCP_TOOLS="place_ordr")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "zinc-mcp: environment ZINC_MCP_TOOLS names a tool that does not exist: 'place_ordr'. "
        "Did you mean place_order?",
        f"The tools are {', '.join(TOOLS)}; the profiles are read, order, all.",
    ]


def test_a_broken_file_is_named_and_its_control_characters_are_not_printed(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.configure('"a\\u001b[31mb" = 1\n')
    ended = started.run("doctor")
    assert ended.returncode == 2
    assert str(started.config) in ended.stderr
    assert "\x1b" not in ended.stderr


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    assert Started(tmp_path).run("--version").stdout.startswith("zinc-mcp, version 0.")
