"""The journal stays true through power cuts, full and failing disks, damage and other versions.

A cut is played by copying the files. SQLite's log is only ever appended to between checkpoints, so one copy of it, cut
off after every byte that matters, is every state that a power cut can leave.
"""

import json
import os
import resource
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, Step, failure
from journals import entry_of
from server.as_a_host import said
from sqlalchemy import event
from variants import rare, usual
from wanted import book, intent, order

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry, Event
from zinc_mcp.process import Answer, Process
from zinc_mcp.server.mcp.results import failed

_FRAME, _LOG_HEADER = 4096 + 24, 32
"""Bytes of one page in SQLite's log with its header, and of the log's own header (SQLite, "WAL File Format")."""
NAMES = ("journal.db", "journal.db-wal", "journal.db-shm")

ROADS: dict[str, list[Step]] = {
    "accepted": ["ok"],
    "lost and found": ["lose_after"],
    "lost and repeated": ["lose_before", "ok"],
    "lost for good": ["lose_before", "lose_before"],
    "rejected": [failure(400, "url_unreachable")],
    "no connection": ["refuse"],
}
OFTEN = ("lost and repeated", "rejected")
"""The ways to buy with the most steps, which a run of all tests cuts off at each byte."""


def cut(home: Path, to: Path, log_bytes: int | None = None, *, index: bool = False) -> Path:
    """Copy the journal's files as a power cut would leave them, the log cut off after so many bytes."""
    to.mkdir(parents=True)
    for name in NAMES:
        if (home / name).exists() and (index or not name.endswith("-shm")):
            content = (home / name).read_bytes()
            (to / name).write_bytes(content[:log_bytes] if name.endswith("-wal") else content)
    return to


def told_by(home: Path) -> list[tuple[Entry, list[Event]]]:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        return [(entry, journal.events(entry.id)) for entry in journal.entries()]


async def place(process: Process, wanted: Intent | None = None) -> Answer | ZincMcpError:
    try:
        return await place_order.place(process, wanted or intent())
    except ZincMcpError as error:
        return error


@pytest.mark.parametrize("road", usual(ROADS, lambda road: road in OFTEN))
async def test_cut_off_after_any_byte_the_journal_tells_a_beginning_of_the_road(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path, road: str
) -> None:
    zinc.script = list(ROADS[road])
    async with open_test_process() as process:
        await place(process)
        whole = cut(home, tmp_path / "whole")
    [(last, events)] = told_by(cut(whole, tmp_path / "read"))
    log = (whole / "journal.db-wal").stat().st_size
    ends = range(_LOG_HEADER, log + 1, _FRAME)
    steps_seen: list[int] = []
    for bytes_left in sorted({0, 1, *ends, *(end + 25 for end in ends)}):
        if bytes_left > log:
            continue
        left = cut(whole, tmp_path / f"cut-{bytes_left}", bytes_left)
        told = told_by(left)
        shutil.rmtree(left)
        steps_seen.append(len(told[0][1]) if told else 0)
        if told:
            [(entry, seen)] = told
            assert seen == events[: len(seen)]
            assert (entry.state, entry.version) == (seen[-1].state, seen[-1].version)
            assert entry.counts_cents == (0 if entry.state in ("rejected", "refused") else entry.reserved_cents)
    assert steps_seen == sorted(steps_seen)
    # Opened and being sent are one commit, so the first event is never seen alone.
    steps = {0, *range(2, last.version + 1)}
    assert set(steps_seen) == steps, "every step is a state that a cut can leave, and no other"


@pytest.mark.parametrize("road", ROADS)
async def test_after_a_cut_at_any_step_the_same_call_leads_to_one_order(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, tmp_path: Path, road: str
) -> None:
    copies: list[tuple[str, Path, list[str]]] = []

    def copied(step: str) -> None:
        copies.append((step, cut(home, tmp_path / f"{len(copies)}-{step}", index=True), list(zinc.orders)))

    async def on_the_wire() -> None:
        copied("on the wire")
        [(entry, _)] = told_by(cut(copies[-1][1], tmp_path / f"{len(copies)}-seen"))
        assert entry.state == "sending"
        assert entry.attempts == len(zinc.posts), "nothing is on the wire that is not in the journal"

    zinc.on_post = on_the_wire
    zinc.script = list(ROADS[road])
    async with open_test_process(checkpoint=copied) as process:
        await place(process)
    zinc.on_post = None
    assert {"opened", "sending", "on the wire"} <= {step for step, _, _ in copies}
    everything = dict(zinc.orders)
    for step, copy, orders in copies:
        zinc.orders = {order_id: everything[order_id] for order_id in orders}
        shutil.rmtree(home)
        shutil.copytree(copy, home)
        clock.pass_seconds(60)  # the leases of the process that the cut ended are over
        async with open_test_process() as process:
            told = await place(process)
            assert isinstance(told, Answer), step
            assert entry_of(told).state == "accepted", step
        assert len(zinc.orders) == 1, step
        clock.now -= 60


