"""The error codes of Zinc v1 (v1, "Errors") with messages in our words, written apart from our client's table.

`STATUSES` is only for the dialects in which error objects have an HTTP status of their own.
"""

RUNNING = "request_processing"
"""An order that is being processed. It is an error object without being a failure."""

REVIEWED = "manual_review_required"
"""An order that waits for a review by a person at Zinc, and continues afterwards."""

_IN_THE_TABLE = """\
account_locked: The retailer wants to verify the account.
account_locked_verification_required: The retailer has sent a code that the order must contain.
account_login_failed: The retailer did not accept the login.
add_on_item: An add-on item cannot be ordered alone.
additional_information_required: The retailer asks more about the account.
billing_address_refused: The retailer refused the billing address.
brand_not_accepted: The retailer does not take this brand of card.
cannot_schedule_delivery: The item needs a scheduled delivery.
credit_card_declined: The card was declined.
duplicate_order: This order is a duplicate.
expired_product_id: The retailer no longer uses this product_id.
incomplete_account_setup: The account is not completely set up.
insufficient_variants: Not all variants of the product were chosen.
insufficient_zma_balance: The balance of the managed account is too low.
internal_error: Zinc or the retailer has an outage.
invalid_address: The address is incomplete or cannot be read.
invalid_card_number: The number of the card is not valid.
invalid_client_token: The client token is not valid.
invalid_expiration_date: The expiration date of the card is not valid.
invalid_gift_options: The gift options were rejected.
invalid_json: The body is not valid JSON.
invalid_login_credentials: E-mail and password are wrong.
invalid_payment_method: The retailer does not have this payment method.
invalid_promo_code: A promotion code is not valid.
invalid_quantity: A quantity does not match what the retailer offers.
invalid_request: The request is not valid.
invalid_request_id: There is no request with this id.
invalid_security_code: The security code was declined.
invalid_shipping_method: The shipping method is not valid.
invalid_variant: A variant of the product is not valid.
item_not_supported: The item cannot be ordered here.
manual_review_required: Zinc reviews this order by hand; look again later.
max_delivery_days_exceeded: The delivery takes longer than max_delivery_days.
max_price_exceeded: The final price is above max_price.
max_quantity_exceeded: The retailer sells fewer pieces to one customer.
mismatching_retailer: The products belong to another retailer.
no_free_shipping: There is no free shipping for the items.
no_gift_shipping: An item has no gift option.
no_two_day_shipping: There is no shipping within two days.
order_probably_placed: The order was probably placed, and its number is unknown; look at the retailer.
payment_info_problem: There was a problem with the payment.
prime_pantry_not_supported: Prime Pantry cannot be ordered.
product_unavailable: A product is not available, or no offer matches the criteria.
request_processing: Request is currently processing and will complete soon.
shipping_address_refused: The retailer refused the shipping address.
shipping_address_unavailable: The items cannot be shipped to this address.
shipping_method_unavailable: The shipping method is not available for this address.
unauthorized_access: This call is not allowed for this account.
unknown_retailer: There is no such retailer.
unsupported_product_id: The product_id is not specific enough.
zma_temporarily_overloaded: No account could place the order within its time in the queue."""

_OUTSIDE = """\
aborted_request: The request was aborted before it completed.
amazon_antibot_blank_offers_page: The retailer showed no offers.
attempting_to_cancel: The retailer is attempting to cancel the order.
return_in_progress: A return is in progress for these items."""

MESSAGES = {
    code: message
    for code, _, message in (line.partition(": ") for line in (_IN_THE_TABLE + "\n" + _OUTSIDE).splitlines())
}
"""The message of each code."""

FINAL = tuple(
    code for code in MESSAGES if code not in (RUNNING, REVIEWED, "aborted_request", "attempting_to_cancel",
                                              "return_in_progress")
)  # fmt: skip
"""The codes with which an order or its POST can end. A practice product names one by its place, so a new code goes to
the end."""

UNDOCUMENTED = "order_was_taxed"
"""The code of an order that ends by `fail_if_taxed`. The documents name none, so this is one that no document names."""

STATUSES = {"invalid_client_token": 401, "unauthorized_access": 403, "invalid_request_id": 404}
"""HTTP statuses of error objects other than 400, in the dialects that have them."""
