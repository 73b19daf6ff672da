"""Why an order failed, in words, and what to do then."""

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