async def test_a_journal_from_before_the_sending_still_leads_to_one_order(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, tmp_path: Path
) -> None:
    """A disk that lied about what it had written, or a backup put back: the key is derived alike again."""
    async with open_test_process() as process:
        first = entry_of(await place_order.place(process, intent()))
        whole = cut(home, tmp_path / "whole")
    shutil.rmtree(home)
    cut(whole, home, 0)
    zinc.lists = [httpx.Response(200, json={"orders": []})] * 2
    async with open_test_process() as process:
        again = entry_of(await place_order.place(process, intent()))
    assert (again.key, again.order_id) == (first.key, first.order_id)
    assert len(zinc.orders) == 1


# A failing disk


class Disk:
    """The disk under every journal opened meanwhile: it can be full, refuse to be written to, or fail."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._connections: list[sqlite3.Connection] = []
        self._usual = resource.getrlimit(resource.RLIMIT_FSIZE)

    def connected(self, connection: sqlite3.Connection, _record: object) -> None:
        """Remember a connection that SQLAlchemy has opened."""
        self._connections = [connection]

    def breaks(self, how: str) -> None:
        """Break: `failing` refuses every write beyond the log as it is, as a quota or a worn-out card does."""
        if how == "failing":
            size = (self._home / "journal.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._usual[1]))
        for connection in self._connections:
            if how == "read-only":
                connection.execute("PRAGMA query_only=1")
            if how == "full":
                pages = connection.execute("PRAGMA page_count").fetchone()[0]
                connection.execute(f"PRAGMA max_page_count={pages}")

    def is_well(self) -> None:
        """Work again."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._usual)
        for connection in self._connections:
            connection.execute("PRAGMA query_only=0")
            connection.execute("PRAGMA max_page_count=1000000")


@pytest.fixture
def disk(home: Path) -> Generator[Disk]:
    found = Disk(home)
    event.listen(sa.Engine, "connect", found.connected)
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield found
    event.remove(sa.Engine, "connect", found.connected)
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


SENTENCES = {"full": "full", "read-only": "read-only", "failing": "The journal failed"}


@pytest.mark.parametrize("how", SENTENCES)
async def test_nothing_is_sent_that_could_not_be_written_down_first(
    open_test_process: OpenProcess, zinc: FakeZinc, disk: Disk, how: str
) -> None:
    large = intent(products=book(7), metadata={"note": "x" * 7_000})
    async with open_test_process() as process:
        first = entry_of(await place_order.place(process, intent()))
        disk.breaks(how)
        refused = await place(process, large)
        assert isinstance(refused, JournalError)
        assert SENTENCES[how] in refused.summary
        assert "nothing was sent" in said(failed(refused, "place"))["summary"].lower()
        assert not refused.money_may_have_moved
        assert len(zinc.posts) == 1
        disk.is_well()
        assert entry_of(await look(process, "local", first.key)).state == "accepted"
        assert entry_of(await place_order.place(process, large)).state == "accepted"
    assert len(zinc.orders) == 2


@pytest.mark.parametrize("how", ["read-only", "failing"])
async def test_an_entry_that_could_not_be_marked_before_its_wallet_is_asked_is_not_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, disk: Disk, how: str
) -> None:
    def at(step: str) -> None:
        if step == "opened":
            disk.breaks(how)

    by_wallet = Intent("local", "agent", order())
    async with open_test_process(wallet="sandbox", checkpoint=at) as process:
        refused = await place(process, by_wallet)
        assert isinstance(refused, JournalError)
        assert "nothing was sent" in said(failed(refused, "place"))["summary"].lower()
        assert not zinc.posts
        disk.is_well()
    clock.pass_seconds(31)
    async with open_test_process(wallet="sandbox") as process:
        assert entry_of(await place_order.place(process, by_wallet)).state == "accepted"
    assert len(zinc.orders) == 1


@pytest.mark.parametrize("how", ["read-only", "failing"])
@pytest.mark.parametrize("step", ["ok", "lose_after", "lose_before"])
async def test_an_answer_that_could_not_be_written_down_is_told_truthfully_and_written_later(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, disk: Disk, step: str, how: str
) -> None:
    async def on_the_wire() -> None:
        zinc.on_post = None
        disk.breaks(how)

    zinc.on_post = on_the_wire
    zinc.script = [step]
    async with open_test_process() as process:
        told = await place(process)
        assert isinstance(told, JournalError)
        assert told.money_may_have_moved
        assert "othing was sent" not in json.dumps(said(failed(told, "place")))
        if step == "ok":
            assert told.facts["order_id"] in zinc.orders
            seen = await look(process, "local", told.facts["order_id"])
            assert seen.order is not None, "Zinc can be asked while the journal is out of order"
        disk.is_well()
        clock.pass_seconds(60)
        looked = entry_of(await look(process, "local", told.facts["key"]))
        assert looked.state == ("unknown" if step == "lose_before" else "accepted")
        placed = entry_of(await place_order.place(process, intent()))
    assert (placed.key, placed.state) == (told.facts["key"], "accepted")
    assert len(zinc.orders) == 1


