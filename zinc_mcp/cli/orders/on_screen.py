"""One order, or a change of one, on a person's screen: its state, its receipt, and what its owner can do."""

from collections.abc import Sequence
from datetime import datetime

import click

from zinc_mcp.cli.console import show_facts
from zinc_mcp.cli.orders.changes_on_screen import facts_of, show_last_word
from zinc_mcp.cli.orders.table import as_read, show_how_to_answer
from zinc_mcp.cli.screen import bold, show_command, show_line, show_sentences
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import CHANGES, Entry, Event
from zinc_mcp.process import Answer
from zinc_mcp.spending.outcome import reason_of_doubt
from zinc_mcp.text import plain
from zinc_mcp.views.change import ChangeView, change_view
from zinc_mcp.views.order import OrderView
from zinc_mcp.views.owner.receipt import ReceiptView, receipt_of

_LABEL_COLUMNS = 14
_FEWEST_COLUMNS = 34
"""If fewer columns are left beside the labels, each value stands on a line below its label."""


def view_of(entry: Entry) -> OrderView | ChangeView:
    """Return the view of an order, or of a change of one, as the journal has it."""
    return change_view(Answer(entry), "person") if entry.kind in CHANGES else as_read(entry)


def show_view(view: OrderView | ChangeView) -> None:
    """Print the state of an order and what its owner can do."""
    show_sentences(" ".join(filter(None, [f"{view.title}.", view.summary, view.next_step])))


def when(at: float, *, exact: bool = False) -> str:
    """Return a local time with its offset from UTC, to the minute, or to the second if `exact`."""
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "seconds" if exact else "minutes")


def show_waiting(entry: Entry) -> None:
    """Print how to answer, if the order waits for an answer."""
    if reference_of(entry) is not None:
        show_how_to_answer(entry)


def show_order(entry: Entry, events: Sequence[Event], *, shares_its_key: bool = False) -> None:
    """Print everything that the journal knows about an order, except its street and any secret.

    `shares_its_key`: other entries have the same key, so printed commands also name the mode and the caller.
    """
    view = view_of(entry)
    show_view(view)
    show_waiting(entry)
    show_receipt(receipt(entry, events))
    if view.outcome in ("unknown", "paid_no_order"):
        _show_last_word(entry, shares_its_key=shares_its_key)


def show_look_up(entry: Entry, events: Sequence[Event]) -> None:
    """Print everything that the journal knows about a look-up that cost money."""
    show_receipt(receipt(entry, events))


def receipt(entry: Entry, events: Sequence[Event]) -> ReceiptView:
    """Return the receipt of an order, of a change of one, or of a look-up."""
    if entry.kind in CHANGES:
        return receipt_of(entry, events, None, _exactly, list(facts_of(entry)))
    return receipt_of(entry, events, as_read(entry) if entry.kind == "order" else None, _exactly)


def show_receipt(whole: ReceiptView) -> None:
    """Print a receipt, part by part."""
    for section in whole.sections:
        click.echo("")
        click.echo(bold(section.title))
        width = max(_LABEL_COLUMNS, *(len(label) + 2 for label, _ in section.lines))
        show_facts(section.lines, width, _FEWEST_COLUMNS)


def _show_last_word(entry: Entry, *, shares_its_key: bool) -> None:
    key = [plain(entry.key, 64)]
    whose = ["--mode", entry.mode, "--caller", plain(entry.caller, 64)] if shares_its_key else []
    if entry.kind in CHANGES:
        show_last_word(entry, whose)
        return
    click.echo("")
    whose_id = "the retailer's number of it" if reason_of_doubt(entry) == "left_to_people" else "Zinc's order id"
    show_line(f"If you know that it was bought (ID is {whose_id}):")
    show_command("orders", "resolve", "--bought", "ID", options=whose, given=key)
    show_line("If you know that it was not:")
    show_command("orders", "resolve", "--not-bought", options=whose, given=key)


def _exactly(at: float) -> str:
    return when(at, exact=True)
