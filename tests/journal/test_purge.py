"""A purge removes all that is secret or personal, also from the disk, while others place orders."""

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from journal.full_journal import YEARS, driven, fill
from journal.test_journal import draft, entry
from journals import entry_of
from wanted import book, intent, order

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import OrderRejectedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.storage.purge import SLICE
from zinc_mcp.journal.storage.tables import ENTRIES, PAYMENTS

SECRETS = (
    b"Planted Street",
    b"212-555-0147",
    b"Buyer",
    b"B000000001",
    b"A planted gift",
    b"planted answer",
    b"zn_order_",
    b"Payment ey",
)


def on_disk(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.glob("journal.db*")))


async def test_nothing_secret_or_personal_of_an_old_order_is_left_on_the_disk(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, clock: HandClock, write_config: Any
) -> None:
    write_config('[policy]\napproval = "page"\n')
    wish = {"products": book(1), "gift_message": "A planted gift", "is_gift": True}
    async with open_test_process(wallet="sandbox") as process:
        for rail in ("account", "agent"):
            wanted = Intent("local", "agent" if rail == "agent" else "account", order(**wish, max_price=3000))
            asked = entry_of(await place(process, wanted))
            if asked.state == "waiting":
                bought = entry_of(await decide(process, yes(asked)))
                zinc.settle(str(bought.order_id), 2000)
                assert entry_of(await look(process, "local", bought.key)).state == "placed"
            wish = {**wish, "products": [*book(1), *book(2)]}
        said: dict[str, Any] = {
            "code": "invalid_request",
            "message": "planted answer: 12 Planted Street is none",
            "details": {},
        }
        zinc.script = [httpx.Response(400, json={"error": said})]
        asked = entry_of(await place(process, intent(products=book(3), idempotency_key="refused")))
        with pytest.raises(OrderRejectedError):
            await decide(process, yes(asked))
    before = on_disk(home)
    assert all(secret in before for secret in SECRETS[:3])
    assert b"planted answer" in before
    with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=lambda: clock.now + 400 * 86_400) as journal:
        assert journal.purge(30 * 86_400.0) == 3
        left = on_disk(home)  # while it is open, as a server has it
        assert [secret for secret in SECRETS if secret in left] == []
        kept = journal.find(asked.key)
        assert kept is not None
        assert (kept.state, kept.body, kept.twin) == ("rejected", None, asked.twin)
        assert (kept.problem or {})["code"] == "order_rejected"
        assert [event.what for event in journal.events(kept.id)][-1] == "purged"
    assert [secret for secret in SECRETS if secret in on_disk(home)] == []


def test_the_key_and_the_credential_of_an_order_are_forgotten_on_either_database(url: str, clock: HandClock) -> None:
    fill(url, 300, clock.now)
    with Journal.open(url, clock=clock, uptime=None) as journal:
        assert journal.purge(0.0) == 280, "all but what is open"
        assert journal.purge(0.0) == 0
    engine = sa.create_engine(driven(url))
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(ENTRIES.c.state, ENTRIES.c.body, ENTRIES.c.facts, PAYMENTS.c.order_key).outerjoin(
                PAYMENTS, PAYMENTS.c.entry_id == ENTRIES.c.id
            )
        ).all()
    engine.dispose()
    for state, body, facts, order_key in rows:
        if state in ("unknown", "accepted"):
            assert body is not None
            continue
        assert (body, json.loads(facts), order_key) == (None, {"retailer": "amazon.com"}, None)


RECOVERIES: dict[str, dict[str, Any]] = {
    "tempo": {
        "wallet": "tempo",
        "method": "tempo",
        "challenge_id": "planted-challenge",
        "expires_at": 1.0,
        "payer": "0xplanted-payer",
        "recipient": "0xplanted-recipient",
        "memo": "0xplanted-memo",
        "tx_hash": "0xfeed",
        "reference": "0xfeed",
    },
    "stripe": {
        "wallet": "stripe",
        "method": "stripe",
        "challenge_id": "planted-challenge",
        "idempotency_key": "planted-key",
        "account": "acct_planted",
        "token_digest": "planted-digest",
        "reference": None,
        "receipt": "pi_1",
        "named": ["planted-order"],
        "of a later version": {"address": "12 Planted Street"},
    },
}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("wallet", RECOVERIES)
@pytest.mark.parametrize("by", ["a purge", "an upgrade after a purge"])
def test_a_purge_keeps_the_method_and_the_reference_of_a_payment(
    url: str, clock: HandClock, wallet: str, by: str
) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        paid = journal.move(entry(journal, draft(1)), "sending", "", rail="agent", authorised_cents=5100)
        written = Payment(paid.id, 1.0, settle_by=2.0, recovery=RECOVERIES[wallet])
        if by == "a purge":
            journal.write_payment(written)
        journal.move(paid, "failed", "")
        clock.pass_seconds(86_400)
        assert journal.purge(0.0) == 1
        if by != "a purge":
            journal.write_payment(written)
    if by != "a purge":
        engine = sa.create_engine(driven(url))
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE zinc_meta SET value = '8' WHERE name = 'schema'")
        engine.dispose()
    with Journal.open(url, clock=clock, uptime=None) as journal:
        left = journal.payment(paid.id)
    assert left is not None
    assert left.recovery == {"method": wallet, "reference": {"tempo": "0xfeed", "stripe": "pi_1"}[wallet]}


