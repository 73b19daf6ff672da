"""`zinc-mcp demo`: a practice order from the search to the credit, through the real server and the SDK's client."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import click
from mcp import Client, StdioServerParameters

from zinc_mcp.cli.console import working
from zinc_mcp.cli.demo_on_screen import (
    Facts,
    rows,
    show_fact,
    show_order,
    show_paragraph,
    show_price,
    show_products,
    show_sentences,
    show_title,
)
from zinc_mcp.cli.screen import show_command
from zinc_mcp.text import printed

PRODUCTS = "https://zinc.com/shop/products"
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Example",
    "address_line1": "350 Fifth Avenue",
    "city": "New York",
    "state": "NY",
    "postal_code": "10118",
    "phone_number": "212-736-3100",
}
WANTED, PRICE_CENTS, CEILING_CENTS = "whole bean coffee", 2000, 4000
PATIENCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.3
_PACE = 2
"""Practice orders then arrive after about 8 seconds, so that the whole demo takes less than 20 seconds."""


@click.command()
def demo() -> None:
    """Place practice orders and follow one to its end: search, check, order, delivery, return, credit.

    Everything is practice: the sandbox inside the server, a journal in a temporary folder, no network.
    """
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-demo-") as home:
        anyio.run(_demonstrate, Path(home))


async def _demonstrate(home: Path) -> None:
    started = time.monotonic()
    # The person's own configuration is removed: the demo must not find a live key or their journal.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
    environment |= {"ZINC_MCP_SANDBOX": "1", "ZINC_MCP_SANDBOX_PACE": str(_PACE), "ZINC_MCP_HOME": str(home)}
    server = StdioServerParameters(command=sys.executable, args=["-m", "zinc_mcp"], env=environment)
    async with Client(server) as client:
        show_title("The server, started as a host would start it")
        show_paragraph(f"  (practice orders advance {_PACE} times as fast here as in a sandbox of your own)")
        for tool in (await client.list_tools()).tools:
            show_fact(tool.name, f"{(tool.description or '').split('. ')[0]}.")
        found = await _search(client)
        checked = await _check(client, found)
        first = await _order(client, checked)
        went_well = [
            await _repeat(client, checked, first),
            await _lose_the_answer(client, home),
            await _fail(client),
            await _pay_by_wallet(client, home),
        ]
        show_title("The first order again, until it is delivered")
        delivered = await _wait(client, first, _is_delivered)
        show_order(delivered)
        went_well += [_is_delivered(delivered), await _send_back(client, delivered)]
        if not all(went_well):
            raise click.ClickException("the demo did not go as it must; see above")
    click.echo("")
    show_paragraph(f"Done in {time.monotonic() - started:.1f} s. Nothing was bought: all of it was practice.")
    _say_what_is_next()


async def _search(client: Client) -> Facts:
    show_title(f"A wish: {WANTED} under {printed(PRICE_CENTS)}")
    found = await _call(client, "search_products", {"query": WANTED, "max_price": PRICE_CENTS, "limit": 10})
    show_products(found, 3)
    return found


async def _check(client: Client, found: Facts) -> Facts:
    show_title("Can the first one be ordered?")
    product = rows(found, "results")[0]
    checked = await _call(client, "check_product", {"url": product["url"], "details": True})
    details = cast(Facts, checked.get("details") or {})
    show_fact("Product", details.get("title"))
    show_fact("Address", checked.get("url"))
    return checked


async def _order(client: Client, checked: Facts) -> Facts:
    show_title("An order of two")
    return await _place(client, _wanted(str(checked["url"]), CEILING_CENTS, quantity=2))


async def _repeat(client: Client, checked: Facts, first: Facts) -> bool:
    show_title("The same wish again, in other words")
    show_paragraph("  (another max_price, a tracking parameter in the address, another key)")
    address = f"{checked['url']}?utm_source=newsletter"
    words = _wanted(address, CEILING_CENTS + 500, quantity=2, idempotency_key="a-retry-of-the-agents")
    again = await _place(client, words)
    same = again.get("order_id") == first.get("order_id")
    show_fact("Same order?", "yes: one intention, one purchase" if same else "NO")
    return same


async def _lose_the_answer(client: Client, home: Path) -> bool:
    show_title("An order whose answer is lost on the way")
    show_paragraph("  (the sandbox accepts it and cuts the connection before it answers)")
    lost = await _place(client, _wanted(f"{PRODUCTS}/test-success?item=2&fault=drop_after", 6000))
    return _history(home, str(lost.get("key")))


async def _fail(client: Client) -> bool:
    show_title("An order that fails, with the reason")
    failing = await _place(client, _wanted(f"{PRODUCTS}/test-out-of-stock", 6000))
    failed = await _wait(client, failing, _is_final)
    show_fact("Outcome", failed.get("outcome"))
    show_fact("Why", failed.get("summary"))
    show_fact("What to do", failed.get("next_step"))
    return failed.get("outcome") == "failed"


async def _pay_by_wallet(client: Client, home: Path) -> bool:
    show_title("An order paid by a payment wallet, without an account (HTTP 402)")
    paid = await _place(client, _wanted(f"{PRODUCTS}/test-success?item=3", 6000), "place_agent_order")
    settled = _payment(home, str(paid.get("key")))
    placed = await _wait(client, paid, _is_final)
    show_fact("Outcome", placed.get("outcome"))
    show_price(placed, held="Taken up front", paid="It really cost", expected_back="Should come back")
    return settled


async def _send_back(client: Client, order: Facts) -> bool:
    show_title("One of the two goes back")
    item = {"number": 1, "quantity": 1}
    wanted = {"order_id": order["order_id"], "items": [item], "reason": "no_longer_needed"}
    show_sentences(await _call(client, "return_order", wanted))
    returned = await _wait(client, order, _is_credited)
    for each in rows(returned, "returns"):
        show_fact("Labels to print", len(each.get("labels") or []))
        show_fact("Credited", printed(int(each.get("credited_cents") or 0)))
    return _is_credited(returned)


def _say_what_is_next() -> None:
    show_title("What to do next")
    show_paragraph("1. Practise in your own host. This finds the hosts on this machine and asks which shall start it:")
    show_command("install", "--sandbox")
    show_paragraph("2. To buy for real, sign in, and install without --sandbox. You are asked before each order.")
    show_command("login")
    show_paragraph("3. This says whether everything is set up, and what is wrong:")
    show_command("doctor")


def _wanted(url: str, max_price: int, *, quantity: int = 1, **more: Any) -> dict[str, Any]:
    product = {"url": url, **({"quantity": quantity} if quantity > 1 else {})}
    return {"products": [product], "shipping_address": ADDRESS, "max_price": max_price, **more}


async def _call(client: Client, tool: str, arguments: Mapping[str, Any]) -> Facts:
    facts = cast(Facts, (await client.call_tool(tool, dict(arguments))).structured_content or {})
    if tool in ("search_products", "check_product"):
        show_sentences(facts)
    return facts


async def _place(client: Client, order: Mapping[str, Any], tool: str = "place_order") -> Facts:
    with working("The order is on its way..."):
        facts = await _call(client, tool, order)
    show_sentences(facts)
    show_fact("Order id", facts.get("order_id"))
    return facts


async def _wait(client: Client, placed: Facts, is_enough: Callable[[Facts], bool]) -> Facts:
    """Call `get_order` again and again until the order is as wanted or came to nothing, and print each change."""
    handle = str(placed.get("order_id") or placed.get("key"))
    seen: list[str] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    facts: Facts = placed
    pause = 0.0
    while time.monotonic() < deadline:
        with working("Waiting for news of the order..."):
            await anyio.sleep(pause)
            facts = await _call(client, "get_order", {"order_id": handle, "wait_seconds": 10})
        states = [str(row.get("status")) for name in ("tracking", "returns") for row in rows(facts, name)]
        news = " / ".join([str(facts.get("status")), *states])
        if news not in seen:
            seen.append(news)
            show_fact("News", news)
        if is_enough(facts) or (facts.get("is_final") and facts.get("outcome") != "placed"):
            break
        pause = _PAUSE_SECONDS
    return facts


def _is_final(order: Facts) -> bool:
    return bool(order.get("is_final"))


def _is_delivered(order: Facts) -> bool:
    return any(parcel.get("status") == "delivered" for parcel in rows(order, "tracking"))


def _is_credited(order: Facts) -> bool:
    return any(each.get("status") == "credited" for each in rows(order, "returns"))


def _history(home: Path, key: str) -> bool:
    """Print the journal's events of an entry; return whether it was sent once and found again."""
    from zinc_mcp.journal.journal import Journal

    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        entry = journal.find(key)
        events = journal.events(entry.id) if entry is not None else []
    for event in events:
        show_fact("Journal", f"{event.state}: {event.what}")
    sent_once = entry is not None and entry.attempts == 1 and entry.order_id is not None
    show_fact("Sent once, found again?", "yes" if sent_once else "NO")
    return sent_once


def _payment(home: Path, key: str) -> bool:
    """Print the journal's facts about a payment; return whether the wallet was asked once and the order is known."""
    from zinc_mcp.journal.journal import Journal

    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        entry = journal.find(key)
        payment = journal.payment(entry.id) if entry is not None else None
    if entry is None or payment is None:
        return False
    paid: Facts = entry.facts.get("payment", {})
    show_fact("Challenge", payment.recovery.get("challenge_id"))
    show_fact("Paid by", paid.get("method"))
    show_fact("Taken up front", printed(int(paid.get("authorised_cents", 0))))
    show_fact("Receipt's reference", paid.get("reference"))
    show_fact("Credential kept?", "no: the order is known" if payment.credential is None else "yes, still")
    return entry.order_id is not None and entry.attempts == 1
