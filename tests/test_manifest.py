"""The bundle's manifest and the README agree with the package and with the tool contract."""

import dataclasses
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import zinc_mcp
from bench.bundle import with_tempo
from zinc_mcp.known_settings import SETTINGS, TOOLS
from zinc_mcp.owner.policy import Policy
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.server.mcp.prompts import prompts
from zinc_mcp.server.mcp.server import own_version

ROOT = Path(__file__).parents[1]
MANIFEST: dict[str, Any] = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))
LARGER = with_tempo(MANIFEST)
"""Of the bundle that also pays on Tempo."""
BUNDLES = pytest.mark.parametrize("bundle", [MANIFEST, LARGER], ids=["small", "with Tempo"])
CONTRACT: list[dict[str, Any]] = json.loads((ROOT / "tests" / "tools.json").read_text(encoding="utf-8"))


PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_manifest_and_the_changelog_name_the_packages_version() -> None:
    assert (MANIFEST["name"], MANIFEST["version"]) == (PROJECT["name"], PROJECT["version"])
    newest = re.search(
        r"^## \[([0-9][^]]*)\]|^To be (\S+)\.$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M
    )
    assert newest is not None and PROJECT["version"] in newest.groups()


def test_the_manifest_says_that_prompts_come_from_the_server() -> None:
    assert list(prompts(TOOLS)) != []
    assert (MANIFEST["prompts_generated"], MANIFEST.get("prompts")) == (True, None)


def test_the_version_is_written_down_nowhere_in_the_package() -> None:
    copies = [
        str(path)
        for path in (ROOT / "zinc_mcp").rglob("*.py")
        if PROJECT["version"] in path.read_text(encoding="utf-8")
    ]
    assert copies == []
    assert not hasattr(zinc_mcp, "__version__"), "importlib.metadata has it"


def test_the_program_says_the_installed_version() -> None:
    installed = importlib.metadata.version(PROJECT["name"])
    assert own_version() == installed == PROJECT["version"], "an editable install is renewed by installing it again"
    ended = subprocess.run(
        [sys.executable, "-m", "zinc_mcp", "--version"],
        env=os.environ,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert ended.stdout == f"zinc-mcp, version {installed}\n"


def test_no_address_of_the_project_is_invented() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [address for address in PROJECT["urls"].values() if f"({address})" not in readme] == []
    assert all("," not in label and len(label) <= 32 for label in PROJECT["urls"]), "metadata ends a label at a comma"
    assert {"repository", "homepage", "documentation", "support"} & MANIFEST.keys() == set()


def test_the_manifest_the_settings_and_the_contract_name_the_same_tools() -> None:
    names = [tool["name"] for tool in CONTRACT]
    assert [tool["name"] for tool in MANIFEST["tools"]] == names
    assert sorted(TOOLS) == sorted(names)


def test_the_readmes_table_has_the_contracts_tools_and_required_arguments() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", readme, re.MULTILINE))
    assert list(rows) == [tool["name"] for tool in CONTRACT]
    for tool in CONTRACT:
        arguments = rows["place_order"] if rows[tool["name"]] == "the same" else rows[tool["name"]]
        assert [name for name in tool["inputSchema"].get("required", []) if f"`{name}`" not in arguments] == []


@pytest.mark.parametrize("name", sorted(LARGER["user_config"]))
def test_every_optional_entry_has_a_default_and_a_description(name: str) -> None:
    # An optional entry without a default reaches the server as the literal text `${user_config.name}`.
    entry = LARGER["user_config"][name]
    assert entry["required"] is False
    assert "default" in entry
    assert entry["title"]
    assert entry["description"]


@BUNDLES
def test_the_defaults_of_the_manifest_are_settings_we_take(bundle: dict[str, Any], tmp_path: Path) -> None:
    environment: dict[str, str] = bundle["server"]["mcp_config"]["env"]
    filled = {
        variable: _as_the_host_writes(bundle["user_config"][text.removeprefix("${user_config.")[:-1]]["default"])
        for variable, text in environment.items()
    }
    settings = load_settings({"ZINC_MCP_HOME": str(tmp_path), **filled})
    assert settings.api_key is None
    assert not settings.sandbox


@BUNDLES
def test_the_manifest_asks_for_settings_by_their_names_and_kinds(bundle: dict[str, Any]) -> None:
    known = {setting.name: setting for setting in SETTINGS}
    asked = bundle["user_config"]
    assert bundle["server"]["mcp_config"]["env"] == {known[name].variable: f"${{user_config.{name}}}" for name in asked}
    types = {"switch": "boolean", "cents": "number"}
    assert {name: entry["type"] for name, entry in asked.items()} == {
        name: types.get(known[name].kind, "string") for name in asked
    }
    assert {name for name in asked if asked[name].get("sensitive")} == {name for name in asked if known[name].is_secret}
    fields = {**{each.name: each.default for each in dataclasses.fields(Settings)}, **dict(Policy())}
    assert {name: entry["default"] or None for name, entry in asked.items()} == {
        name: fields[name] or None for name in asked
    }


@BUNDLES
def test_the_program_that_the_manifest_starts_is_in_the_package(bundle: dict[str, Any]) -> None:
    assert bundle["server"]["type"] == "uv"
    assert (ROOT / bundle["server"]["entry_point"]).is_file()
    assert bundle["server"]["mcp_config"]["args"][-2:] == ["-m", "zinc_mcp"]


def test_only_the_larger_bundle_installs_and_asks_for_tempo() -> None:
    start = LARGER["server"]["mcp_config"]["args"]
    assert start[start.index("--extra") + 1] == "tempo" and "tempo" in PROJECT["optional-dependencies"]
    assert "--extra" not in MANIFEST["server"]["mcp_config"]["args"]
    assert [name for name in MANIFEST["user_config"] if "tempo" in name] == []
    assert LARGER["user_config"].keys() - MANIFEST["user_config"].keys() == {"tempo_private_key", "tempo_root_account"}
    assert LARGER.keys() == MANIFEST.keys() and LARGER["tools"] == MANIFEST["tools"]


def test_the_bundle_has_the_icon() -> None:
    ignored = (ROOT / ".mcpbignore").read_text(encoding="utf-8").splitlines()
    assert (ROOT / MANIFEST["icon"]).is_file() and MANIFEST["icon"] not in ignored


def _as_the_host_writes(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
