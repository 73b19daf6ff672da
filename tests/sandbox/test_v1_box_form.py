"""The sandbox's Zinc v1 takes what the page of `POST /v1/orders` allows, and answers the rest with the right code."""

from typing import Any

import pytest
from sandbox.practising_v1 import ADDRESS, COFFEE, OWN, V1, order_v1

CARD: dict[str, Any] = OWN["payment_method"]
EVERYTHING: dict[str, Any] = {
    "products": [
        {
            "product_id": COFFEE,
            "quantity": 1,
            "seller_selection_criteria": {
                "addon": False,
                "buy_box": True,
                "condition_in": ["New"],
                "condition_not_in": ["Refurbished"],
                "first_party_seller": True,
                "handling_days_max": 6,
                "international": False,
                "max_item_price": 5350,
                "merchant_id_in": ["Practice Mart"],
                "merchant_id_not_in": ["Dented Tins"],
                "min_seller_num_ratings": 100,
                "min_seller_percent_positive_feedback": 90,
                "prime": True,
                "allow_oos": False,
            },
        }
    ],
    "shipping_address": {**ADDRESS, "instructions": "Inside the blue garage door."},
    "is_gift": True,
    "gift_message": "\n".join(["Enjoy"] * 9),
    "require_gift": True,
    "webhooks": {
        "request_succeeded": "https://hooks.example/v1",
        "request_failed": ["https://hooks.example/v1", "https://hooks.example/more"],
        "tracking_obtained": "https://hooks.example/v1",
        "tracking_updated": "https://hooks.example/v1",
        "status_updated": "https://hooks.example/v1",
        "case_updated": "https://hooks.example/v1",
    },
    "client_notes": {"our_id": "abc", "any": ["value"]},
    "promo_codes": [
        {
            "code": "FIVE",
            "optional": True,
            "merchant_id": "A3",
            "discount_amount": 500,
            "discount_percentage": 1.5,
            "cost_override": 1,
        }
    ],
    "strict_expired_product_id": True,
    "po_number": 12345,
    "amazon_day": "Tuesday",
    "shipping_method": "amazon_day",
    "fail_if_taxed": False,
    "max_delivery_days": 10,
    "take_buybox_offers": False,
    "force_offers_postal_code": "10001",
}  # fmt: skip
MANAGED: dict[str, Any] = {
    "zma_discount": -6,
    "addax_queue_timeout": 600,
    "zma_prime_optout": False,
    "zma_priority_bid": 100,
    "idempotency_key": "k",
}


