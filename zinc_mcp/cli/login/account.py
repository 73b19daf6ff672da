"""`zinc-mcp whoami` and `logout`: say whose key is used, and forget the kept key. The key itself is never shown."""

import json
import sys
import time
from typing import Any

import anyio
import click
from pydantic import SecretStr

from zinc_mcp.cli.login.keeping import about_account, ask_about
from zinc_mcp.cli.screen import advice, show_line
from zinc_mcp.errors import RefusedError, SettingsError, ZincMcpError
from zinc_mcp.owner.kept_settings import SOURCES, opened
from zinc_mcp.owner.secrets.records import KINDS
from zinc_mcp.owner.secrets.store import SecretStore
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.text import plain
from zinc_mcp.zinc.account.sign_in import Account, kind_of_key
from zinc_mcp.zinc.origin import check_origin

_LEAST_LENGTH = 20
"""The fewest characters of a key whose last four are shown. Four of a shorter key would reveal too much of it."""
_WALLETS = ("tempo_private_key", "stripe_secret_key")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def whoami(as_json: bool) -> None:
    """Say which key is used, where it is from, and whose it is at Zinc.

    Ends with exit code 1 if there is no key, or Zinc does not accept it.
    """
    settings = opened(load_settings())
    if settings.sandbox:
        told: dict[str, Any] = {"mode": "sandbox", "source": settings.sources["sandbox"]}
        click.echo(json.dumps(told) if as_json else f"This practises ({told['source']}): no key is used.")
        return
    if settings.api_key is None:
        if settings.key_trouble is not None:
            summary, step = settings.key_trouble
            raise RefusedError(summary, owner_step=step, code="account_not_configured")
        raise RefusedError("There is no API key, so nobody is signed in.", code="account_not_configured")
    origin = check_origin(settings.api_url)
    known = anyio.run(ask_about, settings, settings.api_key)
    facts = _facts(settings, settings.api_key, origin)
    if as_json:
        click.echo(json.dumps({**facts, **_account_facts(known)}, ensure_ascii=True))
    else:
        ends = f", ends in {facts['ends_in']}" if facts["ends_in"] else ""
        show_line(f"Key      {facts['mode']}{ends}")
        since = f", kept on {facts['kept_at']}" if facts["kept_at"] else ""
        show_line(f"From     {plain(facts['source'], 200)}{since}")
        show_line(f"Zinc     {plain(origin, 200)}")
        show_line(f"Account  {about_account(known) if isinstance(known, Account) else plain(known.summary, 300)}")
    if isinstance(known, ZincMcpError):
        click.echo(advice(known), err=as_json)
        sys.exit(1)


@click.command()
@click.option("--wallet", is_flag=True, help="Forget the keys of payment wallets instead of the API key.")
@click.option("--v1", "of_v1", is_flag=True, help="Forget the client token of Zinc's v1 instead of the API key.")
@click.option("--force", is_flag=True, help="Forget where a key is, even if the keyring cannot be asked to remove it.")
def logout(wallet: bool, of_v1: bool, force: bool) -> None:
    """Forget the API key that `login` kept on this machine.

    The key itself stays good at Zinc until it is revoked there.
    """
    if wallet and of_v1:
        raise click.UsageError("--wallet and --v1 are two things: choose one.")
    settings = load_settings()
    store = SecretStore(settings.home)
    for name in _WALLETS if wallet else ("v1_client_token",) if of_v1 else ("api_key",):
        what = KINDS[name].meaning
        try:
            removed = store.remove(name, even_if_locked=force)
        except SettingsError as error:
            raise SettingsError(
                f"{error.summary} So {what} is still kept.",
                f"{advice(error)} --force forgets where it is, and leaves it in the keyring.",
            ) from None
        if removed:
            click.echo(f"Forgot {what}. It stays good until it is revoked where it was made.")
        else:
            click.echo(f"Nothing to forget: {what} is not kept here.")
        source = load_settings().sources.get(name, "default")
        if source not in (*SOURCES.values(), "default"):
            show_line(f"But {source} still has one, and that one is used.")
        elif removed:
            show_line("A server that runs already uses it until it ends.")


def _facts(settings: Settings, key: SecretStr, origin: str) -> dict[str, Any]:
    secret, record = key.get_secret_value(), settings.key_record
    kept = None if record is None else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(record.since))
    return {
        "mode": kind_of_key(secret) or settings.mode,
        "ends_in": plain(secret[-4:], 4) if len(secret) >= _LEAST_LENGTH else None,
        "source": settings.sources["api_key"],
        "kept_at": kept,
        "origin": origin,
    }


def _account_facts(known: Account | ZincMcpError) -> dict[str, Any]:
    if isinstance(known, ZincMcpError):
        return {"accepted": False if known.facts.get("http_status") == 401 else None, "trouble": known.summary}
    return {
        "accepted": True,
        "user": known.user,
        "email": known.email,
        "balance_cents": known.balance_cents,
        "order_fee_cents": known.fee_cents,
    }
