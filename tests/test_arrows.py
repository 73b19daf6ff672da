"""Each room of the package imports only the rooms and libraries that it may know."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

import zinc_mcp
from zinc_mcp.known_settings import TOOLS

PACKAGE = Path(zinc_mcp.__file__).parent
LEAVES = frozenset(
    {"errors", "invocation", "known_settings", "network", "private_files", "proxies", "secret_body", "text"}
)
ANYTHING = None

# The rooms that each room may import besides itself. Every room may import the leaves.
_JOURNAL = frozenset({"zinc"})
_OWNER = _JOURNAL | {"journal"}
_RAILS = _JOURNAL | {"journal", "payments"}
_TELEMETRY = _JOURNAL | {"journal", "payments"}
_PROCESS = _OWNER | {"owner", "rails", "telemetry"}
_CONSENT = _OWNER | {"owner"}
_SPENDING = _PROCESS | {"process", "consent"}
_FIND = _SPENDING | {"spending"}
_CHECKOUT = _FIND | {"find"}
_AFTERCARE = _CHECKOUT | {"checkout"}
_VIEWS = _SPENDING | {"spending"}
MAY_IMPORT: dict[str, frozenset[str] | None] = {
    **dict.fromkeys(LEAVES, frozenset[str]()),
    "zinc": frozenset(),
    "payments": frozenset(),
    "journal": _JOURNAL,
    "owner": _OWNER,
    "rails": _RAILS,
    "telemetry": _TELEMETRY,
    "process": _PROCESS,
    "consent": _CONSENT,
    "spending": _SPENDING,
    "find": _FIND,
    "checkout": _CHECKOUT,
    "aftercare": _AFTERCARE,
    "decisions": _AFTERCARE | {"aftercare"},
    "views": _VIEWS,
    "notify": _CHECKOUT | {"checkout"},
    "hosts": frozenset(),
    "server": _AFTERCARE | {"aftercare", "decisions", "views", "wiring"},  # `wiring` only to run: see below
    "sandbox": frozenset({"zinc", "payments"}),
    "wiring": ANYTHING,
    "cli": ANYTHING,
    "__main__": ANYTHING,
    "__init__": frozenset(),
}

# Libraries, and the rooms that may know them: the others see neither the network nor a protocol, nor the database.
LIBRARIES = {
    "mcp": {"server", "cli"},
    "httpx": {"network", "proxies", "sandbox"},
    "starlette": {"server", "sandbox"},
    "uvicorn": {"server", "sandbox", "cli"},
    "sqlalchemy": {"journal"},
    "click": {"cli"},
    "rich": {"cli"},
    "jinja2": {"server"},
    "keyring": {"owner"},
    "prometheus_client": {"server"},
    "opentelemetry": {"telemetry"},
    "tomlkit": {"owner", "hosts"},
    "mpp": {"payments", "sandbox"},
    "pytempo": {"payments"},
}


@dataclass(frozen=True)
class Import:
    """One import: its module, the imported one, and when: on loading, in a function, or for types only."""

    by: str
    of: str
    when: str

    @cached_property
    def room(self) -> str:
        return self.by.split(".")[1]


def _imports() -> Iterator[Import]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts))
        yield from _found(ast.parse(path.read_text(encoding="utf-8")), name, "load")


def _found(node: ast.AST, by: str, when: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(by, alias.name, when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{by} imports relatively"
            assert child.module is not None
            for alias in child.names:
                # `from zinc_mcp import errors` names a module, `from zinc_mcp.errors import X` what is in one.
                whole = child.module == PACKAGE.name
                yield Import(by, f"{child.module}.{alias.name}" if whole else child.module, when)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _found(child, by, "call")
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from _found(child, by, "types")
        elif not isinstance(child, ast.expr):
            yield from _found(child, by, when)


@cache
def imports() -> tuple[Import, ...]:
    """Read all modules, at the first test: each process that collects the tests would wait for it."""
    return tuple(_imports())


@cache
def ours() -> tuple[Import, ...]:
    return tuple(each for each in imports() if each.of.startswith(f"{PACKAGE.name}."))


def test_every_room_has_its_rule() -> None:
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms == set(MAY_IMPORT)
    assert len(ours()) > 100


@pytest.mark.parametrize("room", sorted(room for room, allowed in MAY_IMPORT.items() if allowed is not ANYTHING))
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    known = {*(MAY_IMPORT[room] or ()), *LEAVES, room}
    assert [each for each in ours() if each.room == room and each.of.split(".")[1] not in known] == []


MOST_MODULES = 12


def test_no_folder_has_more_than_a_dozen_modules() -> None:
    # Each tool has a file, so the folder of the tools has as many more as there are tools.
    folders = {
        folder: [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        for folder in (PACKAGE, *(path.parent for path in PACKAGE.rglob("__init__.py")))
    }
    folders[PACKAGE / "server" / "mcp" / "tools"] = [
        name for name in folders[PACKAGE / "server" / "mcp" / "tools"] if name not in TOOLS
    ]
    assert {str(folder): len(names) for folder, names in folders.items() if len(names) > MOST_MODULES} == {}


MOST_LINES = 400


def test_no_module_has_more_than_four_hundred_lines() -> None:
    lines = {str(path): path.read_text(encoding="utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert {path: number for path, number in lines.items() if number > MOST_LINES} == {}


ABOVE_THE_SUB_ROOMS = {
    "zinc_mcp.sandbox.__init__",
    "zinc_mcp.sandbox.app",
    *(f"zinc_mcp.sandbox.v1.{name}" for name in ("money", "orders", "routes")),
}
"""They stand in the folder of a room, and put together what its sub-rooms have."""
ROUND_ROOM = "server"
"""Its parts need each other: HTTP serves MCP and the page, MCP asks on the page, and both ask HTTP for the caller."""


@cache
def _folder(module: str) -> str:
    return module if PACKAGE.parent.joinpath(*module.split(".")).is_dir() else module.rpartition(".")[0]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("room", sorted(MAY_IMPORT.keys() - {ROUND_ROOM}))
def test_the_arrows_between_the_sub_rooms_of_a_room_make_no_circle(room: str) -> None:
    below: dict[str, set[str]] = {}
    for each in ours():
        if each.room != room or each.by in ABOVE_THE_SUB_ROOMS:
            continue
        by, of = _folder(each.by), _folder(each.of)
        if by == of:
            continue
        if f"{of}.".startswith(f"{PACKAGE.name}.{room}."):
            below.setdefault(by, set()).add(of)
    while below:
        lowest = {of for others in below.values() for of in others} - below.keys()
        assert lowest, f"a circle: {below}"
        below = {by: others - lowest for by, others in below.items() if others - lowest}


def test_only_modules_that_run_the_program_know_the_wiring() -> None:
    knowing = {"wiring", "cli", "__main__"}
    assert [
        each
        for each in ours()
        if each.of == f"{PACKAGE.name}.wiring"
        and each.room not in knowing
        and not (each.room == "server" and each.when == "call")
    ] == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_known_only_where_it_belongs(library: str) -> None:
    assert [
        each
        for each in imports()
        if each.of.split(".")[0] == library and each.room not in LIBRARIES[library] and each.when != "types"
    ] == []


def test_only_aftercare_changes_a_placed_order() -> None:
    # A method that is handed on counts as well as one that is called. The sandbox's are the endpoints of its own Zinc.
    rooms = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if "cancel_" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and node.attr in ("cancel_order", "cancel_paid_order")
    }
    assert rooms - {"sandbox"} == {"aftercare"}


def test_aftercare_takes_from_checkout_only_what_buys_nothing() -> None:
    names = {
        alias.name
        for path in (PACKAGE / "aftercare").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zinc_mcp.checkout")
        for alias in node.names
    }
    looking = {"clear_abandoned", "entry_of", "is_ours", "known_entry", "look", "refresh", "refuse", "wait_for_news"}
    looking |= {"unasked_error"}
    following = {"Progress", "watch"}
    deciding = {"digest_for", "freeze", "is_what_was_shown", "until", "await_attempt", "await_move"}
    assert names <= looking | following | deciding


def test_code_that_signs_cannot_send() -> None:
    # Not even for types: a wallet is never handed the client of Zinc's endpoints.
    assert [each for each in ours() if each.room == "payments" and each.of == "zinc_mcp.zinc.client"] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    nameless = {"utils", "util", "helpers", "common", "models", "constants", "misc", "types"}
    assert [str(path) for path in PACKAGE.rglob("*") if path.stem.strip("_") in nameless] == []


STARTED = """
import json, sys
import anyio
import zinc_mcp.wiring
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.owner.settings import load_settings

async def main():
    settings = load_settings({"ZINC_MCP_HOME": sys.argv[1], "ZINC_API_KEY": "zn_test_x"})
    async with zinc_mcp.wiring.open_process(settings) as process:
        tools = await build_server(process).list_tools()
        print(json.dumps([sorted(tool.name for tool in tools), sorted(sys.modules)]))

anyio.run(main)
"""


def test_listing_the_tools_waits_for_no_heavy_library(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(PACKAGE.parent), "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        [sys.executable, "-c", STARTED, str(tmp_path)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    tools, modules = json.loads(ended.stdout)
    assert "place_order" in tools
    # httpx would load rich for its own command, and the SDK for its log. Not `click`: uvicorn brings it.
    wallets = {"mpp", "pytempo", "eth_account"}
    heavy = {"sqlalchemy", "psycopg", "jinja2", "keyring", "tomlkit", "rich", "pygments", *wallets}
    assert {*heavy, "zinc_mcp.sandbox", "zinc_mcp.cli", "zinc_mcp.hosts"}.isdisjoint(modules)
