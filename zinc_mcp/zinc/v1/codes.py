"""The codes of v1's errors: the proof that each gives about an order, its sentence, and the next step.

Codes are those of v1's pages on errors. An error can answer the request that places an order, or tell the outcome of
the order later. A code that is not here proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Ending = Literal["rejected", "failed", "running", "cancelled", "unknown", "no_answer"]
"""The proof that a code gives. `rejected`: the order was not taken. `failed`, `cancelled`: nothing was bought or will
be. `running`: it is not over. `unknown`: something may have been bought. `no_answer`: it is about the question
alone."""
Where = Literal["post", "later", "either"]
"""The answers in which a code stands: to the request that orders, to a later question about the order, or both."""

_CLIENT = "Tell the user to check ZINC_V1_CLIENT_TOKEN."
_ACCOUNT = "Tell the user to look after that account at the retailer, and its profile here."
_CHANGE = "Correct it and place the order again."
_OTHER = "Choose another product, or tell the user."
_BY_HAND = (
    "Do not order it again. The user looks in the orders of the retailer's account, or asks Zinc, and then says here "
    "what became of it."
)
_WAIT = "Call get_order later."
_ASK = "Tell the user; Zinc's support can say more, with the order's id."


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table."""

    sentence: str
    next_step: str
    where: Where = "later"
    post: Ending = "rejected"
    """Its proof in the answer to the request that orders."""
    later: Ending = "failed"
    """Its proof in the answer to a later question about the order."""


def _about_order(sentence: str, next_step: str = _CHANGE) -> Code:
    """Return the row of a mistake in the order, found at once or later."""
    return Code(sentence, next_step, "either")


