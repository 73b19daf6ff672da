"""Files that others can write are not believed, and a secret that others can read is warned of."""

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from started import ROOT, Started
from variants import rare

from zinc_mcp.errors import JournalError, SettingsError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.settings import load_settings, warnings_about
from zinc_mcp.private_files import make_folder, open_file, readable_by_others, writable_by_others

pytestmark = pytest.mark.skipif(os.name != "posix", reason="on Windows a mode says nothing about who may write")

KEY = "zn_live_planted_5a1e"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "mine" / "home"
    make_folder(home)
    for name, text in {
        "zinc.toml": 'api_key_file = "key"\n',
        "key": KEY,
        "members.json": '{"members": {}}',
    }.items():
        (home / name).write_text(text, encoding="utf-8")
        (home / name).chmod(0o600)
    return home


def settings_of(home: Path) -> object:
    return load_settings({"ZINC_MCP_HOME": str(home)})


def home_for_all(home: Path) -> Path:
    home.chmod(0o777)
    return home


def home_for_a_group(home: Path) -> Path:
    os.chown(home, -1, 65_534 if os.geteuid() == 0 else os.getegid())
    home.chmod(0o770)
    return home


def config_for_all(home: Path) -> Path:
    (home / "zinc.toml").chmod(0o646)
    return home / "zinc.toml"


def folder_above_for_all(home: Path) -> Path:
    home.parent.chmod(0o757)
    return home.parent


def key_for_all(home: Path) -> Path:
    (home / "key").chmod(0o602)
    return home / "key"


def config_is_a_link_to_what_is_for_all(home: Path) -> Path:
    (home / "zinc.toml").rename(home.parent / "elsewhere.toml")
    (home / "zinc.toml").symlink_to(home.parent / "elsewhere.toml")
    (home.parent / "elsewhere.toml").chmod(0o666)
    return home.parent / "elsewhere.toml"


def key_lies_in_a_folder_for_all(home: Path) -> Path:
    (home / "keys").mkdir()
    (home / "keys").chmod(0o777)
    (home / "key").rename(home / "keys" / "key")
    (home / "zinc.toml").write_text('api_key_file = "keys/key"\n', encoding="utf-8")
    return home / "keys"


@pytest.mark.parametrize(
    "opened",
    [
        home_for_all,
        home_for_a_group,
        config_for_all,
        folder_above_for_all,
        key_for_all,
        config_is_a_link_to_what_is_for_all,
        key_lies_in_a_folder_for_all,
    ],
)
def test_a_file_that_others_can_write_is_not_believed(home: Path, opened: Callable[[Path], Path]) -> None:
    if opened is home_for_a_group and os.geteuid() != 0:
        pytest.skip("only the administrator gives a folder to another group")
    settings_of(home)
    opened(home)
    with pytest.raises(SettingsError) as refused:
        settings_of(home)
    assert "Other users of this machine can write" in refused.value.summary
    assert "go-w" in str(refused.value.owner_step)
    assert KEY not in refused.value.summary


@pytest.mark.parametrize("opened", [home_for_all, config_for_all, key_for_all])
def test_a_server_says_so_on_stderr_and_does_not_start(
    tmp_path: Path, home: Path, opened: Callable[[Path], Path]
) -> None:
    opened(home)
    started = Started(tmp_path)
    ended = started.quickly(ZINC_MCP_HOME=str(home))
    assert ended.returncode == 2
    assert "Other users of this machine can write" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_for_all_whose_sticky_bit_is_set_is_no_danger(home: Path) -> None:
    home.parent.chmod(0o1777)
    settings_of(home)


