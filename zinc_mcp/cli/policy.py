"""`zinc-mcp policy`, `pause` and `resume`: the limits that hold, and stopping everything for a while."""

import time
from typing import Any, cast

import click

from zinc_mcp.cli.screen import show_command
from zinc_mcp.journal.entry import DAY_SECONDS, MONTH_SECONDS
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.members import LOCAL, members_callers
from zinc_mcp.owner.pin import notice
from zinc_mcp.owner.policy import Policy, policy_sources, read_policy
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.text import plain, printed

_MONEY = frozenset({"approve_above", "max_order", "max_day", "max_month", "max_unproved", "max_lookups_day"})
_WHEN_NONE = {
    "approval": "not chosen",
    "approve_above": "always ask",
    "max_month": "no limit",
    "max_orders_day": "no limit",
    "max_unproved": "as max_day",
    "retailers_allowed": "any",
    "countries": "any",
    "rails": "any",
}


@click.command()
def policy() -> None:
    """Print the limits that hold and where each comes from."""
    settings = load_settings()
    held, sources = read_policy(settings), policy_sources(settings)
    members = {caller: name for name, caller in members_callers(settings.home / "members.json").items()}
    click.echo(f"{settings.config}{'' if settings.config.exists() else ' (not there: defaults hold)'}\n")
    rows = [(name, shown(name, getattr(held, name)), sources[name]) for name in Policy.model_fields]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, source in rows:
        click.echo(f"  {name:<{widths[0]}}  {value:<{widths[1]}}  {source}")
    with Journal.open(settings.journal_url) as journal:
        kept, has_pin, pauses = journal.addresses(), journal.pin() is not None, journal.pauses()
        pin_ends = journal.pin_ends()
        used = {
            caller: [journal.counted(caller, settings.mode, seconds) for seconds in (DAY_SECONDS, MONTH_SECONDS)]
            for caller in dict.fromkeys((LOCAL, *members, *journal.callers(settings.mode)))
        }
    names = ", ".join(plain(name, 40) for name in sorted(saved_addresses(settings, kept)))
    click.echo(f"\nSaved addresses: {names or 'none'}")
    click.echo(f"PIN: {'set' if has_pin else 'not set'}")
    if pin_ends is not None:
        click.echo(notice(pin_ends, time.time()))
    own = ", which each caller has for themselves" if used.keys() > {LOCAL} else ""
    click.echo(f"Used of the limits ({settings.mode}){own}:")
    for caller, (day, month) in used.items():
        # A former member is shown as the whole caller, because another member may have the name by now.
        name = members.get(caller, caller)
        click.echo(f"  {plain(name, 64)}: {_used(*day)} in 24 hours, {_used(*month)} in 30 days")
    for why in pauses:
        click.echo(f"Paused: {plain(why)}")


def _used(cents: int, orders: int) -> str:
    return f"{printed(cents)} by {orders} order{'' if orders == 1 else 's'}"


def shown(name: str, value: Any) -> str:
    """Return one value of the policy in words for a person."""
    if value is None:
        return _WHEN_NONE[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in _MONEY:
        return printed(value)
    if isinstance(value, tuple):
        return ", ".join(cast(tuple[str, ...], value)) or "none"
    return str(value)


@click.command()
@click.argument("reason", default="paused by the owner")
def pause(reason: str) -> None:
    """Stop all placing and sending, in every process on this journal.

    Orders that Zinc already has are not cancelled; looking them up still works.
    """
    with Journal.open(load_settings().journal_url) as journal:
        journal.pause(plain(reason))
    click.echo(f"Paused: {plain(reason)}. Nothing is placed or sent until you end it with:")
    show_command("resume")


@click.command()
def resume() -> None:
    """End a pause, and take the machine's clock for right where it was uncertain."""
    with Journal.open(load_settings().journal_url) as journal:
        reasons = journal.pauses()
        journal.resume()
        uncertain = journal.accept_clock()
    if uncertain:
        click.echo("The clock is taken for right as it stands now.")
    click.echo(f"Resumed. It was paused: {plain('; '.join(reasons))}." if reasons else "Nothing was paused.")
