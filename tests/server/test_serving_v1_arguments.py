"""Wrong arguments of `place_v1_order`: each names a field and what to change, and nothing is sent."""

from pathlib import Path
from typing import Any

import pytest
from on_v1 import PLACE, Practice, arguments
from server.as_a_host import both_eras, call, refused, usually_one_era

PAGE = "https://www.amazon.com/dp/B07JGBW826"
PRODUCT = {"product_id": "B07JGBW826"}


@pytest.mark.sampled(6)
@both_eras
@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"metadata": {}}, "metadata", "client_notes"),
        ({"retailer_credentials": {"email": "a@b.c"}}, "retailer_credentials", "retailer_account"),
        ({"payment_method": {"number": "4111"}}, "payment_method", "retailer_account"),
        ({"billing_address": {}}, "billing_address", "retailer_account"),
        ({"addax": True}, "addax", "follows from retailer_account"),
        ({"webhooks": {}}, "webhooks", "owner's setting"),
        ({"products": [{**PRODUCT, "asin": "B07JGBW826"}]}, "products[0].asin", "product_id"),
        ({"products": [{**PRODUCT, "prime": True}]}, "products[0].prime", "seller_selection_criteria.prime"),
        ({"products": [{"product_id": PAGE}]}, "products[0].product_id", "place_order"),
        ({"shipping_address": {**PLACE, "postal_code": "10001"}}, "shipping_address.postal_code", "zip_code"),
        ({"shipping_method": None}, "shipping_method", "either shipping_method or shipping"),
        ({"shipping": {"order_by": "price"}}, "shipping_method", "not both"),
        ({"retailer": "ebay"}, "retailer", "amazon_uk"),
        ({"gift_message": "Enjoy"}, "gift_message", "is_gift"),
        ({"require_gift": True}, "require_gift", "is_gift"),
        ({"zma_discount": 5}, "zma_discount", "at most 0"),
        ({"client_notes": {"password": "x"}}, "client_notes", "secret"),
        ({"dry_run": True}, "dry_run", "every call orders"),
        ({"max_price": 12.5}, "max_price", "whole number"),
    ],
)
async def test_a_wrong_argument_is_named_with_what_to_change(
    home: Path, mode: str, changes: dict[str, Any], field: str, says: str
) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        answer = await refused(client, "place_v1_order", arguments(**changes))
    assert (answer["code"], answer["outcome"]) == ("invalid_arguments", "refused")
    said = {problem["field"]: problem["reason"] for problem in answer["problems"]}
    assert field in said and says in said[field], said
    assert zinc.posts() == []


@usually_one_era
async def test_objects_may_come_as_text_and_whole_numbers_with_a_fraction(home: Path, mode: str) -> None:
    zinc = Practice(home)
    order = arguments(max_price=9000.0, products='[{"product_id": "B07JGBW826", "quantity": 2.0}]', shipping=None)
    order["shipping_address"] = str(PLACE).replace("'", '"')
    async with zinc.host(mode) as client:
        placed = await call(client, "place_v1_order", order)
    assert placed["items"] == [{"url": "https://www.amazon.com/dp/B07JGBW826", "quantity": 2}]


@usually_one_era
async def test_an_account_that_is_not_set_up_is_refused_before_anything_is_sent(home: Path, mode: str) -> None:
    zinc = Practice(home)
    async with zinc.host(mode) as client:
        answer = await refused(client, "place_v1_order", arguments(retailer_account={"profile": "our-shop"}))
    assert answer["outcome"] in ("refused", "rejected") and not answer["money_may_have_moved"]
    assert zinc.posts() == []
