"""Advice for the owner at a terminal, for each failure we foresee.

An error's own `next_step` is written for a model: it names tools and speaks of the user. None of it is shown here.
"""

from collections.abc import Mapping

from zinc_mcp.errors import ErrorCode, OrderRejectedError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.prose import plain

BY_CODE: Mapping[ErrorCode, str] = {
    "invalid_arguments": "Correct what is named and try again.",
    "unknown_address": "Save the address under that name first, or use another name.",
    "key_conflict": "Use another idempotency key for a new order.",
    "key_used": "Use another idempotency key to order again.",
    "possible_duplicate": "Look at the earlier order first: LOOK",
    "limit_exceeded": "Raise the limit under [policy] in zinc.toml, or wait until earlier orders are older.",
    "not_allowed": "Change it under [policy] in zinc.toml if it should be allowed.",
    "paused": "End the pause once you know why it was set: RESUME",
    "clock_uncertain": "Set the machine's clock right. If it is right, say so: RESUME",
    "policy_invalid": "Correct the [policy] table, or the variable that is named.",
    "settings_invalid": "Correct the setting and start again.",
    "approval_expired": "Have the agent place the order again: you are asked again then.",
    "approval_required": "The question still stands; nothing was bought.",
    "question_closed": "Have the agent place the order again, or look at what waits now: ORDERS",
    "too_many_waiting": "Answer the questions that wait first: ORDERS",
    "too_many_calls": "Wait until some of the agent's calls have answered.",
    "order_too_large": "Have the agent place smaller orders.",
    "account_not_configured": "Set ZINC_API_KEY, or ZINC_MCP_SANDBOX=1 to practise.",
    "wallet_not_configured": "Set ZINC_WALLET and what it needs.",
    "wallet_unavailable": "Correct what the payment wallet needs and start again; if nothing is wrong, try later.",
    "declined": "Nothing was bought.",
    "journal_unavailable": "The journal has to work again before anything can be bought.",
    "zinc_unreachable": "Check the network and ZINC_API_URL, and try again in a minute.",
    "order_not_found": "Check the key or the id. These are known here: ORDERS",
    "order_rejected": "Correct what Zinc objects to; then the order can be placed again.",
    "order_exists": "Look at the earlier order: LOOK",
    "outcome_unknown": "It may have been bought: do not order it again elsewhere. This says how it goes on: LOOK",
    "paid_no_order": "Ask Zinc with the key and the payment's reference. This shows both: LOOK",
    "payment_refused": "Nothing was paid. Check the payment wallet.",
    "zinc_unavailable": "Try again in a minute.",
    "internal_error": "Look at the orders before anything is ordered again: ORDERS",
}
"""What the owner can do, by the code of a failure."""

_BY_ZINCS_CODE: Mapping[str, str] = {
    "unauthorized": "Check ZINC_API_KEY.",
    "invalid_token": "Check ZINC_API_KEY.",
    "token_expired": "Make a new API key at Zinc.",
    "forbidden": "Check at Zinc what the API key is allowed to do.",
    "insufficient_funds": "Top up the Zinc balance.",
    "rate_limit_exceeded": "Wait a minute and try again.",
}


def advice(error: ZincMcpError) -> str:
    """Return what the owner can do about a failure, with commands as they can be pasted."""
    if error.owner_step is not None:
        return error.owner_step
    text = BY_CODE[error.code]
    if isinstance(error, OrderRejectedError):
        text = _BY_ZINCS_CODE.get(error.zinc_code, text)
    key = error.facts.get("key") or error.facts.get("order_id")
    shown = command("orders", "show", given=[plain(key, 64)]) if key else command("orders")
    for word, line in (("LOOK", shown), ("RESUME", command("resume")), ("ORDERS", command("orders"))):
        if text.endswith(word):
            return text.removesuffix(word) + line
    return text
