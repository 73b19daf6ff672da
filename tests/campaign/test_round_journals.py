"""A campaign records and ages the journal of a round, and the judge reads it afterwards, the same on both databases."""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from journal.test_journal import draft, entry

from bench.campaign.journals import sqlite
from bench.campaign.journals.journal import RoundJournal
from bench.campaign.journals.places import journal_of
from bench.campaign.judge.evidence import rows_of
from bench.campaign.judge.record import read_record
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.clocks import FREE

TWO_DAYS = 2 * 86_400.0


@dataclass
class Played:
    """A round's journal as the campaign sees it, and as a server does."""

    seen: RoundJournal
    journal: Journal
    folder: Path

    def judged(self, query: str) -> list[dict[str, Any]]:
        """End the round, and return rows of what is left for the judge."""
        self.journal.close()
        self.seen.leave_for_judge()
        with closing(sqlite3.connect(self.folder / "journal.db")) as database:
            return rows_of(database, query)


@pytest.fixture(params=["sqlite", "postgresql"])
def played(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Played]:
    environ = {"ZINC_MCP_HOME": str(tmp_path)}
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'journal.db'}"
        Journal.open(url).close()
        sqlite.keep_record(tmp_path / "journal.db")
    else:
        from bench.campaign.journals import postgresql

        make: Callable[[], str] = request.getfixturevalue("make_database")
        url = environ["ZINC_MCP_JOURNAL"] = make()
        Journal.open(url).close()
        postgresql.keep_record(url)
    seen = journal_of(environ)
    assert {"ZINC_MCP_HOME": str(tmp_path), **seen.environ} == environ
    with Journal.open(url) as journal:
        yield Played(seen, journal, tmp_path)


def test_the_judge_reads_every_version_and_every_event_in_the_order_of_their_writing(played: Played) -> None:
    sent = entry(played.journal, draft(1), sending=lambda: {"state": "sending", "attempts": 1})
    asked = entry(played.journal, draft(2))
    played.journal.move(sent, "accepted", "accepted by Zinc", order_id="o-1", **FREE)
    played.journal.move(asked, "refused", "abandoned before sending", counts_cents=0, **FREE)
    events = played.judged("SELECT entry_id, version, what FROM zinc_events ORDER BY rowid")
    assert [(event["entry_id"], event["what"]) for event in events] == [
        (sent.id, "opened"),
        (sent.id, "sending"),
        (asked.id, "opened"),
        (sent.id, "accepted by Zinc"),
        (asked.id, "abandoned before sending"),
    ]
    record = read_record(played.folder / "journal.db")
    assert [(row["id"], row["state"], row["what"]) for row in record] == [
        (sent.id, "sending", "sending"),
        (asked.id, "waiting", "opened"),
        (sent.id, "accepted", "accepted by Zinc"),
        (asked.id, "refused", "abandoned before sending"),
    ]
    assert all(abs(row["at"] - time.monotonic()) < 60 for row in record)


def test_only_doubts_about_the_wanted_goods_get_older(played: Played) -> None:
    doubtful, another, certain = (entry(played.journal, draft(number)) for number in range(3))
    for each in (doubtful, another):
        played.journal.move(each, "unknown", "no answer", **FREE)
    assert played.seen.age_doubts("B000000000", TWO_DAYS) == 1
    assert played.seen.age_doubts("B000000002", TWO_DAYS) == 0, "it is in no doubt"
    assert played.seen.keys_with("B000000000") == [doubtful.key]
    now = [played.journal.read(each.id).opened_at for each in (doubtful, another, certain)]
    assert now == [doubtful.opened_at - TWO_DAYS, another.opened_at, certain.opened_at]


def test_the_journal_itself_gets_older(played: Played) -> None:
    played.seen.make_older(TWO_DAYS)
    [row] = played.judged("SELECT value FROM zinc_meta WHERE name = 'created_at'")
    assert time.time() - TWO_DAYS - 600 < float(row["value"]) < time.time() - TWO_DAYS + 1
