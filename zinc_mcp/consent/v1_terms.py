"""What a question about an order of Zinc's v1 says beside its fields: who may sell, who pays, and what may be added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zinc_mcp.consent.field_words import Labelled, by_account
from zinc_mcp.zinc.wish import Wish

_BUY_BOX = ("Who may sell it", "whoever the page itself offers it from: no other rule is applied")
_BY_DEFAULT = (
    "Who may sell it",
    "by Zinc's own rule: only Prime offers of new goods, handed over within 6 days; of these the cheapest",
)
"""Create Order (v1), "Default seller selection criteria"."""
_REDIRECTED = ("If the number of a product has expired", "what Amazon puts in its place is bought")
"""Create Order (v1), `strict_expired_product_id`."""
_OF_CRITERIA = ("Of the offers that are left", "the cheapest is bought")


@dataclass(frozen=True, slots=True)
class Terms:
    """The parts of a question that only v1 has."""

    extras: Sequence[Labelled] = ()
    by_default: Sequence[Labelled] = ()
    """About each product whose seller no rule of the order chooses."""
    by_criteria: Sequence[Labelled] = ()
    """About each product with rules of its own."""
    beside: Sequence[tuple[str, int]] = ()
    account: str = ""


NO_TERMS = Terms()


def v1_terms(wire: dict[str, Any], order: Wish, account: Mapping[str, str] | None) -> Terms:
    """Return the terms of an order of v1, and take what they show out of `wire`, which is to be sent."""
    from zinc_mcp.zinc.v1.order import PROFILE_FIELD  # most processes ask about no order of v1

    code, bid, managed = wire.pop("retailer"), wire.pop("zma_priority_bid", None) or 0, wire.pop("addax", False)
    beside: list[tuple[str, int]] = []
    if bid:
        beside.append(("going first in the queue (zma_priority_bid)", bid))
    if above := order.ceiling_cents - order.max_price - bid:
        beside.append((f"what the discount of {wire['zma_discount']} per cent may add to the face value", above))
    extras = [("Zinc's code of the retailer", str(code))]
    if managed:
        extras.append(("Bought with", "an account at the retailer that Zinc manages (ZMA)"))
    profile = wire.pop(PROFILE_FIELD, None)
    if profile is not None:
        extras.append(("Bought with your own account at the retailer, kept here as", str(profile)))
    if str(code).startswith("amazon") and not wire.get("strict_expired_product_id"):
        extras.append(_REDIRECTED)
    by_default = _BUY_BOX if wire.get("take_buybox_offers") else _BY_DEFAULT
    paid = "" if profile is None else by_account({"profile": str(profile), **(account or {})})
    return Terms(extras, (by_default,), (_OF_CRITERIA,), beside, paid)
