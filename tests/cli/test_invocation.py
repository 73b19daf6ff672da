"""A printed command works in a terminal that does not know how the program was started."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from journals import entry_of
from keyboard import at_a_terminal
from pasting import pasted
from server.as_a_host import call, host, refused
from started import ROOT, Started
from variants import rare
from wanted import arguments, intent

from zinc_mcp.checkout.place_order import place
from zinc_mcp.invocation import command, command_line, invocation, setting_to_repeat
from zinc_mcp.journal.journal import Journal

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")


def in_backticks(text: str) -> str:
    found = re.search("`([^`]+)`", text)
    assert found, text
    return found[1]


def _executable(folder: Path, name: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text("", encoding="utf-8")
    program.chmod(0o755)
    return str(program)


# The printed command


@pytest.mark.parametrize("folder", ["bin", "my tools", "cache/uv/archive-v0/3xYz/bin", "it's mine/bin"])
def test_a_script_is_called_by_its_whole_path(tmp_path: Path, folder: str) -> None:
    script = _executable(tmp_path / folder, "zinc-mcp")
    said = invocation([script], {"PATH": str(tmp_path / folder), "UV": "/usr/bin/uv"}, windows=False)
    assert shlex.split(said) == [script]


@pytest.mark.parametrize("argv", [["/somewhere/zinc_mcp/__main__.py"], ["-m"], ["/usr/bin/pytest"], [""], []])
def test_the_module_is_called_with_the_interpreter_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    interpreter = _executable(tmp_path / "venv", "python3")
    monkeypatch.setattr(sys, "executable", interpreter)
    assert invocation(argv, {"PATH": str(tmp_path / "venv")}, windows=False).endswith(f"{interpreter} -m zinc_mcp")


@pytest.mark.parametrize(
    ("environ", "assigned"),
    [
        ({}, ""),
        ({"ZINC_MCP_HOME": "/a b/home"}, "ZINC_MCP_HOME='/a b/home' "),
        ({"ZINC_MCP_HOME": "${user_config.home}", "ZINC_API_KEY": "k", "ZINC_MCP_SANDBOX": "1"}, ""),
        ({"ZINC_MCP_CONFIG": "/etc/zinc.toml"}, "ZINC_MCP_CONFIG=/etc/zinc.toml "),
        ({"ZINC_MCP_JOURNAL": "sqlite:////var/j.db"}, "ZINC_MCP_JOURNAL=sqlite:////var/j.db "),
        ({"ZINC_MCP_JOURNAL": "postgresql:///z"}, ""),
        ({"ZINC_MCP_JOURNAL": "postgresql://u@db/z"}, "ZINC_MCP_JOURNAL=postgresql://u@db/z "),
        ({"ZINC_MCP_JOURNAL": "postgresql://u:planted@db/z"}, ""),
        ({"ZINC_MCP_JOURNAL": "postgresql://db/z?password=planted"}, ""),
        ({"ZINC_MCP_JOURNAL_FILE": "/run/secrets/journal"}, "ZINC_MCP_JOURNAL_FILE=/run/secrets/journal "),
    ],
)
def test_a_printed_command_carries_the_journal_and_no_password(environ: dict[str, str], assigned: str) -> None:
    assert invocation(["/bin/zinc-mcp"], environ, windows=False) == f"{assigned}/bin/zinc-mcp"
    url = environ.get("ZINC_MCP_JOURNAL", "")
    left_out = bool(url) and "ZINC_MCP_JOURNAL" not in assigned
    said = " (with ZINC_MCP_JOURNAL set as it is for the server)"
    assert setting_to_repeat(environ) == (said if left_out else "")
    assert command("orders", environ=environ).endswith(f" orders`{said if left_out else ''}")


@pytest.mark.parametrize("key", ["order-1", "-x", "--help", "a'b", "$(id)", "a;b", "`id`", "-"])
def test_a_key_is_one_word_and_no_option_whatever_it_is(key: str) -> None:
    words = shlex.split(command_line("approve", given=[key], environ={}))
    assert words[-1] == key
    assert (words[-2] == "--") == key.startswith("-")


def test_windows_is_given_what_powershell_reads() -> None:
    assert "'" not in invocation(["/opt/zinc-mcp"], {}, windows=True)
    said = invocation(["/opt/my tools/zinc-mcp"], {"ZINC_MCP_HOME": "/a'b"}, windows=True)
    assert said == "$env:ZINC_MCP_HOME='/a''b'; & '/opt/my tools/zinc-mcp'"


# The command at work


@posix
@pytest.mark.parametrize("way", [*map(rare, ("the module in its folder", "a script")), "the module by PYTHONPATH"])
def test_a_command_that_a_server_prints_works_in_a_bare_terminal(tmp_path: Path, way: str) -> None:
    started = Started(tmp_path / "it's a home")
    started.home.parent.mkdir()
    environ = {name: value for name, value in started.environment.items() if name != "PYTHONPATH"}
    script = tmp_path / "my tools" / "zinc-mcp"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from zinc_mcp.__main__ import main\nmain()\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    run: Mapping[str, tuple[list[str], Path | None]] = {
        "the module in its folder": ([sys.executable, "-m", "zinc_mcp"], ROOT),
        "the module by PYTHONPATH": ([sys.executable, "-m", "zinc_mcp"], None),
        "a script": ([str(script)], None),
    }
    words, cwd = run[way]
    if way == "the module by PYTHONPATH":
        environ["PYTHONPATH"] = str(ROOT)
    paused = subprocess.run(
        [*words, "pause", "for a look"],
        env=environ,
        cwd=cwd or tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    line = paused.stdout.splitlines()[1].strip()
    code, screen = pasted(line, cwd=Path("/"))
    assert (code, screen) == (0, "Resumed. It was paused: for a look.\n"), line


@posix
@pytest.mark.parametrize("key", [rare("order-1"), rare("--help"), "--it's;$(id)"])
async def test_the_approving_command_of_a_tools_answer_works_in_a_bare_terminal(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    home: Path,
    write_config: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
) -> None:
    write_config('[policy]\napproval = "page"\n')
    monkeypatch.setenv("ZINC_MCP_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    async with open_test_process() as process:
        entry = entry_of(await place(process, intent(idempotency_key=key)))
    line = command_line("approve", given=[entry.key])
    code, screen = pasted(line, typed=[("Type yes", "no")])
    assert "Buy from amazon.com for at most $51.00?" in screen
    assert "the question still stands" in screen
    assert code == 1


@posix
async def test_a_command_of_a_refusal_works_in_a_bare_terminal(
    open_test_process: OpenProcess, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZINC_MCP_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    async with open_test_process() as process, host(process, "auto") as client:
        await call(client, "place_order", arguments())
        with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
            journal.pause("x")
        told = await refused(
            client,
            "place_order",
            arguments(max_price=200_000, products=[{"url": "https://www.amazon.com/dp/B000000009"}]),
        )
        assert told["code"] == "limit_exceeded"
        told = await refused(
            client, "place_order", arguments(products=[{"url": "https://www.amazon.com/dp/B000000009"}])
        )
    code, screen = pasted(in_backticks(told["next_step"]))
    assert (code, screen) == (0, "Resumed. It was paused: x.\n")


@posix
def test_a_long_command_is_one_line_of_a_narrow_terminal(tmp_path: Path) -> None:
    started = Started(tmp_path / ("a very long name of a folder " * 4))
    started.home.parent.mkdir()
    assert started.run("pause", "x").returncode == 0
    code, screen = at_a_terminal(["orders"], started.environment)
    assert code == 0
    [line] = [line for line in screen.splitlines() if line.endswith(" resume")]
    assert pasted(line.strip())[1] == "Resumed. It was paused: x.\n"


def test_no_sentence_names_the_program_by_a_name_that_a_terminal_may_not_know() -> None:
    # Backticks and a bare name are for the documents. A running program prints commands made by `command`.
    package = ROOT / "zinc_mcp"
    bare = [
        f"{path.relative_to(package)}: {line.strip()}"
        for path in sorted(package.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"`zinc-mcp [a-z]", line) and not re.match(r'\s*(r?"""|#)', line)
    ]
    assert bare == []


def test_a_package_that_is_not_installed_is_found_where_it_lies() -> None:
    said = invocation(["-m"], {"PYTHONPATH": f"{ROOT}{os.pathsep}/else where"}, windows=False)
    assert shlex.split(said) == [f"PYTHONPATH={ROOT}{os.pathsep}/else where", sys.executable, "-m", "zinc_mcp"]


def test_a_home_that_is_not_the_users_own_is_carried(tmp_path: Path) -> None:
    said = invocation(["/bin/zinc-mcp"], {"HOME": str(tmp_path)}, windows=False)
    assert said == f"ZINC_MCP_HOME={shlex.quote(str(tmp_path / '.zinc-mcp'))} /bin/zinc-mcp"
    if sys.platform != "win32":
        import pwd

        own = pwd.getpwuid(os.getuid()).pw_dir
        assert invocation(["/bin/zinc-mcp"], {"HOME": own}, windows=False) == "/bin/zinc-mcp"