@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only the administrator gives files away")
def test_a_file_that_another_user_put_into_a_folder_for_all_is_not_believed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    planted = shared / "home"
    planted.mkdir()
    code = "import sys; from pathlib import Path; from zinc_mcp.private_files import writable_by_others as w; "
    code += "import os; os.setuid(int(sys.argv[2])); print(w(Path(sys.argv[1])))"
    for owner, told in ((65_534, "None"), (1, str(planted))):  # ours, then that of `daemon`
        os.chown(planted, owner, 65_534)
        for folder in (tmp_path, *tmp_path.parents):
            if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
                folder.chmod(0o755)
        ended = subprocess.run(
            [sys.executable, "-c", code, str(planted), "65534"],
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert ended.stdout.strip() == told, ended.stderr


def test_a_secret_that_others_can_read_is_warned_of_and_used(tmp_path: Path, home: Path) -> None:
    for folder in (home, home.parent):
        folder.chmod(0o755)
    (home / "key").chmod(0o644)
    settings = load_settings({"ZINC_MCP_HOME": str(home)})
    assert settings.api_key is not None
    [warning] = warnings_about(settings)
    assert str(home / "key") in warning
    assert KEY not in warning
    told = Started(tmp_path).quickly(ZINC_MCP_HOME=str(home))
    assert str(home / "key") in told.stderr
    examined = Started(tmp_path).run("doctor", ZINC_MCP_HOME=str(home), ZINC_API_URL="http://127.0.0.1:1")
    assert f"chmod 600 {home / 'key'}" in examined.stdout


@pytest.mark.parametrize("toml", [f'api_key = "{KEY}"\n', '[addresses.home]\ncity = "Paris"\n'])
def test_a_configuration_is_a_secret_where_it_holds_one(home: Path, toml: str) -> None:
    home.chmod(0o755)
    (home / "zinc.toml").write_text(toml, encoding="utf-8")
    (home / "zinc.toml").chmod(0o644)
    assert len(warnings_about(load_settings({"ZINC_MCP_HOME": str(home)}))) == 1
    (home / "zinc.toml").write_text("[policy]\nmax_day = 100\n", encoding="utf-8")
    assert warnings_about(load_settings({"ZINC_MCP_HOME": str(home)})) == ()


def test_a_file_in_a_closed_folder_is_not_taken_as_readable_by_others(home: Path) -> None:
    (home / "key").chmod(0o644)
    assert not readable_by_others(home / "key")
    assert warnings_about(load_settings({"ZINC_MCP_HOME": str(home)})) == ()


# The journal


@pytest.mark.parametrize(("what", "mode"), [("journal.db", 0o666), (".", 0o777), ("..", 0o757)])
def test_a_journal_that_others_could_change_is_not_opened(home: Path, what: str, mode: int) -> None:
    url = f"sqlite:///{home / 'journal.db'}"
    Journal.open(url).close()
    (home / what).chmod(mode)
    with pytest.raises(JournalError) as refused:
        Journal.open(url)
    assert "Other users of this machine can write" in refused.value.summary


def test_a_journal_directly_in_a_folder_for_all_is_not_opened(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "j.db-wal").write_bytes(b"")  # as others of this machine may make it, and own it
    (shared / "j.db-wal").chmod(0o666)
    with pytest.raises(JournalError) as refused:
        Journal.open(f"sqlite:///{shared / 'j.db'}")
    assert str(shared) in refused.value.summary
    assert "folder of its own" in str(refused.value.owner_step)
    assert not (shared / "j.db").exists()
    Journal.open(f"sqlite:///{shared / 'mine' / 'j.db'}").close()


def test_the_target_of_a_path_is_checked(tmp_path: Path, home: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "sub").mkdir(parents=True)
    (theirs / "key").write_text(KEY, encoding="utf-8")
    theirs.chmod(0o777)
    (home / "link").symlink_to(theirs / "sub")
    (home / "zinc.toml").write_text('api_key_file = "link/../key"\n', encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        settings_of(home)
    assert "can write" in refused.value.summary


NOT_PLAIN = (
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite:///journal.db",
    "sqlite:///./journal.db",
    "sqlite:///file:x.db?uri=true",
    "sqlite:///file:{folder}/x.db?uri=true",
    "sqlite:///{folder}/q.db?mode=memory&uri=true",
    "sqlite:///{folder}/q.db?timeout=0",
    "sqlite:///{folder}/sub/../q.db",
    "sqlite://host/{folder}/q.db",
    "sqlite+pysqlite_numeric:///{folder}/q.db",
)


@pytest.mark.parametrize("address", NOT_PLAIN)
def test_a_journal_is_named_by_the_whole_path_of_a_file_and_by_nothing_else(
    tmp_path: Path, home: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    monkeypatch.chdir(folder)
    ended = Started(tmp_path).run(
        "orders", ZINC_MCP_HOME=str(home), ZINC_MCP_JOURNAL=address.replace("{folder}", str(folder))
    )
    assert ended.returncode == 1
    assert "sqlite:////home/ada/journal.db" in ended.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["sub"], "nothing was made"


@pytest.mark.parametrize("target", ["journal", "victim", "nothing"])
def test_a_journal_that_is_a_link_is_not_followed(tmp_path: Path, home: Path, target: str) -> None:
    victim = tmp_path / "victim"
    if target == "victim":
        victim.write_text("somebody's notes", encoding="utf-8")
        victim.chmod(0o644)
    if target == "journal":
        Journal.open(f"sqlite:///{victim}").close()
    (home / "journal.db").symlink_to(victim)
    before = victim.read_bytes() if victim.exists() else None
    with pytest.raises(JournalError) as refused:
        Journal.open(f"sqlite:///{home / 'journal.db'}")
    assert "symbolic link" in refused.value.summary
    assert (victim.read_bytes() if victim.exists() else None) == before
    if target == "victim":
        assert stat.S_IMODE(victim.stat().st_mode) == 0o644


def test_a_journal_that_others_could_read_is_closed_to_them(home: Path) -> None:
    url = f"sqlite:///{home / 'journal.db'}"
    Journal.open(url).close()
    (home / "journal.db").chmod(0o640)
    Journal.open(url).close()
    assert stat.S_IMODE((home / "journal.db").stat().st_mode) == 0o600


# Files that the program makes


@pytest.mark.parametrize("umask", [0o000, rare(0o022), rare(0o277)])
def test_files_of_the_program_are_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    folder = tmp_path / "new" / "deep" / "home"
    before = os.umask(umask)
    try:
        started = Started(tmp_path)
        where = {"ZINC_MCP_HOME": str(folder), "ZINC_MCP_SANDBOX": "1"}
        assert started.run("members", "add", "ada", **where).returncode == 0
        assert started.run("orders", **where).returncode == 0
        code = "from pathlib import Path; import sys; from zinc_mcp.server.http.access import local_token; "
        code += "from zinc_mcp.sandbox import Sandbox; h = Path(sys.argv[1]); local_token(h); Sandbox(h / 'sandbox.db')"
        assert started.process("-c", code, str(folder)).returncode == 0
    finally:
        os.umask(before)
    made = {path.relative_to(tmp_path): stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*")}
    assert {path.name for path in made} >= {"home", "journal.db", "members.json", "http-token", "sandbox.db"}
    wrong = {
        str(path): oct(mode)
        for path, mode in made.items()
        if mode != (0o700 if path.suffix == "" and mode & 0o100 else 0o600)
    }
    assert wrong == {}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_file_of_ours_is_never_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(OSError, match=r"symbolic|links|Too many"):
        open_file(tmp_path / "link", os.O_RDWR)


def test_a_link_that_leads_in_circles_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert writable_by_others(tmp_path / "a") is None


def test_members_are_not_read_from_a_file_that_others_can_write_to(tmp_path: Path, home: Path) -> None:
    (home / "members.json").chmod(0o622)
    ended = Started(tmp_path).run("members", "list", ZINC_MCP_HOME=str(home))
    assert ended.returncode == 2
    assert "other users of this machine can write" in ended.stderr


def test_a_journal_beside_a_database_url_is_looked_at_as_well(tmp_path: Path, home: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    sqlite3.connect(elsewhere / "own.db").close()
    ended = Started(tmp_path).run("orders", ZINC_MCP_HOME=str(home), ZINC_MCP_JOURNAL=f"sqlite:///{elsewhere}/own.db")
    assert ended.returncode == 1
    assert "can write" in ended.stderr
