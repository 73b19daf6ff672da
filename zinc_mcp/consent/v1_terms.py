"""The further lines of a question about an order of v1: the sellers, the payer, and the costs that may be added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zinc_mcp.consent.field_words import Labelled, by_account
from zinc_mcp.zinc.wish import Wish

_BUY_BOX = ("Sellers", "any that the page itself offers it from: no other rule is applied")
_BY_DEFAULT = (
    "Sellers",
    "by Zinc's own rule: only Prime offers of new goods, handed over within 6 days; of these the cheapest",
)
"""Create Order (v1), "Default seller selection criteria"."""
_REDIRECTED = ("If the number of a product has expired", "what Amazon puts in its place is bought")
"""Create Order (v1), `strict_expired_product_id`."""
_OF_CRITERIA = ("Of the offers that are left", "the cheapest is bought")
_NOT_LIMITED = "No rule is given about"
_OF_NO_RULE = (
    ("condition_in", "the condition: used goods may be bought"),
    ("prime", "Prime"),
    ("handling_days_max", "the days until it is handed over"),
)
"""The rules of `_BY_DEFAULT`, which hold no more once an order gives any rule of its own (`SellerCriteria`)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The parts of a question that only v1 has."""

    extras: Sequence[Labelled] = ()
    sellers: Sequence[Sequence[Labelled]] = ()
    """About the seller of each product."""
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
    criteria = [each.get("seller_selection_criteria") for each in wire["products"]]
    sellers = [(by_default,) if each is None else _by_criteria(each) for each in criteria]
    paid = "" if profile is None else by_account({"profile": str(profile), **(account or {})})
    return Terms(extras, sellers, beside, paid)


def _by_criteria(criteria: Mapping[str, Any]) -> Sequence[Labelled]:
    """Return the words about a product's own rules for sellers, and about the rules that they leave open."""
    left_open = [what for name, what in _OF_NO_RULE if name not in criteria]
    if "condition_not_in" in criteria and "condition_in" not in criteria:
        left_open[0] = "other conditions than these"
    return (*([(_NOT_LIMITED, "; ".join(left_open))] if left_open else []), _OF_CRITERIA)
