"""The sabotages of the v1 rail that the fault campaign must notice."""

from bench.campaign.judge.verdict import (
    ANSWER_REPEATED,
    DUPLICATED,
    LOST,
    NOT_BOUGHT,
    OVER_LIMIT,
    PAID_TWICE,
    UNTRUE,
    WRONG_ENDING,
)
from bench.sabotages.sabotage import ByCampaign, Sabotage


def _v1(*first: str, red: tuple[str, ...]) -> ByCampaign:
    return ByCampaign("v1", red, first)


BY_CAMPAIGN_V1 = (
    Sabotage(
        "answered-v1-orders-sent-again",
        "an order of v1 is not sent again after Zinc has answered, since a key's first answer is replayed",
        "zinc_mcp/spending/outcome.py",
        "    return entry.order_id is not None or code in (same_order.ANOTHER_ORDER, LEFT_TO_PEOPLE, _ANSWERED)",
        "    return code == same_order.ANOTHER_ORDER",
        _v1("hosts", red=(ANSWER_REPEATED,)),
    ),
    Sabotage(
        "probably-placed-taken-for-failed",
        "an order that was probably placed has not failed",
        "zinc_mcp/zinc/v1/codes.py",
        'was probably placed.", _BY_HAND, "later", "unknown", "unknown"',
        'was probably placed.", _BY_HAND, "later", "unknown", "failed"',
        _v1("hosts", red=(WRONG_ENDING, UNTRUE, DUPLICATED)),
    ),
    Sabotage(
        "v1-status-believed",
        "an HTTP status of v1 proves nothing: `_type` and the code do",
        "zinc_mcp/zinc/v1/answers.py",
        '    if code_of(code).post == "rejected":',
        '    if code_of(code).post == "rejected" or answer.status >= 400:',
        _v1("hosts", red=(WRONG_ENDING, UNTRUE, DUPLICATED)),
    ),
    Sabotage(
        "any-listed-v1-order-taken",
        "an order in v1's list is ours only with our key in its notes",
        "zinc_mcp/zinc/v1/order_list.py",
        "            if notes_in(shown).get(name) != value:",
        "            if not notes_in(shown):",
        _v1("hosts", red=(NOT_BOUGHT, LOST, WRONG_ENDING)),
    ),
    Sabotage(
        "v1-products-are-others",
        "a product by its number at v1 and by its page at v2 is one intention",
        "zinc_mcp/zinc/v1/order.py",
        "    return Goods(address.canonical, address.likely, (), product.quantity)",
        "    return Goods(product.product_id, address.likely, (), product.quantity)",
        _v1("rails", red=(DUPLICATED, PAID_TWICE)),
    ),
    Sabotage(
        "v1-bids-do-not-count",
        "a bid counts against the limits",
        "zinc_mcp/zinc/v1/order.py",
        "        return self.max_price + self.surcharge_cents + (self.zma_priority_bid or 0)",
        "        return self.max_price + self.surcharge_cents",
        _v1("limits", red=(OVER_LIMIT, NOT_BOUGHT)),
    ),
)
