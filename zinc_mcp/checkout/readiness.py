"""The conditions for placing an order here: a way to buy, the published policy, and a journal that can be written."""

from collections.abc import Mapping

from zinc_mcp.errors import ErrorCode, RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.known_settings import RailName
from zinc_mcp.owner.kept_settings import step_to_get_a_key
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail

_WHEN_UNUSABLE: Mapping[RailName, tuple[str, ErrorCode]] = {
    "account": ("nothing can be ordered with the Zinc balance", "account_not_configured"),
    "v1": ("nothing can be ordered through Zinc's v1", "account_not_configured"),
    "agent": ("nothing can be paid with the payment wallet", "wallet_unavailable"),
}
"""The consequence for an order where a way to buy is set up and cannot be used, and the code of its refusal."""


def rail_for(process: Process, name: RailName) -> Rail:
    """Return a way to buy.

    Raises:
        RefusedError: it is not set up, or cannot be used; the sentence says what is missing.
    """
    rail = process.rails.get(name)
    unusable = process.unusable.get(name)
    if unusable is not None:
        consequence, code = _WHEN_UNUSABLE[name]
        raise RefusedError(
            f"{unusable.summary} So {consequence}, and nothing was sent.",
            f"Tell the user: {unusable.owner_step or unusable.next_step}",
            code=code,
            owner_step=unusable.owner_step,
        )
    if rail is not None:
        return rail
    if name == "agent":
        raise RefusedError(
            "No payment wallet is set up, so nothing can be paid with one.",
            "Tell the user to set ZINC_WALLET (tempo, stripe or command), or use place_order with a Zinc API key "
            "(ZINC_API_KEY).",
            code="wallet_not_configured",
        )
    if name == "v1":
        raise RefusedError(
            "No client token of Zinc's v1 is configured, so nothing can be ordered through it.",
            f"Tell the user to set ZINC_V1_CLIENT_TOKEN, or to keep one with {command('login', '--v1')}.",
            code="account_not_configured",
        )
    raise RefusedError(
        "No Zinc API key is configured, so no order can be placed.",
        f"Tell the user to {step_to_get_a_key(process.settings)}.",
        code="account_not_configured",
    )


async def check_policy(process: Process, policy: Policy) -> None:
    """Check that this policy is the one that holds for all servers on the journal. Where there is none, publish it.

    Raises:
        PolicyDiffersError: it is not.
        JournalError: the journal cannot be used.
    """
    own = process.own_policy(policy)
    if own is not None:
        await process.journal.run(lambda journal: journal.check_policy(own))


async def check_ready(process: Process) -> None:
    """Check that orders can be placed: the policy can be read, the journal can be written, and a way to pay works.

    Raises:
        RefusedError: `policy_invalid`.
        PolicyDiffersError: another policy is published for all servers on the journal.
        JournalError: the journal cannot be used, or only be read.
        SettingsError: the only way to pay that is set up cannot be used.
    """
    policy = process.policy()
    await process.journal.run(lambda journal: journal.check_writable())
    await check_policy(process, policy)
    if not process.can_buy:
        for error in process.unusable.values():
            raise error
