"""The check of an order by the owner's policy, before it is opened and again before it is sent."""

from collections.abc import Callable, Mapping, Sequence

from zinc_mcp.errors import RefusedError, Whose
from zinc_mcp.invocation import command
from zinc_mcp.journal.records.entry import CHANGES, Entry, Limits, Mode
from zinc_mcp.journal.records.twin import any_order_of
from zinc_mcp.known_settings import RailName, Role
from zinc_mcp.owner.policy import Policy
from zinc_mcp.owner.team.limits import TEAM_TABLES, GroupLimits
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.text import plain, printed
from zinc_mcp.zinc.orders import Address
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress
from zinc_mcp.zinc.wish import Wish

_WAYS: Mapping[RailName, str] = {
    "account": "paying with the Zinc balance",
    "agent": "paying with a payment wallet",
    "v1": "ordering through Zinc's v1",
}


def objection(
    policy: Policy,
    order: Wish,
    *,
    caller: str,
    rail: RailName,
    mode: Mode,
    saved: bool,
    role: Role | None = None,
    allowed: Sequence[Address] | None = None,
    fee_cents: int = 100,
) -> RefusedError | None:
    """Return the refusal of an order that the policy does not allow, as far as that is known without the journal.

    None: the policy allows it.

    Args:
        policy: the owner's policy.
        order: the order.
        caller: the owner or a member, as an entry names them.
        rail: the way it would be paid.
        mode: live, test or sandbox.
        saved: whether the shipping address is one that the owner saved.
        role: the caller's role in a team.
        allowed: the saved addresses that `addresses_for` names, or None if it names none.
        fee_cents: the fee that Zinc adds to `max_price`.
    """
    return (
        _wrong_rail(policy, rail)
        or _wrong_retailer(policy, order.pages)
        or _wrong_place(policy, order, saved=saved)
        or _wrong_address(policy, order, caller, allowed)
        or _wrong_account(policy, order, caller, mode)
        or (_unlimited_spending(policy, order) if mode == "live" else None)
        or _too_much(policy, order, caller, role, fee_cents)
    )


def product_objection(policy: Policy, address: ProductAddress, country: str) -> RefusedError | None:
    """Return the refusal if the policy allows no order of a product to a country (alpha-2), at any price; else None."""
    return _wrong_retailer(policy, [address]) or _wrong_country(policy, country)


def limits_of(policy: Policy, caller: str, role: Role | None) -> Limits:
    """Return the rolling limits that a policy has for the orders of a caller."""
    of_team = {whose: table.rolling for whose, table in _tables(policy, caller, role).items()}
    return Limits(
        day_cents=policy.max_day,
        month_cents=policy.max_month,
        orders_day=policy.max_orders_day,
        unproved_cents=policy.most_unproved,
        second_yes_cents=policy.second_yes_above,
        **of_team,
    )


def has_shared_limits(policy: Policy) -> bool:
    """Say whether the policy has rolling limits over several callers."""
    return not policy.model_fields_set.isdisjoint(TEAM_TABLES) and policy.are_shared


def addresses_for(policy: Policy, caller: str) -> Sequence[str] | None:
    """Return the names of the saved addresses to which a caller's orders may go; None if the policy names none."""
    return None if policy.model_fields_set.isdisjoint(TEAM_TABLES) else policy.addresses_of(caller)


def admitted(policy: Policy, entry: Entry, saved: Callable[[Sequence[str]], Sequence[Address]]) -> Limits:
    """Check an entry, before it is sent, against the whole policy, and return the rolling limits.

    `saved` returns the saved addresses with some names. It is called if the policy names any.

    Raises:
        RefusedError: the policy does not allow it any more.
    """
    if entry.kind in CHANGES:
        return Limits()  # it buys nothing; whether a person has to say yes was decided before it was opened
    named = addresses_for(policy, entry.caller)
    refusal = objection(
        policy,
        any_order_of(entry),
        caller=entry.caller,
        rail=entry.rail,
        mode=entry.mode,
        saved="saved" in (entry.facts.get("ship_to") or {}),
        role=entry.role,
        allowed=None if named is None else saved(named),
        fee_cents=entry.fee_cents,
    )
    if refusal is not None:
        raise refusal
    return limits_of(policy, entry.caller, entry.role)


