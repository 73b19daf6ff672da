"""`zinc-mcp webhooks`: the address to which Zinc sends the events of the account."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
import click
from pydantic import SecretStr

from zinc_mcp.cli.login.keeping import show_first_source, uninterrupted
from zinc_mcp.cli.screen import show_line
from zinc_mcp.errors import ChangeOutcomeUnknownError, RefusedError, UnreadableAnswerError
from zinc_mcp.invocation import command
from zinc_mcp.owner.kept_settings import opened, step_to_get_a_key
from zinc_mcp.owner.secrets.records import Record
from zinc_mcp.owner.secrets.store import SecretStore
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.proxies import is_confidential
from zinc_mcp.text import plain
from zinc_mcp.zinc.account.webhooks import Endpoint, get_endpoint, remove_endpoint, set_endpoint
from zinc_mcp.zinc.client import ZincClient

PATH = "/webhooks/zinc"
"""The path at which a server over HTTP takes events (`server.http.requests.WEBHOOK_PATH`)."""
SECONDS = 15.0
_NAME = "webhook_secret"
_MAX_URL = 500

T = TypeVar("T")


@click.group()
def webhooks() -> None:
    """Have Zinc tell a server over HTTP when an order has news. An account has one address for that."""


@webhooks.command()
def show() -> None:
    """Say where Zinc sends the events of this account."""
    settings, key = _signed_in()
    record = SecretStore(settings.home).record(_NAME)
    found = _asked(settings, partial(get_endpoint, api_key=key))
    if found.url is None:
        click.echo("Zinc sends the events of this account nowhere.")
    elif _is_ours(found, record):
        show_line(f"Zinc sends the events of this account to {plain(found.url, _MAX_URL)}, which was set here.")
    else:
        show_line(f"Zinc sends the events of this account to {_place(found.url)}, which was not set here.")
    is_known = settings.webhook_secret is not None
    click.echo(f"The secret that signs them is {'known' if is_known else 'not known'} here.")


@webhooks.command(name="set")
@click.argument("url")
def set_(url: str) -> None:
    """Have Zinc send the events of this account to a server of yours, URL/webhooks/zinc.

    An address that was not set from this home is never replaced.
    """
    wanted = _address(url)
    settings, key = _signed_in()
    store = SecretStore(settings.home)
    store.check_place(_NAME, "file")
    record = store.record(_NAME)
    with uninterrupted():
        found = _asked(settings, partial(get_endpoint, api_key=key))
        if found.url not in (None, wanted) and not _is_ours(found, record):
            raise RefusedError(
                f"Zinc sends the events of this account to {_place(found.url)}, which was not set here. Nothing was "
                "changed.",
                owner_step="An account has one address. Ask whoever set it, and remove it at Zinc if nobody needs it.",
            )
        if found.url != wanted or found.secret is None:
            found = _asked(settings, partial(_replaced, key=key, wanted=wanted))
        if found.url != wanted or found.secret is None:
            raise UnreadableAnswerError(
                "Zinc did not confirm the address, or gave no secret with it. What Zinc sends where is not known.",
                owner_step=f"Look at it: {command('webhooks', 'show')}",
            )
        store.put(_NAME, {"value": found.secret}, "file", instead_of=record, about={"url": wanted})
    show_line(f"Zinc sends the events of this account to {wanted}.")
    show_line(f"The secret that signs them is kept in {plain(store.path(_NAME), 300)}, which only you can read.")
    show_first_source(settings, _NAME)
    show_line("A server that runs already takes them from its next start on.")


@webhooks.command()
def remove() -> None:
    """Have Zinc send the events of this account nowhere, and forget the secret that is kept here."""
    settings, key = _signed_in()
    store = SecretStore(settings.home)
    record = store.record(_NAME)
    found = _asked(settings, partial(get_endpoint, api_key=key))
    if found.url is not None and not _is_ours(found, record):
        raise RefusedError(
            f"Zinc sends the events of this account to {_place(found.url)}, which was not set here. Nothing was "
            "changed.",
            owner_step="Remove it at Zinc, if nobody needs it.",
        )
    if found.url is not None:
        _asked(settings, partial(remove_endpoint, api_key=key))
    store.remove(_NAME)
    click.echo("Zinc sends the events of this account nowhere now.")


def _signed_in() -> tuple[Settings, SecretStr]:
    settings = opened(load_settings())
    if settings.sandbox:
        raise RefusedError("This practises with the built-in sandbox, which sends no events.")
    if settings.api_key is None:
        raise RefusedError(
            "Only the account's API key can say where Zinc sends events, and there is none here.",
            owner_step=f"{step_to_get_a_key(settings)[0].upper()}{step_to_get_a_key(settings)[1:]}.",
            code="account_not_configured",
        )
    return settings, settings.api_key


def _asked(settings: Settings, ask: Callable[[ZincClient], Coroutine[Any, Any, T]]) -> T:
    async def asked() -> T:
        client = ZincClient(settings.api_url, route=settings.route, wire_seconds=SECONDS, read_seconds=SECONDS)
        try:
            return await ask(client)
        finally:
            await client.aclose()

    return anyio.run(asked)


async def _replaced(client: ZincClient, key: SecretStr, wanted: str) -> Endpoint:
    """Set the address, and return the endpoint that Zinc then has. Without an answer, Zinc is asked for it."""
    try:
        return await set_endpoint(client, key, wanted)
    except (ChangeOutcomeUnknownError, UnreadableAnswerError):
        return await get_endpoint(client, key)


def _is_ours(found: Endpoint, record: Record | None) -> bool:
    return found.url is not None and record is not None and record.about.get("url") == found.url


def _place(url: str | None) -> str:
    """Return scheme and host of an address, without its path, which may hold a secret of its owner."""
    try:
        parts = urlsplit(url or "")
        return plain(f"{parts.scheme}://{parts.hostname}", 200)
    except ValueError:
        return "an address that cannot be read"


def _address(url: str) -> str:
    """Return the address for events at a server, with the path `PATH`.

    Raises:
        click.BadParameter: it is not an address that Zinc could send to.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise click.BadParameter("is not an address", param_hint="URL") from None
    is_plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= _MAX_URL
    if not is_plain or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise click.BadParameter("must be an address such as https://zinc.example.com", param_hint="URL")
    if not is_confidential(parts.scheme, host):
        raise click.BadParameter("must begin with https://; plain http is only for this machine", param_hint="URL")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith(PATH) else path + PATH}"
