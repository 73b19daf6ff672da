"""Every command that the program prints works in a bare terminal and in another folder."""

import ast
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import preloaded
import pytest
from keyboard import at_a_terminal
from pasting import COMMANDS, PLACEHOLDERS, furnish, pasted
from started import ROOT, Started

from zinc_mcp.invocation import command_line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

PACKAGE = ROOT / "zinc_mcp"
MAKERS = {"command", "command_line", "show_command", "Finding"}
BESIDE = {"invocation.py", "screen.py"}
"""The modules that define the functions that make commands."""

Words = tuple[str, ...]


def in_the_source() -> Iterator[tuple[str, Words]]:
    """Find every place that makes a command, and the command that it makes."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name in BESIDE:
            continue
        text = path.read_text(encoding="utf-8")
        if not any(f"{maker}(" in text for maker in MAKERS):
            continue
        for call in ast.walk(ast.parse(text)):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            where = f"{path.relative_to(PACKAGE)}:{call.lineno}"
            if call.func.id in MAKERS - {"Finding"} and not any(isinstance(each, ast.Starred) for each in call.args):
                given = any(word.arg == "given" for word in call.keywords)
                yield where, (*map(_literal, call.args), *(["KEY"] if given else []))
            if call.func.id == "Finding" and len(call.args) > 4:
                named = call.args[4]
                assert isinstance(named, ast.Tuple), where
                yield where, (*map(_literal, named.elts), *(["KEY"] if len(call.args) > 5 else []))


def on_the_pages() -> Iterator[tuple[str, Words]]:
    for path in sorted((PACKAGE / "server" / "pages" / "sheets").glob("*.html")):
        for found in re.findall(r"{{ command }} ?([^<]*)<", path.read_text(encoding="utf-8")):
            yield path.name, tuple(found.split())


def _literal(node: ast.expr) -> str:
    assert isinstance(node, ast.Constant) and isinstance(node.value, str), ast.unparse(node)
    return node.value


PRINTED = [*in_the_source(), *on_the_pages()]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("a person's") / "it's a home"
    furnish(place)
    return place


@pytest.fixture
def own_home(furnished: Path, tmp_path: Path) -> Path:
    """A copy of the home, which one command may change."""
    return Path(shutil.copytree(furnished, tmp_path / "it's a home"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our script, which starts quickly, in a folder whose name a shell would split."""
    script = tmp_path_factory.mktemp("its programs") / "zinc-mcp"
    preloaded.script(script)
    return script


def test_every_command_that_is_printed_is_known_here_and_none_besides() -> None:
    assert len(PRINTED) > 25
    assert [each for each in PRINTED if each[1] not in COMMANDS] == []
    assert set(COMMANDS) - {words for _, words in PRINTED} == {("decline", "KEY")}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_printed_command_works_in_a_bare_terminal(
    own_home: Path, tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch, words: Words
) -> None:
    expected = COMMANDS[words]
    filled = [PLACEHOLDERS.get(word, word) for word in words]
    plain = [word for word in filled if word != "KEY"]
    if words[:2] == ("orders", "refunded"):  # the only command whose key does not stand last
        plain, given = filled[:2], [expected.about, filled[3]]
    else:
        given = [expected.about] if "KEY" in words else []
    environ = {"ZINC_MCP_HOME": str(own_home), "ZINC_API_KEY": "zn_test_not-carried"}
    monkeypatch.setattr(sys, "argv", [str(program)])
    line = command_line(*plain, given=given, environ=environ)
    code, screen = pasted(line, expected.typed, Path("/"), {"HOME": str(tmp_path)}, passed_on=True)
    assert (code, expected.shows in " ".join(screen.split())) == (expected.code, True), f"{line}\n{screen}"
    assert list(tmp_path.iterdir()) == [own_home], "nothing was made in another home"


OUTPUTS: tuple[Words, ...] = (
    ("orders",),
    ("orders", "show", "waits"),
    ("orders", "show", "doubtful"),
    ("orders", "show", "nothing"),
    ("orders", "resolve", "nothing", "--not-bought"),
    ("approve", "nothing"),
    ("doctor",),
    ("pause", "for a look"),
    ("addresses", "remove", "nothing"),
    ("members", "remove", "nobody"),
    ("pin", "set", "--member", "nobody"),
)


def test_commands_work_as_they_are_shown_on_the_screen(own_home: Path, tmp_path: Path, program: Path) -> None:
    environ = {**Started(tmp_path).environment, "ZINC_MCP_HOME": str(own_home)}
    screens = [at_a_terminal(words, environ, cwd=tmp_path)[1] for words in OUTPUTS]
    lines = [line for screen in screens for line in commands_in(screen)]
    seen: set[str] = set()
    for number, line in enumerate(dict.fromkeys(lines)):
        for placeholder, value in PLACEHOLDERS.items():
            line = re.sub(rf"\b{placeholder}\b", value, line)
        home = Path(shutil.copytree(own_home, tmp_path / f"copy {number}"))
        words = shlex.split(line)
        name = tuple(words[words.index("zinc_mcp") + 1 :])[:2]
        typed = [("Type yes", "no")] if name[0] == "approve" else []
        moved = line.replace(shlex.quote(str(own_home)), shlex.quote(str(home)))
        assert moved != line
        # tests/cli/test_invocation.py tries the real start of the program; our script takes a tenth of that time.
        quickly = moved.replace(f"{shlex.quote(sys.executable)} -m zinc_mcp", shlex.quote(str(program)))
        assert quickly != moved
        code, screen = pasted(quickly, typed, Path("/"), {"HOME": str(tmp_path)}, passed_on=True)
        assert code == (1 if name[0] == "approve" else 0), f"{line}\n{screen}"
        seen.add(name[0])
    assert seen == {"orders", "approve", "resume", "addresses", "members"}


def commands_in(screen: str) -> list[str]:
    """Return our commands on a screen, each with its variables; none may be broken in two."""
    return [found.strip(" `") for found in re.findall(r"(?:[A-Z_]+=(?:\S|\\ )[^`\n]*)?-m zinc_mcp [^`\n]*", screen)]


def test_the_hint_of_a_wrong_command_works_as_it_stands_there(tmp_path: Path) -> None:
    started = Started(tmp_path)
    code, screen = at_a_terminal(["orders", "resolve", "x"], started.environment, cwd=Path("/"))
    [hint] = re.findall(r"Try '(.*)' for help", screen)
    assert code == 2
    code, screen = pasted(hint, cwd=Path("/"))
    assert (code, "--not-bought" in screen) == (0, True), hint


def test_a_command_to_install_what_is_missing_never_names_a_package_that_nobody_has_published(tmp_path: Path) -> None:
    from zinc_mcp.invocation import install_command

    for extra, library in (("tempo", "pympp[tempo]"), ("postgres", "psycopg[binary]")):
        words = shlex.split(install_command(extra).strip("`"))
        assert [word for word in words if "zinc" in word.rpartition("/")[2]] == []
        assert words[-1].startswith(library)
    named = [
        str(path)
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"""["'].*(?:install zinc-mcp|uvx zinc-mcp|zinc-mcp\[)""", line) and '"""' not in line
    ]
    assert named == []