def _tables(policy: Policy, caller: str, role: Role | None) -> Mapping[Whose, GroupLimits]:
    """Return the tables about a team that apply to a caller; most policies have none."""
    return {} if policy.model_fields_set.isdisjoint(TEAM_TABLES) else dict(policy.about(caller, role))


def _not_allowed(summary: str, next_step: str) -> RefusedError:
    return RefusedError(summary, next_step, code="not_allowed")


def _wrong_rail(policy: Policy, rail: RailName) -> RefusedError | None:
    if policy.rails is None or rail in policy.rails:
        return None
    return _not_allowed(
        f"The owner's policy does not allow {_WAYS[rail]} (rail {rail}).",
        f"Tell the user; allowed rails: {', '.join(policy.rails) or 'none'} (`rails` in zinc.toml).",
    )


def _wrong_retailer(policy: Policy, addresses: Sequence[ProductAddress]) -> RefusedError | None:
    if policy.retailers_allowed is None and not policy.retailers_blocked:
        return None
    for host, shop in sorted({(address.host, address.shop_host) for address in addresses}):
        # A host below the shop's own is compared as it is; an alias in another domain also counts as the shop.
        names = {host} if host.endswith(f".{shop}") else {host, shop}
        if any(
            _matches(pattern.removeprefix("*."), name, below=True)
            for pattern in policy.retailers_blocked
            for name in names
        ):
            return _not_allowed(
                f"The owner's policy blocks the retailer {host}.",
                "Offer the user the product at another retailer, or tell them that `retailers_blocked` stops it.",
            )
        if policy.retailers_allowed is not None and not any(
            _matches(pattern.removeprefix("*."), name, below=pattern.startswith("*."))
            for pattern in policy.retailers_allowed
            for name in names
        ):
            return _not_allowed(
                f"The owner's policy does not allow the retailer {host}.",
                f"Allowed: {', '.join(policy.retailers_allowed[:20]) or 'none'} (`retailers_allowed` in zinc.toml).",
            )
    return None


def _wrong_place(policy: Policy, order: Wish, *, saved: bool) -> RefusedError | None:
    if policy.ship_to == "saved" and not saved:
        return _not_allowed(
            "The owner's policy ships to saved addresses only.",
            'Give shipping_address as {"saved": name}. The user saves addresses with '
            f"{command('addresses', 'add', 'home')}.",
        )
    return _wrong_country(policy, order.ship_to.country)


def _wrong_address(policy: Policy, order: Wish, caller: str, allowed: Sequence[Address] | None) -> RefusedError | None:
    if allowed is None:
        return None
    from zinc_mcp.zinc.places.reading import place_of  # most policies name no address

    if place_of(order.ship_to) in {place_of(address) for address in allowed}:
        return None
    names = ", ".join(plain(name, 40) for name in (addresses_for(policy, caller) or ())[:20]) or "none"
    return _not_allowed(
        "The owner's policy does not ship orders of this caller to that address.",
        f'Give shipping_address as {{"saved": name}}. Allowed: {names} (`ship_to` under [policy.team] and '
        "[policy.members] in zinc.toml). If none of them is right, tell the user.",
    )


def _wrong_country(policy: Policy, country: str) -> RefusedError | None:
    if policy.countries is not None and country not in policy.countries:
        return _not_allowed(
            f"The owner's policy does not ship to {country}.",
            f"Allowed countries: {', '.join(policy.countries) or 'none'} (`countries` in zinc.toml).",
        )
    return None


