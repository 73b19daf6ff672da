"""`zinc-mcp policy`, `pause`, `resume` and `pin`: the limits that hold, a pause of everything, and the owner's PIN."""

import sys
import time
from typing import Any, cast

import click

from zinc_mcp.cli.screen import need_a_terminal, show_command, show_line
from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.journal.decision import FORGET_SECONDS, OWNER
from zinc_mcp.journal.entry import DAY_SECONDS, MONTH_SECONDS
from zinc_mcp.journal.journal import Journal
from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.members import LOCAL, members_callers
from zinc_mcp.owner.pin import MIN_LENGTH, check_owner_pin, hashed, notice
from zinc_mcp.owner.policy import Policy, policy_sources, read_policy
from zinc_mcp.owner.settings import Settings, load_settings
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
_member = click.option("--member", metavar="NAME", help="The PIN of this member of the team, instead of yours.")


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


@click.group()
def pin() -> None:
    """Set, remove or forget the PIN that every yes needs, on the page and in the terminal.

    While one is set, hosts' own dialogues are not used: they cannot take a PIN. Each member of a team can have one of
    their own, set here, at the owner's terminal; from a member without one the owner's is asked.
    """


@pin.command(name="set")
@_member
def set_(member: str | None) -> None:
    """Set a PIN of at least 6 characters; asks twice. Kept as a slow hash."""
    need_a_terminal()
    settings = load_settings()
    caller = _known(settings, member)
    with Journal.open(settings.journal_url) as journal:
        ask_for_owners_pin(journal, "Present PIN")
        chosen: str = click.prompt("New PIN", hide_input=True, confirmation_prompt="The same again")
        if len(chosen) < MIN_LENGTH:
            raise RefusedError(
                f"A PIN has at least {MIN_LENGTH} characters; nothing was changed.", owner_step="Choose another."
            )
        journal.set_pin(hashed(chosen), caller)
    whose = "Every yes" if member is None else f"Every yes of {plain(member, 60)}"
    click.echo(f"The PIN is set. {whose} needs it from now on.")


@pin.command()
@_member
def remove(member: str | None) -> None:
    """Remove the PIN."""
    need_a_terminal()
    settings = load_settings()
    # The name may be a former member's, or a caller from the time when a caller was only a name.
    caller = OWNER if member is None else members_callers(settings.home / "members.json").get(member, member)
    with Journal.open(settings.journal_url) as journal:
        if journal.pin(caller) is None:
            click.echo("No PIN is set.")
            return
        ask_for_owners_pin(journal, "Present PIN")
        journal.set_pin(None, caller)
    click.echo("The PIN is removed.")


@pin.command()
def forget() -> None:
    """Let a forgotten PIN end, a day from now.

    Until then every yes needs it, and every question says that it is going to end, so that you notice if somebody else
    typed this. The right PIN, given with any yes, keeps it.
    """
    need_a_terminal()
    with Journal.open(load_settings().journal_url) as journal:
        if journal.pin() is None:
            click.echo("No PIN is set.")
            return
        if journal.pin_ends() is None:
            if click.prompt("Type forget to let the PIN end in 24 hours", default="", show_default=False) != "forget":
                click.echo("Nothing was changed.")
                sys.exit(1)
            journal.end_pin(time.time() + FORGET_SECONDS)
        show_line(notice(journal.pin_ends() or time.time(), time.time()))


def ask_for_owners_pin(journal: Journal, prompt: str = "PIN") -> None:
    """Ask for the owner's PIN if one is set. Wrong PINs count as they do for a yes.

    Raises:
        RefusedError: `approval_required`: there is no terminal, or the PIN is wrong or came too early.
    """
    if journal.pin() is None:
        return
    need_a_terminal()
    try:
        check_owner_pin(journal, click.prompt(prompt, hide_input=True), time.time())
    except RefusedError as error:
        forgotten = f"Try again. If it is forgotten: {command('pin', 'forget')} lets it end a day later."
        raise RefusedError(
            f"{error.summary} Nothing was changed.", owner_step=forgotten, code="approval_required"
        ) from None


def _known(settings: Settings, member: str | None) -> str:
    """Return the caller of a member, or the owner without a member.

    Raises:
        RefusedError: there is no such member.
        SettingsError: the file of members cannot be used.
    """
    if member is None:
        return OWNER
    caller = members_callers(settings.home / "members.json").get(member)
    if caller is None:
        raise RefusedError(
            f"There is no member {plain(member, 60)}.", owner_step=f"{command('members', 'list')} prints the names."
        )
    return caller
