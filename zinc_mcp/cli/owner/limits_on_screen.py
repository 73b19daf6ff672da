"""The limits that hold, the source of each, and the used part of them: on a screen, and for programs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import click
from rich.text import Text

from zinc_mcp.cli.console import Hanging, grid, show
from zinc_mcp.cli.own_journal import open_journal, open_members
from zinc_mcp.cli.screen import show_command, show_line
from zinc_mcp.journal.checks.shared import Held
from zinc_mcp.journal.records.entry import DAY_SECONDS, MONTH_SECONDS, Mode
from zinc_mcp.journal.records.own_policy import OwnPolicy
from zinc_mcp.known_settings import Role
from zinc_mcp.owner.addresses import saved_addresses
from zinc_mcp.owner.members import members_callers
from zinc_mcp.owner.pin import notice
from zinc_mcp.owner.policy import Policy, policy_sources, read_policy
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.limits import TEAM_TABLES
from zinc_mcp.owner.team.member import EVERY_MEMBER, LOCAL
from zinc_mcp.owner.team.own_policy import own_policy
from zinc_mcp.text import plain, printed
from zinc_mcp.views.owner.export import moment

_MONEY = frozenset(
    {"approve_above", "max_order", "max_day", "max_month", "max_unproved", "second_yes_above", "max_lookups_day"}
)
_WHEN_NONE = {
    "approval": "not chosen",
    "approve_above": "always ask",
    "max_month": "no limit",
    "max_orders_day": "no limit",
    "max_unproved": "as max_day",
    "second_yes_above": "never asked of another person",
    "retailers_allowed": "any",
    "countries": "any",
    "rails": "any",
}


@dataclass(frozen=True, slots=True)
class Used:
    """The part of the limits that one caller has used: US cents and orders, in 24 hours and in 30 days."""

    caller: str
    name: str
    day: tuple[int, int]
    month: tuple[int, int]


@dataclass(frozen=True, slots=True)
class UsedTogether:
    """The used part of the limits over several callers: those with a role, or all of them."""

    role: Role | None
    held: Held


@dataclass(frozen=True, slots=True)
class Found:
    """The policy and what counts against it."""

    settings: Settings
    policy: Policy
    sources: Mapping[str, str]
    addresses: Sequence[str]
    has_pin: bool
    pin_ends: float | None
    used: Sequence[Used]
    together: Sequence[UsedTogether]
    """Empty if the policy has no such limits."""
    strangers: Sequence[str]
    """Names for which the policy has a table, and which no member has."""
    pauses: Sequence[str]
    own: OwnPolicy
    published: OwnPolicy | None
    """The policy that holds for all servers on the journal, where several can share it and one is published."""

    @property
    def mode(self) -> Mode:
        """The kind of money whose use is counted."""
        return self.settings.mode


def limits_found(settings: Settings) -> Found:
    """Read the policy and the journal.

    Raises:
        SettingsError: the policy cannot be used.
        JournalError: the journal cannot be read.
    """
    held, sources = read_policy(settings), policy_sources(settings)
    with open_members(settings) as place:
        members = {caller: name for name, caller in members_callers(place).items()}
    with open_journal(settings) as journal:
        used = [
            # A former member is shown as the whole caller, because another member may have the name by now.
            Used(
                caller,
                members.get(caller, caller),
                journal.counted(caller, settings.mode, DAY_SECONDS),
                journal.counted(caller, settings.mode, MONTH_SECONDS),
            )
            for caller in dict.fromkeys((LOCAL, *members, *journal.callers(settings.mode)))
        ]
        together = [UsedTogether(role, journal.counted_together(settings.mode, role).role) for role in held.roles]
        if held.team.rolling is not None:
            together.append(UsedTogether(None, journal.counted_together(settings.mode, None).team))
        return Found(
            settings,
            held,
            sources,
            [plain(name, 40) for name in sorted(saved_addresses(settings, journal.addresses()))],
            journal.pin() is not None,
            journal.pin_ends(),
            used,
            together,
            sorted(held.members.keys() - {EVERY_MEMBER, *members.values()}),
            [plain(why) for why in journal.pauses()],
            own_policy(held, partial(saved_addresses, settings)),
            journal.published_policy() if settings.is_shared else None,
        )


def show_limits(found: Found) -> None:
    """Print the limits and their use."""
    config = found.settings.config
    show_line(f"{config}{'' if config.exists() else ' (not there: defaults hold)'}")
    click.echo("")
    names = [name for name in Policy.model_fields if name not in TEAM_TABLES]
    values = {name: shown(name, getattr(found.policy, name)) for name in names}
    lines = [(name, values[name], name) for name in names]
    lines += [(key, value, key.partition(".")[0]) for key, value in found.policy.team_lines()]
    rows = [
        (
            Text(""),
            Text(plain(key, 90)),
            Hanging(value, style="bold" if key.rpartition(".")[2] in _MONEY else ""),
            _source(found, table),
        )
        for key, value, table in lines
    ]
    show(grid((0, max(len(key) for key, _, _ in lines), None, None), rows))
    for name in found.strangers:
        # A server may have been given another file of members.
        show_line(f"No member here is named {plain(name, 64)}, so the lines of that name hold for nobody here.")
    click.echo("")
    show_line(f"Saved addresses: {', '.join(found.addresses) or 'none'}")
    click.echo(f"PIN: {'set' if found.has_pin else 'not set'}")
    if found.pin_ends is not None:
        show_line(notice(found.pin_ends, time.time()))
    own = ", which each caller has for themselves" if len(found.used) > 1 else ""
    show(Hanging(f"Used of the limits ({found.mode}){own}:", "  ", "bold"))
    for each in found.used:
        show_line(f"  {plain(each.name, 64)}: {_said(*each.day)} in 24 hours, {_said(*each.month)} in 30 days")
    for shared in found.together:
        whose = "all together" if shared.role is None else f"all with the role {shared.role}"
        held = shared.held
        show_line(
            f"  {whose}: {_said(held.day_cents, held.day_orders)} in 24 hours, {printed(held.month_cents)} in 30 days"
        )
    for why in found.pauses:
        show_line(f"Paused: {why}")
    if found.published is not None:
        differing = differences(found.own, found.published)
        for line in differing:
            show_line(line)
        click.echo(
            "This is not the policy that is published for all servers, so nothing is ordered here. To publish it:"
            if differing
            else "This is the policy that is published for all servers."
        )
        if differing:
            show_command("policy", "publish")


def limits_record(found: Found) -> Mapping[str, Any]:
    """Return the limits for programs. Names are only added; amounts are US cents, times are UTC (ISO 8601).

    `published` has the published value of each key that differs, with dots between a table and its key.
    """
    return {
        "config": str(found.settings.config),
        "config_exists": found.settings.config.exists(),
        "mode": found.mode,
        "policy": {
            name: {"value": value, "source": found.sources[name]}
            for name, value in found.policy.model_dump(mode="json").items()
        },
        "addresses": list(found.addresses),
        "pin": {"is_set": found.has_pin, "ends_at": None if found.pin_ends is None else moment(found.pin_ends)},
        "used": [
            {
                "caller": plain(each.caller, 64),
                "name": plain(each.name, 64),
                "day_cents": each.day[0],
                "day_orders": each.day[1],
                "month_cents": each.month[0],
                "month_orders": each.month[1],
            }
            for each in found.used
        ],
        "used_together": [
            {
                "role": each.role,
                "day_cents": each.held.day_cents,
                "day_orders": each.held.day_orders,
                "month_cents": each.held.month_cents,
            }
            for each in found.together
        ],
        "pauses": list(found.pauses),
        "published": None
        if found.published is None
        else {key: found.published.values.get(key) for key in found.own.differing(found.published)},
    }


def differences(own: OwnPolicy, published: OwnPolicy) -> list[str]:
    """Return a line for each key in which two policies differ."""

    def said(key: str, policy: OwnPolicy) -> str:
        value = policy.values.get(key)
        if value is None:
            return "not set"
        if key.startswith("addresses."):
            return f"an address ({plain(value, 16)})"
        if isinstance(value, list):
            value = tuple(str(each) for each in cast("list[object]", value))
        return plain(shown(key.rpartition(".")[2], value), 200)

    return [
        f"{plain(key, 90)}: {said(key, own)} here, {said(key, published)} published" for key in own.differing(published)
    ]


def shown(name: str, value: Any) -> str:
    """Return one value of the policy in words for a person."""
    if value is None:
        return _WHEN_NONE[name]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in _MONEY:
        return printed(value)
    if isinstance(value, tuple):
        return ", ".join(cast(tuple[str, ...], value)) or "none"
    return str(value)


def _source(found: Found, name: str) -> Hanging:
    return Hanging(found.sources[name], style="dim")


def _said(cents: int, orders: int) -> str:
    return f"{printed(cents)} by {orders} order{'' if orders == 1 else 's'}"
