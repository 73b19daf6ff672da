"""Addresses that the owner saved under names, so that nobody has to repeat them to a model.

They are in `zinc.toml` or in the journal. If both have an address with one name, the file's is used.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from zinc_mcp.errors import InvalidArgumentsError, Problem, RefusedError, SettingsError
from zinc_mcp.owner.settings import Settings, read_config
from zinc_mcp.text import plain
from zinc_mcp.zinc.orders import Address

if TYPE_CHECKING:
    from zinc_mcp.journal.runner import Runner

Kept = Mapping[str, Mapping[str, Any]]
"""Addresses by name, as the journal keeps them."""


async def find_address(settings: Settings, runner: "Runner", name: str) -> Address:
    """Return the address that is saved under `name`, as `chosen` does.

    Raises:
        InvalidArgumentsError: `unknown_address`, with the known names.
        RefusedError: as `saved_addresses`.
        JournalError: it is not in the file, and the journal cannot be read.
    """
    in_file = saved_addresses(settings)
    if any(_alike(name, saved) for saved in in_file):
        return chosen(in_file, name)
    kept = await runner.run(lambda journal: journal.addresses())
    addresses = saved_addresses(settings, kept)
    for saved in kept.keys() - addresses.keys():
        if _alike(name, saved):
            return _address(saved, kept[saved], "the journal")
    return chosen(addresses, name)


def saved_addresses(settings: Settings, kept: Kept | None = None) -> dict[str, Address]:
    """Return the addresses under `[addresses.NAME]` in `zinc.toml`, and those of `kept` that have other names.

    An address of `kept` that Zinc would not take is left out, so that the others can be used.

    Raises:
        RefusedError: `settings_invalid`: Zinc would not take an address of the file. The sentence names the field, not
            its value.
    """
    try:
        tables: Mapping[str, Any] = read_config(settings.config).get("addresses", {})
    except SettingsError as error:
        raise RefusedError(error.summary, "Tell the user to correct it.", code="settings_invalid") from error
    addresses = {name: _address(name, table, settings.config.name) for name, table in tables.items()}
    for name, table in (kept or {}).items():
        if not any(_alike(name, saved) for saved in tables):
            with suppress(RefusedError):
                addresses[name] = _address(name, table, "the journal")
    return addresses


async def named_addresses(settings: Settings, runner: "Runner", names: Sequence[str]) -> list[Address]:
    """Return the addresses that are saved under some names, as `addresses_under` does.

    Raises:
        RefusedError: as `saved_addresses`.
        JournalError: the journal cannot be read.
    """
    return addresses_under(settings, names, await runner.run(lambda journal: journal.addresses()))


def addresses_under(settings: Settings, names: Sequence[str], kept: Kept) -> list[Address]:
    """Return the addresses that are saved under some names; a name under which none is saved adds none.

    Raises:
        RefusedError: as `saved_addresses`.
    """
    found: list[Address] = []
    addresses = saved_addresses(settings, kept)
    for name in names:
        with suppress(InvalidArgumentsError):
            found.append(chosen(addresses, name))
    return found


def chosen(addresses: Mapping[str, Address], name: str) -> Address:
    """Return the address with this name. Upper and lower case may differ if only one name fits then.

    Raises:
        InvalidArgumentsError: `unknown_address`, with the known names.
    """
    if name in addresses:
        return addresses[name]
    alike = [saved for saved in addresses if _alike(name, saved)]
    if len(alike) == 1:
        return addresses[alike[0]]
    there_are = ", ".join(plain(saved, 40) for saved in sorted(addresses)[:20])
    raise InvalidArgumentsError(
        "No address is saved under that name.",
        f"Saved addresses: {there_are}. Use one of them, or give the whole address."
        if there_are
        else "No address is saved. Ask the user for the whole address.",
        code="unknown_address",
        problems=[Problem("shipping_address.saved", "is not the name of a saved address")],
    )


def _alike(name: str, saved: str) -> bool:
    return name.strip().casefold() == saved.casefold()


def _address(name: str, table: object, place: str) -> Address:
    where = f"{place}: the address `{plain(name, 40)}`"
    if not isinstance(table, dict):
        raise _invalid(f"{where} must be a table, written as [addresses.{plain(name, 40)}].")
    try:
        return Address.model_validate(cast(dict[str, Any], table))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        wrong = first["msg"].removeprefix("Value error, ")
        raise _invalid(f"{where}{f', {field}' if field else ''}: {wrong[:1].lower()}{wrong[1:]}.") from None


def _invalid(summary: str) -> RefusedError:
    return RefusedError(
        summary, "Tell the user to correct the saved address. Nothing was sent.", code="settings_invalid"
    )
