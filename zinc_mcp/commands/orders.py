"""`zinc-mcp orders`: what the journal knows, and the owner's last word on it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, get_args

import click

from zinc_mcp.commands.deciding import need_a_terminal
from zinc_mcp.commands.screen import show_command, show_line
from zinc_mcp.errors import OrderNotFoundError
from zinc_mcp.invocation import command
from zinc_mcp.money import printed
from zinc_mcp.ordering.entry import Entry, Event, Mode
from zinc_mcp.ordering.journal import Journal
from zinc_mcp.ordering.settle import NOT_BOUGHT, told_of
from zinc_mcp.prose import plain
from zinc_mcp.serving.members import name_of
from zinc_mcp.settings import load_settings

_DAY_SECONDS = 86_400.0


@click.group(invoke_without_command=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many, newest first.")
@click.option("--mode", type=click.Choice(get_args(Mode)), help="Only orders with this kind of money.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def orders(context: click.Context, limit: int, mode: Mode | None, as_json: bool) -> None:
    """List orders, newest first."""
    if context.invoked_subcommand is not None:
        return
    with _journal() as journal:
        entries, pauses = journal.entries(limit, mode=mode), journal.pauses()
    if as_json:
        click.echo(json.dumps([_record(entry) for entry in entries], indent=2))
        return
    for row in _columns([_row(entry) for entry in entries]):
        show_line(row)
    if not entries:
        click.echo("No orders yet.")
    for why in pauses:
        click.echo("")
        show_line(f"Paused: {plain(why)}. This ends it:")
        show_command("resume")


@orders.command()
@click.argument("key_or_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(key_or_id: str, as_json: bool) -> None:
    """Show one order, by our key or Zinc's id, with everything that happened to it."""
    with _journal() as journal:
        entry = journal.find(key_or_id)
        if entry is None:
            raise OrderNotFoundError(
                "No order with this key or id is in the journal.", owner_step=f"{command('orders')} lists them."
            )
        events = journal.events(entry.id)
    if as_json:
        click.echo(json.dumps({**_record(entry), "events": [_event_record(event) for event in events]}, indent=2))
        return
    for name, value in _lines(entry):
        show_line(f"{name:<10} {value}")
    click.echo("\nWhat happened")
    for event in events:
        detail = ", ".join(f"{name}={plain(value, 120)}" for name, value in event.detail.items())
        show_line(f"  {_when(event.at)}  {event.state:<9}  {plain(event.what)}{f' ({detail})' if detail else ''}")
    if entry.state in ("unknown", "paid_no_order"):
        sent = "It was sent and never answered." if entry.state == "unknown" else "It was paid, and no order is known."
        key = [plain(entry.key, 64)]
        click.echo("")
        show_line(f"{sent} If you know that it was bought (ID is Zinc's order id):")
        show_command("orders", "resolve", "--bought", "ID", given=key)
        show_line("If you know that it was not:")
        show_command("orders", "resolve", "--not-bought", given=key)


@orders.command()
@click.option("--older-than", "days", type=click.FloatRange(min=0), required=True, metavar="DAYS")
def purge(days: float) -> None:
    """Forget what was ordered and where it went, of finished orders; digests and money stay."""
    with _journal() as journal:
        forgotten = journal.purge(days * _DAY_SECONDS)
    click.echo(f"Forgot bodies and addresses of {forgotten} order{'' if forgotten == 1 else 's'}.")


@orders.command()
@click.argument("key")
@click.option("--bought", "order_id", metavar="ID", help="It was bought: Zinc's order id.")
@click.option("--not-bought", is_flag=True, help="It was not bought; its money is free again.")
@click.option("--holder-ended", is_flag=True, help="With --not-bought: the process that was sending it has ended.")
def resolve(key: str, order_id: str | None, not_bought: bool, holder_ended: bool) -> None:
    """Settle an order in doubt: the owner's last word."""
    if (order_id is not None) == not_bought:
        raise click.UsageError("Say either --bought ID or --not-bought.")
    with _journal() as journal:
        entry = journal.resolve(key, order_id=order_id, holder_ended=holder_ended)
    click.echo(f"{plain(entry.key, 64)} is now {entry.state}.")


@orders.command()
@click.argument("key")
@click.argument("cents", type=click.IntRange(min=0))
def refunded(key: str, cents: int) -> None:
    """Say how much, in cents and in all, has come back of what a wallet paid up front for an order that is over."""
    need_a_terminal()
    with _journal() as journal:
        entry = journal.refunded(key, cents)
    left = f"{printed(entry.counts_cents)} counts against the limits"
    show_line(f"{plain(entry.key, 64)}: {printed(cents)} has come back; {left}.")


def _journal() -> Journal:
    return Journal.open(load_settings().journal_url)


def _row(entry: Entry) -> tuple[str, ...]:
    return (
        _when(entry.opened_at),
        entry.mode,
        entry.state,
        _money(entry),
        plain(entry.facts.get("retailer", ""), 40),
        plain(entry.key, 64),
        plain(entry.order_id or "", 64),
    )


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _money(entry: Entry) -> str:
    told = told_of(entry)
    if told.paid_cents is not None:
        return printed(told.paid_cents)
    if told.up_front_cents is not None and entry.state in NOT_BOUGHT:
        return f"{printed(told.up_front_cents)} up front, {printed(told.refunded_cents or 0)} back"
    return f"up to {printed(told.held_cents)}"


def _lines(entry: Entry) -> list[tuple[str, str]]:
    lines = [
        ("key", plain(entry.key, 64)),
        ("order", plain(entry.order_id or "none yet", 64)),
        ("state", entry.state + (f" (Zinc says {plain(entry.status, 60)})" if entry.status else "")),
        ("money", f"{_money(entry)}, {entry.mode}, rail {entry.rail}"),
        ("counts", f"{printed(entry.counts_cents)} against the limits"),
        ("caller", plain(name_of(entry.caller), 64)),
        ("attempts", str(entry.attempts)),
    ]
    lines += [(plain(name, 10), _readable(value)) for name, value in entry.facts.items()]
    if entry.consent:
        lines.append(("consent", _readable(entry.consent)))
    if entry.problem:
        lines.append(("problem", _readable(entry.problem.get("summary") or entry.problem)))
    return lines


def _readable(value: Any) -> str:
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 400)


def _record(entry: Entry) -> Mapping[str, Any]:
    # Without the body: it holds the whole address, and lists are pasted into tickets.
    record = {name: value for name, value in asdict(entry).items() if name != "body"}
    return {**record, "counts_cents": entry.counts_cents, "body_kept": entry.body is not None}


def _event_record(event: Event) -> Mapping[str, Any]:
    return {**asdict(event), "at_utc": datetime.fromtimestamp(event.at, UTC).isoformat()}


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
