"""The table of settings is the only list of them: fields, variables, keys and documents agree with it."""

import dataclasses
import re
from pathlib import Path

import pytest
from started import ROOT

from bench.settings import page
from zinc_mcp.known_settings import SETTINGS, Setting, settings_of
from zinc_mcp.owner.policy import Policy, policy_sources, read_policy
from zinc_mcp.owner.settings import DEFAULT_API_URL, Settings, load_settings

PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
WALLETS = (ROOT / "docs" / "wallets.md").read_text(encoding="utf-8")
FOUND_OUT = {
    *("sources", "unfilled", "wallet_trouble", "readable", "notify"),
    *("in_keyring", "key_record", "key_trouble", "v1_trouble"),
}
"""Facts that `Settings` derives from the settings."""
READ = {setting.name: setting for setting in settings_of("general", "wallet")}
EXAMPLES = {
    "text": "some text",
    "address": "https://other.example",
    "number": "42431",
    "range": "50-100",
    "words": "a,b",
    "key": "zn_test_1",
    "keys": "k" * 32,
    "name": "one",
    "database": "sqlite:////nowhere/other.db",
    "proxy": "none",
}


def _example(setting: Setting) -> str:
    if setting.kind == "switch":
        return "false" if getattr(_defaults(), setting.name) else "true"
    return setting.choices[0] if setting.choices else EXAMPLES[setting.kind]


def _defaults() -> Settings:
    return Settings(home=Path("/nowhere"), config=Path("/nowhere/zinc.toml"))


def _table(text: str) -> dict[str, str]:
    """Return what a page's tables say of each variable that has a row of its own."""
    return dict(re.findall(r"^\| `(ZINC_[A-Z_]+)` \| ([^|]*) \|$", text, re.MULTILINE))


def _meanings(settings: tuple[Setting, ...]) -> dict[str, str]:
    return {setting.variable: setting.meaning for setting in settings}


def test_every_setting_has_a_field_and_every_field_a_setting() -> None:
    fields = {field.name for field in dataclasses.fields(Settings)}
    assert fields - FOUND_OUT == {setting.name for setting in settings_of("place", "general", "wallet")}
    assert {setting.name for setting in settings_of("policy")} <= set(Policy.model_fields)
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize("name", READ)
def test_each_of_its_variables_and_keys_sets_it(tmp_path: Path, name: str) -> None:
    setting = READ[name]
    value = _example(setting)
    (tmp_path / "kept").write_text(value, encoding="utf-8")
    seen = [
        load_settings({"ZINC_MCP_HOME": str(tmp_path), variable: str(tmp_path / "kept") if number else value})
        for number, variable in enumerate(setting.variables)
    ]
    for number, key in enumerate(setting.keys):
        (tmp_path / "zinc.toml").write_text(f"{key} = '{'kept' if number else value}'\n", encoding="utf-8")
        seen.append(load_settings({"ZINC_MCP_HOME": str(tmp_path)}))
    assert len({getattr(each, name) for each in seen}) == 1
    assert getattr(seen[0], name) != getattr(_defaults(), name)
    assert [each.sources[name] for each in seen] == [
        *(f"environment {variable}" for variable in setting.variables),
        *(f"zinc.toml {key}" for key in setting.keys),
    ]


@pytest.mark.parametrize("setting", settings_of("policy"), ids=lambda setting: setting.name)
def test_each_variable_of_the_policy_sets_it(tmp_path: Path, setting: Setting) -> None:
    environment = {"ZINC_MCP_HOME": str(tmp_path), setting.variable: setting.choices[-1] if setting.choices else "7"}
    settings = load_settings(environment)
    assert str(getattr(read_policy(settings, environment), setting.name)) == environment[setting.variable]
    assert policy_sources(settings, environment)[setting.name] == f"environment {setting.variable}"


def test_the_page_of_settings_is_made_from_the_table() -> None:
    assert page() == PAGE, "python -m bench.settings --write renews it"
    assert [variable for each in SETTINGS for variable in each.variables if f"`{variable}`" not in PAGE] == []
    assert [name for name in Policy.model_fields if not re.search(rf"\b{name}\b", PAGE)] == []


def test_the_wallets_page_says_of_each_of_its_settings_what_the_table_says() -> None:
    # The wallet itself is chosen on the page of settings, and what it needs is on its own page.
    of_wallets = tuple(each for each in settings_of("wallet") if each.name != "wallet")
    assert _table(WALLETS) == _meanings(of_wallets)
    files = {variable for each in of_wallets for variable in each.variables[1:]}
    assert files <= set(re.findall(r"ZINC_[A-Z_]+_FILE", WALLETS))


def test_the_table_names_the_real_defaults() -> None:
    [meaning] = [each.meaning for each in SETTINGS if each.name == "api_url"]
    assert meaning == f"default `{DEFAULT_API_URL}`"
    assert _defaults().api_url == DEFAULT_API_URL


def test_every_variable_that_is_named_anywhere_is_in_the_table() -> None:
    of_the_tests = {"ZINC_MCP_UPDATE_CONTRACT"}
    known = {variable for setting in SETTINGS for variable in setting.variables} | of_the_tests
    sources = [*(ROOT / "zinc_mcp").rglob("*.py"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
    assert len(sources) > 100
    named = {
        (variable, path.name)
        for path in [*sources, ROOT / "manifest.json"]
        for variable in re.findall(r"\bZINC_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert {(variable, where) for variable, where in named if variable not in known} == set()
