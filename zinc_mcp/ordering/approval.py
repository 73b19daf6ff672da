"""Whether an order may be sent without asking anybody now."""

from collections.abc import Mapping
from typing import Any

from zinc_mcp.errors import RefusedError
from zinc_mcp.ordering.entry import Mode
from zinc_mcp.ordering.policy import Policy


def consent_for(policy: Policy, mode: Mode) -> Mapping[str, Any]:
    """Return the consent to write into the entry: who gave it and how.

    With `host` the host's own prompt asks the person; with `none` the owner has said that the limits are enough.
    Practising (sandbox and test keys) asks nobody unless a mode is set explicitly.

    Raises:
        RefusedError: `approval_not_configured`, when the mode that is set cannot be carried out here.
    """
    if policy.approval in ("host", "none"):
        return {"how": policy.approval}
    if policy.approval is None and mode != "live":
        return {"how": "practice"}
    setting = "approval under [policy] in zinc.toml (or ZINC_MCP_APPROVAL)"
    if policy.approval is None:
        raise RefusedError(
            f"No order is placed with a live key until the owner has set {setting}.",
            'Tell the user: "host" lets their host ask before each order, "none" leaves it to the limits alone.',
            code="approval_not_configured",
        )
    raise RefusedError(
        f"This version cannot ask in the mode {policy.approval!r}, so nothing was sent.",
        f'Tell the user to set {setting} to "host" or "none".',
        code="approval_not_configured",
    )
