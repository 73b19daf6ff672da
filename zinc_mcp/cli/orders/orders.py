"""`zinc-mcp orders`: list and show the journal's orders, delete their contents, and settle doubts as the owner says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, get_args

import click

from zinc_mcp.cli.orders.changes_on_screen import show_all, show_unsettled
from zinc_mcp.cli.orders.evidence import make_evidence
from zinc_mcp.cli.orders.export import export
from zinc_mcp.cli.orders.on_screen import receipt, show_look_up, show_order
from zinc_mcp.cli.orders.table import Listed, as_read, follow, show_orders
from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.owner.policy import ask_for_owners_pin
from zinc_mcp.cli.screen import bold, need_a_terminal, show_command, show_line
from zinc_mcp.errors import OrderNotFoundError
from zinc_mcp.invocation import command
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import CHANGES, Entry, Event, Mode
from zinc_mcp.text import plain, printed
from zinc_mcp.views.owner.order_rows import record_of

_SECONDS_A_DAY = 86_400.0
_WATCH_SECONDS = 2.0
_mode_option = click.option("--mode", type=click.Choice(get_args(Mode)), help="Of several with this key: its mode.")
_caller_option = click.option("--caller", metavar="NAME", help="Of several with this key: whose it is.")


@click.group(invoke_without_command=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many, newest first.")
@click.option("--mode", type=click.Choice(get_args(Mode)), help="Only orders with this kind of money.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--watch", is_flag=True, help="Show them again whenever one has changed, until Ctrl-C.")
@click.pass_context
def orders(context: click.Context, limit: int, mode: Mode | None, as_json: bool, watch: bool) -> None:
    """List orders, newest first, as the journal has them. Nobody is asked."""
    if context.invoked_subcommand is not None:
        return
    if as_json and watch:
        raise click.UsageError("Say either --json or --watch.")
    with open_journal() as journal:
        if as_json:
            found = journal.entries(limit, mode=mode)
            click.echo(json.dumps([record_of(entry, as_read(entry)) for entry in found], indent=2))
        elif watch:
            follow(lambda: _listed(journal, limit, mode), _show, _WATCH_SECONDS)
        else:
            _show(_listed(journal, limit, mode))


orders.add_command(export)


def _listed(journal: Journal, limit: int, mode: Mode | None) -> Listed:
    return Listed(journal.entries(limit, mode=mode), journal.unsettled_changes(mode), journal.pauses())


def _show(listed: Listed) -> None:
    if listed.entries:
        show_orders(listed.entries)
    else:
        click.echo("No orders yet.")
    show_unsettled(listed.unsettled)
    for why in listed.pauses:
        click.echo("")
        show_line(f"Paused: {plain(why)}. This ends it:")
        show_command("resume")


orders.add_command(make_evidence)


@orders.command()
@click.argument("key_or_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(key_or_id: str, as_json: bool) -> None:
    """Show an order, by our key or Zinc's id, with everything that happened to it.

    Orders of several callers, and practice and real ones, may share a key: all of them are shown.
    """
    with open_journal() as journal:
        entries = journal.all_under(key_or_id) or journal.look_ups_under(key_or_id)
        changes = [each for entry in entries if entry.order_id for each in _changes(journal, entry)]
        events = {entry.id: journal.events(entry.id) for entry in entries}
    if not entries:
        raise OrderNotFoundError(
            "No order with this key or id is in the journal.", owner_step=f"{command('orders')} lists them."
        )
    if as_json:
        newest, *others = [_whole_record(entry, events[entry.id]) for entry in entries]
        click.echo(json.dumps({**newest, "others": others}, indent=2))
        return
    for number, entry in enumerate(entries, 1):
        if len(entries) > 1:
            of = f"{number} of {len(entries)} with this key or id, newest first"
            click.echo(f"{'' if number == 1 else chr(10)}{bold(of)}")
        if entry.kind == "look_up":
            show_look_up(entry, events[entry.id])
        else:
            show_order(entry, events[entry.id], shares_its_key=len(entries) > 1)
    show_all(changes)


@orders.command()
@click.option("--older-than", "days", type=click.FloatRange(min=0), required=True, metavar="DAYS")
def purge(days: float) -> None:
    """Delete the products and addresses of finished orders; digests and money stay."""
    with open_journal() as journal:
        forgotten = journal.purge(days * _SECONDS_A_DAY)
    click.echo(f"Forgot bodies and addresses of {forgotten} order{'' if forgotten == 1 else 's'}.")


@orders.command()
@click.argument("key")
@click.option("--bought", "order_id", metavar="ID", help="It was bought: Zinc's order id.")
@click.option("--not-bought", is_flag=True, help="It was not bought; its money is free again.")
@click.option("--holder-ended", is_flag=True, help="With --not-bought: the process that was sending it has ended.")
@_mode_option
@_caller_option
def resolve(
    key: str, order_id: str | None, not_bought: bool, holder_ended: bool, mode: Mode | None, caller: str | None
) -> None:
    """Settle an order in doubt by the owner's word, which needs a terminal, and the PIN if one is set."""
    if (order_id is not None) == not_bought:
        raise click.UsageError("Say either --bought ID or --not-bought.")
    need_a_terminal()
    with open_journal() as journal:
        ask_for_owners_pin(journal)
        entry = journal.resolve(key, order_id=order_id, holder_ended=holder_ended, mode=mode, caller=caller)
    click.echo(f"{plain(entry.key, 64)} is now {entry.state}.")


@orders.command()
@click.argument("key")
@click.argument("cents", type=click.IntRange(min=0))
@_mode_option
@_caller_option
def refunded(key: str, cents: int, mode: Mode | None, caller: str | None) -> None:
    """Record the cents, in all, that were refunded of a wallet's up-front payment for an order that is over.

    It needs a terminal, and the PIN if one is set.
    """
    need_a_terminal()
    with open_journal() as journal:
        ask_for_owners_pin(journal)
        entry = journal.refunded(key, cents, mode=mode, caller=caller)
    left = f"{printed(entry.counts_cents)} counts against the limits"
    show_line(f"{plain(entry.key, 64)}: {printed(cents)} has come back; {left}.")


def _changes(journal: Journal, entry: Entry) -> list[Entry]:
    if entry.kind in CHANGES or entry.order_id is None:
        return []
    return journal.changes_of(entry.order_id, entry.caller, entry.mode)


def _record(entry: Entry) -> Mapping[str, Any]:
    # The body is left out: it holds the whole address, and people paste lists into tickets.
    record = {name: value for name, value in asdict(entry).items() if name != "body"}
    return {**record, "counts_cents": entry.counts_cents, "body_kept": entry.body is not None}


def _whole_record(entry: Entry, events: Sequence[Event]) -> Mapping[str, Any]:
    sections = {section.title: section.lines for section in receipt(entry, events).sections}
    return {**_record(entry), "events": [_event_record(event) for event in events], "receipt": sections}


def _event_record(event: Event) -> Mapping[str, Any]:
    return {**asdict(event), "at_utc": datetime.fromtimestamp(event.at, UTC).isoformat()}
