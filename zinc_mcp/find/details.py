"""Titles and prices of products for a question to a person.

If no look-up may be paid for, or Zinc does not know the product, the question has no title.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zinc_mcp.find.look_up import look_up
from zinc_mcp.find.question import Found
from zinc_mcp.owner.policy import Policy
from zinc_mcp.process import Process
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.find.products import Product, details_call, is_in_dollars
from zinc_mcp.zinc.product_urls.reading import shop_product
from zinc_mcp.zinc.wish import Wish

QUESTION_SECONDS = 5.0
MOST_PRODUCTS = 10


@dataclass(frozen=True, slots=True)
class FoundProducts:
    """The products of an order, line by line; None if nothing is known."""

    products: list[Product | None]
    cost_cents: int
    """The cost of the look-ups that this call made."""


async def look_up_order(process: Process, caller: str, order: Wish, rail: Rail | None, policy: Policy) -> FoundProducts:
    """Ask Zinc for titles and prices, all at once and for at most `QUESTION_SECONDS`. Never fails."""
    if rail is None or rail.paying is not None:  # a wallet pays for what the caller asks, and for no question of ours
        return FoundProducts([None] * len(order.pages), 0)
    named = [shop_product(page) for page in order.pages[:MOST_PRODUCTS]]
    wanted = list(dict.fromkeys(each for each in named if each is not None))
    calls = [details_call(*each) for each in wanted]
    answers: Sequence[object] = ()
    if calls:
        answers = await look_up(process, caller, rail, policy, calls, seconds=QUESTION_SECONDS, forgets_refusals=False)
    found: dict[tuple[str, str], Product] = {}
    cost_cents = 0
    for each, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, Found):
            product: Product = answer.answer
            found[each] = product if is_in_dollars(each[0], product) else product.model_copy(update={"price": None})
            cost_cents += answer.cost_cents
    products = [None if each is None else found.get(each) for each in named]
    return FoundProducts([*products, *[None] * (len(order.pages) - len(products))], cost_cents)
