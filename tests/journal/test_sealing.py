"""With keys, the journal keeps no secret of an order as it is, and nobody uses one without its key."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc, failure
from journals import entry_of
from pydantic import SecretStr
from started import Started
from wanted import book, order

from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry, UnreadableEntryError
from zinc_mcp.journal.records.sealing import Sealing
from zinc_mcp.journal.storage.tables import PAYMENTS, TABLES

OLD, NEW, OTHER = (
    "old-key-of-32-characters-or-more",
    "new-key-of-32-characters-or-more",
    "other-key-of-32-characters-again",
)


def keys(*given: str) -> SecretStr | None:
    return SecretStr(",".join(given)) if given else None


async def bought(open_test_process: OpenProcess, zinc: FakeZinc, *given: str) -> tuple[Entry, Entry]:
    """Buy one thing, and another whose answer is lost, so that its credential is kept; return both entries."""
    async with open_test_process(api_key=None, wallet="sandbox", journal_keys=keys(*given)) as process:
        placed = entry_of(await place(process, Intent("local", "agent", order())))
        zinc.script = ["lose_after", failure(502, "bad_gateway")]
        lost = entry_of(await place(process, Intent("local", "agent", order(products=book(2)))))
    assert (placed.state, lost.state) == ("accepted", "unknown")
    return placed, lost


def secrets_sent(zinc: FakeZinc) -> list[str]:
    """Return what Zinc and the wallet know as secrets: the credentials, and the first order's own key."""
    credentials = [request.headers["authorization"] for request in zinc.posts if "authorization" in request.headers]
    return [credentials[-1].removeprefix("Payment "), "zn_live_order-1"]


def kept(home: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "journal.db")) as database:
        return database.execute(
            "SELECT entry_id, credential, order_key FROM zinc_payments ORDER BY entry_id"
        ).fetchall()


def bytes_in(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.glob("journal.db*"))


def rotated(folder: Path, *given: str) -> str:
    ended = Started(folder).run("journal", "rotate-keys", ZINC_MCP_JOURNAL_KEYS=",".join(given))
    return f"{ended.returncode} {ended.stdout}{ended.stderr}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_every_secret_of_the_journal_is_known_as_one() -> None:
    marked = {str(column) for table in TABLES.tables.values() for column in table.c if column.info.get("secret")}
    assert marked == {"zinc_payments.credential", "zinc_payments.order_key"}


