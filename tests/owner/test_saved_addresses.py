"""Saved addresses: found by name, and never repeated in a message."""

from pathlib import Path

import pytest

from zinc_mcp.errors import InvalidArgumentsError, RefusedError
from zinc_mcp.owner.addresses import chosen, saved_addresses
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.zinc.orders import Address

HOME = """
[addresses.home]
first_name = "Ada"
last_name = "Lovelace"
address_line1 = "1 Planted St"
city = "New York"
state = "NY"
postal_code = "10001"
phone_number = "2125550100"
"""


def _settings(home: Path, toml: str) -> Settings:
    (home / "zinc.toml").write_text(toml, encoding="utf-8")
    return load_settings({"ZINC_MCP_HOME": str(home)})


def resolve(settings: Settings, name: str) -> Address:
    return chosen(saved_addresses(settings), name)


def test_a_saved_address_is_found_by_its_name(tmp_path: Path) -> None:
    settings = _settings(tmp_path, HOME)
    assert resolve(settings, "home").city == "New York"
    assert list(saved_addresses(settings)) == ["home"]


def test_the_case_of_a_name_matters_only_where_two_names_differ_by_it(tmp_path: Path) -> None:
    assert resolve(_settings(tmp_path, HOME), " Home ").city == "New York"
    both = _settings(tmp_path, HOME + HOME.replace("addresses.home", "addresses.HOME").replace("New York", "Albany"))
    assert resolve(both, "HOME").city == "Albany"
    with pytest.raises(InvalidArgumentsError):
        resolve(both, "Home")


def test_an_unknown_name_is_answered_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentsError) as caught:
        resolve(_settings(tmp_path, HOME), "office\x1b[31m")
    assert caught.value.code == "unknown_address"
    assert "home" in caught.value.next_step
    assert "office" not in caught.value.summary + caught.value.next_step
    assert "Planted" not in caught.value.summary + caught.value.next_step


def test_without_any_saved_address_the_whole_one_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentsError, match="No address is saved"):
        resolve(_settings(tmp_path, "sandbox = true\n"), "home")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("city =", "town ="), "town"),
        (('"10001"', '"abc"'), "postal_code"),
        (('"2125550100"', '"12"'), "phone_number"),
        (('state = "NY"', 'country = "USA"'), "country"),
    ],
)
def test_an_address_zinc_would_not_take_is_named_by_field_only(
    tmp_path: Path, change: tuple[str, str], named: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        resolve(_settings(tmp_path, HOME.replace(*change)), "home")
    assert caught.value.code == "settings_invalid"
    assert "home" in caught.value.summary
    assert "Planted" not in caught.value.summary
    if change[0] != "city =":
        assert named in caught.value.summary


def test_an_address_that_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"addresses\.home"):
        resolve(_settings(tmp_path, '[addresses]\nhome = "1 Main St"\n'), "home")


def test_a_file_that_breaks_later_refuses_saved_addresses(tmp_path: Path) -> None:
    settings = _settings(tmp_path, HOME)
    (tmp_path / "zinc.toml").write_text("[addresses", encoding="utf-8")
    with pytest.raises(RefusedError, match="TOML"):
        resolve(settings, "home")
