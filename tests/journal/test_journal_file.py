"""Nothing is opened in a journal whose file was moved, replaced or deleted under a running process."""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journal.test_crash_consistency import NAMES, cut, place
from journals import entry_of, journal_of
from wanted import book, intent, order

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal


def deleted(home: Path, kept: Path) -> None:
    for name in NAMES:
        (home / name).unlink(missing_ok=True)


def replaced(home: Path, kept: Path) -> None:
    deleted(home, kept)
    for file in kept.iterdir():
        shutil.copy(file, home)


def moved(home: Path, kept: Path) -> None:
    (home / "journal.db").rename(home / "elsewhere.db")


def log_deleted(home: Path, kept: Path) -> None:
    (home / "journal.db-wal").unlink()


@pytest.mark.parametrize("taken", [deleted, replaced, moved, log_deleted])
@pytest.mark.parametrize("rail", ["account", "agent"])
async def test_nothing_is_opened_on_a_file_that_is_not_the_one_at_its_path_any_more(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path, taken: object, rail: str
) -> None:
    async with open_test_process(wallet="sandbox") as process:
        entry_of(await place_order.place(process, intent()))
        kept = cut(home, tmp_path / "kept")
        assert callable(taken)
        taken(home, kept)
        for number in range(2, 5):
            told = await place(
                process, Intent("local", "agent" if rail == "agent" else "account", order(products=book(number)))
            )
            assert isinstance(told, JournalError)
            assert (told.code, told.money_may_have_moved) == ("journal_unavailable", False)
            assert "Nothing was sent." in told.summary
            assert "replaced" in told.summary
    assert len(zinc.posts) == 1


async def test_a_yes_is_not_acted_on_when_the_file_was_taken_away_meanwhile(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path
) -> None:
    home.mkdir()
    (home / "zinc.toml").write_text('[policy]\napproval = "page"\n', encoding="utf-8")
    async with open_test_process() as process:
        asked = entry_of(await place_order.place(process, intent()))
        deleted(home, tmp_path)
        with pytest.raises(JournalError):
            await decide(process, yes(asked, how="terminal"))
    assert not zinc.posts


@pytest.mark.parametrize("taken", [deleted, replaced, moved, log_deleted])
@pytest.mark.parametrize("rail", ["account", "agent"])
async def test_an_order_that_was_out_when_the_file_went_is_told_with_its_id_and_that_nothing_keeps_it(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path, taken: object, rail: str
) -> None:
    async with open_test_process(wallet="sandbox") as process:
        entry_of(await place_order.place(process, intent(products=book(7))))
        kept = cut(home, tmp_path / "kept")
        assert callable(taken)
        zinc.meanwhile = lambda: taken(home, kept)
        told = await place(process, Intent("local", "agent" if rail == "agent" else "account", order()))
    assert isinstance(told, JournalError)
    assert told.money_may_have_moved
    [*_, placed] = zinc.orders
    assert told.facts["order_id"] == placed
    assert "Zinc has the order" in told.summary


async def test_a_backup_put_back_into_the_same_file_is_noticed(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path
) -> None:
    async with open_test_process() as process:
        entry_of(await place_order.place(process, intent()))
    kept = cut(home, tmp_path / "kept")
    async with open_test_process() as process:
        entry_of(await place_order.place(process, intent(products=book(2))))
        with (
            closing(sqlite3.connect(kept / "journal.db")) as backup,
            closing(sqlite3.connect(home / "journal.db")) as file,
        ):
            backup.backup(file)  # into the file as it stands, as `.restore` does
        told = await place(process, intent(products=book(3)))
        assert isinstance(told, JournalError)
        assert not told.money_may_have_moved
    assert len(zinc.posts) == 2


async def test_a_file_that_stands_still_is_used_for_ever(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    async with open_test_process() as process, open_test_process() as other:
        for number in range(4):
            entry_of(
                await place_order.place((process, other)[number % 2], intent(products=book(number), max_price=1000))
            )
    assert len(journal_of(home)[0]) == 4


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ("disk / ext4 rw 0 0\nserver:/homes {home} nfs4 rw 0 0\n", "nfs4"),
        ("server:/homes / nfs4 rw 0 0\ndisk {home} ext4 rw 0 0\n", None),
        ("disk / ext4 rw 0 0\nserver:/homes /elsewhere nfs4 rw 0 0\n", None),
    ],
    ids=["network", "disk below a network", "network elsewhere"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not list what is mounted")
def test_a_journal_on_a_network_file_system_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: str, kind: str | None
) -> None:
    home = tmp_path / "my home"
    home.mkdir(mode=0o700)
    text = mounts.format(home=str(home.resolve()).replace(" ", "\\040"))
    real = Path.read_text

    def read(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        return text if str(path) == "/proc/self/mounts" else real(path, encoding, errors)

    monkeypatch.setattr(Path, "read_text", read)
    address = f"sqlite:///{home / 'journal.db'}"
    if kind is None:
        Journal.open(address).close()
        return
    with pytest.raises(JournalError, match=f"network file system \\({kind}\\)"):
        Journal.open(address)
    assert list(home.iterdir()) == []
