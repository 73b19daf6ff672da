"""Makes the entry for the MCP registry, `server.json`, from `pyproject.toml` and the table of settings.

    python -m bench.registry_entry --write                       # the file of this tree
    python -m bench.registry_entry --namespace io.github.OWNER --repository https://github.com/OWNER/zinc-mcp
    python -m bench.registry_entry --schema server.schema.json   # checks both with the registry's own schema

This project has no public repository and no published package yet. So the file of this tree names a namespace below
`.invalid`, which nobody can own (RFC 2606), and no package. The first release fills in `NAMESPACE` and `REPOSITORY`.
"""

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from zinc_mcp.known_settings import SETTINGS, Setting

ROOT = Path(__file__).parents[1]
FILE = ROOT / "server.json"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
NAMESPACE: str | None = None
REPOSITORY: str | None = None
NO_NAMESPACE = "invalid.not-published-yet"
_DESCRIPTION = "Lets an AI agent buy real things through Zinc: one intention, one purchase."
_ASKED = ("api_key", "sandbox", "approval", "max_order", "max_day")
"""The settings that a client asks for. The others belong in `zinc.toml`."""
_FORMATS = {"switch": "boolean", "cents": "number"}


def entry(namespace: str | None = NAMESPACE, repository: str | None = REPOSITORY) -> dict[str, Any]:
    """Return the entry of a release, or without a namespace the entry of this tree, which names no package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    made: dict[str, Any] = {
        "$schema": SCHEMA,
        "name": f"{namespace or NO_NAMESPACE}/{project['name']}",
        "title": "Zinc",
        "description": _DESCRIPTION,
        "version": project["version"],
    }
    if repository is not None:
        made["repository"] = {"url": repository, "source": "github"}
    if namespace is not None:
        made["packages"] = [
            {
                "registryType": "pypi",
                "registryBaseUrl": "https://pypi.org",
                "identifier": project["name"],
                "version": project["version"],
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [_variable(each) for each in SETTINGS if each.name in _ASKED],
            }
        ]
    return made


def _variable(setting: Setting) -> dict[str, Any]:
    """Return a setting as a client asks for it. No setting is required, since a key can also be in the home."""
    asked: dict[str, Any] = {
        "name": setting.variable,
        "description": setting.meaning.replace("`", ""),
        "format": _FORMATS.get(setting.kind, "string"),
        "isRequired": False,
    }
    if setting.is_secret:
        asked["isSecret"] = True
    if setting.choices:
        asked["choices"] = list(setting.choices)
    return asked


def text(made: dict[str, Any]) -> str:
    """Return an entry as the text of its file."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Print, write or check the entry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write server.json of this tree")
    parser.add_argument("--namespace", default=NAMESPACE, help="such as io.github.OWNER")
    parser.add_argument("--repository", default=REPOSITORY, help="its address at GitHub")
    parser.add_argument("--schema", type=Path, help="check both entries with the registry's schema in this file")
    given = parser.parse_args()
    if (given.namespace is None) != (given.repository is None):
        parser.error("--namespace and --repository go together")
    if given.schema is not None:
        import jsonschema  # type: ignore[import-untyped]  # it comes with mcp, and its types do not

        schema = json.loads(given.schema.read_text(encoding="utf-8"))
        for made in (json.loads(FILE.read_text(encoding="utf-8")), entry("io.github.owner", "https://github.com/o/r")):
            jsonschema.validate(made, schema)
            print(f"{made['name']} is valid.")
    elif given.write:
        FILE.write_text(text(entry()), encoding="utf-8")
    else:
        print(text(entry(given.namespace, given.repository)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
