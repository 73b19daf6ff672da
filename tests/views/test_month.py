"""A month of practice orders on both rails: the export agrees with the sandbox's own ledger to the cent."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import HandClock
from variants import rare
from wanted import ADDRESS, book, order

from zinc_mcp.checkout.look_up import refresh
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.known_settings import RailName
from zinc_mcp.owner.settings import Settings
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.order_view import order_at
from zinc_mcp.sandbox.products import ORDER_FEE
from zinc_mcp.views.owner.export import costs, row_of, to_csv, totals
from zinc_mcp.wiring import open_process

NOVEMBER, DECEMBER = 1_793_491_200.0, 1_796_083_200.0
PRODUCTS = (
    "success",
    "out-of-stock",
    "success",
    "price-exceeded",
    "cancelled-by-retailer",
    "refunded",
    "foreign-currency",
    "no-price",
    "never-decided",
    "hostile-refusal",
)
"""The scenarios of test products; every second order is of an ordinary product with a price of its own."""
RAILS: tuple[RailName, ...] = ("account", "agent", "agent")


@pytest.mark.parametrize("orders", [120, rare(1_000)])
async def test_a_month_of_orders_agrees_with_zinc_s_ledger(tmp_path: Path, orders: int) -> None:
    clock = HandClock(NOVEMBER + 60.0)
    sandbox = Sandbox(clock=clock)
    (tmp_path / "zinc.toml").write_text(
        "sandbox = true\n[policy]\nmax_day = 100000000\nmax_unproved = 100000000\n", encoding="utf-8"
    )
    settings = Settings(home=tmp_path, config=tmp_path / "zinc.toml", sandbox=True, browser=False)
    async with open_process(settings, transport=sandbox.transport(), clock=clock, uptime=None) as process:
        for number in range(orders):
            scenario = PRODUCTS[number // 2 % len(PRODUCTS)]
            products = book(number) if number % 2 else [{"url": f"https://zinc.com/shop/products/test-{scenario}"}]
            address = {**ADDRESS, "address_line1": f"{number} Planted Street"}
            wanted = order(products=products, shipping_address=address, max_price=5_000 + number)
            try:
                await place(process, Intent("local", RAILS[number % len(RAILS)], wanted))
            except ZincMcpError as refused:
                assert scenario == "hostile-refusal", refused
            clock.pass_seconds(2_500.0)
        assert clock() < DECEMBER
        clock.pass_seconds(7 * 86_400.0)
        for entry in await process.journal.run(lambda journal: journal.entries(orders)):
            await refresh(process, entry, process.rails[entry.rail])
        found = await process.journal.run(lambda journal: list(journal.in_period(NOVEMBER, DECEMBER, ["sandbox"])))
        nothing = await process.journal.run(lambda journal: list(journal.in_period(DECEMBER, 2e9, ["sandbox"])))
    assert (nothing, {part.unreadable for part in found}) == ([], {0})
    rows = [row_of(entry) for part in found for entry in part.entries if costs(entry)]
    assert len(rows) == orders
    ledger = _of_ledger(sandbox)
    assert {row["order_id"] for row in rows if row["order_id"]} == set(ledger)
    for row in rows:
        wanted_row = ledger.get(row["order_id"], _nothing())
        assert {name: row[name] for name in wanted_row} == wanted_row, row
    sums: Counter[str] = Counter()
    for each in ledger.values():
        sums.update({name: cents or 0 for name, cents in each.items()})
    told: Counter[str] = Counter()
    for total in totals(rows):
        told.update({name: total[name] for name in sums})
    assert told == sums
    assert sum(cents > 0 for cents in sums.values()) == len(sums), "the month holds each kind of money"
    read = list(csv.DictReader(io.StringIO(to_csv(rows), newline="")))
    for name, cents in sums.items():
        assert sum(int(row[name] or 0) for row in read) == cents
    taken = sum(each["amount_cents"] for each in sandbox.settlements())
    assert taken == sum(row["authorised_cents"] for row in rows if row["rail"] == "agent")


def _nothing() -> dict[str, int | None]:
    return {"authorised_cents": 0, "charged_cents": 0, "credited_cents": 0, "expected_cents": 0, "unsettled_cents": 0}


def _of_ledger(sandbox: Sandbox) -> dict[str, dict[str, int | None]]:
    """Return the money of each order, from the sandbox's rows and payments alone."""
    paid: dict[str | None, int] = {each["order_id"]: each["amount_cents"] for each in sandbox.settlements()}
    found: dict[str, dict[str, int | None]] = {}
    for row in [
        each for caller in {each["api_key"] for each in sandbox.placed()} for each in sandbox.ledger.orders_of(caller)
    ]:
        shown: dict[str, Any] = order_at(row, sandbox.clock(), sandbox.pace)
        ceiling: int = row.body["max_price"] + ORDER_FEE
        most = paid.get(row.order_id, ceiling)
        result: dict[str, Any] = shown["job_result"] or {}
        components: dict[str, Any] = result.get("price_components") or {}
        price: int | None = components.get("converted_payment_total")
        credited: int = sum(each["credited_amount"] for each in shown["returns"])
        bought = shown["status"] == "order_placed"
        over = bought or shown["status"] in ("order_failed", "cancelled_by_retailer")
        charged: int | None = 0 if over and not bought else None
        if bought and price is not None:
            charged = price + ORDER_FEE
        # What is credited for goods does not return the rest that was paid up front.
        returned = charged if bought else credited
        due = max(0, most - (returned or 0)) if charged is not None and row.order_id in paid else 0
        found[row.order_id] = {
            "authorised_cents": most,
            "charged_cents": charged,
            "credited_cents": credited,
            "expected_cents": due,
            "unsettled_cents": most if charged is None else 0,
        }
    return found
