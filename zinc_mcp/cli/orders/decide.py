"""`zinc-mcp approve KEY` and `zinc-mcp decline KEY`: decide about an order in a terminal."""

import sys
import time
from contextlib import suppress

import anyio
import click

from zinc_mcp.checkout.watch import entry_of
from zinc_mcp.cli.console import Hanging, show, working
from zinc_mcp.cli.orders.on_screen import show_view, view_of
from zinc_mcp.cli.own_journal import open_journal, open_members
from zinc_mcp.cli.screen import need_a_terminal, show_command, show_failure, show_line
from zinc_mcp.consent.approval import AnyQuestion, is_approved, question_of
from zinc_mcp.decisions import decide
from zinc_mcp.errors import OrderNotFoundError, RefusedError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.journal.records.decision import Decision, QuestionRef, reference_of
from zinc_mcp.journal.records.entry import Entry, UnreadableEntryError
from zinc_mcp.owner.members import may_be_second, read_members
from zinc_mcp.owner.pin import notice
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.owner.team.member import is_by_issuer
from zinc_mcp.process import Process
from zinc_mcp.text import plain
from zinc_mcp.wiring import open_process

WAIT_SECONDS = 25


def decide_in_terminal(key: str, *, yes: bool) -> None:
    """Show the question about an order and take the answer. Exit with code 1 if no answer is given.

    Raises:
        OrderNotFoundError: there is no such order.
        ZincMcpError: the decision was refused, or sending failed.
    """
    need_a_terminal()
    settings = load_settings()
    with open_journal(settings) as journal:
        entry, has_pin, pin_ends = (
            journal.find(key) or journal.find_change(key),
            journal.pin() is not None,
            journal.pin_ends(),
        )
        # Practice and live orders, and those of several callers, may share a key: each is decided by itself.
        asked = journal.asked_under(key)
    if entry is None or entry.key != key:
        raise OrderNotFoundError("No order with this key waits.", owner_step=f"{command('orders')} lists them.")
    if not asked:
        click.echo("This order does not wait for an answer.")
        _show_outcome(entry)
        return
    for each in asked:
        try:
            question, about = question_of(each), reference_of(each)
        except UnreadableEntryError as error:
            show_failure(error)
            continue
        if question is None or about is None:
            continue
        _show_question(question)
        if pin_ends is not None:
            show_line(notice(pin_ends, time.time()))
        if yes and not _typed_yes(question):
            nothing = "Nothing was bought" if each.kind == "order" else "Nothing was sent"
            click.echo(f"{nothing}; the question still stands.")
            sys.exit(1)
        second = _can_be_second(settings, each)
        _show_outcome(_decide_with_pin(settings, about, yes=yes, has_pin=has_pin, can_be_second=second))


def _can_be_second(settings: Settings, entry: Entry) -> bool:
    """Say whether the owner may give the second yes to an order.

    The owner makes and changes members, so a member's own order may be the owner's.
    """
    if is_by_issuer(entry.caller):
        return True
    with open_members(settings) as place:
        members = read_members(place).values()
    return may_be_second(next((each for each in members if each.caller == entry.caller), None), time.time())


def _decide_with_pin(settings: Settings, about: QuestionRef, *, yes: bool, has_pin: bool, can_be_second: bool) -> Entry:
    while True:
        pin: str | None = click.prompt("PIN", hide_input=True) if yes and has_pin else None
        try:
            decision = Decision(about, yes=yes, how="terminal", who="owner", pin=pin, can_be_second=can_be_second)
            return anyio.run(_decide, settings, decision)
        except RefusedError as error:
            if error.code != "approval_required" or "wait_seconds" in error.facts:
                raise
            has_pin = True  # a PIN may have been set meanwhile
            show_line(plain(error.summary, 300))


async def _decide(settings: Settings, decision: Decision) -> Entry:
    failure: ZincMcpError | None = None
    entry: Entry | None = None
    async with open_process(settings) as process:
        try:
            entry = (await decide(process, decision)).entry
            entry = await _wait_for_sending(process, entry) if entry is not None else None
        except ZincMcpError as error:  # raised after the process is closed, whose tasks would wrap it in a group
            failure = error
    if failure is not None:
        raise failure
    if entry is None:
        raise OrderNotFoundError("The order is not in the journal any more.")
    return entry


async def _wait_for_sending(process: Process, entry: Entry) -> Entry | None:
    """Wait for the order to be sent, for `WAIT_SECONDS`, because another process may have to send it."""
    current: Entry | None = entry
    if is_approved(entry):
        show_line("Approved. A server that can pay for it sends it now...")
    with anyio.move_on_after(WAIT_SECONDS), working("Waiting for Zinc's answer..."):
        while current is not None and (is_approved(current) or current.state in ("signing", "sending")):
            await anyio.sleep(0.2)
            current = await entry_of(process, entry.id)
    return current


def _show_question(question: AnyQuestion) -> None:
    """Print the whole question. Its first line is bold, and its warnings are coloured."""
    asked, *others = question.text().split("\n")
    show(Hanging(asked, "      ", "bold"))
    for number, line in enumerate(others):
        show(Hanging(line, "      ", "yellow" if number < len(question.warnings) else ""))


def _typed_yes(question: AnyQuestion) -> bool:
    with suppress(click.Abort):
        typed: str = click.prompt(f"\nType yes {question.typed}", default="", show_default=False)
        return typed.strip().casefold() == "yes"
    return False


def _show_outcome(entry: Entry) -> None:
    view = view_of(entry)
    show_view(view)
    if not view.is_final:
        show_line("This says how it goes on:")
        show_command("orders", "show", given=[plain(entry.key, 64)])


@click.command()
@click.argument("key")
def approve(key: str) -> None:
    """Show an order that waits for an answer, and buy it after a typed yes.

    Needs a terminal, and the PIN if one is set. If this program has no key that pays, the server that asked sends the
    order.
    """
    decide_in_terminal(key, yes=True)


@click.command()
@click.argument("key")
def decline(key: str) -> None:
    """Say no to an order that waits for an answer. Needs a terminal."""
    decide_in_terminal(key, yes=False)
