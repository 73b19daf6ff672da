"""`zinc-mcp demo`: place practice orders in the built-in sandbox, through the real server and the SDK's client."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import click
from mcp import Client, StdioServerParameters

from zinc_mcp.cli.screen import columns, show_command, wrapped
from zinc_mcp.invocation import started_with
from zinc_mcp.text import plain, printed
from zinc_mcp.views.order import PRICE_LABELS

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
PATIENCE_SECONDS = 20.0

_LABEL_COLUMNS = 26
_FEWEST_COLUMNS = 40
"""If fewer columns are left beside the labels, each label stands on a line above its value."""

Facts = Mapping[str, Any]


@click.command()
def demo() -> None:
    """Place practice orders through the real server and show what happens.

    Everything is practice: the sandbox inside the server, a journal in a temporary folder, no network.
    """
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-demo-") as home:
        anyio.run(_demonstrate, Path(home))


async def _demonstrate(home: Path) -> None:
    started = time.monotonic()
    # The person's own configuration is removed: the demo must not find a live key or their journal.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
    environment |= {"ZINC_MCP_SANDBOX": "1", "ZINC_MCP_HOME": str(home)}
    server = StdioServerParameters(command=sys.executable, args=["-m", "zinc_mcp"], env=environment)
    async with Client(server) as client:
        _title("The server, started as a host would start it")
        for tool in (await client.list_tools()).tools:
            _line(tool.name, f"{(tool.description or '').split('. ')[0]}.")

        _title("An order")
        order = _order("test-success", 6000)
        first = await _place(client, order)

        _title("The same wish again, in other words")
        _paragraph("  (another max_price, a tracking parameter in the address, another key)")
        words = _order("test-success?utm_source=newsletter", 6500, idempotency_key="a-retry-of-the-agents")
        again = await _place(client, words)
        same = again.get("order_id") == first.get("order_id")
        _line("Same order?", "yes: one intention, one purchase" if same else "NO")

        _title("An order whose answer is lost on the way")
        _paragraph("  (the sandbox accepts it and cuts the connection before it answers)")
        lost = await _place(client, _order("test-success?item=2&fault=drop_after", 6000))
        found = _history(home, str(lost.get("key")))

        _title("An order that fails, with the reason")
        failing = await _place(client, _order("test-out-of-stock", 6000))
        failed = await _wait(client, failing)
        _line("Outcome", failed.get("outcome"))
        _line("Why", failed.get("summary"))
        _line("What to do", failed.get("next_step"))

        _title("An order paid by a payment wallet, without an account (HTTP 402)")
        paid = await _place(client, _order("test-success?item=3", 6000), "place_agent_order")
        settled = _payment(home, str(paid.get("key")))

        _title("Waiting for the first order")
        _show(await _wait(client, first, until_shipped=True))
        _title("And what the wallet paid")
        _show_payment(await _wait(client, paid))
        if not same or not found or not settled or failed.get("outcome") != "failed":
            raise click.ClickException("the demo did not go as it must; see above")
    click.echo("")
    _paragraph(f"Done in {time.monotonic() - started:.1f} s. Nothing was bought: all of it was practice.")
    _say_what_is_next()


def _say_what_is_next() -> None:
    # The full path of the program, because a host's PATH is often shorter than a terminal's.
    started, *arguments = started_with()
    entry = {"command": started, **({"args": arguments} if arguments else {}), "env": {"ZINC_MCP_SANDBOX": "1"}}
    _title("What to do next")
    _paragraph("1. Practise in your own host. This goes into its configuration (README, “Your host”):")
    click.echo(json.dumps({"mcpServers": {"zinc": entry}}, indent=2, ensure_ascii=False))
    _paragraph(
        "2. To buy for real, put ZINC_API_KEY in the place of ZINC_MCP_SANDBOX. You are asked before each order."
    )
    _paragraph("3. This says whether everything is set up, and what is wrong:")
    show_command("doctor")


def _order(product: str, max_price: int, **more: Any) -> dict[str, Any]:
    return {
        "products": [{"url": f"{PRODUCTS}/{product}"}],
        "shipping_address": ADDRESS,
        "max_price": max_price,
        **more,
    }


async def _place(client: Client, order: Mapping[str, Any], tool: str = "place_order") -> Facts:
    result = await client.call_tool(tool, dict(order))
    facts = cast(Facts, result.structured_content or {})
    _line("Told", facts.get("summary"))
    _line("Next", facts.get("next_step"))
    _line("Order id", facts.get("order_id"))
    return facts


async def _wait(client: Client, placed: Facts, *, until_shipped: bool = False) -> Facts:
    """Call `get_order` again and again until the order is final, and print each change."""
    handle = str(placed.get("order_id") or placed.get("key"))
    seen: list[str] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    facts: Facts = placed
    while time.monotonic() < deadline:
        result = await client.call_tool("get_order", {"order_id": handle, "wait_seconds": 10})
        facts = cast(Facts, result.structured_content or {})
        parcels = cast(list[Facts], facts.get("tracking") or [])
        news = " / ".join([str(facts.get("status")), *(str(parcel.get("status")) for parcel in parcels)])
        if news not in seen:
            seen.append(news)
            _line("News", news)
        shipped = any(parcel.get("status") in ("in_transit", "delivered") for parcel in parcels)
        if facts.get("is_final") and (shipped or not until_shipped or facts.get("outcome") != "placed"):
            break
    return facts


def _history(home: Path, key: str) -> bool:
    """Print the journal's events of an entry; return whether it was sent once and found again."""
    from zinc_mcp.journal.journal import Journal

    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        entry = journal.find(key)
        events = journal.events(entry.id) if entry is not None else []
    for event in events:
        _line("Journal", f"{event.state}: {event.what}")
    sent_once = entry is not None and entry.attempts == 1 and entry.order_id is not None
    _line("Sent once, found again?", "yes" if sent_once else "NO")
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
    _line("Challenge", payment.recovery.get("challenge_id"))
    _line("Paid by", paid.get("method"))
    _line("Taken up front", printed(int(paid.get("authorised_cents", 0))))
    _line("Receipt's reference", paid.get("reference"))
    _line("Credential kept?", "no: the order is known" if payment.credential is None else "yes, still")
    return entry.order_id is not None and entry.attempts == 1


