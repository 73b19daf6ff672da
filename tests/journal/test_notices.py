"""One process alone writes down that a message was sent, on both databases."""

from typing import Any, cast

from journal.test_journal import draft

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.notices import MOST_NEW, row_of
from zinc_mcp.journal.records.entry import Entry, Limits


def opened(journal: Journal, number: int = 0, **changes: Any) -> Entry:
    found = journal.open_entry(draft(number), Limits(), owner="test", lease_seconds=1.0, window_seconds=1.0)
    entry = cast(Entry, found)
    return journal.move(entry, "refused", "refused") if changes.get("over") else entry


def test_one_of_two_processes_alone_writes_down_that_it_tells(url: str) -> None:
    with Journal.open(url) as one, Journal.open(url) as other:
        row = row_of(opened(one).id)
        first = one.keep_notice(row, None, {"told": {"waiting": ["sending", 1, 2.0]}})
        assert first is not None
        assert other.keep_notice(row, None, {"told": {}}) is None
        assert other.keep_notice(row, "{}", {"told": {}}) is None
        assert other.kept_notice(row) == (first, {"told": {"waiting": ["sending", 1, 2.0]}})
        assert other.keep_notice(row, first, {"told": {}}) is not None
        one.drop_notice(row, first)  # it has changed since
        assert one.kept_notice(row)[0] is not None


def test_the_past_is_not_looked_at_and_every_later_entry_once(url: str) -> None:
    with Journal.open(url) as journal:
        for number in range(3):
            opened(journal, number, over=True)
        looked = journal.look_for_notices((), None)
        assert looked.followed == [] and looked.newest == looked.cursor
        waits = opened(journal, 10)
        over = [opened(journal, 11 + number, over=True) for number in range(MOST_NEW)]
        seen: list[int] = []
        for _ in range(2):
            looked = journal.look_for_notices((), None)
            seen += [each.entry.id for each in looked.followed if each.entry.id != waits.id]
            journal.has_looked(looked.cursor, looked.newest)
        assert seen == [each.id for each in over]
        looked = journal.look_for_notices((), None)
        assert [each.entry.id for each in looked.followed] == [waits.id]  # it is not over
        journal.has_looked(0, 10_000)  # an outdated look does not move it
        assert journal.look_for_notices((), None).cursor == looked.cursor


def test_followed_entries_come_page_by_page(url: str) -> None:
    with Journal.open(url) as journal:
        journal.look_for_notices((), None)
        entries = [opened(journal, number, over=True) for number in range(5)]
        last = journal.look_for_notices((), None)
        journal.has_looked(last.cursor, last.newest)
        for entry in entries:
            assert journal.keep_notice(row_of(entry.id), None, {"delivered": False}) is not None
        assert journal.look_for_notices((), None).followed == []
        looked = journal.look_for_notices((), "")
        assert {each.entry.id for each in looked.followed} == {each.id for each in entries}
        assert all(each.told == {"delivered": False} for each in looked.followed) and looked.last is None
        journal.pause("a pause is no notice")
        assert journal.pauses() == ["a pause is no notice"]


def test_a_row_that_cannot_be_read_counts_as_nothing_told(url: str) -> None:
    with Journal.open(url) as journal:
        entry = opened(journal)
        journal.keep_notice(row_of(entry.id), None, {"told": "nonsense"})
        [followed] = journal.look_for_notices((), None).followed
        assert followed.told == {"told": "nonsense"}
        assert journal.last_notice() == {}
