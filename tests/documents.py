"""The fenced blocks of the documents, and the commands in their sentences and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from started import ROOT

DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
    "plugin/README.md",
    "plugin/skills/buying/SKILL.md",
)

_FENCE = re.compile(r"( *)```(\w*)")
_PROGRAMS = re.compile(
    r"(?:zinc-mcp|pip|python|python3|uvx|uv|npm|npx|claude|codex|gemini|opencode|link-cli|docker|mkdocs|mcp-publisher|ruff|pyright|mypy|pytest|\.ci/\w+)"
    r"(?: |$)"
)


@dataclass(frozen=True)
class Block:
    """One fenced block, without the indent of its fence."""

    document: str
    line: int
    heading: str
    language: str
    text: str

    @property
    def name(self) -> str:
        """Its name in a test's id."""
        return f"{self.document}:{self.line} {self.text.splitlines()[0][:40]}"


def blocks() -> Iterator[Block]:
    """Find every fenced block of the documents.

    Raises:
        AssertionError: a fence does not end.
    """
    for document in DOCUMENTS:
        heading, opened, lines = "", None, list[str]()
        begun = 0
        for number, line in enumerate((ROOT / document).read_text(encoding="utf-8").splitlines(), 1):
            fence = _FENCE.fullmatch(line.rstrip())
            if opened is not None and fence is not None and not fence[2]:
                yield Block(document, begun, heading, opened[2], "\n".join(lines) + "\n")
                opened, lines = None, []
            elif opened is not None:
                lines.append(line.removeprefix(opened[1]))
            elif fence is not None:
                opened, begun = fence, number
            elif line.startswith("#"):
                heading = line.lstrip("# ")
            else:
                assert "```" not in line, f"{document}: {line}"
        assert opened is None, f"{document}: a fence does not end"


def commands_in_lines() -> Iterator[tuple[str, str]]:
    """Find every command that stands in backticks in a sentence or a table."""
    for document in DOCUMENTS:
        text = re.sub(r"^ *```.*?^ *```$", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.M | re.S)
        for found in re.findall(r"`([^`\n]+)`", text):
            if _PROGRAMS.match(found):
                yield document, found