async def test_with_a_key_no_secret_is_in_the_file_and_without_one_they_are(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    await bought(open_test_process, zinc, OLD)
    assert [secret for secret in secrets_sent(zinc) if secret.encode() in bytes_in(home)] == []
    assert all(text.startswith("sealed:1:") for row in kept(home) for text in row[1:] if text is not None)
    assert OLD.encode() not in bytes_in(home)


async def test_without_a_key_secrets_are_kept_as_they_are(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    await bought(open_test_process, zinc)
    assert [secret for secret in secrets_sent(zinc) if secret.encode() not in bytes_in(home)] == []


@pytest.mark.parametrize("given", [(OLD,), (NEW, OLD), (OTHER, NEW, OLD)])
async def test_who_has_the_key_goes_on_with_an_order(
    open_test_process: OpenProcess, zinc: FakeZinc, given: tuple[str, ...]
) -> None:
    zinc.replays = True
    placed, lost = await bought(open_test_process, zinc, OLD)
    async with open_test_process(api_key=None, wallet="sandbox", journal_keys=keys(*given)) as process:
        zinc.settle(str(placed.order_id), 3000)
        assert entry_of(await look(process, "local", placed.key)).state == "placed"
        again = entry_of(await place(process, Intent("local", "agent", order(products=book(2)))))
    assert (again.key, again.state) == (lost.key, "accepted")
    assert len(zinc.settlements) == 2


@pytest.mark.parametrize("given", [(), (NEW,)])
async def test_without_the_key_nothing_is_sent_and_the_owner_is_told(
    open_test_process: OpenProcess, zinc: FakeZinc, given: tuple[str, ...]
) -> None:
    placed, _ = await bought(open_test_process, zinc, OLD)
    count = len(zinc.requests)
    async with open_test_process(api_key=None, wallet="sandbox", journal_keys=keys(*given)) as process:
        looked = await look(process, "local", placed.key)
        with pytest.raises(JournalError, match=r"was sent before.* sealed with a key that is not known here") as told:
            await place(process, Intent("local", "agent", order(products=book(2))))
    assert entry_of(looked).state == "accepted", "as last known"
    assert looked.unasked is not None and "sealed with a key that is not known here" in looked.unasked.summary
    assert "ZINC_MCP_JOURNAL_KEYS" in looked.unasked.next_step
    assert OLD not in repr(told.value) + str(told.value)
    assert len([request for request in zinc.requests[count:] if request.method == "POST"]) == 0
    assert len(zinc.settlements) == 2


@pytest.mark.parametrize("before", [(), (OLD,)])
async def test_a_new_key_takes_the_place_of_the_one_before_by_one_command(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, before: tuple[str, ...]
) -> None:
    placed, _ = await bought(open_test_process, zinc, *before)
    had = kept(home)
    said = rotated(home.parent, NEW, *before)
    assert said.startswith("0 2 secrets are encrypted anew"), said
    assert [secret for secret in secrets_sent(zinc) if secret.encode() in bytes_in(home)] == [] or not before
    assert [bool(text) for row in kept(home) for text in row] == [bool(text) for row in had for text in row]
    assert rotated(home.parent, NEW).startswith("0 0 secrets are encrypted anew")
    zinc.settle(str(placed.order_id), 3000)
    async with open_test_process(api_key=None, wallet="sandbox", journal_keys=keys(NEW)) as process:
        assert entry_of(await look(process, "local", placed.key)).state == "placed"


async def test_a_rotation_without_the_old_key_changes_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    await bought(open_test_process, zinc, OLD)
    had = kept(home)
    said = rotated(home.parent, NEW)
    assert said[0] != "0" and "Add the key" in said
    assert kept(home) == had
    assert "no keys for the journal's secrets" in f"{Started(home.parent).run('journal', 'rotate-keys')}"


@pytest.mark.parametrize("how", ["moved", "changed", "cut"])
async def test_a_sealed_secret_counts_only_whole_and_in_its_own_row(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, how: str
) -> None:
    placed, lost = await bought(open_test_process, zinc, OLD)
    text = next(row[2] for row in kept(home) if row[0] == placed.id)
    changed = f"{text[:-6]}{'A' if text[-6] != 'A' else 'B'}{text[-5:]}"
    other = {"moved": text, "changed": changed, "cut": text[:40]}[how]
    entry = lost if how == "moved" else placed
    with closing(sqlite3.connect(home / "journal.db")) as database, database:
        database.execute("UPDATE zinc_payments SET order_key = ? WHERE entry_id = ?", (other, entry.id))
    with Journal.open(f"sqlite:///{home / 'journal.db'}", sealing=Sealing((OLD,))) as journal:
        with pytest.raises(UnreadableEntryError):
            journal.payment(entry.id)
        assert journal.seal_anew() == (0, [])
    said = rotated(home.parent, NEW, OLD)
    assert said[0] != "0" and "1 of the journal's secrets cannot be read" in said, said
    assert f"payments of the entries {entry.id}." in " ".join(said.split())


def test_a_secret_that_looks_sealed_stays_what_it_is() -> None:
    for secret in ("sealed:1:abc:def", "plain:1:x", "zn_live_x"):
        plain = Sealing()
        assert plain.open(plain.seal(secret, "p"), "p") == secret
        assert Sealing((OLD,)).open(plain.seal(secret, "p"), "p") == secret
    assert PAYMENTS.c.credential.info["secret"]
