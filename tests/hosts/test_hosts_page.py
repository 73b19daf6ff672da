"""docs/hosts.md has the program's own table, and every entry that it prints starts the server."""

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import preloaded
import pytest
from documents import blocks
from hosts.test_table_of_hosts import read_yaml
from wanted import LISTED

from bench.hosts_page import PAGE, PROGRAM, URL, page
from zinc_mcp.hosts.entries import environment_of, words_of
from zinc_mcp.hosts.table import HOSTS
from zinc_mcp.hosts.trial import try_start

BLOCKS = [block for block in blocks() if block.document == "docs/hosts.md"]


def entry_in(text: str, language: str) -> Any:
    readers: dict[str, Callable[[str], Any]] = {"toml": tomllib.loads, "yaml": read_yaml, "json": json.loads}
    at = readers[language](text)
    while "zinc" not in at:
        [at] = at.values()
    return at["zinc"]


def test_the_page_has_the_table_of_the_program() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "python -m bench.hosts_page --write renews it"


def test_the_page_names_every_danger_and_every_file() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for wanted in (
        "sandboxEnabled",
        "trust: true",
        "default_tools_approval_mode",
        "autoApprove",
        "startup_timeout_sec",
    ):
        assert wanted in text
    assert [host.title for host in HOSTS if f"\n## {host.title}\n" not in text] == []
    assert re.search(r"zn_(?:live|test)_", text) is None


@pytest.mark.sampled(4)
@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX script")
@pytest.mark.parametrize("block", BLOCKS, ids=[f"{each.heading} {each.line}" for each in BLOCKS])
def test_an_entry_starts_the_server_as_it_stands_there(tmp_path: Path, block: Any) -> None:
    entry = entry_in(block.text, block.language)
    words = words_of(entry)
    if not words:
        assert URL in entry.values()
        return
    assert words == [PROGRAM]
    script = tmp_path / "zinc-mcp"
    preloaded.script(script)
    given = environment_of(entry)
    ended = try_start([str(script)], {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **given}, 60)
    assert given == {"ZINC_MCP_SANDBOX": "1"}
    assert list(ended.tools) == LISTED, ended.why
