"""`zinc-mcp notify`: try the place where the owner is told about orders."""

import sys
import time

import anyio
import click

from zinc_mcp.cli.screen import show_line
from zinc_mcp.errors import SettingsError
from zinc_mcp.notify.delivery import Delivered, deliver
from zinc_mcp.notify.message import of_a_test
from zinc_mcp.owner.notify import Notify
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.proxies import Route
from zinc_mcp.text import plain


@click.group()
def notify() -> None:
    """Try the place where you are told about orders; `[notify]` in `zinc.toml` sets it."""


@notify.command()
def test() -> None:
    """Send one message there and say what happened. Ends with exit code 1 if it was not taken."""
    settings = load_settings()
    if settings.notify is None:
        raise SettingsError(
            "There is no [notify] in zinc.toml, so nobody is told anything.",
            'Add [notify] with url = "https://…" or command = ["…"]; docs/notify.md has examples.',
        )
    click.echo(f"One message to {plain(settings.notify.place, 200)}:")
    delivered = anyio.run(_sent, settings.notify, settings.route)
    show_line(f"{'It was taken' if delivered.ending == 'taken' else 'It was not taken'}: {delivered.said}.")
    sys.exit(0 if delivered.ending == "taken" else 1)


async def _sent(place: Notify, route: Route) -> Delivered:
    now = time.time()
    return await deliver(place, of_a_test(now), route=route, at=now)
