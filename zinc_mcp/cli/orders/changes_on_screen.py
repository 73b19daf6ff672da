"""Returns and reports on a person's screen: a list of those that are not settled, or everything known about one."""

from collections.abc import Iterator, Sequence

import click

from zinc_mcp.cli.screen import bold, show_command, show_line
from zinc_mcp.consent.approval import asked_change
from zinc_mcp.consent.question import paid_by
from zinc_mcp.journal.records.decision import reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.process import Answer
from zinc_mcp.text import plain
from zinc_mcp.views.change import change_view, word_for
from zinc_mcp.views.words import in_words


def show_unsettled(entries: Sequence[Entry]) -> None:
    """Print the returns and reports that wait for an answer or are in doubt."""
    for entry in entries:
        click.echo("")
        view = change_view(Answer(entry), "person")
        head = f"{word_for(entry).capitalize()} about order {plain(entry.order_id, 100)}: {view.title}."
        show_line(f"{head} {view.summary}")
        if reference_of(entry) is not None:
            show_line("This shows the question and takes your answer:")
            show_command("approve", given=[plain(entry.key, 64)])
        elif entry.state == "unknown":
            show_line("This says how to settle it:")
            show_command("orders", "show", given=[plain(entry.key, 64)])


def show_all(entries: Sequence[Entry]) -> None:
    """Print the returns and reports of an order, one line each."""
    if entries:
        click.echo(f"\n{bold('Returns and reports')}")
    for entry in entries:
        view = change_view(Answer(entry), "person")
        status = f" (Zinc says {in_words(view.status)})" if view.status else ""
        show_line(f"  {word_for(entry)}: {view.outcome}{status}; key {plain(entry.key, 64)}", "  ")


def facts_of(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield what is known about a return or report, each with its label."""
    view = change_view(Answer(entry), "person")
    yield "Key", plain(entry.key, 64)
    yield "Kind", word_for(entry)
    yield "Order", plain(entry.order_id, 100)
    yield "State", view.outcome + (f" (Zinc says {in_words(view.status)})" if view.status else "")
    if view.return_id or view.case_id:
        yield "At Zinc", view.return_id or view.case_id or ""
    question = asked_change(entry)
    if question is not None:
        for line in question.lines:
            yield "Item", f"{line.quantity} of item {line.number}, {plain(line.order_item_id, 100)}"
        yield from ((plain(label, 30), plain(value, 2100)) for label, value in question.fields)
    else:
        for row in view.items:
            yield "Item", f"{row['quantity']} of item {row['number']}"
        if view.reason:
            yield "Reason", in_words(view.reason)
    yield "Rail", f"{entry.rail} (the order was paid {paid_by(entry.rail, entry.facts)})"


def show_last_word(entry: Entry, whose: Sequence[str]) -> None:
    """Print how the owner settles a return or report that is in doubt.

    `whose`: the options that tell it from others with the same key.
    """
    key = [plain(entry.key, 64)]
    click.echo("")
    show_line("If you know that Zinc has it (ID is the id of the return or case):")
    show_command("orders", "resolve", "--bought", "ID", options=list(whose), given=key)
    show_line("If you know that Zinc has not got it:")
    show_command("orders", "resolve", "--not-bought", options=list(whose), given=key)
