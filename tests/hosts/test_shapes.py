"""`install` and `uninstall` on many configuration files: every other byte stays, or nothing is changed at all."""

import os
import re
import stat
import sys
from pathlib import Path

import pytest
from hosts.shapes import Shape, comments_of, shapes
from started import PLANTED, Started
from variants import usual

from zinc_mcp.hosts.entries import words_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the files lie where Linux has them")

ALL = shapes()


def of(*kinds: str) -> pytest.MarkDecorator:
    found = [shape for shape in ALL if shape.expect in kinds]
    ids = [f"{each.host}: {each.name}" for each in found]
    given = usual(found, lambda each: each.name != "huge history")
    return pytest.mark.parametrize("shape", given, ids=ids)


class Desk:
    """A person's home with one host's file in it."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        folder.mkdir()
        self.shape = shape
        self.user = folder / "user"
        self.path = shape.put(self.user)
        self.started = Started(folder)
        self.started.environment |= {"HOME": str(self.user)}
        for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
            self.started.environment.pop(name, None)

    def run(self, command: str, *options: str) -> tuple[int, str]:
        extra = ["--no-start"] if command == "install" else []
        ended = self.started.run(command, self.shape.host, "--yes", *extra, *options)
        assert PLANTED not in ended.stdout + ended.stderr
        return ended.returncode, ended.stdout + ended.stderr

    def everything(self) -> dict[str, tuple[int, bytes | str]]:
        """Return all that is in the person's home."""
        found: dict[str, tuple[int, bytes | str]] = {}
        for path in sorted(self.user.rglob("*")):
            mode = stat.S_IMODE(path.lstat().st_mode)
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            found[str(path.relative_to(self.user))] = (mode, content)
        return found

    @property
    def data(self) -> bytes:
        return self.path.read_bytes()


def test_there_are_enough_files_and_half_were_written_before_the_code() -> None:
    unseen = [shape for shape in ALL if shape in ALL[: len(ALL) // 2]]
    assert len(ALL) >= 120
    assert len({(shape.host, shape.name) for shape in ALL}) == len(ALL)
    assert len(unseen) >= 60
    assert {shape.expect for shape in unseen} == {"added", "refused", "renewed", "foreign"}


def line_ends(data: bytes) -> set[bytes]:
    return set(re.findall(rb"\r\n|\n|\r", data))


@pytest.mark.sampled(6)
@of("added")
def test_uninstall_takes_away_byte_for_byte_what_install_added(tmp_path: Path, shape: Shape) -> None:
    desk = Desk(tmp_path / "desk", shape)
    before = desk.everything()
    code, said = desk.run("install", "--sandbox")
    assert code == 0, said
    entry = shape.entry(desk.data)
    assert "zinc" in str(entry["command"])
    assert desk.path.is_symlink() is (shape.file == "link")
    assert stat.S_IMODE(desk.path.stat().st_mode) == (shape.mode if shape.data is not None else 0o600)
    if shape.data is not None:
        copies = list(desk.path.resolve().parent.glob("*.before-zinc-mcp"))
        assert [copy.read_bytes() for copy in copies] == [shape.data]
    if len(ends := line_ends(shape.data or b"")) == 1:
        assert line_ends(desk.data) == ends
    assert desk.run("install", "--sandbox")[1].count("nothing was changed") == 1
    code, said = desk.run("uninstall")
    assert code == 0, said
    assert desk.everything() == before


@pytest.mark.sampled(6)
@of("added")
def test_if_others_change_the_file_in_between_only_our_entry_goes(tmp_path: Path, shape: Shape) -> None:
    if shape.repeat:
        pytest.skip("takes long, and differs in its size only")
    desk = Desk(tmp_path / "desk", shape)
    assert desk.run("install")[0] == 0
    added = b"# later\n" if shape.host == "codex" else b"\n"
    desk.path.write_bytes(desk.data + added)
    assert desk.run("uninstall")[0] == 0
    before = shape.data or b""
    assert shape.values(desk.data) == shape.values(before)
    assert desk.data.endswith(added)
    if shape.host != "codex":
        assert comments_of(desk.data.decode()) == comments_of(before.decode())
    else:
        assert [line for line in desk.data.decode().splitlines() if line.strip()] == [
            line for line in (before + b"\n" + added).decode().splitlines() if line.strip()
        ]


@pytest.mark.sampled(16)
@of("added", "renewed", "foreign", "refused")
def test_without_a_yes_nothing_is_changed(tmp_path: Path, shape: Shape) -> None:
    if shape.repeat:
        pytest.skip("takes long, and differs in its size only")
    desk = Desk(tmp_path / "desk", shape)
    before = desk.everything()
    for command in ("install", "uninstall"):
        desk.started.run(command, shape.host)
        assert desk.everything() == before


@pytest.mark.sampled(8)
@of("refused")
def test_a_file_that_is_not_understood_is_left_as_it_is(tmp_path: Path, shape: Shape) -> None:
    desk = Desk(tmp_path / "desk", shape)
    before = desk.everything()
    code, said = desk.run("install")
    assert code == 1, said
    assert shape.says in said
    assert desk.everything() == before


@pytest.mark.sampled(8)
@of("renewed")
def test_an_older_entry_of_ours_is_renewed_and_keeps_what_the_person_chose(tmp_path: Path, shape: Shape) -> None:
    desk, other = Desk(tmp_path / "desk", shape), Desk(tmp_path / "other", shape)
    code, said = desk.run("install")
    assert code == 0, said
    assert shape.shows in said
    entry = shape.entry(desk.data)
    started = words_of(entry)[0]
    assert os.path.isabs(started) and os.path.exists(started)
    given = entry.get("env", entry.get("environment", {}))
    assert {name: given[name] for name in shape.keeps} == shape.keeps
    assert not set(shape.drops) & set(given)
    assert {name: entry[name] for name in shape.retains} == shape.retains
    for each in (desk, other):
        code, said = each.run("uninstall")
        assert code == 0, said
    assert desk.data == other.data
    if (wanted := shape.without if shape.without is not None else shape.stays) is not None:
        assert desk.data == wanted.encode()


@of("foreign")
def test_a_strangers_server_is_replaced_only_by_force_and_comes_back(tmp_path: Path, shape: Shape) -> None:
    desk = Desk(tmp_path / "desk", shape)
    before = desk.everything()
    for command in ("install", "uninstall"):
        code, said = desk.run(command)
        assert code == 1
        assert "not this program" in said
        assert desk.everything() == before
    code, said = desk.run("install", "--force")
    assert code == 0, said
    assert "zinc-mcp" in str(shape.entry(desk.data)["command"])
    code, said = desk.run("uninstall")
    assert code == 0, said
    assert desk.everything() == before
