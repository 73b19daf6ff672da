"""The policy of one server in the form in which the servers on a journal compare theirs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, cast

from zinc_mcp.errors import JournalError, PolicyDiffersError
from zinc_mcp.invocation import command

_MOST_NAMED = 8
STEP = "Correct the settings of this server, or make its policy the one of all servers: {}"
"""The owner's next step, with the command that publishes a policy."""


@dataclass(frozen=True)
class OwnPolicy:
    """Everything in the settings of a server that decides whether an order may be placed."""

    values: Mapping[str, Any]
    """By key: the value of each setting that is made, as JSON has it."""

    @cached_property
    def digest(self) -> str:
        """A digest that is equal for two servers with the same policy."""
        return hashlib.sha256(self.kept().encode()).hexdigest()

    def kept(self) -> str:
        """Return the text that the journal keeps."""
        return json.dumps(self.values, sort_keys=True, separators=(",", ":"))

    @classmethod
    def of_kept(cls, text: str) -> Self:
        """Read what `kept` wrote.

        Raises:
            JournalError: it is something else.
        """
        try:
            values: object = json.loads(text)
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise JournalError("The published policy in the journal cannot be read.")
        return cls(cast("dict[str, Any]", values))

    def differing(self, other: "OwnPolicy") -> list[str]:
        """Return the keys whose values differ, sorted."""
        keys = self.values.keys() | other.values.keys()
        return sorted(key for key in keys if self.values.get(key) != other.values.get(key))


def in_words(own: OwnPolicy, published: OwnPolicy) -> str:
    """Say that a server's policy is not the published one, and in which keys.

    No value and no name of a member is in it: the model of another member reads it.
    """
    keys = list(dict.fromkeys(key.partition(".")[0] for key in own.differing(published)))
    more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
    return (
        "The policy of this server differs from the one that is published for all servers on its journal "
        f"({', '.join(keys[:_MOST_NAMED])}{more}), so it places no order."
    )


def differs(own: OwnPolicy, published: OwnPolicy) -> PolicyDiffersError:
    """Return the refusal of a server whose policy is not the published one."""
    step = STEP.format(command("policy", "publish"))
    return PolicyDiffersError(
        f"{in_words(own, published)} Nothing was sent.",
        f"Tell the user: {command('policy')} on this server shows both. {step}",
        owner_step=step,
    )
