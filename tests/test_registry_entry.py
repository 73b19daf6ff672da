"""`server.json` is what the registry takes, and claims no name that nobody of this project owns.

The rules are those of the registry's schema of 2025-12-11 and its page on `server.json`. `.ci/full` also holds the file
against the schema itself, where that can be fetched.
"""

import json
import re
import tomllib
from typing import Any

import pytest
from started import ROOT

from bench.registry_entry import FILE, NO_NAMESPACE, SCHEMA, entry, text
from zinc_mcp.known_settings import SETTINGS

ENTRY: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
RELEASED = entry("io.github.owner", "https://github.com/owner/zinc-mcp")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EITHER = pytest.mark.parametrize("made", [ENTRY, RELEASED], ids=["of this tree", "of a release"])


def test_the_file_is_what_its_command_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == text(entry()), "python -m bench.registry_entry --write renews it"


@EITHER
def test_the_entry_has_the_form_that_the_registrys_schema_asks_for(made: dict[str, Any]) -> None:
    assert made["$schema"] == SCHEMA
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", made["name"]) and 3 <= len(made["name"]) <= 200
    assert 1 <= len(made["title"]) <= 100
    assert 1 <= len(made["description"]) <= 100
    assert re.fullmatch(r"\d+\.\d+\.\d+", made["version"]), "one version, and no range"
    known = {"$schema", "name", "title", "description", "version", "repository", "packages"}
    assert made.keys() <= known
    for package in made.get("packages", []):
        assert {"registryType", "identifier", "transport"} <= package.keys()
        assert (package["registryType"], package["registryBaseUrl"]) == ("pypi", "https://pypi.org")
        assert (package["identifier"], package["version"]) == (PROJECT["name"], made["version"])
        assert package["transport"] == {"type": "stdio"}
        for variable in package["environmentVariables"]:
            assert variable["format"] in ("string", "number", "boolean", "filepath")
            assert variable["name"] and variable["description"]


def test_a_release_asks_for_settings_that_there_are_and_marks_the_secret_ones() -> None:
    known = {each.variable: each for each in SETTINGS}
    [package] = RELEASED["packages"]
    asked = package["environmentVariables"]
    assert {"ZINC_API_KEY", "ZINC_MCP_MAX_ORDER"} <= {each["name"] for each in asked}
    assert {each["name"] for each in asked if each.get("isSecret")} == {
        each["name"] for each in asked if known[each["name"]].is_secret
    }
    assert [each["name"] for each in asked if each["isRequired"]] == []


def test_nothing_is_claimed_that_nobody_owns_yet() -> None:
    # RFC 2606 keeps `.invalid` from everybody; reversed, it is the beginning of a namespace.
    assert ENTRY["name"] == f"{NO_NAMESPACE}/{PROJECT['name']}" and NO_NAMESPACE.split(".")[0] == "invalid"
    assert {"packages", "repository", "remotes", "websiteUrl", "icons"} & ENTRY.keys() == set()
    assert PROJECT["urls"].keys() == {"Zinc (the service)"}
    assert "**Not `uvx zinc-mcp` yet.** No package index has this package." in README


def test_the_readme_carries_the_mark_of_the_same_name_once() -> None:
    assert re.findall(r"mcp-name: (\S+)", README) == [ENTRY["name"]]


def test_the_page_for_a_release_names_each_value_that_it_fills_in() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [section] = re.findall(r"^## The first release\n(.*?)(?:\n## |\Z)", contributing, re.DOTALL | re.MULTILINE)
    for place in ("server.json", "README.md", "pyproject.toml", "manifest.json", "mkdocs.yml", "plugin", "SECURITY.md"):
        assert f"`{place}" in section, place
    assert NO_NAMESPACE in section
