"""The output of the demo: titles, labelled lines that fit the terminal, and an order as a person wants to read it."""

from collections.abc import Mapping
from typing import Any, cast

from rich.text import Text

from zinc_mcp.cli.console import Hanging, grid, show
from zinc_mcp.cli.screen import columns
from zinc_mcp.text import plain
from zinc_mcp.views.order import PRICE_LABELS

_LABEL_COLUMNS = 26
_FEWEST_COLUMNS = 40
"""If fewer columns are left beside the labels, each label stands on a line above its value."""

Facts = Mapping[str, Any]


def show_title(text: str) -> None:
    """Print the title of a part."""
    show(Text(""), Hanging(text, "  ", "bold cyan"), width=columns())


def show_paragraph(text: str) -> None:
    """Print a sentence of ours."""
    show(Hanging(text, "   "), width=columns())


def show_fact(label: str, value: object) -> None:
    """Print a label and its value; nothing if there is no value."""
    if value is None:
        return
    width, text = columns(), plain(value, 400)
    if width < _LABEL_COLUMNS + _FEWEST_COLUMNS:
        parts = [Hanging(f"  {label}", "    ", "dim")] if label else []
        show(*parts, Hanging(f"    {text}", "    "), width=width)
    else:
        row = (Text(""), Hanging(label, style="dim"), Hanging(text))
        show(grid((1, _LABEL_COLUMNS - 3, None), [row], gap=1), width=width)


def rows(facts: Facts, name: str) -> list[Facts]:
    """Return the rows of a list in a result."""
    return cast(list[Facts], facts.get(name) or [])


def show_sentences(facts: Facts) -> None:
    """Print the sentences that a result tells the agent."""
    show_fact("Told", facts.get("summary"))
    show_fact("Next", facts.get("next_step"))


def show_products(found: Facts, most: int) -> None:
    """Print the first products of a search."""
    for number, product in enumerate(rows(found, "results")[:most], start=1):
        stars = f", {product['stars']} stars" if product.get("stars") else ""
        show_fact(f"{number}. {product.get('retailer')}", f"{product.get('price')}{stars}: {product.get('title')}")


def show_price(order: Facts, **labels: str) -> None:
    """Print amounts of an order, each with its label."""
    price = cast(Facts, order.get("price") or {})
    for name, label in labels.items():
        show_fact(label, cast(Facts, price.get("printed") or {}).get(name))


def show_order(order: Facts) -> None:
    """Print an order: items, address, money, parcels."""
    show_title("The order, as a person wants to read it")
    show_fact("Order", order.get("order_id"))
    show_fact("Outcome", order.get("outcome"))
    for item in rows(order, "items"):
        show_fact("Item", f"{item.get('quantity', 1)} x {item.get('title') or item.get('url')} ({item.get('status')})")
    ship_to = cast(Facts, order.get("ship_to") or {})
    show_fact("Ship to", ", ".join(str(ship_to[name]) for name in ("name", "city", "country") if ship_to.get(name)))
    show_price(order, **PRICE_LABELS, max_price="Ceiling that was given")
    for parcel in rows(order, "tracking"):
        show_fact("Parcel", f"{parcel.get('carrier')} {parcel.get('number')}: {parcel.get('status')}")
        for checkpoint in rows(parcel, "checkpoints"):
            words = (checkpoint.get(name) for name in ("time", "message", "place"))
            show_fact("", " ".join(str(word) for word in words if word))
