"""Addresses the owner saved under a name, so that nobody has to repeat them to a model."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import ValidationError

from zinc_mcp.api.orders import Address
from zinc_mcp.errors import InvalidArgumentsError, Problem, RefusedError, SettingsError
from zinc_mcp.prose import plain
from zinc_mcp.settings import Settings, read_config


def saved_addresses(settings: Settings) -> dict[str, Address]:
    """Return the addresses under `[addresses.NAME]` in `zinc.toml`, by name.

    Raises:
        RefusedError: `settings_invalid`, if one of them is not an address Zinc would take. It names the field only.
    """
    try:
        tables: Mapping[str, Any] = read_config(settings.config).get("addresses", {})
    except SettingsError as error:
        raise RefusedError(error.summary, "Tell the user to correct it.", code="settings_invalid") from error
    return {name: _address(name, table, settings) for name, table in tables.items()}


def resolve(settings: Settings, name: str) -> Address:
    """Return the address saved under `name`; upper and lower case are one where that leaves no choice.

    Raises:
        InvalidArgumentsError: `unknown_address`, with the names there are.
        RefusedError: as `saved_addresses`.
    """
    addresses = saved_addresses(settings)
    if name in addresses:
        return addresses[name]
    alike = [saved for saved in addresses if saved.casefold() == name.strip().casefold()]
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


def _address(name: str, table: object, settings: Settings) -> Address:
    where = f"{settings.config.name}: the address `{plain(name, 40)}`"
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
