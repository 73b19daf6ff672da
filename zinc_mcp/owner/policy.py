"""The owner's policy: limits, retailers, countries and ways to pay. It is read again for each decision.

`owner.objection` checks an order by it. This module is read at every start, so it loads no more than it needs.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationError, field_validator

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.invocation import command
from zinc_mcp.known_settings import Approval, RailName, settings_of
from zinc_mcp.owner.settings import Reader, Settings, read_config
from zinc_mcp.owner.team.limits import Limit, TeamRules
from zinc_mcp.owner.team.member import LOCAL, lines_for

Switch = Annotated[bool, Field(strict=True)]

_SETTINGS = settings_of("policy")
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


class Policy(TeamRules):
    """The `[policy]` table, with the variables that override it. Money is US cents.

    Its own limits are those of each caller; `TeamRules` has those of a team.
    """

    approval: Approval | None = None
    """None: no mode was chosen. It is like `auto`, except that practice asks nobody."""
    approve_above: Limit | None = None
    """A person is asked above this amount; None: always."""
    max_order: Limit = 25_000
    max_day: Limit = 50_000
    max_month: Limit | None = None
    max_orders_day: Limit | None = None
    """The most orders in 24 hours. An order that was refused, or gave back all of its money, does not count."""
    max_unproved: Limit | None = None
    """The most that wallets may have paid up front for orders that bought nothing, while its return is unproved. None
    is as much as `max_day`. Above it the agent rail stops until the owner says how much came back."""
    second_yes_above: Limit | None = None
    """Another person has to say yes if a caller's orders of 24 hours come to more than this; None: never."""
    max_lookups_day: Limit = 100
    """The most that questions about products (searches, details, offers) may cost in 24 hours."""
    check_before_asking: Switch = True
    """Whether Zinc is asked, before a person is asked, if it can order there at all. That is free."""
    retailers_allowed: tuple[str, ...] | None = None
    retailers_blocked: tuple[str, ...] = ()
    countries: tuple[str, ...] | None = None
    ship_to: Literal["any", "saved"] = "any"
    rails: tuple[RailName, ...] | None = None
    repeat: Literal["ask", "allow"] = "ask"
    connect: Switch = False
    """Whether Stripe Connect is allowed, by which the owner's customer pays."""
    retailer_accounts: Switch | tuple[str, ...] = False
    """The accounts at retailers that the owner's own orders may use: names of accounts that are kept here, and ids of
    accounts at Zinc. True allows each account at Zinc, and none that is kept here: such an account has to be named."""
    member_retailer_accounts: Mapping[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """The same for orders of a team's members, by the member's name; `EVERY_MEMBER` stands for each of them."""
    paid_notifications: Switch = False

    @property
    def most_unproved(self) -> int:
        """The amount of `max_unproved`, or its default."""
        return self.max_day if self.max_unproved is None else self.max_unproved

    def accounts_of(self, caller: str) -> tuple[str, ...]:
        """Return the accounts at retailers that the policy names for a member, or for the owner."""
        if caller != LOCAL:
            return tuple(dict.fromkeys(chain.from_iterable(lines_for(self.member_retailer_accounts, caller))))
        return self.retailer_accounts if isinstance(self.retailer_accounts, tuple) else ()

    def members_of(self, account: str) -> list[str]:
        """Return the names of the members for whom the policy names an account."""
        return sorted(member for member, named in self.member_retailer_accounts.items() if account in named)

    @field_validator("retailer_accounts", mode="before")
    @classmethod
    def _switch_or_names(cls, given: object) -> object:
        # A union would report the mistake once for each of its members.
        if isinstance(given, bool):
            return given
        names = _names(given)
        if names is None:
            raise ValueError('must be a list of names such as ["work"], or true or false')
        return names

    @field_validator("member_retailer_accounts", mode="before")
    @classmethod
    def _names_by_member(cls, given: object) -> object:
        table = cast("Mapping[str, object]", given) if isinstance(given, Mapping) else {"": None}
        found = {member: _names(names) for member, names in table.items()}
        if None in found.values():
            raise ValueError('must have a list of names for each member, such as {ada = ["work"]}')
        return found

    @field_validator("retailers_allowed", "retailers_blocked")
    @classmethod
    def _host_patterns(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if patterns is None else tuple(_pattern(pattern) for pattern in patterns)

    @field_validator("countries")
    @classmethod
    def _alpha_2(cls, countries: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if countries is None:
            return None
        from zinc_mcp.zinc.texts.countries import ALPHA_2  # most policies name no country

        if any(country.upper() not in ALPHA_2 for country in countries):
            raise ValueError("must be ISO 3166-1 alpha-2 codes such as US, CA or GB")
        return tuple(country.upper() for country in countries)


def read_policy(settings: Settings, environ: Mapping[str, str] | None = None) -> Policy:
    """Return the policy that holds now. If a limit is in the file and in the environment, the lower one holds.

    Raises:
        RefusedError: `policy_invalid`: the file or a variable cannot be understood. Then nothing may be bought.
    """
    return _in_force(settings, environ).policy


def policy_sources(settings: Settings, environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Return the source of each key of the policy: `default`, the file, or a variable.

    Raises:
        RefusedError: as `read_policy`.
    """
    return _in_force(settings, environ).sources


@dataclass(frozen=True, slots=True)
class _InForce:
    policy: Policy
    sources: Mapping[str, str]


_Stamp = tuple[int, int, int]
_read_files: dict[Path, tuple[_Stamp, Mapping[str, Any]]] = {}
_NO_TABLE: Mapping[str, Any] = {}
_in_force_before: dict[Path, tuple[Mapping[str, Any], list[str | None], _InForce]] = {}
"""The last policy by file, for the same table and variables: it is asked for several times an order."""


def _in_force(settings: Settings, environ: Mapping[str, str] | None) -> _InForce:
    environment = os.environ if environ is None else environ
    table = _policy_table(settings.config)
    variables = [environment.get(setting.variable) for setting in _SETTINGS]
    known = _in_force_before.get(settings.config)
    if known is not None and known[0] is table and known[1] == variables:
        return known[2]
    found = _combined(settings, environment, table)
    _in_force_before[settings.config] = (table, variables, found)
    return found


def _combined(settings: Settings, environment: Mapping[str, str], table: Mapping[str, Any]) -> _InForce:
    given = _validated(table, settings.config)
    sources = {key: settings.config.name if key in table else "default" for key in Policy.model_fields}
    changed: dict[str, Any] = {}
    reader = Reader(environment, settings.config, {})
    for setting in _SETTINGS:
        try:
            wanted: Any = reader.value(setting)
        except SettingsError as error:
            raise _invalid(error.summary) from error
        if wanted is None:
            continue
        if isinstance(wanted, str) or setting.name not in table or wanted < getattr(given, setting.name):
            changed[setting.name] = wanted
            sources[setting.name] = reader.sources[setting.name]
    return _InForce(given.model_copy(update=changed), sources)


def _policy_table(config: Path) -> Mapping[str, Any]:
    for _ in range(3):
        stamp = _stamp(config)
        known = _read_files.get(config)
        if stamp is None:
            if known is not None:
                # Falling back to the defaults would lift the limits that stood in it.
                raise _invalid(f"{config} was there when this process started and is gone.")
            return _NO_TABLE
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            table: Mapping[str, Any] = read_config(config).get("policy", {})
        except SettingsError as error:
            raise _invalid(error.summary) from error
        # A file replaced while it was read may have been read empty.
        if _stamp(config) == stamp:
            _read_files[config] = (stamp, table)
            return table
    raise _invalid(f"{config} keeps changing while it is read.")


def _stamp(config: Path) -> _Stamp | None:
    try:
        status = config.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _invalid(f"{config} cannot be read ({error.strerror or 'input/output error'}).") from error
    return status.st_mtime_ns, status.st_size, status.st_ino


def _validated(table: Mapping[str, Any], config: Path) -> Policy:
    try:
        return Policy.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise _invalid(f"{config}: unknown key `{key}` under [policy].") from None
        wrong = first["msg"].removeprefix("Value error, ")
        raise _invalid(f"{config}: `{key}` under [policy]: {wrong[:1].lower()}{wrong[1:]}.") from None


def _invalid(summary: str) -> RefusedError:
    return RefusedError(
        f"The owner's policy cannot be used, so no order is placed. {summary}",
        f"Tell the user to correct it; {command('doctor')} checks it.",
        code="policy_invalid",
    )


def _names(given: object) -> tuple[str, ...] | None:
    """Return a value as names; None if it is no list of names."""
    names = cast("list[object]", given) if isinstance(given, list | tuple) else [None]
    return tuple(cast("list[str]", names)) if all(isinstance(name, str) and name.strip() for name in names) else None


def _pattern(pattern: str) -> str:
    """Return a host pattern as hosts are spelt where they are compared."""
    from zinc_mcp.zinc.product_urls.url_parts import ascii_host  # most policies name no retailer

    stars = "*." if pattern.startswith("*.") else ""
    try:
        host = ascii_host(pattern.strip().removeprefix("*."))
    except (ValueError, UnicodeError):
        host = ""
    if not _HOST.fullmatch(host) or any(character in pattern for character in "/@:?#"):
        raise ValueError("must be hosts such as amazon.com or *.walmart.com")
    return stars + host
