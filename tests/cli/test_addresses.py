"""`zinc-mcp addresses` saves an address under one name, and no output shows more of it than the city."""

import sys
from pathlib import Path

import pytest
from keyboard import at_a_terminal
from started import Started

FLAGS = [
    "--first-name=Ada",
    "--last-name=Buyer",
    "--address-line1=12 Planted Street",
    "--city=New York",
    "--state=NY",
    "--postal-code=10001",
    "--phone-number=212-555-0147",
]
IN_FILE = """
[addresses.Home]
first_name = "Ada"
last_name = "Lovelace"
address_line1 = "1 Planted St"
city = "Albany"
state = "NY"
postal_code = "12207"
phone_number = "2125550100"
"""


def test_an_address_is_saved_listed_and_removed(tmp_path: Path) -> None:
    started = Started(tmp_path)
    assert started.run("addresses", "add", "home", *FLAGS).stdout == "Saved home: New York, US.\n"
    listed = started.run("addresses", "list")
    assert listed.stdout == "home: New York, US (journal)\n"
    assert "Saved addresses: home" in started.run("policy").stdout
    assert started.run("addresses", "remove", "home").returncode == 0
    assert started.run("addresses", "list").stdout == ""
    assert started.run("addresses", "remove", "home").returncode == 1


def test_a_name_is_used_once_whatever_its_case_and_wherever_it_stands(tmp_path: Path) -> None:
    started = Started(tmp_path)
    started.run("addresses", "add", "home", *FLAGS)
    again = started.run("addresses", "add", "HOME", *FLAGS)
    assert (again.returncode, "already" in again.stderr) == (1, True)
    started.configure(IN_FILE)
    assert started.run("addresses", "list").stdout == "Home: Albany, US (zinc.toml)\n", "the file goes first"
    started.run("addresses", "remove", "home")
    assert "already" in started.run("addresses", "add", "home", *FLAGS).stderr


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([*FLAGS[:5], "--postal-code=abc", FLAGS[6]], "postal_code"),
        (FLAGS[1:], "first_name"),
        ([*FLAGS, "--country=USA"], "country"),
    ],
)
def test_an_address_that_zinc_would_refuse_is_named_by_field_and_not_saved(
    tmp_path: Path, flags: list[str], named: str
) -> None:
    started = Started(tmp_path)
    ended = started.run("addresses", "add", "home", *flags)
    assert ended.returncode == 1
    assert named in ended.stderr
    assert "Planted" not in ended.stderr
    assert started.run("addresses", "list").stdout == ""


@pytest.mark.parametrize("name", ["", "a" * 65, "a\x1b[31m", " home", "a\nb"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    ended = Started(tmp_path).run("addresses", "add", name, *FLAGS)
    assert ended.returncode == 1
    assert "\x1b" not in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_without_options_the_fields_are_asked_for(tmp_path: Path) -> None:
    started = Started(tmp_path)
    typed = [
        ("First name", "Ada"),
        ("Last name", "Buyer"),
        ("Street", "12 Planted Street"),
        ("More of it", ""),
        ("City", "New York"),
        ("State", "NY"),
        ("Postal code", "10001"),
        ("Country", ""),
        ("Telephone", "212-555-0147"),
    ]
    code, screen = at_a_terminal(["addresses", "add", "home"], started.environment, typed)
    assert (code, "Saved home: New York, US." in screen) == (0, True)
