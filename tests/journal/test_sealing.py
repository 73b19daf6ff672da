"""With keys, the journal keeps no secret of an order as it is, and nobody uses one without its key."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import OpenProcess
from fake_zinc import FakeZinc, failure
from journal.full_journal import driven
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
from zinc_mcp.process import Process

OLD, NEW, OTHER = (
    "old-key-of-32-characters-or-more",
    "new-key-of-32-characters-or-more",
    "other-key-of-32-characters-again",
)


def opened(open_test_process: OpenProcess, url: str, *given: str) -> AbstractAsyncContextManager[Process]:
    keys = SecretStr(",".join(given)) if given else None
    return open_test_process(api_key=None, wallet="sandbox", journal=url, journal_keys=keys)


async def bought(open_test_process: OpenProcess, zinc: FakeZinc, url: str, *given: str) -> tuple[Entry, Entry]:
    """Buy one thing, and another whose answer is lost, so that its credential is kept; return both entries."""
    async with opened(open_test_process, url, *given) as process:
        placed = entry_of(await place(process, Intent("local", "agent", order())))
        zinc.script = ["lose_after", failure(502, "bad_gateway")]
        lost = entry_of(await place(process, Intent("local", "agent", order(products=book(2)))))
    assert (placed.state, lost.state) == ("accepted", "unknown")
    return placed, lost


def secrets_sent(zinc: FakeZinc) -> list[str]:
    """Return what Zinc and the wallet know as secrets: the credentials, and the first order's own key."""
    credentials = [request.headers["authorization"] for request in zinc.posts if "authorization" in request.headers]
    return [credentials[-1].removeprefix("Payment "), "zn_live_order-1"]


def asked(url: str, statement: sa.Executable) -> list[tuple[Any, ...]]:
    """Ask the database itself, past the journal."""
    engine = sa.create_engine(driven(url))
    with engine.begin() as connection:
        found = connection.execute(statement)
        rows = [tuple(row) for row in found] if found.returns_rows else []
    engine.dispose()
    return rows


def kept(url: str) -> list[tuple[Any, ...]]:
    columns = (PAYMENTS.c.entry_id, PAYMENTS.c.credential, PAYMENTS.c.order_key)
    return asked(url, sa.select(*columns).order_by(PAYMENTS.c.entry_id))


def all_in(url: str) -> bytes:
    """Return all that the database holds; of a file also what is left of former rows."""
    path = Path(url.removeprefix("sqlite:///"))
    files = [each.read_bytes() for each in path.parent.glob(f"{path.name}*")] if url.startswith("sqlite") else []
    tables = [asked(url, sa.text(f"SELECT * FROM {name}")) for name in TABLES.tables]
    assert sum(map(len, tables)) > 4
    return b"".join(files) + repr(tables).encode()


def rotated(folder: Path, url: str, *given: str) -> str:
    variables = {"ZINC_MCP_JOURNAL": url, "ZINC_MCP_JOURNAL_KEYS": ",".join(given)}
    ended = Started(folder).run("journal", "rotate-keys", **variables)
    return f"{ended.returncode} {ended.stdout}{ended.stderr}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_every_secret_of_the_journal_is_known_as_one() -> None:
    marked = {str(column) for table in TABLES.tables.values() for column in table.c if column.info.get("secret")}
    assert marked == {"zinc_payments.credential", "zinc_payments.order_key"}


async def test_with_a_key_no_secret_is_in_the_file_and_without_one_they_are(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str
) -> None:
    await bought(open_test_process, zinc, url, OLD)
    assert [secret for secret in secrets_sent(zinc) if secret.encode() in all_in(url)] == []
    assert all(text.startswith("sealed:1:") for row in kept(url) for text in row[1:] if text is not None)
    assert OLD.encode() not in all_in(url)


async def test_without_a_key_secrets_are_kept_as_they_are(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str
) -> None:
    await bought(open_test_process, zinc, url)
    assert [secret for secret in secrets_sent(zinc) if secret.encode() not in all_in(url)] == []


