"""`zinc-mcp reconcile`: compare the account's orders and balance at Zinc with the journal; it may pause ordering."""

import json
import sys
import time
from typing import Literal, NoReturn

import anyio
import click

from zinc_mcp.checkout.reconcile import reconcile as compared
from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.screen import show_command, show_failure, show_line
from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.journal.records.entry import DAY_SECONDS
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.spending.reconcile import Reconciled
from zinc_mcp.views.owner.reconciled import ReconciledView, reconciled_view
from zinc_mcp.wiring import open_payers

DIFFERS, NOT_COMPARED = 1, 2


@click.command()
@click.option("--days", type=click.FloatRange(0, 3650, min_open=True), default=30.0, show_default=True, metavar="N")
@click.option("--balance-was", "was_cents", type=int, metavar="CENTS", help="The Zinc balance so many days ago.")
@click.option(
    "--rail",
    type=click.Choice(("account", "v1")),
    help="Whose orders: those of the API key, or those of the client token of v1. Unset: the one that there is.",
)
@click.option("--pause", is_flag=True, help="Pause ordering if a difference concerns money.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def reconcile(
    days: float, was_cents: int | None, rail: Literal["account", "v1"] | None, pause: bool, as_json: bool
) -> NoReturn:
    """Compare Zinc's orders and balance with the journal.

    Ends with exit code 0 if all agrees, 1 if something differs, 2 if it could not be compared. Without --pause nothing
    is changed.
    """
    settings = load_settings()
    try:
        found = anyio.run(_compare, settings, days, was_cents, rail)
    except ZincMcpError as error:
        show_failure(error)
        sys.exit(NOT_COMPARED)
    view = reconciled_view(found, days=days, asked_balance=was_cents is not None)
    concerns_money = any(each.concerns_money for each in found.differences)
    if pause and concerns_money:
        with open_journal(settings) as journal:
            journal.pause("reconcile found a difference that concerns money")
    if as_json:
        click.echo(json.dumps({**view.model_dump(), "paused": pause and concerns_money}, indent=2))
    else:
        _show(view)
        if pause and concerns_money:
            click.echo("\nOrdering is paused. This ends it:")
            show_command("resume")
    sys.exit({"agrees": 0, "differs": DIFFERS, "not_compared": NOT_COMPARED}[view.outcome])


async def _compare(
    settings: Settings, days: float, was_cents: int | None, chosen: Literal["account", "v1"] | None
) -> Reconciled:
    """Compare the account's orders of the last `days` days with the journal.

    Raises:
        RefusedError: `account_not_configured`.
        JournalError: the journal cannot be read.
    """
    with open_journal(settings) as journal:
        async with open_payers(settings) as payers:
            rail = payers.get(chosen) if chosen is not None else next(iter(payers.values()), None)
            if rail is None:
                what = "client token of v1" if chosen == "v1" else "API key"
                raise RefusedError(
                    f"There is no {what}, so there is nothing to compare.", code="account_not_configured"
                )
            since = time.time() - days * DAY_SECONDS
            return await compared(rail, journal, since, balance_was_cents=was_cents)


def _show(view: ReconciledView) -> None:
    show_line(view.summary)
    for each in view.differences:
        click.echo("")
        show_line(f"{'Money' if each.concerns_money else 'Note'}: {each.sentence} ({each.kind})")
        for label, texts in (("key", each.keys), ("order", each.order_ids)):
            for text in texts:
                show_line(f"  {label} {text}")
        if each.amounts:
            show_line(f"  {each.amounts}")
        show_line(f"  {each.next_step}")
    if view.left_out:
        show_line(f"\nand {view.left_out} more.")
    if view.not_compared:
        click.echo("\nNot compared")
        for sentence in view.not_compared:
            show_line(f"  {sentence}", "    ")
