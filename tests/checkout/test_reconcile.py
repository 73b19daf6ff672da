"""`reconcile` finds each kind of planted difference between Zinc and the journal, and none where there is none."""

import copy
import json
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast, get_args

import httpx
import pytest
from conftest import HandClock, OpenProcess
from fake_zinc import FakeZinc, failure
from started import ROOT
from wanted import ADDRESS, book, intent

from zinc_mcp.checkout.look_up import refresh
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.checkout.reconcile import reconcile
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import DAY_SECONDS, Entry, State
from zinc_mcp.process import Process
from zinc_mcp.rails.account import AccountRail
from zinc_mcp.spending.reconcile import Kind, Reconciled
from zinc_mcp.views.owner.reconciled import reconciled_view


@dataclass
class Shop:
    """A journal with orders, and a Zinc that agrees with it until a test plants something."""

    zinc: FakeZinc
    clock: HandClock
    journal: Journal
    rail: AccountRail
    entries: dict[str, Entry]

    def at_zinc(self, name: str) -> dict[str, Any]:
        """Return Zinc's order of an entry."""
        return self.zinc.orders[self.entries[name].order_id or ""]

    def copied(self, name: str, **changes: Any) -> str:
        """Put a second order like an entry's into the account."""
        order = {**copy.deepcopy(self.at_zinc(name)), "id": str(uuid.uuid4()), **changes}
        self.zinc.orders[order["id"]] = order
        return str(order["id"])

    def priced(self, name: str, total: int) -> None:
        """Change what was charged for a placed order."""
        self.zinc.settle(self.entries[name].order_id or "", total)

    def returned(self, name: str, cents: int, status: str = "credited") -> None:
        """Give something back."""
        row = {"id": "r1", "status": status, "reason": "defective", "credited_amount": cents}
        self.at_zinc(name)["returns"] = [row]

    def moved(self, name: str, state: State, **changes: Any) -> None:
        """Write something into the journal."""
        self.journal.move(self.journal.read(self.entries[name].id), state, "planted", **changes)

    async def compared(self, **options: Any) -> Reconciled:
        """Compare the last thirty days."""
        since = self.clock() - 30 * DAY_SECONDS
        return await reconcile(self.rail, self.journal, since, clock=self.clock, **options)


OpenShop = Callable[[Process], Any]


async def shop_of(process: Process, zinc: FakeZinc, clock: HandClock) -> Shop:
    entries: dict[str, Entry] = {}

    async def ordered(name: str, wanted: Intent) -> None:
        try:
            answer = await place(process, wanted)
            key = answer.entry.key if answer.entry else ""
        except ZincMcpError as error:
            key = str(error.facts["key"])
        found = await process.journal.find(key)
        assert found is not None
        entries[name] = found
        clock.pass_seconds(60)

    await ordered("open", intent(products=book(1)))
    await ordered("placed", intent(products=book(2)))
    await ordered("failed", intent(products=book(3)))
    await ordered("returned", intent(products=book(4)))
    zinc.script, zinc.listing = ["lose_before"] * 3, False
    await ordered("doubtful", intent(products=book(5)))
    zinc.script, zinc.listing = [failure(422, "out_of_stock")], True
    await ordered("rejected", intent(products=book(6)))
    zinc.settle(entries["placed"].order_id or "", 4_000)
    zinc.settle(entries["returned"].order_id or "", 4_500)
    zinc.advance(entries["failed"].order_id or "", "order_failed")
    zinc.orders[entries["returned"].order_id or ""]["returns"] = [
        {"id": "r0", "status": "credited", "reason": "defective", "credited_amount": 1_000}
    ]
    rail = cast(AccountRail, process.rails["account"])
    for name in ("placed", "failed", "returned"):
        entries[name], _ = await refresh(process, entries[name], rail)
    journal = Journal.open(process.settings.journal_url, clock=clock, uptime=None)
    return Shop(zinc, clock, journal, rail, entries)


