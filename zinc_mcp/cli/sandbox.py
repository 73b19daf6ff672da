"""`zinc-mcp sandbox`: the practice Zinc on a port."""

from functools import partial
from pathlib import Path

import anyio
import click

from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.port import serve
from zinc_mcp.sandbox.sandbox import Sandbox


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="0 takes any free port.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--dialect", default="", metavar="NAME=VALUE,...", help="How it speaks where the documents are silent.")
@click.option("--pace", type=float, default=1.0, show_default=True, help="How many times faster orders advance.")
@click.option(
    "--challenge-seconds",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    help="How long a 402 can be paid; the pace does not shorten it.",
)
@click.option("--ledger", type=click.Path(dir_okay=False, path_type=Path), help="Keep the orders in this file.")
def sandbox(port: int, host: str, dialect: str, pace: float, challenge_seconds: float, ledger: Path | None) -> None:
    """Run the practice Zinc on a port, for any client.

    It takes every zn_test_ key; nothing is ever bought. GET /orders/test-products lists what can be ordered.
    """
    try:
        practice = Sandbox(ledger, dialect=Dialect.parse(dialect), pace=pace, challenge_seconds=challenge_seconds)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

    def announce(bound: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"http://{shown}:{bound}")
        click.echo(f"ZINC_API_URL=http://{shown}:{bound} ZINC_API_KEY=zn_test_any points zinc-mcp at it.", err=True)

    try:
        anyio.run(partial(serve, practice, host, port, ready=announce))
    except OSError as error:
        raise click.ClickException(f"{host}:{port} cannot be used ({error.strerror}).") from error