def _wrong_account(policy: Policy, order: Wish, caller: str, mode: Mode) -> RefusedError | None:
    """Return the refusal of an account at a retailer that the policy does not name for the caller.

    The policy may allow the owner all accounts that Zinc keeps.
    """
    is_owner = caller == LOCAL
    named = policy.accounts_of(caller)
    if order.profile is not None and order.profile not in named:
        key, whose = ("retailer_accounts", "") if is_owner else ("member_retailer_accounts", " of this member")
        return _not_allowed(
            "The owner's policy does not allow this retailer account.",
            f"Leave retailer_account out, or tell the user: `{key}` under [policy] in zinc.toml names the "
            f"accounts that orders{whose} may use ({', '.join(named[:20]) or 'none now'}).",
        )
    is_allowed = (is_owner and policy.retailer_accounts is True) or order.account_id in named
    if mode == "live" and order.account_id is not None and not is_allowed:
        return _not_allowed(
            "retailer_credentials_id spends outside the limits, and the owner's policy does not allow it.",
            "Leave retailer_credentials_id out, or tell the user that `retailer_accounts = true` under [policy] in "
            "zinc.toml allows each account at Zinc, and a list of their ids those alone."
            if is_owner
            else "Leave retailer_credentials_id out, or tell the user that `member_retailer_accounts` under [policy] "
            "in zinc.toml names the ids that orders of this member may use.",
        )
    return None


def _unlimited_spending(policy: Policy, order: Wish) -> RefusedError | None:
    """Return the refusal of fields that cost money outside our limits, unless the owner has allowed them."""
    for name, switch in order.outside_limits:
        if not getattr(policy, switch):
            return _not_allowed(
                f"{name} spends outside the limits, and the owner's policy does not allow it.",
                f"Leave {name} out, or tell the user that `{switch} = true` under [policy] in zinc.toml allows it.",
            )
    return None


def largest_order(policy: Policy, caller: str, role: Role | None) -> tuple[int, Whose]:
    """Return the lowest limit of one order that applies to a caller, in cents, and the callers that it is for."""
    found: list[tuple[int, Whose]] = [(policy.max_order, "caller")]
    for whose, table in _tables(policy, caller, role).items():
        if table.max_order is not None and table.max_order < found[-1][0]:
            found.append((table.max_order, whose))
    return found[-1]


def _too_much(policy: Policy, order: Wish, caller: str, role: Role | None, fee_cents: int) -> RefusedError | None:
    most, whose = largest_order(policy, caller, role)
    total = order.ceiling_cents + fee_cents
    if total <= most:
        return None
    beside = total - order.max_price
    largest = most - beside
    facts = {
        "limit_cents": most,
        "max_price_cents": order.max_price,
        "fee_cents": fee_cents,
        "largest_max_price_cents": max(largest, 0),
    }
    parts = [f"max_price {printed(order.max_price)}"]
    if order.ceiling_cents > order.max_price:
        facts["beside_max_price_cents"] = order.ceiling_cents - order.max_price
        parts.append(f"{printed(order.ceiling_cents - order.max_price)} that may come on top of it")
    if fee_cents or len(parts) == 1:
        parts.append(f"Zinc's fee of {printed(fee_cents)}")
    of = {"caller": "", "member": " of this member", "role": f" with the role {role}", "team": " of the team"}[whose]
    summary = (
        f"This order could cost {printed(total)} ({' and '.join(parts)}); the owner's limit for one order{of} is "
        f"{printed(most)}."
    )
    next_step = (
        f"The largest max_price allowed is {largest} ({printed(largest)}). If that cannot buy it, tell the user that "
        "their limit stops it; do not split the order to get around it."
        if largest > 0
        else "No order fits under that limit. Tell the user."
    )
    return RefusedError(summary, next_step, code="limit_exceeded", facts=facts)


def _matches(pattern: str, host: str, *, below: bool) -> bool:
    return host == pattern or (below and host.endswith(f".{pattern}"))
