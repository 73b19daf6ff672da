"""The doctor's checks of the ways to buy: which of them can order, and for what."""

from collections.abc import Iterator
from typing import Literal

import anyio

from zinc_mcp.cli.doctor.findings import Finding
from zinc_mcp.cli.screen import advice
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.owner.policy import Policy
from zinc_mcp.owner.settings import Settings
from zinc_mcp.text import plain, printed
from zinc_mcp.wiring.wallet import payment_wallet
from zinc_mcp.zinc.origin import check_origin

_AGAIN = "Install zinc-mcp with the wallet's extra again."


def ways_to_buy(settings: Settings, policy: Policy | None) -> Iterator[Finding]:
    """Yield whether each placing tool can order. `policy` is None if it cannot be read."""
    listed = settings.tools
    if listed is None or "place_order" in listed:
        yield _account_rail(settings, policy)
    if listed is None or "place_agent_order" in listed:
        yield _agent_rail(settings, policy)
    if settings.has_v1 and (listed is None or "place_v1_order" in listed):
        yield _v1_rail(settings, policy)
    elif settings.v1_trouble is not None:
        yield Finding("wrong", "place_v1_order", *settings.v1_trouble)


def _account_rail(settings: Settings, policy: Policy | None) -> Finding:
    subject = "place_order"
    if settings.mode == "sandbox":
        return Finding("ok", subject, "practises on the built-in sandbox; nothing is bought")
    if settings.api_key is None:
        level: Literal["note", "wrong"] = "note" if settings.wallet is not None or settings.has_v1 else "wrong"
        if settings.key_trouble is not None:
            return Finding(level, subject, *settings.key_trouble)
        advised = "Set ZINC_API_KEY, or ZINC_MCP_SANDBOX=1 to practise, or sign in:"
        return Finding(level, subject, "needs an API key.", advised, ("login",))
    if policy is None:
        return Finding("wrong", subject, "refuses while the policy cannot be used.")
    if policy.rails is not None and "account" not in policy.rails:
        return Finding("note", subject, "the policy does not allow the rail account")
    if settings.mode == "test":
        return Finding("ok", subject, "orders with a test key; nothing is bought")
    return Finding("ok", subject, f"buys for real; {asking_in_words(policy)}")


def _agent_rail(settings: Settings, policy: Policy | None) -> Finding:
    subject = "place_agent_order"
    if settings.mode == "sandbox":
        return Finding("ok", subject, "practises with imaginary money; nothing is bought")
    if settings.wallet is None and settings.wallet_trouble is None:
        return Finding("note", subject, "no payment wallet (ZINC_WALLET) is set up; it says how to set one up")
    if policy is None:
        return Finding("wrong", subject, "refuses while the policy cannot be used.")
    if policy.rails is not None and "agent" not in policy.rails:
        return Finding("note", subject, "the policy does not allow the rail agent")
    try:
        anyio.run(check_wallet, settings)
    except ZincMcpError as error:
        return Finding("wrong", subject, error.summary, advice(error))
    except Exception as error:  # from a library that is installed and cannot be loaded
        return Finding("wrong", subject, f"The payment wallet cannot be loaded ({type(error).__name__}).", _AGAIN)
    return Finding("ok", subject, f"pays for real with the wallet {settings.wallet}; {asking_in_words(policy)}")


def _v1_rail(settings: Settings, policy: Policy | None) -> Finding:
    subject = "place_v1_order"
    if settings.sandbox:
        return Finding("ok", subject, "practises on the built-in sandbox; nothing is bought")
    if policy is None:
        return Finding("wrong", subject, "refuses while the policy cannot be used.")
    if policy.rails is not None and "v1" not in policy.rails:
        return Finding("note", subject, "the policy does not allow the rail v1")
    try:
        origin = check_origin(settings.v1_api_url, "ZINC_V1_API_URL")
    except ZincMcpError as error:
        return Finding("wrong", subject, error.summary, advice(error))
    return Finding("ok", subject, f"buys for real at {plain(origin, 200)}; {asking_in_words(policy)}")


async def check_wallet(settings: Settings) -> None:
    """Open the wallet and check that it could pay, as far as that is known without a payment.

    Raises:
        ZincMcpError: it could not pay, or this cannot be checked.
    """
    wallet = payment_wallet(settings)
    if wallet is None:
        return
    try:
        await wallet.check()
    finally:
        await wallet.aclose()


def asking_in_words(policy: Policy) -> str:
    """Return who is asked before an order."""
    above = f" above {printed(policy.approve_above)}" if policy.approve_above is not None else ""
    return {
        "host": "your MCP host asks, nothing else does",
        "none": "nobody is asked, the limits alone hold",
        "page": f"you are asked on a page or in a terminal{above}",
    }.get(policy.approval or "auto", f"you are asked in your host, on a page or in a terminal{above}")
