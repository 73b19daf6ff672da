"""Keeping a secret of the owner: ask before another one is replaced, check it, store it, and say where it is."""

import signal
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TextIO

import anyio
import click
from pydantic import SecretStr

from zinc_mcp.cli.doctor.doctor import limits_in_words
from zinc_mcp.cli.doctor.ways_to_buy import asking_in_words
from zinc_mcp.cli.screen import show_command, show_line
from zinc_mcp.errors import OrderRejectedError, RefusedError, SettingsError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.owner.kept_settings import SOURCES
from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.secrets import system_keyring
from zinc_mcp.owner.secrets.own_files import InsecureFileError
from zinc_mcp.owner.secrets.records import KINDS, Place, Record, kind_of
from zinc_mcp.owner.secrets.store import SecretStore
from zinc_mcp.owner.settings import DEFAULT_API_URL, Settings, load_settings
from zinc_mcp.text import plain, printed
from zinc_mcp.zinc.account.sign_in import Account, account_of, kind_of_key
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.origin import check_origin

CHECK_SECONDS = 8.0
"""The longest time for asking Zinc whether it accepts a key."""


@dataclass(frozen=True)
class Keeper:
    """The place where one secret is going to be kept, and the record that it replaces."""

    settings: Settings
    name: str
    place: Place
    force: bool
    instead_of: Record | None
    is_in_the_way: bool
    """Whether there is a record, even one that cannot be read."""

    @classmethod
    def ready(cls, settings: Settings, name: str, place: Place, *, force: bool) -> "Keeper":
        """Check that a secret could be kept, and that it may replace the one that is there.

        Raises:
            SettingsError: it could not be kept.
            RefusedError: the person does not want to replace the present one, or nobody can be asked.
        """
        store = SecretStore(settings.home)
        store.check_place(name, place)
        present: Record | None = None
        is_there = False
        try:
            present = store.record(name)
            is_there = present is not None
        except InsecureFileError:
            raise
        except SettingsError as error:
            show_line(plain(error.summary, 600))
            is_there = True
        if is_there and not force:
            _ask_to_replace(name, present)
        return cls(settings, name, place, force, present, is_there)

    def keep(self, secret: SecretStr, *, origin: str | None = None, remark: str | None = None) -> Record:
        """Keep the secret and return its record.

        Raises:
            SettingsError: it cannot be kept.
        """
        return self.keep_parts({"value": secret}, origin=origin, remark=remark)

    def keep_parts(
        self,
        parts: Mapping[str, SecretStr],
        *,
        origin: str | None = None,
        remark: str | None = None,
        about: Mapping[str, str] | None = None,
    ) -> Record:
        """Keep a secret of several parts and return its record.

        Raises:
            SettingsError: it cannot be kept.
        """
        return SecretStore(self.settings.home).put(
            self.name, parts, self.place, instead_of=self.instead_of, origin=origin, remark=remark, about=about
        )

    def where(self) -> str:
        """Return the place in words."""
        if self.place == "keyring":
            name = ""
            with suppress(SettingsError):  # the secret is kept; only the keyring's name is not known
                name = f"{plain(system_keyring.name(), 60)}, "
            return f"the system's keyring ({name}as {system_keyring.SERVICE})"
        return f"{plain(SecretStore(self.settings.home).path(self.name))}, which only you can read"


