"""`zinc-mcp orders export`: the orders of a month, or of some days, with their money, for a bookkeeping program."""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import click

from zinc_mcp.cli.console import show_aligned
from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry, Mode
from zinc_mcp.views.owner import by_member
from zinc_mcp.views.owner.export import Row, costs, row_of, to_csv, to_json

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@click.command()
@click.option("--month", metavar="YYYY-MM", help="All of a month, in UTC.")
@click.option("--from", "first", metavar="YYYY-MM-DD", help="From the beginning of this day, in UTC.")
@click.option("--to", "last", metavar="YYYY-MM-DD", help="To the end of this day, in UTC.")
@click.option("--by", type=click.Choice(("member",)), help="Add up the orders of each member and month.")
@click.option("--format", "form", type=click.Choice(("csv", "json", "table")), default="csv", show_default=True)
@click.option(
    "--mode",
    type=click.Choice((*get_args(Mode), "all")),
    default="live",
    show_default=True,
    help="Which kind of money: real, with a test key, or in the sandbox.",
)
def export(
    month: str | None,
    first: str | None,
    last: str | None,
    by: Literal["member"] | None,
    form: Literal["csv", "json", "table"],
    mode: Mode | Literal["all"],
) -> None:
    """Print what orders and look-ups authorised, charged, credited and still expect back, as CSV or JSON.

    An order belongs to the time at which it was first sent, or to that of its opening if it was never sent.
    """
    since, until = _period(month, first, last)
    if form == "table" and by is None:
        raise click.UsageError("Only sums fit into a table: add --by member.")
    modes: Sequence[Mode] = get_args(Mode) if mode == "all" else (mode,)
    with open_journal() as journal:
        rows, unreadable = (_rows if by is None else _sums)(journal, since, until, modes)
    if form == "table":
        _show_table(rows)
    else:
        if form == "csv":
            text = to_csv(rows) if by is None else to_csv(rows, by_member.COLUMNS)
        else:
            make = to_json if by is None else by_member.to_json
            data = make(rows, since=since, until=until, modes=modes, unreadable=unreadable)
            text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
        # Written as bytes, so that encoding (UTF-8) and line ends (those of CSV) do not depend on the machine.
        click.echo(text.encode() if hasattr(sys.stdout, "buffer") else text, nl=False)
    if unreadable:
        rows_said = "1 order" if unreadable == 1 else f"{unreadable} orders"
        click.echo(f"{rows_said} cannot be read in the journal; missing here.", err=True)


def _show_table(rows: Sequence[Row]) -> None:
    """Print the sums of each member and month as a table."""
    if not rows:
        click.echo("Nothing was ordered in this time.")
        return
    names = ("counts", "charged", "credited", "expected", "unsettled")
    header = ("Month", "Money", "Member", "Orders", *(name.capitalize() for name in names))
    shown = [
        (row["month"], row["mode"], row["caller"], str(row["orders"]), *(row[name] for name in names)) for row in rows
    ]
    show_aligned([header, *shown])


def _sums(journal: Journal, since: float, until: float, modes: Sequence[Mode]) -> tuple[list[Row], int]:
    unreadable = 0

    def read() -> Iterator[Entry]:
        nonlocal unreadable
        for part in journal.in_period(since, until, modes):
            unreadable += part.unreadable
            yield from (entry for entry in part.entries if costs(entry))

    rows = by_member.sums_of(read())
    return rows, unreadable


def _rows(journal: Journal, since: float, until: float, modes: Sequence[Mode]) -> tuple[list[Row], int]:
    unreadable = 0

    def read() -> Iterator[Row]:
        nonlocal unreadable
        for part in journal.in_period(since, until, modes):
            unreadable += part.unreadable
            yield from (row_of(entry) for entry in part.entries if costs(entry))

    return sorted(read(), key=lambda row: row["at"] or ""), unreadable


def _period(month: str | None, first: str | None, last: str | None) -> tuple[float, float]:
    """Return the beginning and the end of a period, in seconds since the epoch.

    Raises:
        click.UsageError: it is no period.
    """
    if (month is None) == (first is None) or (month is not None and last is not None):
        raise click.UsageError("Say either --month YYYY-MM, or --from YYYY-MM-DD, which may have a --to.")
    if month is not None:
        found = _MONTH.fullmatch(month)
        if found is None or not 1 <= int(found[2]) <= 12 or not 1970 <= int(found[1]) <= 9000:
            raise click.UsageError("A month is written YYYY-MM, such as 2026-11.")
        year, number = int(found[1]), int(found[2])
        after = (year, number + 1) if number < 12 else (year + 1, 1)
        return datetime(year, number, 1, tzinfo=UTC).timestamp(), datetime(*after, 1, tzinfo=UTC).timestamp()
    begin = _day(first or "")
    end = (_day(last) if last is not None else datetime.now(UTC)) + timedelta(days=1)
    if end <= begin:
        raise click.UsageError("The end of the period is before its beginning.")
    return begin.timestamp(), end.timestamp()


def _day(text: str) -> datetime:
    try:
        day = datetime.fromisoformat(text).replace(tzinfo=UTC) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not 1970 <= day.year <= 9000:
        raise click.UsageError("A day is written YYYY-MM-DD, such as 2026-11-30.")
    return day
