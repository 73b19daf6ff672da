"""The checks that the journal makes before it takes a yes or lets an entry be sent: the policy, and the members."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from zinc_mcp.errors import RefusedError
from zinc_mcp.journal.records.decision import Admission
from zinc_mcp.owner.addresses import addresses_under
from zinc_mcp.owner.members import Members
from zinc_mcp.owner.objection import admitted, has_shared_limits
from zinc_mcp.owner.policy import Policy

if TYPE_CHECKING:
    from zinc_mcp.journal.records.own_policy import OwnPolicy
    from zinc_mcp.owner.settings import Settings


def admission_for(
    settings: "Settings",
    policy: Callable[[], Policy],
    own_policy: "Callable[[Policy], OwnPolicy | None]",
    members: Members,
    window_seconds: float,
) -> Admission:
    """Return the checks of one process.

    Args:
        settings: with the saved addresses.
        policy: reads the present policy; raises `policy_invalid`.
        own_policy: returns a policy as other servers on the journal compare theirs.
        members: as this process knows them.
        window_seconds: an earlier order for the same goods stands for this time.
    """
    return Admission(
        admit=lambda entry, kept: admitted(policy(), entry, lambda names: addresses_under(settings, names, kept())),
        own_policy=lambda: own_policy(policy()),
        takes_dialogues=lambda: policy().approval != "page",
        window_seconds=window_seconds,
        shares=partial(_has_shared_limits, policy),
        check_caller=members.check_caller,
    )


def _has_shared_limits(policy: Callable[[], Policy]) -> bool:
    try:
        return has_shared_limits(policy())
    except RefusedError:
        return False  # the check of the policy reports it
