"""`zinc-mcp retailer-accounts`: add, list and remove the owner's accounts at retailers. No secret is ever shown."""

import json
import sys
from contextlib import suppress
from typing import Any, cast

import click

from zinc_mcp.cli.login.keeping import Keeper, is_terminal, uninterrupted
from zinc_mcp.cli.screen import show_command, show_line
from zinc_mcp.errors import RefusedError, SettingsError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.owner.account_document import MAX_BYTES, account_in
from zinc_mcp.owner.kept_settings import SOURCES
from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.retailer_accounts import Profile, is_profile_name, profile_named, profiles, secret_name
from zinc_mcp.owner.secrets.records import Place
from zinc_mcp.owner.secrets.store import SecretStore
from zinc_mcp.owner.secrets.system_keyring import ELSE
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.owner.team.member import EVERY_MEMBER, LOCAL
from zinc_mcp.text import plain
from zinc_mcp.wiring.clients import v1_origin
from zinc_mcp.zinc.v1.products import RETAILERS

_ADDRESS = {
    "first_name": "First name",
    "last_name": "Last name",
    "address_line1": "Street and number",
    "address_line2": "More of it (or empty)",
    "zip_code": "Postal code",
    "city": "City",
    "state": "State (US: two letters; or empty)",
    "country": "Country (two letters)",
    "phone_number": "Telephone number",
}
_EMPTY_WORKS = frozenset({"address_line2", "state"})
_WAYS = {
    "card": "a card, which goes into the system's keyring",
    "gift": "the gift balance of the account (Amazon, Walmart)",
    "default": "whatever the account pays with by default",
}
_NOT_IN_A_FILE = (
    "A card is kept in the system's keyring or nowhere. Without one, let the account pay by its gift "
    "balance or by its own default."
)


@click.group(name="retailer-accounts")
def retailer_accounts() -> None:
    """Add, list and remove your own accounts at retailers, for v1 orders.

    The agent names one as {"profile": NAME}, and learns its retailer and the kind of its payment. It can use one only
    if [policy] in zinc.toml names it: retailer_accounts = ["NAME"].
    """


@retailer_accounts.command()
@click.argument("name")
@click.option(
    "--store",
    type=click.Choice(["keyring", "file"]),
    default="keyring",
    show_default=True,
    help="The system's keyring, or a file of the home that only you can read. A card is never kept in a file.",
)
@click.option("--force", is_flag=True, help="Replace an account of this name, without being asked.")
def add(name: str, store: Place, force: bool) -> None:
    """Keep an account under NAME: asked for in a terminal, unseen, or one JSON document on standard input.

    The document has `retailer`, and `retailer_credentials`, `payment_method` and `billing_address` as v1 takes them.
    """
    if not is_profile_name(name):
        raise RefusedError(
            "That is no name for an account.", owner_step="Use 1 to 40 of a-z, 0-9, dash and underscore, such as work."
        )
    settings = load_settings()
    keeper = _ready(settings, name, store, force=force)
    account = account_in(_asked() if is_terminal(sys.stdin) else _piped())
    parts = account.parts
    if store == "file" and "card" in parts:
        raise RefusedError("A card is never kept in a file, so nothing was kept.", owner_step=_NOT_IN_A_FILE)
    with uninterrupted():
        keeper.keep_parts(parts, origin=v1_origin(settings), about=account.about)
    _show_kept(settings, keeper, profile_named(settings.home, name))


def _ready(settings: Settings, name: str, store: Place, *, force: bool) -> Keeper:
    try:
        return Keeper.ready(settings, secret_name(name), store, force=force)
    except SettingsError as missing:
        if ELSE not in missing.next_step:
            raise
        raise SettingsError(missing.summary, f"{missing.next_step} But a card is never kept in a file.") from None


@retailer_accounts.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list.")
def list_(as_json: bool) -> None:
    """List the accounts: name, retailer, payment and place. No account is opened for it."""
    settings = load_settings()
    found, allowed = profiles(settings.home), _allowed(settings)
    if as_json:
        click.echo(json.dumps([_record(profile, allowed, _members(settings, profile)) for profile in found]))
        return
    for each in found:
        members = ["each" if member == EVERY_MEMBER else plain(member, 64) for member in _members(settings, each)]
        may = "" if allowed is None or each.name in allowed or members else "; the policy does not name it"
        may += f"; for members: {', '.join(members)}" if members else ""
        show_line(f"{each.name}: {each.retailer}, pays with {each.pays_with} ({SOURCES[each.place]}{may})")
    if not found:
        click.echo("No account at a retailer is kept.", err=True)


