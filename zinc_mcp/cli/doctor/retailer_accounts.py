"""The doctor's checks of accounts at retailers: kept, readable, allowed, and the key that proves what was sent."""

from collections.abc import Iterator

from zinc_mcp.cli.doctor.findings import Finding
from zinc_mcp.cli.own_journal import open_members
from zinc_mcp.cli.screen import advice
from zinc_mcp.errors import RefusedError, SettingsError, ZincMcpError
from zinc_mcp.owner.digest_key import FILE, digest_key
from zinc_mcp.owner.members import members_callers
from zinc_mcp.owner.policy import Policy
from zinc_mcp.owner.retailer_accounts import KIND, opened_account, profile_named
from zinc_mcp.owner.secrets.store import SecretStore
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.member import EVERY_MEMBER, LOCAL
from zinc_mcp.text import plain
from zinc_mcp.wiring.clients import v1_origin

_SUBJECT = "retailer account"
_MOST_OPENED = 20
"""A keyring may take seconds for each account."""


def retailer_accounts(settings: Settings, policy: Policy | None) -> Iterator[Finding]:
    """Yield the findings about each kept account, wrong names in the policy, and the key of the digests.

    Each account is opened, so that a fault is found before an order needs the account. No secret of it is shown.
    """
    kinds = (name.partition(".") for name in SecretStore(settings.home).names())
    kept = [own for kind, _, own in kinds if kind == KIND]
    for name in kept[:_MOST_OPENED]:
        yield _account(settings, policy, name)
    if len(kept) > _MOST_OPENED:
        yield Finding("note", _SUBJECT, f"{len(kept) - _MOST_OPENED} more are kept, and were not opened")
    if policy is not None:
        yield from _named_wrongly(settings, policy, kept)
    if kept:
        yield _key(settings)


def _account(settings: Settings, policy: Policy | None, name: str) -> Finding:
    try:
        profile = profile_named(settings.home, name)
        opened_account(settings.home, profile)
    except RefusedError as error:
        return Finding("wrong", _SUBJECT, error.summary, advice(error))
    what = f"{name}: {profile.retailer}, pays with {profile.pays_with}; it can be read"
    if profile.last_four is not None:
        what += ", and its card is in the keyring only"
    try:
        fits = profile.origin == v1_origin(settings)
    except SettingsError:
        fits = True  # `ways_to_buy` reports the address
    if not fits:
        sentence = f"{what}. It was added for another Zinc than the configured one, which never gets it."
        advised = "If this one is right, add it again:"
        return Finding("note", _SUBJECT, sentence, advised, ("retailer-accounts", "add"), (name,))
    if policy is None:
        return Finding("note", _SUBJECT, f"{what}; whether an order may use it is not known without the policy")
    whose = ["your own orders"] if name in policy.accounts_of(LOCAL) else []
    members = ["each member" if each == EVERY_MEMBER else plain(each, 64) for each in policy.members_of(name)]
    whose += [f"orders of {', '.join(members)}"] if members else []
    if not whose:
        allow = f'To allow it, name it under [policy] in zinc.toml: retailer_accounts = ["{name}"].'
        return Finding("note", _SUBJECT, f"{what}. The policy does not name it, so no order can use it.", allow)
    return Finding("ok", _SUBJECT, f"{what}. The policy names it for {' and '.join(whose)}")


def _named_wrongly(settings: Settings, policy: Policy, kept: list[str]) -> Iterator[Finding]:
    """Yield the names in the policy that belong to no account or to no member."""
    named = {
        *policy.accounts_of(LOCAL),
        *(each for names in policy.member_retailer_accounts.values() for each in names),
    }
    if others := sorted(named.difference(kept)):
        sentence = f"The policy names {plain(', '.join(others[:20]), 300)}, which is not kept here."
        yield Finding("note", _SUBJECT, f"{sentence} It counts as the id of an account at Zinc, if there is one.")
    try:
        with open_members(settings) as place:
            known = members_callers(place)
    except ZincMcpError:
        return  # the check of the members reports it
    strangers = sorted(policy.member_retailer_accounts.keys() - known.keys() - {EVERY_MEMBER})
    if strangers:
        sentence = f"The policy names accounts for {plain(', '.join(strangers[:20]), 300)}, which is no member's name."
        if LOCAL in strangers:
            yield Finding("note", _SUBJECT, sentence, "Your own orders go by retailer_accounts.")
        else:
            yield Finding("note", _SUBJECT, sentence, "Correct it, or take it out:", ("members", "list"))


def _key(settings: Settings) -> Finding:
    """Return whether the key of the digests can be used, with a note if other servers may have another one."""
    subject = "digest key"
    try:
        key = digest_key(settings, make=False)
    except SettingsError as error:
        return Finding("wrong", subject, error.summary, advice(error))
    if settings.digest_key is not None:
        return Finding(
            "ok", subject, "it is given (ZINC_MCP_DIGEST_KEY); every server on this journal needs the same one"
        )
    where = (
        f"it is the file {FILE} of this home" if key is not None else "it is made with the first order that needs it"
    )
    if settings.journal is not None:
        sentence = f"{where}, and the journal can be shared. Servers with other keys cannot repeat each other's orders."
        return Finding("note", subject, sentence, "Give every server on the journal the same ZINC_MCP_DIGEST_KEY.")
    return Finding("ok", subject, where)
