"""A shell completes commands and options after one command, without starting the server or loading a command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from started import ROOT, Started

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A terminal in which zinc-mcp is on the PATH."""
    programs = tmp_path / "it's programs"
    programs.mkdir()
    script = programs / "zinc-mcp"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from zinc_mcp.__main__ import main\nmain()\n"
    )
    script.chmod(0o755)
    started = Started(tmp_path).environment
    return {**started, "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)}


def _in(shell: str, lines: str, environment: dict[str, str]) -> list[str]:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"needs {shell}")
    words = [program, *(["-f"] if shell == "zsh" else []), "-c", lines]
    ended = subprocess.run(
        words,
        env=environment,
        stdin=subprocess.DEVNULL,  # as it would be for a host: nothing but the shell's question tells the two apart
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    return ended.stdout.split()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("zinc-mcp ord", ["orders"]),
        ("zinc-mcp de", ["decline", "demo"]),
        ("zinc-mcp orders ref", ["refunded"]),
        ("zinc-mcp orders --wa", ["--watch"]),
        ("zinc-mcp completion z", ["zsh"]),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes_commands_and_options(
    environment: dict[str, str], shell: str, typed: str, offered: list[str]
) -> None:
    words = typed.split(" ")
    ask = {
        "bash": f'eval "$(zinc-mcp completion bash)"; complete -p zinc-mcp >/dev/null; COMP_WORDS=({typed}); '
        f'COMP_CWORD={len(words) - 1}; _zinc_mcp_completion zinc-mcp; printf "%s\\n" "${{COMPREPLY[@]}}"',
        "fish": f'zinc-mcp completion fish | source; complete -C "{typed}" | cut -f 1',
    }[shell]
    assert sorted(_in(shell, ask, environment)) == offered


def test_zsh_takes_what_is_printed(environment: dict[str, str]) -> None:
    lines = 'autoload -Uz compinit; compinit -u; eval "$(zinc-mcp completion zsh)"; print $_comps[zinc-mcp]'
    assert _in("zsh", lines, environment) == ["_zinc_mcp_completion"]


def test_the_names_of_commands_are_completed_without_loading_one(environment: dict[str, str]) -> None:
    script = """
import json, os, sys
os.environ |= {"_ZINC_MCP_COMPLETE": "bash_complete", "COMP_WORDS": "zinc-mcp ", "COMP_CWORD": "1"}
sys.argv = ["zinc-mcp"]
from zinc_mcp.__main__ import main
try:
    main()
except SystemExit:
    pass
heavy = ("rich", "mcp", "sqlalchemy", "jinja2", "zinc_mcp.journal")
print(json.dumps([name for name, module in sys.modules.items() if module and name.startswith(heavy)]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    *offered, loaded = ended.stdout.splitlines()
    assert "plain,orders" in offered
    assert json.loads(loaded) == []


def test_a_shell_that_is_not_known_is_a_usage_error(tmp_path: Path) -> None:
    ended = Started(tmp_path).run("completion", "powershell")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "'bash', 'fish', 'zsh'" in ended.stderr