def elsewhere(shop: Shop, **changes: Any) -> None:
    """Put an order into the account that nobody of ours placed."""
    products = book(99)
    items = [{"id": "1", "url": products[0]["url"], "quantity": 1, "status": "pending"}]
    order_id = str(uuid.uuid4())
    at = datetime.fromtimestamp(shop.clock(), UTC).isoformat()
    shop.zinc.orders[order_id] = {
        "id": order_id,
        "status": "pending",
        "max_price": 5000,
        "items": items,
        "shipping_address": ADDRESS,
        "metadata": {},
        "created_at": at,
        "updated_at": at,
        **changes,
    }


def found_at_zinc(shop: Shop, name: str) -> None:
    """Let Zinc have the order of an entry that knows of none."""
    body = json.loads(shop.entries[name].body or b"{}")
    items = [{"id": "1", "url": each["url"], "quantity": 1, "status": "pending"} for each in body["products"]]
    elsewhere(shop, items=items, metadata=body["metadata"], max_price=body["max_price"])


def later(shop: Shop, name: str, seconds: float) -> str:
    created = datetime.fromisoformat(shop.at_zinc(name)["created_at"])
    return (created + timedelta(seconds=seconds)).isoformat()


Plant = Callable[[Shop], object]
PLANTED: dict[str, tuple[str, bool, Plant]] = {
    "an order of another program": ("unknown_order", True, elsewhere),
    "another program's order that failed": ("unknown_order", False, lambda s: elsewhere(s, status="order_failed")),
    "another program's order whose failure is unclear": (
        "unknown_order",
        True,
        lambda s: elsewhere(s, status="order_failed", merchant_order_ids=["113-1"]),
    ),
    "an order of another journal": (
        "other_journal",
        True,
        lambda s: elsewhere(s, metadata={"zinc_mcp_key": "k", "zinc_mcp_twin": "t"}),
    ),
    "an order that Zinc lost": ("missing_order", True, lambda s: s.zinc.orders.pop(s.entries["placed"].order_id or "")),
    "a failed order that Zinc lost": (
        "missing_order",
        False,
        lambda s: s.zinc.orders.pop(s.entries["failed"].order_id or ""),
    ),
    "two orders for one key": ("same_key_twice", True, lambda s: s.copied("open")),
    "two orders for one intention": (
        "same_intention_twice",
        True,
        lambda s: s.copied("placed", metadata={**s.at_zinc("placed")["metadata"], "zinc_mcp_key": "another"}),
    ),
    "the same goods within a day": (
        "same_goods_twice",
        True,
        lambda s: s.copied("placed", metadata={}, created_at=later(s, "placed", 80_000)),
    ),
    "one order for two entries": (
        "shared_order",
        True,
        lambda s: s.moved("rejected", "accepted", order_id=s.entries["open"].order_id, problem=None),
    ),
    "other goods under our id": (
        "not_what_was_sent",
        True,
        lambda s: s.at_zinc("open").update(
            metadata={}, items=[{"id": "1", "url": book(77)[0]["url"], "quantity": 1, "status": "pending"}]
        ),
    ),
    "another ceiling under our id": (
        "not_what_was_sent",
        True,
        lambda s: s.at_zinc("open").update(max_price=900_000),
    ),
    "an order in doubt": ("found_in_doubt", False, lambda s: found_at_zinc(s, "doubtful")),
    "an order that Zinc had rejected": ("bought_after_no", True, lambda s: found_at_zinc(s, "rejected")),
    "news that nobody looked up": (
        "status_differs",
        False,
        lambda s: s.zinc.advance(s.entries["open"].order_id or "", "order_failed"),
    ),
    "an order that was placed and that nobody looked up": (
        "status_differs",
        False,
        lambda s: s.zinc.settle(s.entries["open"].order_id or "", 4_000),
    ),
    "an order that was over and goes on": (
        "status_differs",
        True,
        lambda s: s.zinc.advance(s.entries["failed"].order_id or "", "pending"),
    ),
    "a status of an open order that nobody knows": (
        "unclear_at_zinc",
        False,
        lambda s: s.zinc.advance(s.entries["open"].order_id or "", "refunded"),
    ),
    "a status of a placed order that nobody knows": (
        "unclear_at_zinc",
        False,
        lambda s: s.zinc.advance(s.entries["placed"].order_id or "", "disputed"),
    ),
    "a credit that contradicts its return": (
        "unclear_at_zinc",
        False,
        lambda s: s.at_zinc("placed").update(returns=[{"id": "r", "status": "denied", "credited_amount": 500}]),
    ),
    "another total": ("total_differs", True, lambda s: s.priced("placed", 4_100)),
    "more than the ceiling": ("above_ceiling", True, lambda s: s.priced("placed", 9_000)),
    "a credit": ("unknown_credit", False, lambda s: s.returned("placed", 500)),
    "a credit that is gone": ("credit_gone", True, lambda s: s.returned("returned", 0)),
}


