"""The reasons why an order failed or is in doubt, as sentences, and the next steps."""

from collections.abc import Mapping

_LATER = "It may work later; ask the user first."
_FEWER = "Ask the user whether fewer are all right."
FAILURES: dict[str, tuple[str, str]] = {
    "max_price_exceeded": (
        "the total came out above max_price",
        "Ask the user whether a higher max_price is all right; then place a new order.",
    ),
    "product_out_of_stock": ("a product is out of stock", "Offer the user another product or seller."),
    "product_unavailable": ("a product cannot be bought just now", "Offer the user another product or seller."),
    "product_not_found": ("the product page does not lead to a product", "Find the right product page."),
    "invalid_product_url": ("the product page does not lead to a product", "Find the right product page."),
    "product_variant_required": (
        "the page asks for a variant",
        "Give the variant exactly as check_product with details, or the page, shows it.",
    ),
    "product_variant_unavailable": ("that variant is not to be had", "Ask the user for another variant."),
    "product_quantity_unavailable": ("there are not enough pieces", _FEWER),
    "quantity_limit_exceeded": ("the retailer sells fewer pieces per order", _FEWER),
    "shipping_address_invalid": ("the address was not accepted", "Ask the user to check the address."),
    "shipping_unavailable": ("it cannot be shipped to that address", "Ask the user for another address or product."),
    "gift_option_unavailable": (
        "the retailer has no free gift option",
        'Ask the user whether to order without it, or set fulfillment {"gift": "best_effort"}.',
    ),
    "payment_declined": ("the payment was declined", "Tell the user to check how the order is paid."),
    "retailer_unavailable": ("the retailer could not be reached", _LATER),
    "retailer_rate_limited": ("the retailer was too busy", _LATER),
    "checkout_failed": ("the retailer's checkout did not go through", _LATER),
    "checkout_blocked": ("the retailer's checkout did not go through", _LATER),
    "add_to_cart_failed": ("the product could not be put in the cart", _LATER),
    "retailer_not_supported": ("Zinc does not support this retailer", "Find the product at another retailer."),
}
"""The reason and the next step for each of Zinc's job error types (SDK 2026.10.16, "Error handling")."""

ALSO_CALLED = {
    "out_of_stock": "product_out_of_stock",
    "product_quantity_not_available": "product_quantity_unavailable",
    "invalid_variant": "product_variant_unavailable",
    "invalid_shipping_address": "shipping_address_invalid",
    "unsupported_retailer": "retailer_not_supported",
}
"""The names of Zinc's HTTP errors, which its sandbox uses for failed orders as well."""


ENDED_HERE: Mapping[object, tuple[str, str]] = {
    "resolved_not_bought": ("The owner stated that nothing was bought.", "Order again only if the user asks."),
    "payment_not_taken": (
        "The payment was not taken, and cannot be taken any more: nothing was bought.",
        "Ask the user whether to order again with a new payment.",
    ),
}
"""By the code of an entry's problem: the cause that ended the order, if it was no answer of Zinc's, and the next
step."""


STEPS: Mapping[str, str] = {
    "unknown": "It is looked up again and again, and never sent as a second order.",
    "placed_before": "Look whether it was bought.",
    "not_sent": "Look into the payment wallet.",
    "left_to_people": "Look in the orders of the account at the retailer, or ask Zinc.",
    "ending_unclear": "Ask Zinc about it.",
    "paid_no_order": "Ask Zinc about it, with the key and the payment's reference.",
}
"""The next step of a person, by a doubt or an outcome. After other outcomes there is none."""


def why_failed(code: str, otherwise: str, *, is_v1: bool) -> tuple[str, str]:
    """Return why an order failed, as the end of a sentence and what follows it, and the next step.

    Args:
        code: Zinc's code.
        otherwise: the end of the next step ("Tell the user ...") where the code is not known.
        is_v1: whether the code is one of v1's.
    """
    if is_v1:
        from zinc_mcp.zinc.v1.codes import CODES  # most processes tell of no order of v1

        if (row := CODES.get(code)) is not None:
            return f". {row.sentence}", row.next_step
    unknown = ("the retailer or Zinc could not carry it out", f"Tell the user {otherwise}.")
    reason, next_step = FAILURES.get(ALSO_CALLED.get(code, code), unknown)
    return f" because {reason}.", next_step