def keep_key(keeper: Keeper, key: SecretStr, *, was_just_made: bool) -> None:
    """Ask Zinc about an API key, keep it, and say which account and money it uses.

    Args:
        keeper: see `Keeper.ready`.
        key: the key.
        was_just_made: Zinc shows it only once, so it is kept even if Zinc cannot be asked about it now.

    Raises:
        RefusedError: Zinc does not accept it, or cannot be asked while an older key is kept; nothing was changed.
        SettingsError: it cannot be kept.
    """
    kind = kind_of_key(key.get_secret_value())
    origin = check_origin(keeper.settings.api_url)
    with uninterrupted():
        known = anyio.run(partial(ask_about, keeper.settings, key))
        if isinstance(known, OrderRejectedError) and known.status == 401:
            stays = " The key that was kept before stays." if keeper.is_in_the_way else ""
            raise RefusedError(
                f"Zinc at {plain(origin, 200)} does not accept this key, so it was not kept.{stays}",
                owner_step=f"Look at what was pasted, or let Zinc make a new one: {command('login')}",
            )
        if isinstance(known, ZincMcpError) and keeper.is_in_the_way and not was_just_made and not keeper.force:
            raise RefusedError(
                f"Whether Zinc accepts this key is not known ({plain(known.summary, 200)}), so the key that was kept "
                "before stays.",
                owner_step="Try again later. --force replaces the key all the same.",
            )
        try:
            keeper.keep(key, origin=origin, remark=kind)
        except ZincMcpError as error:
            if was_just_made:
                show_line("Zinc has made a key that could not be kept, and nobody has it now. Remove it at Zinc.")
            raise error
    click.echo(f"Signed in. The {kind} key is kept in {keeper.where()}.")
    if isinstance(known, ZincMcpError):
        show_line(f"It could not be checked: {plain(known.summary, 300)}")
    else:
        show_line(about_account(known))
    _show_meaning(keeper.settings, kind == "live", origin)
    show_first_source(keeper.settings, keeper.name)
    show_line("A server that runs already uses it from its next start on: start your MCP host again.")
    click.echo("This shows it, without the key:")
    show_command("whoami")


def about_account(account: Account) -> str:
    """Return the facts that Zinc tells of an account, on one line."""
    said = [f"account {account.user}"] if account.user else []
    said += [account.email] if account.email else []
    said += [f"balance {printed(account.balance_cents)}"] if account.balance_cents is not None else []
    said += [f"fee {printed(account.fee_cents)} an order"] if account.fee_cents is not None else []
    return f"Zinc accepts it{': ' if said else ''}{', '.join(said)}."


def show_first_source(settings: Settings, name: str) -> None:
    """Warn if a place outside the store has this secret too, because that one is used."""
    source = load_settings().sources.get(name, "default")
    if source not in (*SOURCES.values(), "default"):
        show_line(f"But {KINDS[name].meaning} of {source} comes first: what is kept is not used until that is removed.")


@contextmanager
def uninterrupted() -> Generator[None]:
    """Ignore Ctrl-C while a secret is being received and stored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether a person is at a stream. A program may be started without it."""
    return stream is not None and stream.isatty()


def _ask_to_replace(name: str, present: Record | None) -> None:
    what = kind_of(name).meaning
    if present is not None and present.remark:
        what = f"{what} ({present.remark})"
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise RefusedError(
            f"One is kept already: {what}. Nothing was changed.",
            owner_step=f"--force replaces it. {_forgetting(name)} forgets it.",
        )
    if not click.confirm(f"One is kept already: {what}. Replace it?", default=False):
        raise RefusedError("Nothing was changed.", owner_step="What was kept before is still kept.")


def _forgetting(name: str) -> str:
    """Return the command that forgets a secret."""
    own = name.partition(".")[2]
    if own:
        return command("retailer-accounts", "remove", given=[own])
    return command("logout", "--v1") if name == "v1_client_token" else command("logout")


async def ask_about(settings: Settings, key: SecretStr) -> Account | ZincMcpError:
    """Return the account that Zinc tells for a key, or the error that came instead."""
    client = ZincClient(settings.api_url, route=settings.route, read_seconds=CHECK_SECONDS)
    try:
        return await account_of(client, key)
    except ZincMcpError as error:
        return error
    finally:
        await client.aclose()


def _show_meaning(settings: Settings, is_live: bool, origin: str) -> None:
    """Say whether the key spends money, with the limits that hold now."""
    if not is_live:
        show_line("It is for testing: an order with it buys nothing.")
        return
    if origin == DEFAULT_API_URL:
        show_line("It buys for real, from the balance at Zinc.")
    else:
        show_line(f"It is a live key of {plain(origin, 200)}: an order with it spends the balance there.")
    try:
        policy = read_policy(settings)
    except ZincMcpError as error:
        show_line(f"{plain(error.summary, 300)} Until that is corrected every order is refused.")
        return
    show_line(f"Limits that hold: {limits_in_words(policy)}. Before an order {asking_in_words(policy)}.")
