"""Each documented code of v1 has its row, and each row its ending, its sentence and its next step."""

import pytest

from zinc_mcp.zinc.v1.codes import CODES, code_of

# The codes of v1's pages on errors, and those that only its other pages name.
DOCUMENTED = frozenset(
    """
    account_locked account_locked_verification_required account_login_failed add_on_item
    additional_information_required billing_address_refused brand_not_accepted cannot_schedule_delivery
    credit_card_declined duplicate_order expired_product_id incomplete_account_setup insufficient_zma_balance
    insufficient_variants internal_error invalid_address invalid_card_number invalid_client_token
    invalid_expiration_date invalid_gift_options invalid_json invalid_login_credentials invalid_payment_method
    invalid_promo_code invalid_quantity invalid_request invalid_request_id invalid_security_code
    invalid_shipping_method invalid_variant item_not_supported manual_review_required max_price_exceeded
    max_quantity_exceeded max_delivery_days_exceeded mismatching_retailer no_free_shipping no_gift_shipping
    no_two_day_shipping order_probably_placed payment_info_problem prime_pantry_not_supported product_unavailable
    request_processing shipping_address_refused shipping_address_unavailable shipping_method_unavailable
    unauthorized_access unknown_retailer unsupported_product_id zma_temporarily_overloaded
    aborted_request attempting_to_cancel return_in_progress amazon_antibot_blank_offers_page
    """.split()
)
RUNNING = {"request_processing", "manual_review_required", "attempting_to_cancel", "return_in_progress"}
IN_DOUBT = {"order_probably_placed", "duplicate_order"}
ABOUT_THE_QUESTION = {"invalid_client_token", "unauthorized_access", "invalid_json", "invalid_request_id"}


def test_each_documented_code_has_its_row_and_no_other_has_one() -> None:
    assert set(CODES) == DOCUMENTED


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_each_row_says_what_happened_and_what_to_do(name: str) -> None:
    row = CODES[name]
    assert row.sentence.endswith(".")
    assert row.next_step.endswith(".")
    assert row.sentence[0].isupper() and row.next_step[0].isupper()
    assert len(row.sentence) <= 110 and len(row.next_step) <= 160
    assert name not in row.sentence


def test_codes_of_orders_that_are_not_over_or_not_known_have_their_own_endings() -> None:
    assert {name for name, row in CODES.items() if row.later == "running"} == RUNNING
    assert {name for name, row in CODES.items() if row.later == "unknown"} == IN_DOUBT
    assert {name for name, row in CODES.items() if row.later == "cancelled"} == {"aborted_request"}
    assert {name for name, row in CODES.items() if row.later == "no_answer"} == ABOUT_THE_QUESTION
    assert {row.later for row in CODES.values()} == {"running", "unknown", "cancelled", "no_answer", "failed"}


def test_a_code_that_may_follow_an_accepted_order_never_frees_it_as_an_answer_to_the_request() -> None:
    unsettled = {"internal_error", "invalid_request_id", "aborted_request", *RUNNING, *IN_DOUBT}
    assert {name for name, row in CODES.items() if row.post == "unknown"} == unsettled
    assert {row.post for row in CODES.values()} == {"unknown", "rejected"}


@pytest.mark.parametrize("name", ["order_probably_placed", "duplicate_order"])
def test_an_order_that_may_have_been_placed_is_not_ordered_again(name: str) -> None:
    assert CODES[name].next_step.startswith("Do not order it again.")
    assert "again" not in CODES[name].next_step.removeprefix("Do not order it again.")


def test_a_code_that_nobody_knows_proves_nothing() -> None:
    row = code_of("something_new")
    assert (row.post, row.later) == ("unknown", "unknown")
