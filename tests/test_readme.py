"""The README is short, begins with what anybody wants to know, and names the limits of the code."""

import re
from pathlib import Path

from zinc_mcp.owner.policy import Policy

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_limits_that_the_readme_promises_are_the_defaults() -> None:
    assert "$250 an order and $500 in 24 hours" in README
    assert (Policy().max_order, Policy().max_day) == (25_000, 50_000)


def test_the_readme_is_read_in_minutes() -> None:
    assert len(README.splitlines()) <= 150
    headings = re.findall(r"^## (.*)", README, re.MULTILINE)
    assert headings[:2] == ["Try it", "Install it in your host"]
    before_them = README.partition("\n## ")[0]
    assert "**Your money.**" in before_them and "**Its limits.**" in before_them
    assert len(re.findall(r"<img |!\[", README)) == 1


def test_the_readme_prints_the_two_commands_word_for_word() -> None:
    assert "```\npip install . && zinc-mcp demo\npip install -e '.[test]' && pytest\n```" in README


def test_the_readme_leads_to_every_page() -> None:
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} - {"docs/index.md"}
    assert pages - set(re.findall(r"\]\(([^)#]+)", README)) == set()


def test_a_figure_of_a_run_stands_beside_its_command() -> None:
    [paragraph] = [each for each in README.split("\n\n") if each.startswith("A campaign ")]
    evidence = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    commands = re.findall(r"`(python -m bench\.[^`]+)`", paragraph)
    assert len(commands) == 2
    rows = ["".join(row for row in evidence.splitlines() if f"`{command}`" in row) for command in commands]
    assert "| 10,162 | 0 | 0 | 0 | 0 | 0 |" in rows[0] and "Of 10,162 intentions none" in paragraph
    assert "| 200 | 81 |" in rows[1] and "81 of 200" in paragraph
