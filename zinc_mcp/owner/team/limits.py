"""The tables of the policy about a team: limits of the whole team, of its roles and of its members, and addresses.

All limits that apply to an order must hold, together with those that `[policy]` has for every caller. So no table here
allows more than `[policy]` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from zinc_mcp.errors import Whose
from zinc_mcp.known_settings import Role
from zinc_mcp.owner.team.member import EVERY_MEMBER, LOCAL, is_name, lines_for
from zinc_mcp.text import printed

if TYPE_CHECKING:
    from zinc_mcp.journal.records.entry import Rolling

Limit = Annotated[int, Field(strict=True, ge=0)]


class GroupLimits(BaseModel):
    """Limits of a role, in US cents and in orders, as `[policy]` has them; None does not limit."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    max_order: Limit | None = None
    max_day: Limit | None = None
    max_month: Limit | None = None
    max_orders_day: Limit | None = None

    @property
    def rolling(self) -> Rolling | None:
        """The limits over a time; None if there are none."""
        from zinc_mcp.journal.records.entry import Rolling  # the journal: the policy is read without it

        found = Rolling(day_cents=self.max_day, month_cents=self.max_month, orders_day=self.max_orders_day)
        return None if found == Rolling() else found


class GroupRules(GroupLimits):
    """Limits of the team or of a member, and the addresses that their orders may go to."""

    ship_to: tuple[Annotated[str, Field(strict=True, min_length=1, max_length=64)], ...] | None = None
    """Names of saved addresses; None names none."""


class TeamRules(BaseModel):
    """The tables of `[policy]` about a team."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    team: GroupRules = GroupRules()
    """For the orders of all callers together, the owner's own among them."""
    roles: Mapping[Role, GroupLimits] = Field(default_factory=dict[Role, GroupLimits])
    """For all orders that were opened by somebody with a role, together."""
    members: Mapping[str, GroupRules] = Field(default_factory=dict[str, GroupRules])
    """For one member, by name; `EVERY_MEMBER` stands for each of them who has no such line of their own."""

    @field_validator("members")
    @classmethod
    def _members_names(cls, members: Mapping[str, GroupRules]) -> Mapping[str, GroupRules]:
        if not all(name == EVERY_MEMBER or is_name(name) for name in members):
            raise ValueError('must have tables by members\' names, such as [policy.members.ada], or by "*" for each')
        return members

    def about(self, caller: str, role: Role | None) -> Iterator[tuple[Whose, GroupLimits]]:
        """Yield the tables that apply to a caller, from the narrowest to the widest."""
        if caller != LOCAL and self.members:
            yield "member", self.of_member(caller)
        if role is not None and role in self.roles:
            yield "role", self.roles[role]
        yield "team", self.team

    def of_member(self, caller: str) -> GroupRules:
        """Return the rules of a member: each key is from the table with their name, otherwise from the one for each."""
        found: dict[str, object] = {}
        for rules in lines_for(self.members, caller):
            found = {**rules.model_dump(exclude_none=True), **found}
        return GroupRules.model_validate(found)

    def addresses_of(self, caller: str) -> tuple[str, ...] | None:
        """Return the names of the addresses to which the caller's orders may go; None where none is named."""
        own = None if caller == LOCAL else self.of_member(caller).ship_to
        if own is None and self.team.ship_to is None:
            return None
        return tuple(dict.fromkeys((*(own or ()), *(self.team.ship_to or ()))))

    def team_lines(self) -> list[tuple[str, str]]:
        """Return the lines of these tables, as keys under `[policy]`, each with its value in words."""
        tables: list[tuple[str, GroupLimits]] = [("team", self.team)]
        tables += [(f"roles.{role}", table) for role, table in self.roles.items()]
        tables += [(f"members.{name}", table) for name, table in self.members.items()]
        found: list[tuple[str, str]] = []
        for name, table in tables:
            given: dict[str, int | tuple[str, ...]] = table.model_dump(exclude_none=True)
            for key, value in given.items():
                words = ", ".join(value) if isinstance(value, tuple) else printed(value)
                found.append((f"{name}.{key}", str(value) if key == "max_orders_day" else words))
        return found

    @property
    def are_shared(self) -> bool:
        """Whether there are limits over several callers that count over a time."""
        return any(each.rolling is not None for each in (self.team, *self.roles.values()))


TEAM_TABLES = frozenset(TeamRules.model_fields)