def test_an_order_that_was_paid_and_never_found_keeps_what_the_owner_has_to_show(url: str, clock: HandClock) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        lost = journal.move(journal.move(entry(journal, draft(1)), "unknown", ""), "paid_no_order", "")
        clock.pass_seconds(90 * 86_400)
        assert journal.purge(0.0) == 0
        assert journal.read(lost.id).body is not None
        journal.resolve(lost.key, order_id=None)
        clock.pass_seconds(86_400)
        assert journal.purge(0.0) == 1


def test_secrets_of_an_earlier_version_are_forgotten_when_the_journal_is_brought_up_to_date(
    tmp_path: Path, clock: HandClock
) -> None:
    file = tmp_path / "journal.db"
    fill(f"sqlite:///{file}", 50, clock.now, state="placed", rail="agent")
    problem = json.dumps({"code": "x", "summary": "No.", "facts": {"zinc_message": "12 Planted Street"}})
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE zinc_entries SET body = NULL, problem = ?", (problem,))
        database.execute('UPDATE zinc_events SET detail = \'{"name": "Ada Planted"}\'')
        database.execute("DROP INDEX zinc_entries_listed")
        database.execute("DROP INDEX zinc_entries_forgettable")
        database.execute("UPDATE zinc_meta SET value = '6' WHERE name = 'schema'")
        database.commit()
    with Journal.open(f"sqlite:///{file}", clock=clock) as journal:
        first = journal.entries(1)[0]
        assert (first.facts, first.problem) == ({"retailer": "amazon.com"}, {"code": "x", "summary": "No."})
        assert all(event.detail == {} for event in journal.events(first.id))
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(order_key) FROM zinc_payments").fetchone() == (0,)


def test_only_the_event_that_names_a_person_loses_what_it_names(url: str, clock: HandClock) -> None:
    with Journal.open(url, clock=clock, uptime=None) as journal:
        bought = entry(journal, draft(1))
        bought = journal.move(bought, "accepted", "found", detail={"order_id": "A1", "name": "Ada Planted"})
        bought = journal.move(bought, "placed", "bought", detail={"order_id": "A1"})
        bought = journal.move(bought, "placed", "looked at")
        clock.pass_seconds(90 * 86_400)
        assert journal.purge(0.0) == 1
        details = {event.what: event.detail for event in journal.events(bought.id)}
    assert details["found"] == details["bought"] == {"order_id": "A1"}


def test_an_entry_that_cannot_be_read_is_forgotten_like_any_other(tmp_path: Path, clock: HandClock) -> None:
    file = tmp_path / "journal.db"
    fill(f"sqlite:///{file}", 3, clock.now, state="placed")
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE zinc_entries SET facts = '{half of 12 Planted Street' WHERE id = 1")
        database.execute("UPDATE zinc_entries SET facts = CAST(X'7B22E922' AS TEXT) WHERE id = 2")
        database.commit()
    with Journal.open(f"sqlite:///{file}", clock=clock) as journal:
        assert journal.purge(0.0) == 3
        assert len(journal.entries()) == 3
    assert b"Planted" not in on_disk(tmp_path)


@pytest.mark.parametrize("is_read", [False, True])
def test_a_log_that_others_read_is_told_as_not_emptied_and_no_other(
    tmp_path: Path, clock: HandClock, caplog: pytest.LogCaptureFixture, is_read: bool
) -> None:
    file = tmp_path / "journal.db"
    fill(f"sqlite:///{file}", 3, clock.now, state="placed")
    with Journal.open(f"sqlite:///{file}", clock=clock) as journal, closing(sqlite3.connect(file)) as reader:
        with journal._engine.connect() as connection:  # pyright: ignore[reportPrivateUsage]  # or it waits for long
            connection.exec_driver_sql("PRAGMA busy_timeout = 10")
        if is_read:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM zinc_entries").fetchone()
        assert journal.purge(0.0) == 3
    assert ("could not be emptied" in caplog.text) is is_read


def test_every_build_of_sqlite_wipes_overwritten_data(tmp_path: Path, clock: HandClock) -> None:
    with Journal.open(f"sqlite:///{tmp_path / 'journal.db'}", clock=clock) as journal:
        with journal._engine.connect() as connection:  # pyright: ignore[reportPrivateUsage]  # its own setting
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1


def test_orders_are_placed_between_two_slices_of_a_purge(url: str, clock: HandClock) -> None:
    fill(url, 6 * SLICE, clock.now, state="placed")
    longest, placed = [0.0], list[str]()
    with Journal.open(url, clock=clock, uptime=None) as mine, Journal.open(url, clock=clock, uptime=None) as other:
        purging = threading.Thread(target=lambda: mine.purge(YEARS / 1e6))
        purging.start()
        number = 0
        while purging.is_alive():
            number += 1
            began = time.monotonic()
            placed.append(entry(other, draft(number)).key)
            longest.append(time.monotonic() - began)
        purging.join()
        assert len(placed) > 5
        assert max(longest) < 5
        assert mine.purge(YEARS / 1e6) == 0
