"""`zinc-mcp addresses`: save, list and remove shipping addresses in the journal."""

from typing import Any

import click
from pydantic import ValidationError

from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.text import plain
from zinc_mcp.zinc.orders import Address

_FIELDS = {
    "first_name": "First name",
    "last_name": "Last name",
    "address_line1": "Street and number",
    "address_line2": "More of it (or empty)",
    "city": "City",
    "state": "State (US: two letters; or empty)",
    "postal_code": "Postal code",
    "country": "Country (two letters)",
    "phone_number": "Telephone number",
}
_OPTIONAL = frozenset({"address_line2", "state"})


@click.group()
def addresses() -> None:
    """Save, list and remove shipping addresses; the agent then says {"saved": NAME} and learns the city only.

    Addresses under [addresses.NAME] in zinc.toml count as well, and go before one of the same name here.
    """


def _with_fields(command: Any) -> Any:
    for name in reversed(_FIELDS):
        command = click.option(f"--{name.replace('_', '-')}", name, help=f"{_FIELDS[name]}.")(command)
    return command


@addresses.command()
@click.argument("name")
@_with_fields
def add(name: str, **given: str | None) -> None:
    """Save an address under NAME; asks for the fields if none is given."""
    if not 1 <= len(name) <= 64 or plain(name, 64) != name:
        raise RefusedError(
            "That is no name for an address.", owner_step="Use 1 to 64 visible characters, such as home."
        )
    settings = load_settings()
    in_file = saved_addresses(settings)
    with open_journal(settings) as journal:
        if name.casefold() in {kept.casefold() for kept in (*in_file, *journal.addresses())}:
            raise RefusedError(
                f"An address is saved as {name} already.", owner_step="Remove it first, or use another name."
            )
        asked = all(value is None for value in given.values())
        fields = {field: _field(field, value, ask=asked) for field, value in given.items()}
        address = _checked({field: value for field, value in fields.items() if value})
        journal.save_address(name, address.model_dump(mode="json", exclude_none=True))
    click.echo(f"Saved {name}: {plain(address.city, 60)}, {address.country}.")


@addresses.command(name="list")
def list_() -> None:
    """List the names and cities."""
    settings = load_settings()
    with open_journal(settings) as journal:
        kept = journal.addresses()
    in_file = saved_addresses(settings)
    for name, address in sorted(saved_addresses(settings, kept).items()):
        place = settings.config.name if name in in_file else "journal"
        click.echo(f"{plain(name, 64)}: {plain(address.city, 60)}, {address.country} ({place})")
    if not kept and not in_file:
        click.echo("No address is saved.", err=True)


@addresses.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove an address that `add` saved."""
    with open_journal() as journal:
        if not journal.remove_address(name):
            raise RefusedError(
                f"No address is saved as {plain(name, 64)} in the journal.",
                owner_step=f"{command('addresses', 'list')} prints the names; those of zinc.toml are removed there.",
            )
    click.echo(f"Removed {plain(name, 64)}.")


def _field(field: str, value: str | None, *, ask: bool) -> str | None:
    if value is not None or not ask:
        return value
    default = "US" if field == "country" else "" if field in _OPTIONAL else None
    answer: str = click.prompt(_FIELDS[field], default=default, show_default=bool(default))
    return answer.strip()


def _checked(fields: dict[str, str | None]) -> Address:
    try:
        return Address.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        wrong = first["msg"].removeprefix("Value error, ")
        raise RefusedError(
            f"{f'{field}: ' if field else ''}{wrong[:1].lower()}{wrong[1:]}; nothing was saved.",
            owner_step="Correct it and save it again.",
        ) from None
