"""A command that changes `zinc.toml` changes the keys that it means, and nothing else."""

import os
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from zinc_mcp.errors import SettingsError
from zinc_mcp.owner.config_file import Value, set_values
from zinc_mcp.owner.secrets.own_files import InsecureFileError

NEW: dict[str, Value] = {"wallet": "command", "wallet_command": 'pay "it" \\ now', "wallet_methods": ["a", "b"]}
COMMENTED = """# mine
sandbox = false   # not now

[policy]          # limits
max_order = 1_000
retailers_allowed = [
  "amazon.com",   # books
]

[addresses.home]
first_name = 'Ada'
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "\n\n",
        COMMENTED,
        COMMENTED.replace("\n", "\r\n"),
        "\ufeff" + COMMENTED,
        "[policy]\nmax_order = 1\n",
        'wallet = "stripe" # chosen\nwallet_methods = ["x"]\n[policy]\nmax_day = 2\n',
        "# only a comment",
        'tools = ["get_order"]',
    ],
)
def test_other_keys_comments_and_line_ends_stay(tmp_path: Path, before: str) -> None:
    path = tmp_path / "zinc.toml"
    path.write_bytes(before.encode())
    set_values(path, NEW)
    after = path.read_bytes().decode()
    held = tomllib.loads(after.removeprefix("\ufeff"))
    assert held == {**tomllib.loads(before.removeprefix("\ufeff")), **NEW}
    assert after.startswith("\ufeff") == before.startswith("\ufeff")
    lines = [line for line in before.splitlines(keepends=True) if not line.startswith("wallet")]
    rest = iter(after.splitlines(keepends=True))
    assert all(any(line.rstrip("\r\n") == each.rstrip("\r\n") for each in rest) for line in lines)
    set_values(path, NEW)
    assert path.read_bytes().decode() == after, "a second time changes nothing"


@pytest.mark.skipif(sys.platform == "win32", reason="modes have no meaning there")
def test_a_new_file_is_private_and_an_old_one_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    new = tmp_path / "home" / "zinc.toml"
    set_values(new, NEW)
    assert stat.S_IMODE(new.stat().st_mode) == 0o600
    real = tmp_path / "dotfiles.toml"
    real.write_text("# mine\n")
    real.chmod(0o640)
    new.unlink()
    new.symlink_to(real)
    set_values(new, NEW)
    assert new.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640
    assert real.read_text().startswith("# mine\n") and sorted(os.listdir(new.parent)) == ["zinc.toml"]


@pytest.mark.parametrize("before", ["a = ", "unknown = 1\n", 'wallet = "a"\nwallet = "b"\n', "\udcff"])
def test_a_file_that_cannot_be_read_stays_as_it_is(tmp_path: Path, before: str) -> None:
    path = tmp_path / "zinc.toml"
    path.write_bytes(before.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError):
        set_values(path, NEW)
    assert path.read_bytes() == before.encode("utf-8", "surrogateescape")


@pytest.mark.skipif(sys.platform == "win32", reason="modes have no meaning there")
def test_a_file_that_others_can_write_to_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "zinc.toml"
    path.write_text("# theirs\n")
    path.chmod(0o666)
    with pytest.raises(InsecureFileError):
        set_values(path, NEW)
    assert path.read_text() == "# theirs\n"


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "zinc.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        set_values(tmp_path / "zinc.toml", NEW)
