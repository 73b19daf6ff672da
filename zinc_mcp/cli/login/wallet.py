"""`zinc-mcp login --wallet`: ask for the values of a payment wallet, check them as `doctor` does, and keep them.

A key goes into the secret store, everything else into `zinc.toml`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import anyio
import click
from pydantic import SecretStr

from zinc_mcp.cli.doctor.doctor import limits_in_words
from zinc_mcp.cli.doctor.ways_to_buy import asking_in_words, check_wallet
from zinc_mcp.cli.login.keeping import Keeper, show_first_source, uninterrupted
from zinc_mcp.cli.screen import advice, need_a_terminal, show_command, show_line
from zinc_mcp.errors import RefusedError, SettingsError, ZincMcpError
from zinc_mcp.owner.config_file import Value, set_values
from zinc_mcp.owner.kept_settings import SOURCES
from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.secrets.records import Place
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.text import plain

_KINDS = ("tempo", "stripe", "command")
_PRACTICE_CHAIN = 42431


def set_up_wallet(settings: Settings, place: Place, *, force: bool) -> None:
    """Ask a person for one wallet and keep it.

    Raises:
        RefusedError: there is no terminal, or the person does not want to replace what is there.
        SettingsError: the wallet could not pay, or cannot be kept; nothing was changed.
    """
    need_a_terminal()
    if settings.wallet is not None and not force:
        source = settings.sources["wallet"]
        if not click.confirm(f"The wallet is {settings.wallet} already ({source}). Replace it?", default=False):
            raise RefusedError("Nothing was changed.", owner_step="The wallet stays as it was.")
    show_line("A payment wallet pays for orders without an account at Zinc; docs/wallets.md compares the three.")
    kind: str = click.prompt("Wallet", type=click.Choice(_KINDS))
    secret_name, asked = {"tempo": _tempo, "stripe": _stripe, "command": _command}[kind]()
    keeper = None if secret_name is None else _keeper(settings, secret_name, place, force=force)
    values: dict[str, Value] = {"wallet": kind, **asked}
    secret = None
    if keeper is not None:
        secret = SecretStr(click.prompt(_PROMPTS[keeper.name], hide_input=True).strip())
    _check(settings, values, {} if keeper is None else {keeper.name: secret})
    with uninterrupted():
        if keeper is not None and secret is not None:
            keeper.keep(secret)
        set_values(settings.config, values)
    _show(settings, kind, keeper)


_PROMPTS = {
    "tempo_private_key": "Private key, best of an access key, 0x… (it is not shown)",
    "stripe_secret_key": "Restricted key, rk_… (it is not shown)",
}


def _tempo() -> tuple[str | None, Mapping[str, Value]]:
    root: str = click.prompt("Account that an access key signs for (empty for none)", default="", show_default=False)
    practises = click.confirm("Practise on the test chain, where nothing is bought?", default=False)
    chain = _PRACTICE_CHAIN if practises else None
    return "tempo_private_key", {"tempo_root_account": root.strip() or None, "tempo_chain_id": chain}


def _stripe() -> tuple[str | None, Mapping[str, Value]]:
    return "stripe_secret_key", {"stripe_payment_method": click.prompt("What pays, pm_…").strip()}


def _command() -> tuple[str | None, Mapping[str, Value]]:
    line: str = click.prompt("The program and its arguments")
    methods: str = click.prompt("What it can pay, separated by commas", default="stripe")
    return None, {
        "wallet_command": line.strip(),
        "wallet_methods": [word for word in (each.strip() for each in methods.split(",")) if word],
    }


def _keeper(settings: Settings, name: str, place: Place, *, force: bool) -> Keeper:
    """Prepare to keep the wallet's key.

    Raises:
        SettingsError: another place has such a key, and would come first.
    """
    source = settings.sources.get(name, "default")
    if source not in (*SOURCES.values(), "default"):
        raise SettingsError(
            f"{source} has the wallet's key already, and comes first, so nothing was changed.",
            "Remove it there, or go on using it from there.",
        )
    return Keeper.ready(settings, name, place, force=force)


def _check(settings: Settings, values: Mapping[str, Value], secrets: Mapping[str, SecretStr | None]) -> None:
    """Open the wallet as it would be, and check it without paying.

    Raises:
        SettingsError: it could not pay.
    """
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in {**values, **secrets}.items()
    }
    chosen = dataclasses.replace(settings, wallet_trouble=None, **fields)
    try:
        anyio.run(check_wallet, chosen)
    except ZincMcpError as error:
        raise SettingsError(
            f"{plain(error.summary, 400)} The wallet could not pay, so nothing was kept.", advice(error)
        ) from None


def _show(settings: Settings, kind: str, keeper: Keeper | None) -> None:
    key = "" if keeper is None else f" Its key is kept in {keeper.where()}."
    show_line(f"The wallet {kind} is set up in {plain(settings.config, 300)}.{key}")
    now = load_settings()
    if now.wallet != kind:
        show_line(f"But {now.sources['wallet']} comes first, and chooses another wallet.")
    if keeper is not None:
        show_first_source(settings, keeper.name)
    if now.tempo_chain_id == _PRACTICE_CHAIN and kind == "tempo":
        show_line("It practises: nothing is bought with it.")
    else:
        show_line("It pays for real.")
    try:
        policy = read_policy(now)
        show_line(f"Limits that hold: {limits_in_words(policy)}. Before an order {asking_in_words(policy)}.")
    except ZincMcpError as error:
        show_line(f"{plain(error.summary, 300)} Until that is corrected every order is refused.")
    show_line("A server that runs already uses it from its next start on. This checks everything:")
    show_command("doctor")
