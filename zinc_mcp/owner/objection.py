"""An order held against the owner's policy, before it is opened and again before it is sent."""

from collections.abc import Sequence

from zinc_mcp.errors import RefusedError
from zinc_mcp.invocation import command
from zinc_mcp.journal.entry import CHANGES, Entry, Limits, Mode
from zinc_mcp.journal.twin import order_of
from zinc_mcp.known_settings import RailName
from zinc_mcp.owner.policy import Policy
from zinc_mcp.text import printed
from zinc_mcp.zinc.orders import OrderCreate
from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress


def objection(
    policy: Policy, order: OrderCreate, *, rail: RailName, mode: Mode, saved: bool, fee_cents: int = 100
) -> RefusedError | None:
    """Return why the policy does not allow this order, as far as that is known without the journal; None if it does.

    Args:
        policy: the owner's policy.
        order: the order.
        rail: the way it would be paid.
        mode: live, test or sandbox.
        saved: whether the shipping address is one that the owner saved.
        fee_cents: the fee that Zinc adds to `max_price`.
    """
    return (
        _wrong_rail(policy, rail)
        or _wrong_retailer(policy, [read_product_url(product.url) for product in order.products])
        or _wrong_place(policy, order, saved=saved)
        or (_unlimited_spending(policy, order) if mode == "live" else None)
        or _too_much(policy, order, fee_cents)
    )


def product_objection(policy: Policy, address: ProductAddress, country: str) -> RefusedError | None:
    """Return why the policy allows no order of a product to a country (alpha-2), at any price; None if it may."""
    return _wrong_retailer(policy, [address]) or _wrong_country(policy, country)


def limits_of(policy: Policy) -> Limits:
    """Return the rolling limits of a policy."""
    return Limits(
        day_cents=policy.max_day,
        month_cents=policy.max_month,
        orders_day=policy.max_orders_day,
        unproved_cents=policy.most_unproved,
    )


def admitted(policy: Policy, entry: Entry) -> Limits:
    """Check an entry, before it is sent, against the whole policy, and return the rolling limits.

    Raises:
        RefusedError: the policy does not allow it any more.
    """
    if entry.kind in CHANGES:
        return Limits()  # it buys nothing; whether a person has to say yes was decided before it was opened
    refusal = objection(
        policy,
        order_of(entry),
        rail=entry.rail,
        mode=entry.mode,
        saved="saved" in (entry.facts.get("ship_to") or {}),
        fee_cents=entry.fee_cents,
    )
    if refusal is not None:
        raise refusal
    return limits_of(policy)


def _not_allowed(summary: str, next_step: str) -> RefusedError:
    return RefusedError(summary, next_step, code="not_allowed")


def _wrong_rail(policy: Policy, rail: RailName) -> RefusedError | None:
    if policy.rails is None or rail in policy.rails:
        return None
    way = "with the Zinc balance (rail account)" if rail == "account" else "with a payment wallet (rail agent)"
    return _not_allowed(
        f"The owner's policy does not allow paying {way}.",
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


def _wrong_place(policy: Policy, order: OrderCreate, *, saved: bool) -> RefusedError | None:
    if policy.ship_to == "saved" and not saved:
        return _not_allowed(
            "The owner's policy ships to saved addresses only.",
            'Give shipping_address as {"saved": name}. The user saves addresses with '
            f"{command('addresses', 'add', 'home')}.",
        )
    return _wrong_country(policy, order.shipping_address.country)


def _wrong_country(policy: Policy, country: str) -> RefusedError | None:
    if policy.countries is not None and country not in policy.countries:
        return _not_allowed(
            f"The owner's policy does not ship to {country}.",
            f"Allowed countries: {', '.join(policy.countries) or 'none'} (`countries` in zinc.toml).",
        )
    return None


def _unlimited_spending(policy: Policy, order: OrderCreate) -> RefusedError | None:
    """Refuse fields that cost money outside our limits, unless the owner has allowed them."""
    for allowed, used, name, key in (
        (policy.connect, order.payment is not None and order.payment.mode == "connect", "payment.mode", "connect"),
        (
            policy.retailer_accounts is True or order.retailer_credentials_id in policy.named_accounts,
            order.retailer_credentials_id is not None,
            "retailer_credentials_id",
            "retailer_accounts",
        ),
        (
            policy.paid_notifications,
            order.customer_notifications is not None,
            "customer_notifications",
            "paid_notifications",
        ),
    ):
        if used and not allowed:
            return _not_allowed(
                f"{name} spends outside the limits, and the owner's policy does not allow it.",
                f"Leave {name} out, or tell the user that `{key} = true` under [policy] in zinc.toml allows it.",
            )
    return None


def _too_much(policy: Policy, order: OrderCreate, fee_cents: int) -> RefusedError | None:
    total = order.max_price + fee_cents
    if total <= policy.max_order:
        return None
    largest = policy.max_order - fee_cents
    facts = {
        "limit_cents": policy.max_order,
        "max_price_cents": order.max_price,
        "fee_cents": fee_cents,
        "largest_max_price_cents": max(largest, 0),
    }
    summary = (
        f"This order could cost {printed(total)} (max_price {printed(order.max_price)} and Zinc's fee of "
        f"{printed(fee_cents)}); the owner's limit for one order is {printed(policy.max_order)}."
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
