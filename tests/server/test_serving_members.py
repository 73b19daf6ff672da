"""The file of members keeps names and hashes, is replaced whole, and is closed to others."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.owner.members import Members, add_member, list_members, members_callers, remove_member
from zinc_mcp.owner.team.member import name_of


def whose(members: Members, token: str) -> str | None:
    caller = members.caller_by(token)
    return None if caller is None else name_of(caller)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "members.json"


def test_a_token_is_random_marked_as_ours_and_kept_as_a_hash_only(path: Path) -> None:
    tokens = {add_member(path, name) for name in ("ada", "bob")}
    assert len(tokens) == 2
    for token in tokens:
        assert token.startswith("zmcp_")
        assert len(token) >= 48
        assert token not in path.read_text(encoding="utf-8")
    assert list_members(path) == ["ada", "bob"]


def test_a_token_names_its_member_and_nothing_else_does(path: Path) -> None:
    token = add_member(path, "ada")
    add_member(path, "bob")
    members = Members(path)
    assert whose(members, token) == "ada"
    kept = json.loads(path.read_text(encoding="utf-8"))["members"]["ada"]["hash"]
    for wrong in ("", "zmcp_", token + "x", token[:-1], token.upper(), kept, "é" * 40, "\udc80"):
        assert members.caller_by(wrong) is None


def test_the_file_is_its_owner_s_alone_also_after_a_change(path: Path) -> None:
    add_member(path, "ada")
    path.chmod(0o644)
    add_member(path, "bob")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["", "local", "Ada", "a b", "a/b", "a" * 65, "ä", "a\n", "../a\x00"])
def test_a_name_that_is_none_is_refused(path: Path, name: str) -> None:
    with pytest.raises(RefusedError):
        add_member(path, name)
    assert not path.exists()


def test_a_member_keeps_the_token_until_removed(path: Path) -> None:
    token = add_member(path, "ada")
    with pytest.raises(RefusedError):
        add_member(path, "ada")
    members = Members(path)
    assert whose(members, token) == "ada"
    assert remove_member(path, "ada")
    assert members.caller_by(token) is None
    assert not remove_member(path, "ada")
    assert whose(members, add_member(path, "ada")) == "ada"
    assert members.caller_by(token) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"members": []}',
        '{"members": {"ada": "token"}}',
        '{"members": {"ada": null}}',
        json.dumps({"members": {"local": "0" * 64}}),
        json.dumps({"members": {"Ada": "0" * 64}}),
        '{"members": ' + "[" * 100_000,
        "\x00",
    ],
)
def test_a_file_that_cannot_be_understood_lets_nobody_in_and_is_not_overwritten(path: Path, content: str) -> None:
    token = add_member(path, "ada")
    members = Members(path)
    assert whose(members, token) == "ada"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        members.caller_by(token)
    assert "token" not in raised.value.summary
    with pytest.raises(SettingsError):
        add_member(path, "bob")
    with pytest.raises(SettingsError):
        list_members(path)
    assert path.read_text(encoding="utf-8") == content


def test_nothing_is_left_beside_the_file_when_it_cannot_be_written(path: Path) -> None:
    add_member(path, "ada")
    before = path.read_bytes()
    beside = {each.name for each in path.parent.iterdir()}
    (path.parent / "directory").mkdir()
    with pytest.raises(SettingsError):
        add_member(path.parent / "directory", "bob")
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} - {"directory", ".directory.lock"} == beside


def test_changes_at_once_lose_nobody(path: Path) -> None:
    add_member(path, "ada")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_member, [path] * 24, [f"member-{number}" for number in range(24)]))
    assert len(list_members(path)) == 25


@pytest.mark.skipif(sys.platform == "win32", reason="no advisory locks of this kind")
def test_changes_of_several_processes_at_once_lose_nobody(path: Path) -> None:
    code = (
        "import sys, pathlib; from zinc_mcp.owner.members import add_member;"
        "[add_member(pathlib.Path(sys.argv[1]), f'{sys.argv[2]}-{n}') for n in range(10)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), f"p{number}"]) for number in range(4)]
    assert [each.wait(60) for each in running] == [0] * 4
    assert len(list_members(path)) == 40


def test_a_name_that_is_given_again_is_another_caller(path: Path) -> None:
    add_member(path, "ada")
    seen = {members_callers(path)["ada"]}
    for _ in range(5):
        removed = remove_member(path, "ada")
        assert removed in seen
        add_member(path, "ada")
        caller = members_callers(path)["ada"]
        assert caller not in seen
        assert (name_of(caller), len(caller)) == ("ada", len("ada#") + 16)
        seen.add(caller)


def test_a_long_name_is_a_caller_that_the_journal_has_room_for(path: Path) -> None:
    names = ["a" * 39 + "b", "a" * 40]
    for name in names:
        add_member(path, name)
    callers = members_callers(path)
    assert list(callers) == sorted(names)
    assert all(len(caller) <= 64 for caller in callers.values())
    assert len(set(callers.values())) == 2


def test_a_member_from_before_there_were_ids_stays_the_caller_they_were(path: Path) -> None:
    token, other = "zmcp_" + "t" * 43, "zmcp_" + "o" * 43
    path.parent.mkdir(parents=True)
    kept = {name: hashlib.sha256(each.encode()).hexdigest() for name, each in (("ada", token), ("bob", other))}
    path.write_text(json.dumps({"members": kept}), encoding="utf-8")
    members = Members(path)
    assert (members.caller_by(token), members.caller_by(other)) == ("ada", "bob")
    add_member(path, "cy")
    assert (members.caller_by(token), members.caller_by(other)) == ("ada", "bob"), "also when the file is written anew"
    assert remove_member(path, "ada") == "ada"
    assert members.caller_by(token) is None
    assert members.caller_by(add_member(path, "ada")) not in ("ada", None)
    assert members.caller_by(other) == "bob"


@pytest.mark.parametrize(
    "kept",
    [
        {"id": "0" * 16},
        {"hash": "0" * 64},
        {"id": "0" * 15, "hash": "0" * 64},
        {"id": 7, "hash": "0" * 64},
        {"id": "0" * 16, "hash": "0" * 64, "more": 1},
        ["0" * 16, "0" * 64],
    ],
)
def test_an_entry_that_is_no_member_s_lets_nobody_in(path: Path, kept: object) -> None:
    token = add_member(path, "ada")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["members"]["bob"] = kept
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SettingsError, match="cannot be used"):
        Members(path).caller_by(token)


def test_without_a_file_there_are_no_members(path: Path) -> None:
    assert Members(path).known() == {}
    assert list_members(path) == []
    assert not remove_member(path, "ada")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_lets_nobody_in(path: Path) -> None:
    token = add_member(path, "ada")
    path.chmod(0)
    with pytest.raises(SettingsError):
        Members(path).caller_by(token)


@pytest.mark.skipif(sys.platform == "win32", reason="no advisory locks of this kind")
def test_a_change_does_not_wait_for_ever_for_a_process_that_stands_still(path: Path) -> None:
    import fcntl

    add_member(path, "ada")
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SettingsError) as told:
            add_member(path, "bob")
    assert "nothing was changed" in told.value.summary
    assert list_members(path) == ["ada"]