@pytest.mark.sampled(4)
@pytest.mark.parametrize("given", [(OLD,), (NEW, OLD), (OTHER, NEW, OLD)])
async def test_a_process_with_the_key_goes_on_with_an_order(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str, given: tuple[str, ...]
) -> None:
    zinc.replays = True
    placed, lost = await bought(open_test_process, zinc, url, OLD)
    async with opened(open_test_process, url, *given) as process:
        zinc.settle(str(placed.order_id), 3000)
        assert entry_of(await look(process, "local", placed.key)).state == "placed"
        again = entry_of(await place(process, Intent("local", "agent", order(products=book(2)))))
    assert (again.key, again.state) == (lost.key, "accepted")
    assert len(zinc.settlements) == 2


@pytest.mark.sampled(2)
@pytest.mark.parametrize("given", [(), (NEW,)])
async def test_without_the_key_nothing_is_sent_and_the_owner_is_told(
    open_test_process: OpenProcess, zinc: FakeZinc, url: str, given: tuple[str, ...]
) -> None:
    placed, _ = await bought(open_test_process, zinc, url, OLD)
    count = len(zinc.requests)
    async with opened(open_test_process, url, *given) as process:
        looked = await look(process, "local", placed.key)
        with pytest.raises(JournalError, match=r"was sent before.* sealed with a key that is not known here") as told:
            await place(process, Intent("local", "agent", order(products=book(2))))
    assert entry_of(looked).state == "accepted", "as last known"
    assert looked.unasked is not None and "sealed with a key that is not known here" in looked.unasked.summary
    assert "ZINC_MCP_JOURNAL_KEYS" in looked.unasked.next_step
    assert OLD not in repr(told.value) + str(told.value)
    assert len([request for request in zinc.requests[count:] if request.method == "POST"]) == 0
    assert len(zinc.settlements) == 2


@pytest.mark.sampled(2)
@pytest.mark.parametrize("before", [(), (OLD,)])
async def test_a_new_key_takes_the_place_of_the_one_before_by_one_command(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, url: str, before: tuple[str, ...]
) -> None:
    placed, _ = await bought(open_test_process, zinc, url, *before)
    had = kept(url)
    said = rotated(home.parent, url, NEW, *before)
    assert said.startswith("0 2 secrets are encrypted anew"), said
    assert [secret for secret in secrets_sent(zinc) if secret.encode() in all_in(url)] == [] or not before
    assert [bool(text) for row in kept(url) for text in row] == [bool(text) for row in had for text in row]
    assert rotated(home.parent, url, NEW).startswith("0 0 secrets are encrypted anew")
    zinc.settle(str(placed.order_id), 3000)
    async with opened(open_test_process, url, NEW) as process:
        assert entry_of(await look(process, "local", placed.key)).state == "placed"


async def test_a_rotation_without_the_old_key_changes_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, url: str
) -> None:
    await bought(open_test_process, zinc, url, OLD)
    had = kept(url)
    said = rotated(home.parent, url, NEW)
    assert said[0] != "0" and "Add the key" in said
    assert kept(url) == had
    assert "no keys for the journal's secrets" in f"{Started(home.parent).run('journal', 'rotate-keys')}"


@pytest.mark.parametrize("how", ["moved", "changed", "cut"])
async def test_a_sealed_secret_counts_only_whole_and_in_its_own_row(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, url: str, how: str
) -> None:
    placed, lost = await bought(open_test_process, zinc, url, OLD)
    text = next(row[2] for row in kept(url) if row[0] == placed.id)
    changed = f"{text[:-6]}{'A' if text[-6] != 'A' else 'B'}{text[-5:]}"
    other = {"moved": text, "changed": changed, "cut": text[:40]}[how]
    entry = lost if how == "moved" else placed
    asked(url, sa.update(PAYMENTS).where(PAYMENTS.c.entry_id == entry.id).values(order_key=other))
    with Journal.open(url, sealing=Sealing((OLD,))) as journal:
        with pytest.raises(UnreadableEntryError):
            journal.payment(entry.id)
        assert journal.seal_anew() == (0, [])
    said = rotated(home.parent, url, NEW, OLD)
    assert said[0] != "0" and "1 of the journal's secrets cannot be read" in said, said
    assert f"payments of the entries {entry.id}." in " ".join(said.split())


def test_a_secret_that_looks_sealed_stays_what_it_is() -> None:
    for secret in ("sealed:1:abc:def", "plain:1:x", "zn_live_x"):
        plain = Sealing()
        assert plain.open(plain.seal(secret, "p"), "p") == secret
        assert Sealing((OLD,)).open(plain.seal(secret, "p"), "p") == secret
    assert PAYMENTS.c.credential.info["secret"]