def _show_payment(order: Facts) -> None:
    _line("Outcome", order.get("outcome"))
    _show_price(order, held="Taken up front", paid="It really cost", expected_back="Should come back")


def _show_price(order: Facts, **labels: str) -> None:
    price = cast(Facts, order.get("price") or {})
    for name, label in labels.items():
        _line(label, cast(Facts, price.get("printed") or {}).get(name))


def _show(order: Facts) -> None:
    _title("The order, as a person wants to read it")
    _line("Order", order.get("order_id"))
    _line("Outcome", order.get("outcome"))
    for item in cast(list[Facts], order.get("items") or []):
        _line("Item", f"{item.get('quantity', 1)} x {item.get('title') or item.get('url')} ({item.get('status')})")
    ship_to = cast(Facts, order.get("ship_to") or {})
    _line("Ship to", ", ".join(str(ship_to[name]) for name in ("name", "city", "country") if ship_to.get(name)))
    _show_price(order, **PRICE_LABELS, max_price="Ceiling that was given")
    for parcel in cast(list[Facts], order.get("tracking") or []):
        _line("Parcel", f"{parcel.get('carrier')} {parcel.get('number')}: {parcel.get('status')}")
        for checkpoint in cast(list[Facts], parcel.get("checkpoints") or []):
            words = (checkpoint.get(name) for name in ("time", "message", "place"))
            _line("", " ".join(str(word) for word in words if word))


def _title(text: str) -> None:
    click.echo("")
    for line in wrapped(text, columns(), "  "):
        click.echo(click.style(line, bold=True))


def _paragraph(text: str) -> None:
    for line in wrapped(text, columns(), "   "):
        click.echo(line)


def _line(label: str, value: object) -> None:
    if value is None:
        return
    width, text = columns(), plain(value, 400)
    if width < _LABEL_COLUMNS + _FEWEST_COLUMNS:
        lines = [*([f"  {label}"] if label else []), *wrapped(f"    {text}", width, "    ")]
    else:
        indent = " " * _LABEL_COLUMNS
        lines = wrapped(f"{indent}{text}", width, indent)
        lines[0] = f"  {label}".ljust(_LABEL_COLUMNS) + lines[0].lstrip()
    for line in lines:
        click.echo(line)
