"""Orders for an account of the owner's own at a retailer: what the entry keeps of it, and the bytes that go out.

The entry keeps the account's name, the kind of its payment, and a keyed digest of what is secret. That is written down
when the order is made, before anybody is asked and before a byte leaves. The secrets join the body at the moment of
sending, and only if they still have this digest. So a yes, and a repeat, is for the same login and payment.
"""

import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import to_thread

from zinc_mcp.errors import InvalidArgumentsError, Problem, RefusedError, SettingsError
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.secret_body import SecretBody
from zinc_mcp.spending.own_secrets import refuse_secrets
from zinc_mcp.zinc.wish import Wish

# The code that reads an account is loaded with the first order for one, since few orders are.
if TYPE_CHECKING:
    from zinc_mcp.owner.retailer_accounts import Profile
    from zinc_mcp.owner.secrets.records import Kept

ACCOUNT = "retailer_account"
DIGEST = "secret_digest"
"""Facts of an entry."""

_SECRET_PARTS = ("email", "password", "totp_key")
"""A card's number is refused in any text, and its owner's address may be where the order goes."""

_A = TypeVar("_A")


async def facts_of_account(process: Process, order: Wish, rail: Rail) -> Mapping[str, Any]:
    """Return what the entry of an order keeps of its account; nothing if Zinc's own account buys.

    Raises:
        InvalidArgumentsError: the account is of another retailer, or the order holds one of its secrets.
        RefusedError: `account_not_configured`: there is no such account, or it cannot be opened.
    """
    if order.profile is None:
        return {}
    from zinc_mcp.owner.retailer_accounts import profile_named
    from zinc_mcp.zinc.v1.products import domain_of

    profile = await _read(profile_named, process.settings.home, order.profile)
    if domain_of(profile.retailer) != order.domain:
        raise InvalidArgumentsError(
            f"That account is of {profile.retailer}, and this order is for another retailer. Nothing was sent.",
            problems=[Problem("retailer_account.profile", "is an account of another retailer")],
        )
    kept = await _opened(process, profile, rail)
    refuse_secrets(order.to_wire(), [value for part, value in kept.parts.items() if part in _SECRET_PARTS])
    shown = {"profile": profile.name, "retailer": profile.retailer, "payment": profile.payment}
    shown |= {} if profile.last_four is None else {"last_four": profile.last_four}
    return {ACCOUNT: shown, DIGEST: await _read(_digest, process.settings, kept, make=True)}


async def outgoing(process: Process, entry: Entry, body: bytes, rail: Rail) -> bytes | SecretBody:
    """Return the bytes that go out for an entry.

    Raises:
        RefusedError: `account_not_configured`: they cannot be made, or would not be those that the entry is for.
    """
    account: Mapping[str, str] | None = entry.facts.get(ACCOUNT)
    if account is None:
        return body
    from zinc_mcp.owner.retailer_accounts import changed, profile_named, with_secrets

    name = account["profile"]
    profile = await _read(profile_named, process.settings.home, name)
    kept = await _opened(process, profile, rail)
    digest = await _read(_digest, process.settings, kept, make=False)
    if digest is None or not hmac.compare_digest(digest, str(entry.facts.get(DIGEST))):
        raise changed(name)
    return with_secrets(body, kept)


async def _opened(process: Process, profile: "Profile", rail: Rail) -> "Kept":
    from zinc_mcp.owner.retailer_accounts import opened_account

    if profile.origin != rail.origin:
        raise RefusedError(
            f"The retailer account {profile.name} was added for another Zinc than the configured one, which never gets "
            "it. Nothing was sent.",
            "Tell the user; only they can correct it.",
            code="account_not_configured",
            owner_step="Correct ZINC_V1_API_URL or ZINC_MCP_SANDBOX, or add the account again with them as they are.",
        )
    return await _read(opened_account, process.settings.home, profile)


async def _read(function: Callable[..., _A], *arguments: Any, **options: Any) -> _A:
    """Call a function that may wait for a file or a keyring, in a thread."""
    return await to_thread.run_sync(lambda: function(*arguments, **options), abandon_on_cancel=True)


def _digest(settings: Settings, kept: "Kept", *, make: bool) -> str | None:
    """Return the keyed digest of what is secret; None if there is no key."""
    from zinc_mcp.owner.digest_key import digest_key, keyed_digest
    from zinc_mcp.owner.retailer_accounts import secrets_of

    try:
        key = digest_key(settings, make=make)
    except SettingsError as error:
        raise RefusedError(
            f"{error.summary} So no order can be made with a retailer account, and nothing was sent.",
            "Tell the user; only they can correct it.",
            code="account_not_configured",
            owner_step=error.next_step,
        ) from None
    return None if key is None else keyed_digest(key, secrets_of(kept))