@pytest.mark.parametrize("fields", [{**EVERYTHING, **MANAGED}, {**EVERYTHING, **OWN}], ids=["managed", "own"])
async def test_every_field_of_the_page_can_be_given_and_is_echoed(fields: dict[str, Any]) -> None:
    zinc, body = V1(), order_v1(**fields)
    shown = await zinc.read(await zinc.place(body, 20))
    assert shown["_type"] == "order_response" and shown["request"] == body


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"retailer": None}, "invalid_request"),
    ({"retailer": "ebay"}, "unknown_retailer"),
    ({"products": []}, "invalid_request"),
    ({"products": [{"quantity": 1}]}, "invalid_request"),
    ({"products": [{"product_id": COFFEE}]}, "invalid_request"),
    ({"products": [{"product_id": COFFEE, "quantity": "1"}]}, "invalid_request"),
    ({"products": [{"product_id": COFFEE, "quantity": True}]}, "invalid_request"),
    ({"products": [{"product_id": COFFEE, "quantity": 1, "colour": "red"}]}, "invalid_request"),
    ({"products": [{"product_id": COFFEE, "quantity": 0}]}, "invalid_quantity"),
    ({"products": [{"product_id": COFFEE, "quantity": 1.5}]}, "invalid_quantity"),
    ({"products": [{"product_id": "https://www.amazon.com/dp/B0SNDBXC01", "quantity": 1}]}, "unsupported_product_id"),
    ({"products": [{"product_id": "B0", "quantity": 1}]}, "unsupported_product_id"),
    ({"shipping_address": None}, "invalid_request"),
    ({"shipping_address": {**ADDRESS, "postal_code": "10001"}}, "invalid_request"),
    ({"shipping_address": {**ADDRESS, "country": "USA"}}, "invalid_address"),
    ({"shipping_address": {**ADDRESS, "zip_code": "1000"}}, "invalid_address"),
    ({"shipping_address": {**ADDRESS, "state": "New York"}}, "invalid_address"),
    ({"is_gift": None}, "invalid_request"),
    ({"is_gift": "yes"}, "invalid_request"),
    ({"shipping_method": None}, "invalid_request"),
    ({"shipping": {"order_by": "price"}}, "invalid_request"),
    ({"shipping_method": None, "shipping": {"order_by": "colour"}}, "invalid_request"),
    ({"shipping_method": "overnight"}, "invalid_shipping_method"),
    ({"max_price": None}, "invalid_request"),
    ({"max_price": 12.5}, "invalid_request"),
    ({"max_price": "5000"}, "invalid_request"),
    ({"gift_message": "x" * 241}, "invalid_gift_options"),
    ({"gift_message": "\n".join("abcdefghij")}, "invalid_gift_options"),
    ({"zma_discount": 1}, "invalid_request"),
    ({"zma_discount": -51}, "invalid_request"),
    ({"zma_priority_bid": -1}, "invalid_request"),
    ({"addax_queue_timeout": -1}, "invalid_request"),
    ({"po_number": "PO-1"}, "invalid_request"),
    ({"promo_codes": [{"optional": True}]}, "invalid_request"),
    ({"client_notes": "text"}, "invalid_request"),
    ({"idempotency_key": 7}, "invalid_request"),
    ({"zinc_mcp_profile": "mine"}, "invalid_request"),
    ({"retailer_credentials": OWN["retailer_credentials"]}, "invalid_request"),
    ({"payment_method": {"use_gift": True}}, "invalid_request"),
    ({"billing_address": ADDRESS}, "invalid_request"),
    ({"retailer": "walmart", "products": [{"product_id": "9990000001", "quantity": 1}]}, "unauthorized_access"),
    ({**OWN, "retailer_credentials": None}, "invalid_request"),
    ({**OWN, "payment_method": None}, "invalid_request"),
    ({**OWN, "billing_address": None}, "invalid_request"),
    ({**OWN, "payment_method": {}}, "invalid_payment_method"),
    ({**OWN, "payment_method": {"number": "5555555555554444"}}, "invalid_request"),
    ({**OWN, "payment_method": {**CARD, "number": "5555555555554445"}}, "invalid_card_number"),
    ({**OWN, "payment_method": {**CARD, "security_code": "12"}}, "invalid_security_code"),
    ({**OWN, "payment_method": {**CARD, "expiration_year": 2020}}, "invalid_expiration_date"),
    ({**OWN, "payment_method": {**CARD, "expiration_month": 13}}, "invalid_expiration_date"),
    (
        {**OWN, "retailer": "costco", "products": [{"product_id": "100123456", "quantity": 1}],
         "payment_method": {"use_gift": True}},
        "invalid_payment_method",
    ),
    (
        {**OWN, "retailer": "walmart", "products": [{"product_id": "9990000001", "quantity": 1}],
         "shipping_method": "amazon_day"},
        "invalid_shipping_method",
    ),
]  # fmt: skip


@pytest.mark.sampled(12)
@pytest.mark.parametrize(("fields", "code"), REFUSED)
async def test_a_body_that_the_page_forbids_is_refused_at_once(fields: dict[str, Any], code: str) -> None:
    zinc = V1()
    told = await zinc.post(order_v1(**fields))
    assert (told["_type"], told["code"]) == ("error", code), told
    assert zinc.sandbox.placed() == []


async def test_a_body_that_is_no_json_is_refused() -> None:
    zinc = V1()
    for content in (b"", b"{", b'{"max_price": NaN}', b'{"max_price": 1e999}', b"\xff", b"[" * 100_000):
        told = (await zinc.client.post("/orders", content=content)).json()
        assert told["code"] == "invalid_json", content[:20]
    for content in (b"[]", b'"order"', b"null"):
        assert (await zinc.client.post("/orders", content=content)).json()["code"] == "invalid_request"


@pytest.mark.parametrize(
    "fields",
    [
        {**OWN, "payment_method": {"use_gift": True}},
        {**OWN, "payment_method": {"use_account_payment_defaults": True}},
        {**OWN, "max_price": None},
        {**OWN, "addax": False},
        {**OWN, "retailer": "walmart", "products": [{"product_id": "9990000001", "quantity": 2}]},
        {"retailer_credentials": None, "gift_message": "without is_gift", "require_gift": True},
        {"shipping_method": None, "shipping": {"order_by": "speed", "max_days": 5, "max_price": 1000}},
        {"zma_discount": -2.5, "zma_priority_bid": 12.5},
    ],
)
async def test_a_body_that_the_page_allows_is_taken(fields: dict[str, Any]) -> None:
    zinc = V1()
    await zinc.place(order_v1(**fields))


async def test_managed_orders_reach_other_shops_where_the_dialect_says_so() -> None:
    zinc = V1("v1_managed_shops=all")
    await zinc.place(order_v1(retailer="walmart", products=[{"product_id": "9990000001", "quantity": 1}]))
