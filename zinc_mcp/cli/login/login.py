"""`zinc-mcp login`: sign in to Zinc, or keep a key or a payment wallet that you have. No secret is ever shown."""

import platform
import sys

import anyio
import click
from pydantic import SecretStr

from zinc_mcp.cli.login.device import SIGN_IN_SECONDS, sign_in
from zinc_mcp.cli.login.keeping import Keeper, is_terminal, keep_key, show_first_source
from zinc_mcp.cli.screen import show_line
from zinc_mcp.errors import RefusedError
from zinc_mcp.owner.kept_settings import opened
from zinc_mcp.owner.secrets.records import Place
from zinc_mcp.owner.settings import Settings, load_settings
from zinc_mcp.text import plain, printed
from zinc_mcp.zinc.account.sign_in import MAX_NAME, IssuedKey, create_test_key, kind_of_key
from zinc_mcp.zinc.client import MAX_KEY, ZincClient
from zinc_mcp.zinc.origin import check_origin

MAX_PASTED_BYTES = 8 * MAX_KEY


@click.command()
@click.option("--test", "for_testing", is_flag=True, help="Have Zinc make a key for testing. It needs no account.")
@click.option("--paste", is_flag=True, help="Keep a key that you have: typed unseen, or from a pipe.")
@click.option("--wallet", is_flag=True, help="Set up a payment wallet, for orders without an account.")
@click.option("--v1", "for_v1", is_flag=True, help="Keep a client token of Zinc's v1: typed unseen, or from a pipe.")
@click.option(
    "--store",
    type=click.Choice(["file", "keyring"]),
    default="file",
    show_default=True,
    help="A file of the home that only you can read, or the system's keyring.",
)
@click.option("--force", is_flag=True, help="Replace what is kept already, without being asked.")
@click.option("--name", default=None, help="The name that Zinc shows for this program.")
def login(
    for_testing: bool, paste: bool, wallet: bool, for_v1: bool, store: Place, force: bool, name: str | None
) -> None:
    """Sign in to Zinc: open a page, say yes there, and the key is kept on this machine.

    The key is never shown. It is used where neither ZINC_API_KEY nor zinc.toml has one.
    """
    if for_testing + paste + wallet + for_v1 > 1:
        raise click.UsageError("--test, --paste, --wallet and --v1 are four ways: choose one.")
    settings = load_settings()
    if settings.sandbox:
        raise RefusedError(
            f"This practises ({settings.sources['sandbox']}): the built-in sandbox takes no sign-in, so nothing was "
            "asked of Zinc and nothing was kept.",
            owner_step="To sign in at Zinc, leave ZINC_MCP_SANDBOX out (in zinc.toml: `sandbox`). docs/sign-in.md says "
            "how to practise signing in.",
        )
    if wallet:
        from zinc_mcp.cli.login.wallet import set_up_wallet

        set_up_wallet(settings, store, force=force)
        return
    if for_v1:
        _keep_token(Keeper.ready(settings, "v1_client_token", store, force=force))
        return
    check_origin(settings.api_url)
    if paste:
        _paste(Keeper.ready(settings, "api_key", store, force=force))
        return
    shown = plain(name, MAX_NAME) if name else f"zinc-mcp on {plain(platform.node(), 40) or 'this machine'}"
    keeper = Keeper.ready(settings, "api_key", store, force=force)
    if for_testing:
        keep_key(keeper, anyio.run(_made_for_testing, settings, shown), was_just_made=True)
        return
    _by_device(keeper, shown)


def _by_device(keeper: Keeper, name: str) -> None:
    test_key = _test_key(keeper.settings)
    if test_key is not None:
        show_line("Your key for testing is sent along: its test orders move to the account that you sign in with.")
    issued = sign_in(keeper.settings, name, test_key)
    if issued is None:
        click.echo("Stopped. Nothing was kept; the code ends by itself.")
        sys.exit(130)
    keep_key(keeper, issued.key, was_just_made=True)
    _show_extras(issued)


def _show_extras(issued: IssuedKey) -> None:
    if issued.orders_moved is not None:
        count = issued.orders_moved
        show_line(f"{count} test order{' was' if count == 1 else 's were'} moved to the account.")
    if issued.credit_cents:
        show_line(f"Zinc gave {printed(issued.credit_cents)} to start with.")


def _test_key(settings: Settings) -> SecretStr | None:
    """Return the present key if it is for testing; a live one is never sent with a sign-in."""
    if settings.key_record is not None and settings.key_record.remark != "test":
        return None  # a keyring is not unlocked for a key that is not sent
    key = opened(settings).api_key
    return key if key is not None and kind_of_key(key.get_secret_value()) == "test" else None


async def _made_for_testing(settings: Settings, name: str) -> SecretStr:
    client = ZincClient(settings.api_url, route=settings.route, wire_seconds=SIGN_IN_SECONDS)
    try:
        return await create_test_key(client, name)
    finally:
        await client.aclose()


def _paste(keeper: Keeper) -> None:
    given = click.prompt("API key (it is not shown)", hide_input=True) if is_terminal(sys.stdin) else _read_stdin()
    key = given.strip()
    if kind_of_key(key) is None:
        raise RefusedError(
            "That is not an API key of Zinc: one begins with zn_live_ or zn_test_ and has no spaces. Nothing was kept.",
            owner_step="Copy the whole key, and nothing else.",
            code="invalid_arguments",
        )
    keep_key(keeper, SecretStr(key), was_just_made=False)


def _keep_token(keeper: Keeper) -> None:
    """Keep a client token of v1. Nothing is asked of Zinc: v1 has no call that only checks a token."""
    origin = check_origin(keeper.settings.v1_api_url, "ZINC_V1_API_URL")
    given = click.prompt("Client token (it is not shown)", hide_input=True) if is_terminal(sys.stdin) else _read_stdin()
    token = given.strip()
    if not token or len(token) > MAX_KEY or any(not 33 <= ord(character) <= 126 for character in token):
        raise RefusedError(
            "That is not a client token: one has no spaces, and letters and signs of ASCII alone. Nothing was kept.",
            owner_step="Copy the whole token from Zinc's dashboard, and nothing else.",
            code="invalid_arguments",
        )
    keeper.keep(SecretStr(token), origin=origin)
    click.echo(f"The client token is kept in {keeper.where()}.")
    show_line(f"It buys for real at {plain(origin, 200)}. It was not checked: the first order or look-up shows it.")
    show_first_source(keeper.settings, keeper.name)
    show_line("A server that runs already uses it from its next start on: start your MCP host again.")


def _read_stdin() -> str:
    """Return the content of stdin; an empty text if there is no stdin, or too much on it."""
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # a program may be started without one
        return ""
    content = sys.stdin.buffer.read(MAX_PASTED_BYTES + 1)
    return content.decode("utf-8-sig", "replace") if len(content) <= MAX_PASTED_BYTES else ""