async def test_a_journal_that_agrees_with_zinc_has_no_difference(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        posts = len(zinc.posts)
        found = await shop.compared(balance_was_cents=10_000_000)
        assert (found.differences, found.is_whole, found.in_doubt) == ([], True, 1)
        assert reconciled_view(found, days=30, asked_balance=True).outcome == "agrees"
        assert len(zinc.posts) == posts, "nothing is sent"
        shop.journal.close()


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", PLANTED)
async def test_a_planted_difference_is_found_and_no_other(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, name: str
) -> None:
    kind, money, plant = PLANTED[name]
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        plant(shop)
        before = [(entry.id, entry.version) for entry in shop.journal.entries()]
        found = await shop.compared()
        told = {(each.kind, each.concerns_money) for each in found.differences}
        beside = {"same_goods_twice": "unknown_order", "same_intention_twice": "other_journal"}.get(kind)
        assert told - {(beside, True)} == {(kind, money)}
        view = reconciled_view(found, days=30, asked_balance=False)
        assert view.outcome == "differs"
        assert all(each.keys or each.order_ids for each in view.differences)
        assert [(entry.id, entry.version) for entry in shop.journal.entries()] == before, "nothing is changed"
        shop.journal.close()


async def test_an_order_whose_id_has_capitals_is_named_as_the_journal_has_it(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        gone = str(uuid.uuid4()).upper()
        shop.moved("rejected", "accepted", order_id=gone, problem=None)
        [lost] = (await shop.compared()).differences
        assert (lost.kind, lost.order_ids) == ("missing_order", (gone,))
        shop.journal.close()


@pytest.mark.parametrize(("gone", "told"), [(0, False), (24_000, False), (24_001, True)])
async def test_money_that_is_gone_and_that_no_order_explains_is_told(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, gone: int, told: bool
) -> None:
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        found = await shop.compared(balance_was_cents=10_000_000 + gone)
        assert [each.kind for each in found.differences] == ["balance_unexplained"] * told
        zinc.wallets = [httpx.Response(200, json={"balance": 1, "billed_by_invoice": True})]
        assert (await shop.compared(balance_was_cents=10_000_000)).differences == []
        shop.journal.close()


async def test_two_orders_for_one_intention_that_were_both_allowed_are_no_difference(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, write_config: Callable[[str], Path]
) -> None:
    write_config('[policy]\nrepeat = "allow"\n')
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        clock.pass_seconds(3_600)
        again = (await place(process, intent(products=book(1), max_price=5_500))).entry
        assert again is not None and again.order_id not in (None, shop.entries["open"].order_id)
        assert (await shop.compared()).differences == []
        shop.journal.close()


async def test_a_comparison_that_is_not_whole_is_never_called_well(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        cut = {"orders": list(zinc.orders.values())[:2], "total": 9_000}
        empty: dict[str, Any] = {"orders": [], "total": 9_000}
        plants: list[list[httpx.Response | Exception]] = [
            # A page that cannot be read is asked for once more, smaller.
            [failure(500, "internal_error"), failure(500, "internal_error")],
            [httpx.ConnectError("refused")],
            [httpx.Response(200, content=b"<html>") for _ in range(2)],
            [httpx.Response(302, headers={"location": "https://evil.example/orders"}) for _ in range(2)],
            [httpx.Response(200, json={"items": []})],
            [httpx.Response(200, json={"orders": {}})],
            [failure(401, "unauthorized")],
            [httpx.Response(200, json=cut), httpx.Response(200, json=cut)],
            [httpx.Response(200, json=empty)],
            [httpx.Response(200, json={"orders": [*zinc.orders.values(), {"id": 7}]})],
        ]
        for number, lists in enumerate(plants):
            zinc.lists = list(lists)
            found = await shop.compared()
            view = reconciled_view(found, days=30, asked_balance=False)
            assert (found.is_whole, view.outcome) == (False, "not_compared"), number
            assert view.not_compared and "proves nothing" in view.summary
        zinc.listing = False  # an empty list: each order is read by itself
        found = await shop.compared()
        assert (found.differences, found.is_whole) == ([], True)
        zinc.reads = [failure(500, "internal_error")]
        found = await shop.compared()
        assert (found.differences, found.unsettled, found.is_whole) == ([], 1, False)
        shop.journal.close()


async def test_an_order_from_before_zinc_told_the_time_is_compared_too(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        with closing(sqlite3.connect(home / "journal.db")) as database, database:
            database.execute("UPDATE zinc_entries SET zinc_at = NULL")
        zinc.listing = False  # an empty list: each order is read by itself
        found = await shop.compared()
        assert (found.differences, found.is_whole) == ([], True)
        shop.journal.close()


async def test_wallets_and_other_keys_are_told_as_not_compared(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process(wallet="sandbox") as process:
        from dataclasses import replace

        await place(process, replace(intent(products=book(8)), rail="agent"))
    agent_order = next(iter(zinc.orders))
    async with open_test_process(api_key="zn_test_another") as process:
        await place(process, intent(products=book(9)))
    zinc.orders.pop(agent_order)
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        found = await shop.compared()
        assert (found.differences, found.paid_by_wallet, found.other_accounts) == ([], 1, 1)
        said = " ".join(reconciled_view(found, days=30, asked_balance=False).not_compared)
        assert "1 order paid by wallet" in said and "1 order placed with another API key" in said
        shop.journal.close()


def test_each_kind_of_difference_is_planted_and_documented() -> None:
    kinds = set(get_args(Kind))
    assert {kind for kind, _, _ in PLANTED.values()} == kinds - {"balance_unexplained"}
    page = (ROOT / "docs" / "owner.md").read_text(encoding="utf-8")
    assert {kind for kind in kinds if f"`{kind}`" not in page} == set()


async def test_a_huge_list_of_like_orders_takes_seconds(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        like = shop.at_zinc("placed")
        orders = [{**like, "id": str(uuid.uuid4())} for _ in range(4_000)]
        zinc.lists = [
            httpx.Response(200, json={"orders": orders[at : at + 150], "total": 4_000}) for at in range(0, 4_000, 150)
        ]
        began = time.process_time()
        found = await shop.compared()
        assert time.process_time() - began < 15.0
        assert (found.list_cut, found.orders) == (True, 1_500)
        kinds = [each.kind for each in found.differences]
        assert "same_key_twice" in kinds and len(kinds) < 10
        shop.journal.close()


async def test_words_of_others_are_cleaned_and_cut(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with open_test_process() as process:
        shop = await shop_of(process, zinc, clock)
        hostile = "all is well\n\x1b[2J\u202e" * 500
        elsewhere(shop, status="x" * 50 + "\x1b[2J", metadata={"zinc_mcp_key": hostile})
        view = reconciled_view(await shop.compared(), days=30, asked_balance=False)
        [each] = view.differences
        assert len(each.keys[0]) <= 64 and len(each.at_zinc or "") <= 60
        assert not {"\x1b", "\u202e", "\n"} & set("".join([*each.keys, each.at_zinc or "", each.amounts]))
        shop.journal.close()
