"""ARCHITECTURE.md is true: each module, function and file that it names exists, and its arrows are the code's."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from started import ROOT
from test_arrows import ANYTHING, LEAVES, MAY_IMPORT

from zinc_mcp.errors import ErrorCode
from zinc_mcp.journal.records.entry import State
from zinc_mcp.known_settings import TOOLS, RailName
from zinc_mcp.zinc.failures import HTTP_CODES

PACKAGE = ROOT / "zinc_mcp"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
WORDS = frozenset(
    {*get_args(State), *get_args(ErrorCode), *get_args(RailName), *TOOLS, *HTTP_CODES, *MAY_IMPORT, PACKAGE.name}
)
"""Words in backticks that more than one module defines, or Zinc."""
METHODS = frozenset({"tools/call"})
"""Of the protocol: they look like files."""

_FILE = re.compile(r"[\w./-]*/[\w./-]*|\w+\.(?:md|json|toml|py)")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_ENDPOINT = re.compile(r"(?:GET|POST) (/[a-z/]+)")
_VARIABLE = re.compile(r"(ZINC_[A-Z_]+)(?:=1)?")


@dataclass(frozen=True)
class Part:
    """A row of a table, an item of a list with what hangs below it, or a paragraph."""

    line: int
    text: str

    @property
    def names(self) -> list[str]:
        """The names in backticks."""
        return re.findall(r"`([^`\n]+)`", self.text)

    @property
    def modules(self) -> set[Path]:
        """The modules that it names, by a dotted name or by their files."""
        dotted = {found[0] for name in self.names if (found := module_of(name)) is not None}
        return dotted | {ROOT / name for name in self.names if name.endswith(".py") and (ROOT / name).is_file()}


def parts() -> Iterator[Part]:
    """Cut the page into its parts."""
    begun, lines = 1, list[str]()
    for number, line in enumerate([*PAGE.splitlines(), ""], 1):
        if lines and (not line.strip() or re.match(r"\||\d+\. |[*-] ", line)):
            yield Part(begun, "\n".join(lines))
            lines = []
        if line.strip():
            begun = begun if lines else number
            lines.append(line)


@cache
def defined_in(path: Path) -> frozenset[str]:
    """Return the names a module defines: functions, classes and values, and what stands in those, with dots."""
    return frozenset(_defined(ast.parse(path.read_text(encoding="utf-8")), ""))


def _defined(node: ast.AST, within: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield within + child.name
            yield from _defined(child, f"{within}{child.name}.")
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            yield from (within + target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(child, ast.If | ast.Try | ast.With | ast.AsyncWith):
            yield from _defined(child, within)


def module_of(name: str) -> tuple[Path, str] | None:
    """Return the file of the module that a dotted name begins with, and the rest of it; None if there is none."""
    steps = name.split(".")
    if not _DOTTED.fullmatch(name) or len(steps) < 2 or steps[0] not in MAY_IMPORT:
        return None
    for many in range(len(steps), 0, -1):
        file = PACKAGE.joinpath(*steps[:many]).with_suffix(".py")
        if file.is_file():
            return file, ".".join(steps[many:])
    package = PACKAGE / steps[0] / "__init__.py"
    if package.is_file() and ".".join(steps[1:]) in defined_in(package):
        return package, ".".join(steps[1:])
    return None


def objection(name: str, part: Part) -> str | None:
    """Say what is wrong with a name; None if it is there."""
    if name in WORDS | METHODS:
        return None
    if endpoint := _ENDPOINT.fullmatch(name):
        return None if any(f'"{endpoint[1]}' in text for text in _sources("zinc_mcp/zinc")) else "no such endpoint"
    if variable := _VARIABLE.fullmatch(name):
        return None if any(variable[1] in text for text in _sources("zinc_mcp", "tests")) else "nobody reads it"
    if _FILE.fullmatch(name):
        return None if (ROOT / name).exists() else "no such file"
    if not _DOTTED.fullmatch(name):
        return "neither a file nor a name"
    found = module_of(name)
    if PACKAGE.joinpath(*name.split(".")).is_dir():
        return None
    if found is not None:
        return None if not found[1] or found[1] in defined_in(found[0]) else f"not in {found[0].name}"
    if name.split(".")[0] in MAY_IMPORT:
        return "no such module"
    known = {each for module in part.modules for each in defined_in(module)}
    return None if any(each == name or each.endswith(f".{name}") for each in known) else "in no module of this part"


@cache
def _sources(*folders: str) -> tuple[str, ...]:
    page = Path(__file__)
    return tuple(
        path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).rglob("*.py") if path != page
    )


PARTS = list(parts())


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"line {part.line}")
def test_every_name_exists(part: Part) -> None:
    assert [f"{name}: {wrong}" for name in part.names if (wrong := objection(name, part)) is not None] == []


def test_the_page_names_much_and_stays_one_page() -> None:
    assert len([name for part in PARTS for name in part.names]) > 250
    assert len(PAGE.splitlines()) <= 155


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("checkout.place_order.plaice", "not in place_order.py"),
        ("checkout.nowhere.place", "no such module"),
        ("checkout/nowhere.py", "no such file"),
        ("plaice", "in no module of this part"),
        ("place", None),
        ("POST /no/orders", "no such endpoint"),
        ("ZINC_MCP_NOTHING", "nobody reads it"),
        ("something else", "neither a file nor a name"),
    ],
)
def test_a_name_that_is_not_there_is_noticed(name: str, wrong: str | None) -> None:
    assert objection(name, Part(1, "`checkout.place_order.place`")) == wrong


def test_the_page_names_every_sub_room() -> None:
    named = {name for part in PARTS for name in part.names}
    folders = (path.parent.relative_to(PACKAGE).parts for path in PACKAGE.rglob("__init__.py"))
    assert {".".join(steps) for steps in folders if len(steps) > 1} <= named


def test_the_table_of_rooms_is_the_arrows_of_the_code() -> None:
    [table] = re.findall(r"\n\| room \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    drawn: dict[str, frozenset[str] | None] = {}
    for row in table.splitlines():
        _, rooms, _, allowed, _ = row.split("|")
        known = ANYTHING if allowed.strip() == "anything" else frozenset(re.findall(r"`(\w+)`", allowed))
        drawn |= dict.fromkeys(re.findall(r"`(\w+)`", rooms), known)
    assert drawn == {room: allowed for room, allowed in MAY_IMPORT.items() if room != "__init__"}
    assert list(drawn)[: len(LEAVES)] == sorted(LEAVES), "the leaves come first"


def test_a_room_stands_below_those_that_it_imports() -> None:
    order = re.findall(r"^\| `(\w+)`", PAGE.partition("## The road of an order")[0], re.MULTILINE)
    for room in order:
        allowed = MAY_IMPORT[room] or frozenset()
        assert [each for each in allowed - {"wiring"} if order.index(each) > order.index(room)] == [], room