CODES: Mapping[str, Code] = {
    # About the request.
    "invalid_client_token": Code("Zinc does not accept the client token.", _CLIENT, "either", later="no_answer"),
    "unauthorized_access": Code("The client token may not do this at Zinc.", _CLIENT, "either", later="no_answer"),
    "invalid_json": Code("Zinc could not read the request.", _ASK, "either", later="no_answer"),
    "invalid_request_id": Code(
        "Zinc knows no request with this id.", "Check the id.", "later", post="unknown", later="no_answer"
    ),
    "invalid_request": _about_order("Zinc found the order invalid.", "Correct the fields named and place it again."),
    "invalid_quantity": _about_order("Zinc does not take this quantity."),
    "unknown_retailer": _about_order("Zinc does not know this retailer.", "Choose another retailer, or place_order."),
    "unsupported_product_id": _about_order("Zinc cannot order this product number.", _OTHER),
    "mismatching_retailer": _about_order("A product is not one of this retailer's."),
    "invalid_shipping_method": _about_order("This way of shipping does not exist there."),
    "invalid_gift_options": _about_order("The gift options do not go together there."),
    "invalid_promo_code": _about_order("A promotion code is not accepted."),
    "invalid_address": _about_order("The shipping address is not accepted."),
    "invalid_variant": _about_order("This variant of the product does not exist.", _OTHER),
    # About the payment and the account.
    "insufficient_zma_balance": Code(
        "The ZMA balance at Zinc is too small for the order.", "Tell the user to top it up, then order again.", "either"
    ),
    "invalid_payment_method": Code("The profile's way of paying is not accepted.", _ACCOUNT, "either"),
    "invalid_card_number": Code("The number of the profile's card is not accepted.", _ACCOUNT, "either"),
    "invalid_expiration_date": Code("The date of the profile's card is not accepted.", _ACCOUNT, "either"),
    "invalid_security_code": Code("The security code of the profile's card is not accepted.", _ACCOUNT, "either"),
    "invalid_login_credentials": Code("The retailer does not accept the profile's login.", _ACCOUNT, "either"),
    "credit_card_declined": Code("The card was declined.", _ACCOUNT),
    "payment_info_problem": Code("The retailer objects to the account's payment.", _ACCOUNT),
    "billing_address_refused": Code("The retailer does not accept the billing address.", _ACCOUNT),
    "account_locked": Code("The account at the retailer is locked.", _ACCOUNT),
    "account_locked_verification_required": Code(
        "The retailer has locked the account until somebody proves to be its owner.", _ACCOUNT
    ),
    "account_login_failed": Code("Zinc could not sign in to the account at the retailer.", _ACCOUNT),
    "incomplete_account_setup": Code("The account at the retailer is not set up completely.", _ACCOUNT),
    "additional_information_required": Code("The retailer asks for something that Zinc does not have.", _ASK),
    # About the products.
    "add_on_item": Code("A product is sold only beside others (add-on).", "Order more with it, or choose another."),
    "brand_not_accepted": Code("The shop does not take this brand of card.", _ACCOUNT),
    "expired_product_id": Code("A product's number has expired.", _OTHER),
    "insufficient_variants": Code("The product has variants, and the number does not choose one.", _OTHER),
    "item_not_supported": Code("Zinc cannot order this product.", _OTHER),
    "max_quantity_exceeded": Code("The shop does not sell so many of it.", "Order fewer, or choose another."),
    "prime_pantry_not_supported": Code("Zinc cannot order Prime Pantry products.", _OTHER),
    "product_unavailable": Code("No offer fits what was asked for.", "Ask the user what may be changed."),
    "max_price_exceeded": Code(
        "It would have cost more than max_price.", "Ask the user whether it may cost more, or choose another."
    ),
    # About the delivery.
    "cannot_schedule_delivery": Code("No delivery can be arranged.", _OTHER),
    "max_delivery_days_exceeded": Code("It would have arrived later than max_delivery_days.", "Ask the user."),
    "no_free_shipping": Code("There is no free shipping for it.", "Choose another shipping_method with the user."),
    "no_gift_shipping": Code("It cannot be sent as a gift.", "Ask the user whether it may go without."),
    "no_two_day_shipping": Code("There is no shipping in two days for it.", "Choose another way with the user."),
    "shipping_address_refused": Code("The retailer does not ship to this address.", "Correct the address."),
    "shipping_address_unavailable": Code("The retailer cannot use this address.", "Correct the address."),
    "shipping_method_unavailable": Code("This way of shipping is not offered for it.", "Choose another with the user."),
    # Not over, or not known.
    "request_processing": Code("Zinc is working on it.", _WAIT, "later", "unknown", "running"),
    "manual_review_required": Code("People at Zinc are looking at the order.", _WAIT, "later", "unknown", "running"),
    "attempting_to_cancel": Code("The cancellation is not decided yet.", _WAIT, "later", "unknown", "running"),
    "return_in_progress": Code("The return is not ready yet.", _WAIT, "later", "unknown", "running"),
    "aborted_request": Code("Zinc stopped the order before it was placed.", _ASK, "later", "unknown", "cancelled"),
    "order_probably_placed": Code(
        "Zinc lost sight of the order at the retailer: it was probably placed.", _BY_HAND, "later", "unknown", "unknown"
    ),
    "duplicate_order": Code(
        "The retailer or Zinc took it for a second order of the same; the first may be this very one.",
        _BY_HAND,
        "either",
        "unknown",
        "unknown",
    ),
    "internal_error": Code(
        "Something went wrong at Zinc.", "Wait some minutes before you order again.", "either", "unknown"
    ),
    "zma_temporarily_overloaded": Code(
        "No managed account was free in time, so nothing was bought.",
        "Order again later. A longer addax_queue_timeout, or a zma_priority_bid that the user agrees to, helps.",
        "either",
    ),
    "amazon_antibot_blank_offers_page": Code("Amazon did not show Zinc any offers.", "Order again later."),
}  # fmt: skip
"""Every documented code, with those that the table of v1's documents leaves out."""

_NOT_KNOWN = Code("Zinc answered with an error that is not known here.", _ASK, "either", "unknown", "unknown")


def code_of(name: str) -> Code:
    """Return the row of a code. One that is not known proves nothing."""
    return CODES.get(name, _NOT_KNOWN)