@pytest.mark.parametrize("how", ["read-only", "failing"])
async def test_a_rejection_that_could_not_be_written_down_is_a_rejection_nevertheless(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, disk: Disk, how: str
) -> None:
    async def on_the_wire() -> None:
        disk.breaks(how)

    zinc.on_post = on_the_wire
    zinc.script = [failure(400, "url_unreachable")]
    async with open_test_process() as process:
        told = await place(process)
        assert isinstance(told, JournalError)
        assert "rejected" in told.summary
        assert not told.money_may_have_moved, "Zinc said no"


@pytest.mark.parametrize("how", ["read-only", "failing"])
async def test_a_repeat_that_could_not_be_marked_is_told_as_a_doubt(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, disk: Disk, how: str
) -> None:
    def at(step: str) -> None:
        if step == "unknown":
            disk.breaks(how)

    zinc.script = ["lose_before"]
    async with open_test_process(checkpoint=at) as process:
        told = await place(process)
        assert len(zinc.posts) == 1
        assert isinstance(told, JournalError)
        assert told.money_may_have_moved, "the first attempt was sent and lost"
        assert "othing was sent" not in json.dumps(said(failed(told, "place")))
        disk.is_well()
        clock.pass_seconds(60)
        placed = entry_of(await place_order.place(process, intent()))
    assert placed.state == "accepted"
    assert len(zinc.orders) == 1


@pytest.mark.parametrize("how", ["read-only", "failing"])
async def test_an_order_is_told_even_if_the_pause_for_ignored_keys_cannot_be_written(
    open_test_process: OpenProcess, zinc: FakeZinc, disk: Disk, how: str
) -> None:
    def at(step: str) -> None:
        if step == "accepted":
            disk.breaks(how)

    zinc.keys_honoured = False
    zinc.script = ["lose_after"]
    zinc.lists = [httpx.Response(200, json={"orders": []})] * 2
    async with open_test_process(checkpoint=at) as process:
        told = await place(process)
        assert isinstance(told, Answer), told
        assert entry_of(told).state == "accepted"
        disk.is_well()


# Damage and other versions


@pytest.mark.parametrize("stride", [709, rare(311)])
async def test_a_damaged_journal_refuses_with_a_sentence_or_tells_its_undamaged_part(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, stride: int
) -> None:
    async with open_test_process() as process:
        for number in range(8):
            await place_order.place(process, intent(products=book(number), max_price=2000))
    file = home / "journal.db"
    sound = file.read_bytes()
    keys = {entry.key for entry, _ in told_by(home)}
    refused = 0
    for offset in range(0, len(sound), stride):
        hurt = bytes(byte ^ 0xA5 for byte in sound[offset : offset + 16])
        file.write_bytes(sound[:offset] + hurt + sound[offset + 16 :])
        try:
            seen = told_by(home)
        except JournalError as error:
            refused += 1
            assert error.summary.startswith(("The journal", "Another process"))
        else:
            # SQLite has no checksums: a letter that fell over is read as it lies there. Nothing is made up, though.
            assert len({entry.key for entry, _ in seen} - keys) <= 1
        assert len(file.read_bytes()) == len(sound), "what is left is evidence, and nobody tidies it away"
        for name in NAMES[1:]:
            (home / name).unlink(missing_ok=True)
    assert refused > 5


@pytest.mark.parametrize("schema", ["99", "two", ""])
async def test_a_journal_of_another_version_is_not_touched(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, schema: str
) -> None:
    async with open_test_process() as process:
        await place_order.place(process, intent())
    with closing(sqlite3.connect(home / "journal.db", isolation_level=None)) as database:
        database.execute("update zinc_meta set value = ? where name = 'schema'", (schema,))
    before = (home / "journal.db").read_bytes()
    async with open_test_process() as process:
        refused = await place(process, intent(products=book(2)))
        assert isinstance(refused, JournalError)
        with pytest.raises(JournalError):
            await look(process, "local", "anything")
    assert (home / "journal.db").read_bytes() == before
    assert len(zinc.posts) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_file_that_may_only_be_read_refuses(open_test_process: OpenProcess, zinc: FakeZinc, home: Path) -> None:
    async with open_test_process() as process:
        await place_order.place(process, intent())
    home.chmod(0o500)
    (home / "journal.db").chmod(0o400)
    try:
        async with open_test_process() as process:
            refused = await place(process, intent(products=book(2)))
    finally:
        home.chmod(0o700)
    assert isinstance(refused, JournalError)
    assert len(zinc.posts) == 1
