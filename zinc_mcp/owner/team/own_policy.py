"""The settings of one server that decide whether an order may be placed, to be compared with those of others."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from zinc_mcp.journal.records.own_policy import OwnPolicy
from zinc_mcp.owner.team.limits import TeamRules
from zinc_mcp.zinc.orders import Address

_ABSENT: tuple[object, ...] = (False, [], {})
_MOST_KNOWN = 8
_known: list[tuple[TeamRules, OwnPolicy]] = []
"""The last results. A policy stays the same object while it does not change, and each order asks for its result."""


def own_policy(policy: TeamRules, addresses: Callable[[], Mapping[str, Address]]) -> OwnPolicy:
    """Return the values to compare: the policy, and the server's own addresses if the policy names saved ones.

    A key with a default that allows and limits nothing counts only if it is set. So a later version that knows more of
    such keys has the same policy until one of them is set. Members are not compared: they change while servers run.

    Args:
        policy: the policy, with its defaults.
        addresses: returns the addresses in the file of settings. Those of the journal are the same for all servers.
    """
    own = next((known for each, known in _known if each is policy), None)
    if own is None:
        own = OwnPolicy(dict(_lines("", _set(policy))))
        _known[:] = [*_known[1 - _MOST_KNOWN :], (policy, own)]
    if own.values.get("ship_to") != "saved" and not any(key.endswith(".ship_to") for key in own.values):
        return own
    digests = {
        f"addresses.{name}": hashlib.sha256(address.model_dump_json().encode()).hexdigest()[:16]
        for name, address in addresses().items()
    }
    return OwnPolicy({**own.values, **digests})


def _set(policy: TeamRules) -> dict[str, Any]:
    values, defaults = (each.model_dump(mode="json", exclude_none=True) for each in (policy, type(policy)()))
    return {key: value for key, value in values.items() if value != defaults.get(key) or value not in _ABSENT}


def _lines(before: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _lines(f"{before}{key}.", cast("dict[str, Any]", value))
        else:
            # Each list of a policy is a set: the order of its values means nothing.
            yield f"{before}{key}", sorted(cast("list[Any]", value)) if isinstance(value, list) else value
