"""A journal's periods and accounts are read whole, on both databases, with what cannot be read counted."""

from typing import Any

import pytest
import sqlalchemy as sa
from conftest import HandClock

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.periods import PERIOD_SLICE
from zinc_mcp.journal.records.entry import Draft, Entry, Limits, Mode
from zinc_mcp.known_settings import RailName

DAY = 86_400.0


class By:
    """The identity of an account."""

    name: RailName = "account"
    mode: Mode = "live"
    origin = "https://api.zinc.com"
    account = "ours"
    former_account = "ours"


def _no_bytes(key: str) -> bytes:
    return b"{}"


def opened(journal: Journal, twin: str, **changes: Any) -> Entry:
    known: dict[str, Any] = {
        "caller": "local",
        "mode": "live",
        "origin": By.origin,
        "account": "ours",
        "rail": "account",
        "body_digest": twin,
        "given_key": None,
        "to_bytes": _no_bytes,
        "ceiling_cents": 5000,
        "fee_cents": 100,
        "facts": {},
    }
    draft = Draft(twin=twin, **{**known, **changes})
    entry = journal.open_entry(draft, Limits(), owner="test", lease_seconds=60.0, window_seconds=DAY)
    assert isinstance(entry, Entry)
    return entry


def names(journal: Journal, since: float, until: float, *modes: Mode) -> list[str]:
    return [entry.twin for part in journal.in_period(since, until, modes or ["live"]) for entry in part.entries]


def test_an_order_is_in_the_period_in_which_it_was_first_sent(url: str, clock: HandClock) -> None:
    began = clock()
    with Journal.open(url, clock=clock, uptime=None) as journal:
        first = opened(journal, "sent later")
        opened(journal, "never sent")
        opened(journal, "practice", mode="sandbox")
        clock.pass_seconds(DAY)
        journal.move(first, "sending", "sent", attempts=1, first_sent_at=clock())
        assert names(journal, began, began + DAY) == ["never sent"]
        assert names(journal, began + DAY, began + 2 * DAY) == ["sent later"]
        assert names(journal, began + DAY + 1, began + 9 * DAY) == []
        assert names(journal, began, began + 2 * DAY, "live", "sandbox") == ["sent later", "never sent", "practice"]


def test_more_orders_than_one_slice_come_whole_and_unreadable_ones_are_counted(url: str, clock: HandClock) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        for number in range(PERIOD_SLICE + 5):
            opened(journal, f"number {number}")
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE zinc_entries SET facts = '[' WHERE id IN (7, :last)"), {"last": PERIOD_SLICE}
        )
    engine.dispose()
    with Journal.open(url, clock=clock, uptime=None) as journal:
        parts = list(journal.in_period(0.0, clock() + 1, ["live"]))
    assert [len(part.entries) for part in parts] == [PERIOD_SLICE - 2, 5]
    assert [part.unreadable for part in parts] == [2, 0]


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({}, "ours"),
        ({"caller": "ada"}, "ours"),
        ({"account": "another"}, "other"),
        ({"origin": "https://elsewhere.example"}, "other"),
        ({"rail": "agent"}, "wallet"),
        ({"mode": "test"}, "nowhere"),
    ],
)
def test_an_account_s_orders_are_told_from_those_of_others(
    url: str, clock: HandClock, changes: dict[str, Any], where: str
) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        journal.move(opened(journal, "one", **changes), "accepted", "sent", attempts=1, order_id="id-1")
        if where != "ours":
            opened(journal, "never sent", **changes)
        ours = [entry.twin for entry in journal.of_account(By(), clock() - DAY)]
        paid, service, other = journal.not_of_account(By(), clock() - DAY)
        assert service == 0
        assert (len(ours), paid, other) == (where == "ours", where == "wallet", where == "other")
        clock.pass_seconds(9 * DAY)
        assert journal.of_account(By(), clock() - DAY) == []
        assert journal.not_of_account(By(), clock() - DAY) == (0, 0, 0)


def test_an_order_in_doubt_belongs_to_its_account_for_ever(url: str, clock: HandClock) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        journal.move(opened(journal, "doubtful"), "unknown", "no answer", attempts=1)
        clock.pass_seconds(90 * DAY)
        assert [entry.twin for entry in journal.of_account(By(), clock() - DAY)] == ["doubtful"]


def test_look_ups_are_found_by_their_key_and_added_up(url: str, clock: HandClock) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        order = opened(journal, "an order")
        assert journal.look_ups_under(order.key) == []
        look_up = opened(journal, "question", kind="look_up", ceiling_cents=1, fee_cents=0)
        assert [entry.twin for entry in journal.look_ups_under(look_up.key)] == ["question"]
        assert journal.looked_up_cents(By(), clock() - DAY) == 1
        assert journal.looked_up_cents(By(), clock()) == 1, "from this very moment on"
        assert journal.looked_up_cents(By(), clock() + DAY) == 0
