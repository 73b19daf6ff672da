"""The owner's policy: limits, retailers, countries and ways to pay. It is read again for each decision."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from zinc_mcp.errors import RefusedError, SettingsError
from zinc_mcp.invocation import command
from zinc_mcp.journal.entry import CHANGES, Entry, Limits, Mode, RailName
from zinc_mcp.journal.twin import order_of
from zinc_mcp.known_settings import Approval, settings_of
from zinc_mcp.owner.settings import Reader, Settings, read_config
from zinc_mcp.text import printed
from zinc_mcp.zinc.orders import OrderCreate
from zinc_mcp.zinc.place_tables import ALPHA_2
from zinc_mcp.zinc.product_urls.reading import read_product_url
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress, ascii_host

Limit = Annotated[int, Field(strict=True, ge=0)]
Switch = Annotated[bool, Field(strict=True)]

_SETTINGS = settings_of("policy")
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


class Policy(BaseModel):
    """The `[policy]` table, with the variables that override it. Money is US cents."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    approval: Approval | None = None
    """None: no mode was chosen. Then practice asks nobody; with `auto` it does."""
    approve_above: Limit | None = None
    """A person is asked above this amount; None: always."""
    max_order: Limit = 25_000
    max_day: Limit = 50_000
    max_month: Limit | None = None
    max_orders_day: Limit | None = None
    """The most orders in 24 hours. An order that was refused, or gave back all of its money, does not count."""
    max_unproved: Limit | None = None
    """The most that wallets may have paid up front for orders that bought nothing, while its return is unproved. None
    is as much as `max_day`. Above it the agent rail stops until the owner says how much came back."""
    max_lookups_day: Limit = 100
    """The most that questions about products (searches, details, offers) may cost in 24 hours."""
    check_before_asking: Switch = True
    """Whether Zinc is asked, before a person is, if it can order there at all. That is free."""
    retailers_allowed: tuple[str, ...] | None = None
    retailers_blocked: tuple[str, ...] = ()
    countries: tuple[str, ...] | None = None
    ship_to: Literal["any", "saved"] = "any"
    rails: tuple[RailName, ...] | None = None
    repeat: Literal["ask", "allow"] = "ask"
    connect: Switch = False
    """Whether Stripe Connect is allowed, by which the owner's customer pays."""
    retailer_accounts: Switch = False
    paid_notifications: Switch = False

    @property
    def most_unproved(self) -> int:
        """The amount of `max_unproved`, or its default."""
        return self.max_day if self.max_unproved is None else self.max_unproved

    @field_validator("retailers_allowed", "retailers_blocked")
    @classmethod
    def _host_patterns(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return None if patterns is None else tuple(_pattern(pattern) for pattern in patterns)

    @field_validator("countries")
    @classmethod
    def _alpha_2(cls, countries: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if countries is None:
            return None
        if any(country.upper() not in ALPHA_2 for country in countries):
            raise ValueError("must be ISO 3166-1 alpha-2 codes such as US, CA or GB")
        return tuple(country.upper() for country in countries)


def read_policy(settings: Settings, environ: Mapping[str, str] | None = None) -> Policy:
    """Return the policy that holds now. Of a limit in the file and one in the environment the lower holds.

    Raises:
        RefusedError: `policy_invalid`: the file or a variable cannot be understood. Then nothing may be bought.
    """
    return _in_force(settings, environ).policy


def policy_sources(settings: Settings, environ: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Return the source of each key of the policy: `default`, the file, or a variable.

    Raises:
        RefusedError: as `read_policy`.
    """
    return _in_force(settings, environ).sources


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


@dataclass(frozen=True, slots=True)
class _InForce:
    policy: Policy
    sources: Mapping[str, str]


_Stamp = tuple[int, int, int]
_read_files: dict[Path, tuple[_Stamp, Mapping[str, Any]]] = {}
_NO_TABLE: Mapping[str, Any] = {}
_in_force_before: dict[Path, tuple[Mapping[str, Any], list[str | None], _InForce]] = {}
"""The last policy by file, for the same table and variables: it is asked for several times an order."""


def _in_force(settings: Settings, environ: Mapping[str, str] | None) -> _InForce:
    environment = os.environ if environ is None else environ
    table = _policy_table(settings.config)
    variables = [environment.get(setting.variable) for setting in _SETTINGS]
    known = _in_force_before.get(settings.config)
    if known is not None and known[0] is table and known[1] == variables:
        return known[2]
    found = _combined(settings, environment, table)
    _in_force_before[settings.config] = (table, variables, found)
    return found


def _combined(settings: Settings, environment: Mapping[str, str], table: Mapping[str, Any]) -> _InForce:
    given = _validated(table, settings.config)
    sources = {key: settings.config.name if key in table else "default" for key in Policy.model_fields}
    changed: dict[str, Any] = {}
    reader = Reader(environment, settings.config, {})
    for setting in _SETTINGS:
        try:
            wanted: Any = reader.value(setting)
        except SettingsError as error:
            raise _invalid(error.summary) from error
        if wanted is None:
            continue
        if isinstance(wanted, str) or setting.name not in table or wanted < getattr(given, setting.name):
            changed[setting.name] = wanted
            sources[setting.name] = reader.sources[setting.name]
    return _InForce(given.model_copy(update=changed), sources)


def _policy_table(config: Path) -> Mapping[str, Any]:
    for _ in range(3):
        stamp = _stamp(config)
        known = _read_files.get(config)
        if stamp is None:
            if known is not None:
                # Falling back to the defaults would lift the limits that stood in it.
                raise _invalid(f"{config} was there when this process started and is gone.")
            return _NO_TABLE
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            table: Mapping[str, Any] = read_config(config).get("policy", {})
        except SettingsError as error:
            raise _invalid(error.summary) from error
        # A file replaced while it was read may have been read empty.
        if _stamp(config) == stamp:
            _read_files[config] = (stamp, table)
            return table
    raise _invalid(f"{config} keeps changing while it is read.")


def _stamp(config: Path) -> _Stamp | None:
    try:
        status = config.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _invalid(f"{config} cannot be read ({error.strerror or 'input/output error'}).") from error
    return status.st_mtime_ns, status.st_size, status.st_ino


def _validated(table: Mapping[str, Any], config: Path) -> Policy:
    try:
        return Policy.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise _invalid(f"{config}: unknown key `{key}` under [policy].") from None
        wrong = first["msg"].removeprefix("Value error, ")
        raise _invalid(f"{config}: `{key}` under [policy]: {wrong[:1].lower()}{wrong[1:]}.") from None


def _invalid(summary: str) -> RefusedError:
    return RefusedError(
        f"The owner's policy cannot be used, so no order is placed. {summary}",
        f"Tell the user to correct it; {command('doctor')} checks it.",
        code="policy_invalid",
    )


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
            policy.retailer_accounts,
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


def _pattern(pattern: str) -> str:
    """Return a host pattern as hosts are spelt where they are compared."""
    stars = "*." if pattern.startswith("*.") else ""
    try:
        host = ascii_host(pattern.strip().removeprefix("*."))
    except (ValueError, UnicodeError):
        host = ""
    if not _HOST.fullmatch(host) or any(character in pattern for character in "/@:?#"):
        raise ValueError("must be hosts such as amazon.com or *.walmart.com")
    return stars + host


def _matches(pattern: str, host: str, *, below: bool) -> bool:
    return host == pattern or (below and host.endswith(f".{pattern}"))
