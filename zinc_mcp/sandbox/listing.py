"""`GET /orders`: which orders a query means (List Orders; SDK 2026.8.21 and later)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

_Json = dict[str, Any]

# The default limit is not documented; returns and managed accounts have these two.
_LIMIT, _MOST = 50, 500


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for, read and found well formed."""

    limit: int
    offset: int
    filters: tuple[Callable[[Mapping[str, Any]], bool], ...]
    metadata: tuple[str, str] | None
    events: bool


def read_query(parameters: QueryParams) -> Query | list[_Json]:
    """Return the query, or what is wrong with it as FastAPI says it. Unknown parameters are ignored, as there."""
    problems: list[_Json] = []

    def whole(name: str, usual: int, least: int, most: int) -> int:
        given = parameters.get(name)
        if given is None:
            return usual
        if given.isascii() and given.isdigit() and least <= int(given) <= most:
            return int(given)
        problems.append(_problem(name, "int_parsing", f"Input should be a whole number from {least} to {most}"))
        return usual

    def instant(name: str) -> datetime | None:
        try:
            found = datetime.fromisoformat(parameters[name])
        except KeyError:
            return None
        except ValueError:
            problems.append(_problem(name, "datetime_parsing", "Input should be a valid datetime"))
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    limit, offset = whole("limit", _LIMIT, 1, _MOST), whole("offset", 0, 0, 10**9)
    key, value = parameters.get("metadata_key"), parameters.get("metadata_value")
    if (key is None) != (value is None):
        problems.append(_problem("metadata_key", "value_error", "metadata_key and metadata_value go together"))
    filters: list[Callable[[Mapping[str, Any]], bool]] = []
    for name, matches in _TEXT_FILTERS.items():
        if (wanted := parameters.get(name)) is not None:
            filters.append(lambda order, matches=matches, wanted=wanted: matches(order, wanted))  # type: ignore[misc]
    if after := instant("created_after"):
        filters.append(lambda order: datetime.fromisoformat(order["created_at"]) >= after)
    if before := instant("created_before"):
        filters.append(lambda order: datetime.fromisoformat(order["created_at"]) < before)
    if problems:
        return problems
    metadata = (key, value) if key is not None and value is not None else None
    return Query(limit, offset, tuple(filters), metadata, "tracking_events" in parameters.getlist("include"))


def has_metadata(metadata: Mapping[str, Any], pair: tuple[str, str]) -> bool:
    """Say whether a top-level key has exactly this value; what is not a string is compared as JSON spells it."""
    name, wanted = pair
    if name not in metadata:
        return False
    found = metadata[name]
    return wanted == (found if isinstance(found, str) else json.dumps(found))


def _problem(name: str, kind: str, message: str) -> _Json:
    return {"type": kind, "loc": ["query", name], "msg": message}


def _merchant(order: Mapping[str, Any], wanted: str) -> bool:
    # Dashes are matched as typed and stripped.
    return any(wanted in (number, number.replace("-", "")) for number in order["merchant_order_ids"])


def _named(order: Mapping[str, Any], wanted: str) -> bool:
    address = order["shipping_address"]
    return wanted.casefold() in f"{address['first_name']} {address['last_name']}".casefold()


def _searched(order: Mapping[str, Any], wanted: str) -> bool:
    return wanted in order["id"] or any(wanted in each["tracking_number"] for each in order["tracking_numbers"])


def _returned(order: Mapping[str, Any], wanted: str) -> bool:
    statuses = {"open": ("open",), "closed": ("approved", "denied")}.get(wanted, ())
    return any(each["status"] in statuses for each in order["returns"])


_TEXT_FILTERS: dict[str, Callable[[Mapping[str, Any], str], bool]] = {
    "order_id": lambda order, wanted: wanted in order["id"],
    "search": _searched,
    "merchant_order_id": _merchant,
    "shipping_name": _named,
    "status_filter": lambda order, wanted: order["status"] == wanted,
    "tracking_status": lambda order, wanted: any(each["status"] == wanted for each in order["tracking_numbers"]),
    "has_tracking": lambda order, wanted: bool(order["tracking_numbers"]) == (wanted.lower() in ("true", "1")),
    "return_status": _returned,
}