@retailer_accounts.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Forget where it is, even if the keyring cannot be asked to remove it.")
def remove(name: str, force: bool) -> None:
    """Forget an account. The account itself stays as it is at the retailer."""
    removed = False
    if is_profile_name(name):
        try:
            removed = SecretStore(load_settings().home).remove(secret_name(name), even_if_locked=force)
        except SettingsError as error:
            raise SettingsError(
                f"{error.summary} So the account is still kept.",
                "Unlock the keyring and try again. --force forgets where it is, and leaves it in the keyring.",
            ) from None
    if not removed:
        raise RefusedError(
            "No account at a retailer is kept under that name.",
            owner_step=f"This lists those that are kept: {command('retailer-accounts', 'list')}",
        )
    click.echo(f"Forgot the retailer account {name}.")
    show_line("An order that was sent with it and not answered is not sent again; it is still looked up.")


def _allowed(settings: Settings) -> tuple[str, ...] | None:
    """Return the names that the policy has for the owner's own orders, or None if it cannot be read."""
    try:
        return read_policy(settings).accounts_of(LOCAL)
    except ZincMcpError:
        return None


def _members(settings: Settings, profile: Profile) -> list[str]:
    """Return the names of the members for whom the policy names an account."""
    try:
        return read_policy(settings).members_of(profile.name)
    except ZincMcpError:
        return []


def _record(profile: Profile, allowed: tuple[str, ...] | None, members: list[str]) -> dict[str, Any]:
    return {
        "name": profile.name,
        "retailer": profile.retailer,
        "payment": profile.payment,
        "last_four": profile.last_four,
        "place": profile.place,
        "allowed": None if allowed is None else profile.name in allowed,
        "members": members,
    }


def _show_kept(settings: Settings, keeper: Keeper, profile: Profile) -> None:
    click.echo(f"The {profile.retailer} account {profile.name} is kept in {keeper.where()}.")
    show_line(f"It pays with {profile.pays_with}.")
    if keeper.is_in_the_way:
        show_line(
            "If it differs from the earlier one, an order that was made with that is not sent (again). One that was "
            "sent is still looked up."
        )
    allowed = _allowed(settings)
    if allowed is not None and profile.name not in allowed:
        show_line("No order of yours can use it yet. To allow it, put this line under [policy] in zinc.toml:")
        names = ", ".join(f'"{each}"' for each in (*allowed, profile.name))
        click.echo(f"  retailer_accounts = [{names}]")
    click.echo("This lists the accounts:")
    show_command("retailer-accounts", "list")


# What the owner types, or gives on standard input


def _piped() -> object:
    """Return the JSON object on standard input.

    Raises:
        RefusedError: there is none, or it is too long.
    """
    content = b""
    if sys.stdin is not None:  # pyright: ignore[reportUnnecessaryComparison]  # a program may be started without one
        content = sys.stdin.buffer.read(MAX_BYTES + 1)
    found: object = None
    if 0 < len(content) <= MAX_BYTES:
        with suppress(ValueError, RecursionError):
            found = json.loads(content.decode("utf-8-sig"))
    if not isinstance(found, dict):
        raise RefusedError(
            "There is no JSON object on standard input, so nothing was kept.",
            owner_step="Give one document with retailer, retailer_credentials, payment_method and billing_address, or "
            "run this in a terminal without a pipe: then each is asked for.",
            code="invalid_arguments",
        )
    return cast("dict[str, object]", found)


def _asked() -> dict[str, Any]:
    """Ask for everything. Login and payment are not shown while they are typed."""
    retailer: str = click.prompt("Retailer", type=click.Choice(RETAILERS), default="amazon")
    credentials = {"email": _unseen("Login e-mail"), "password": _unseen("Password", strips=False)}
    if totp_key := _unseen("Key of the second factor, from which codes are made (or empty)", may_be_empty=True):
        credentials["totp_2fa_key"] = totp_key
    for each, meaning in _WAYS.items():
        click.echo(f"  {each}: {meaning}")
    way: str = click.prompt("It pays with", type=click.Choice(list(_WAYS)), default="gift")
    payment = {"use_gift": True} if way == "gift" else {"use_account_payment_defaults": True}
    if way == "card":
        payment = _card()
    click.echo("The billing address of the payment:")
    given: dict[str, str] = {}
    for field, meaning in _ADDRESS.items():
        default = "US" if field == "country" else "" if field in _EMPTY_WORKS else None
        text: str = click.prompt(meaning, default=default, show_default=bool(default))
        if text.strip():
            given[field] = text.strip()
    return {
        "retailer": retailer,
        "retailer_credentials": credentials,
        "payment_method": payment,
        "billing_address": given,
    }


def _card() -> dict[str, Any]:
    return {
        "name_on_card": _unseen("Name on the card"),
        "number": _unseen("Number of the card"),
        "security_code": _unseen("Security code"),
        "expiration_month": click.prompt("Month in which it expires (1 to 12)", type=int),
        "expiration_year": click.prompt("Year in which it expires", type=int),
    }


def _unseen(question: str, *, may_be_empty: bool = False, strips: bool = True) -> str:
    given: str = click.prompt(
        f"{question} (not shown)", hide_input=True, default="" if may_be_empty else None, show_default=False
    )
    return given.strip() if strips else given
