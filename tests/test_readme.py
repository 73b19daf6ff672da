"""What the README prints to be copied works as printed, and what it names exists."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from zinc_mcp.errors import ErrorCode
from zinc_mcp.ordering.addresses import saved_addresses
from zinc_mcp.ordering.policy import Policy, read_policy
from zinc_mcp.settings import load_settings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", _blocks("json"))
def test_every_host_configuration_is_json_and_starts_the_server(block: str) -> None:
    configured = json.loads(block)
    (server,) = (configured.get("mcpServers") or configured["servers"]).values()
    assert (server["command"], server["args"]) == ("uvx", ["zinc-mcp"])


def test_the_configuration_file_is_taken_as_printed(tmp_path: Path) -> None:
    (block,) = _blocks("toml")
    (tmp_path / "zinc.toml").write_text(block, encoding="utf-8")
    (tmp_path / "key").write_text("zn_test_1\n", encoding="utf-8")
    settings = load_settings({"ZINC_MCP_HOME": str(tmp_path)})
    assert settings.mode == "test"
    assert read_policy(settings, {}).approval == "auto"
    assert list(saved_addresses(settings)) == ["home"]


def test_the_limits_it_promises_are_the_defaults() -> None:
    assert "$250 an order and $500 in 24 hours" in README
    assert (Policy().max_order, Policy().max_day) == (25_000, 50_000)


def test_every_error_code_it_names_exists() -> None:
    (table,) = re.findall(r"## When something goes wrong\n(.*?)\n## ", README, re.DOTALL)
    named = {
        code
        for row in table.splitlines()
        if row.startswith("| ")
        for code in re.findall(r"`([a-z]+_[a-z_]+|paused)`", row)
    }
    assert named - {"get_order"} <= set(get_args(ErrorCode))


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"`(ZINC_[A-Z_]+)`", README))))
def test_every_variable_it_names_is_one_we_read(variable: str) -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in (Path(__file__).parents[1] / "zinc_mcp").rglob("*.py")
    )
    assert f'"{variable.removesuffix("_FILE")}' in source
