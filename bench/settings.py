"""Makes the tables of `docs/settings.md`: every setting, its key in `zinc.toml`, and its meaning.

    python -m bench.settings --write

They are made from the table of settings itself. The rest of the page is written by hand, and does not change.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from zinc_mcp.known_settings import Setting, settings_of

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
PARTS: Mapping[str, str] = {
    "general": "general",
    "policy": "limits and approval",
    "wallet": "payment wallets",
    "place": "places",
}
"""The parts of the page, in its order, with the words of their marks."""


def row(setting: Setting) -> str:
    """Return a setting's row, with links that are relative to the folder of the page."""
    variables = ", ".join(f"`{name}`" for name in setting.variables)
    keys = ", ".join(f"`{name}`" for name in setting.keys) if setting.part != "place" else ""
    return f"| {variables} | {keys} | {setting.meaning.replace('](docs/', '](')} |"


def table(part: str) -> str:
    """Return the table of one part."""
    head = ["| variable | key in `zinc.toml` | meaning |", "|---|---|---|"]
    return "\n".join([*head, *(row(setting) for setting in settings_of(part))])


def page() -> str:
    """Return the page with its tables made anew.

    Raises:
        ValueError: the page lacks the marks of a part.
    """
    text = PAGE.read_text(encoding="utf-8")
    for part, words in PARTS.items():
        begin, end = f"<!-- {words}: begin -->\n", f"<!-- {words}: end -->\n"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{PAGE.name} has no {begin.strip()} with its end")
        text = f"{before}{begin}\n{table(part)}\n\n{end}{after}"
    return text


def main() -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/settings.md")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
