"""A question about an order of v1 shows every field that is sent, at the longest value that the field takes.

The fields are found by walking the model, so that a new one cannot be forgotten. No order has all of them: some exclude
each other. So there are three, and together they give every field.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from consent.test_question_audit import FIELDS as FIELDS_OF_V2
from consent.test_question_audit import at, fields, literals, longest_of, missing_of, replaced, text_of
from mcp import Client
from on_v1 import PLACE, Practice, arguments
from pydantic import ValidationError
from server.as_a_host import both_eras, said

from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.consent.approval import question_of
from zinc_mcp.consent.field_words import in_words, label_of
from zinc_mcp.consent.question import question_about
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.zinc.v1.order import PROFILE_FIELD, V1Order

CRITERIA: dict[str, Any] = {
    "addon": False,
    "buy_box": True,
    "condition_in": ["New"],
    "condition_not_in": ["UsedGood"],
    "first_party_seller": True,
    "handling_days_max": 5,
    "international": False,
    "max_item_price": 4321,
    "merchant_id_in": ["SELLER1"],
    "merchant_id_not_in": ["SELLER2"],
    "min_seller_num_ratings": 17,
    "min_seller_percent_positive_feedback": 93,
    "prime": True,
    "allow_oos": False,
}
PROMO: dict[str, Any] = {
    "code": "SPRING",
    "optional": True,
    "merchant_id": "SELLER3",
    "discount_amount": 123,
    "discount_percentage": 7,
    "cost_override": 4567,
}
WHOLE = arguments(
    products=[{"product_id": "B07JGBW826", "quantity": 2, "seller_selection_criteria": CRITERIA}],
    shipping_address={**PLACE, "address_line2": "Floor 3", "country": "US", "instructions": "Ring twice"},
    shipping_method="amazon_day",
    amazon_day="Monday, the day of all boxes",
    is_gift=True,
    gift_message="Enjoy",
    require_gift=True,
    promo_codes=[PROMO],
    max_delivery_days=8,
    strict_expired_product_id=True,
    fail_if_taxed=True,
    force_offers_postal_code="94107",
    zma_discount=-12,
    addax_queue_timeout=3600,
    zma_prime_optout=True,
    zma_priority_bid=250,
    po_number=77_001,
    client_notes={"note": "a note"},
    idempotency_key="key-1",
)
BY_SPEED: dict[str, Any] = {
    **arguments(take_buybox_offers=True, shipping={"order_by": "speed", "max_days": 6, "max_price": 899}),
}
del BY_SPEED["shipping_method"]
OWN = arguments(retailer_account={"profile": "our-shop"})

Path_ = tuple[str, ...]
FIELDS = list(fields(V1Order))


def base_of(path: Path_) -> dict[str, Any]:
    """Return the order that gives a field."""
    for order in (WHOLE, BY_SPEED, OWN):
        try:
            at(order, path)
        except (KeyError, TypeError):
            continue
        return order
    raise AssertionError(f"no order of this test gives {'.'.join(path)}")


KEPT = frozenset("country state zip_code product_id retailer order_by shipping_method quantity is_gift".split())
"""Fields that know only a few forms."""


def longer(path: Path_, given: object, length: int) -> object:
    """Return another value for a field, of about this length; the given one where it knows only a few."""
    name = path[-1]
    if name in KEPT or isinstance(given, bool) or name.startswith("condition"):
        return given
    if isinstance(given, int):
        return -min(length, 50) if name == "zma_discount" else min(length, 10**8)
    if isinstance(given, dict):
        return {f"note {number}": text_of(50) for number in range(length // 60)} | {"long": text_of(length % 60)}
    if isinstance(given, list):
        return [f"MERCHANT{number:030d}" for number in range(1, 2 + length // 40)]
    if name == "phone_number":
        return "2125550100" + "5" * length
    if name in ("idempotency_key", "profile", "merchant_id"):
        return text_of(length).replace(" ", "").replace(".", "x")
    return text_of(length).strip()


def longest(path: Path_) -> dict[str, Any]:
    """Return an order with the longest value at a path that validation lets through."""
    return longest_of(V1Order, base_of(path), path, longer, 1)


def missing(order: V1Order, text: str) -> list[str]:
    """Return the values that would be sent and are missing in a text."""
    wire = order.to_wire()
    assert wire.pop("addax", None) is None or "an account at the retailer that Zinc manages (ZMA)" in text
    return missing_of(wire, text, "client_notes")


def asked(order: V1Order) -> str:
    """Return the question about an order."""
    return question_about(
        order, [None] * len(order.products), rail="v1", mode="live", fee_cents=0, left_day_cents=None, saved_as=None
    ).text()


def test_the_audit_walks_every_field_of_the_model() -> None:
    assert len(FIELDS) >= 55
    assert [path for path in FIELDS if at(base_of(path), path) is None] == []
    for order in (WHOLE, BY_SPEED, OWN):
        V1Order.model_validate(order)


@pytest.mark.sampled(12)
@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_every_field_is_in_the_question_whole(path: Path_) -> None:
    order = V1Order.model_validate(longest(path))
    assert missing(order, asked(order)) == []


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_no_two_values_of_a_field_have_one_question(path: Path_) -> None:
    whole = base_of(path)
    given = at(whole, path)
    other: object = not given if isinstance(given, bool) else longer(path, given, 4)
    try:
        order = V1Order.model_validate(replaced(whole, path, other))
    except ValidationError:
        return  # one of its few forms, or it depends on another field
    if other != given:
        assert asked(order) != asked(V1Order.model_validate(whole))


def test_a_person_reads_words_in_place_of_v1_s_own_value_names() -> None:
    few = dict(literals(V1Order))
    assert {"shipping_method", "shipping.order_by"} <= set(few)
    for path in ("shipping_method", "shipping.order_by"):
        said_of = [in_words(path, value) for value in few[path]]
        assert len(set(said_of)) == len(said_of)
        assert [each for each in said_of if each in few[path]] == []


def paths_of(value: object, path: str = "") -> Iterator[str]:
    """Yield the paths of what is sent, as the question names them."""
    if isinstance(value, Mapping):
        for name, part in cast(Mapping[str, object], value).items():
            yield from paths_of(part, "" if name == "products" else f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for part in cast(list[object], value):
            yield from paths_of(part, path)
    else:
        yield path


def test_every_field_has_a_name_for_people() -> None:
    unnamed = {"retailer", "addax", PROFILE_FIELD, "max_price", "product_id", "quantity", "idempotency_key"}
    unnamed |= {"gift_message"}  # whose name is a name for people
    for order in (WHOLE, BY_SPEED, OWN):
        for path in set(paths_of(V1Order.model_validate(order).to_wire())) - unnamed:
            if not path.startswith(("shipping_address.", "client_notes.")):
                assert label_of(path) != path.replace("_", " ").replace(".", ", ").capitalize(), path
    assert len(FIELDS_OF_V2) >= 33


def test_the_sellers_are_named_although_the_order_names_none() -> None:
    by_default = asked(V1Order.model_validate(arguments()))
    assert "Sellers: “by Zinc's own rule: only Prime offers of new goods, handed over within 6 days" in by_default
    anybody = asked(V1Order.model_validate(BY_SPEED))
    assert "Sellers: “any that the page itself offers it from" in anybody and "Prime offers" not in anybody
    chosen = asked(V1Order.model_validate(WHOLE))
    assert "Sellers" not in chosen and "Of the offers that are left: “the cheapest is bought”" in chosen


def test_rules_of_an_order_s_own_are_shown_with_what_they_leave_open() -> None:
    def chosen(**criteria: Any) -> str:
        product = {"product_id": "B07JGBW826", "seller_selection_criteria": criteria}
        return asked(V1Order.model_validate(arguments(products=[product])))

    days = "the days until it is handed over"
    assert f"No rule is given about: “the condition: used goods may be bought; Prime; {days}”" in chosen(addon=False)
    assert f"No rule is given about: “{days}”" in chosen(condition_in=["New"], prime=True)
    assert f"“other conditions than these; Prime; {days}”" in chosen(condition_not_in=["Refurbished"])
    assert "No rule is given" not in chosen(condition_in=["New"], prime=False, handling_days_max=3)
    assert "used goods may be bought" in chosen(condition_in=[], prime=True), "an empty list is no rule"
    with pytest.raises(ValidationError):
        chosen(condition_in=[], merchant_id_in=[])


def test_the_account_that_pays_is_named() -> None:
    managed, own = asked(V1Order.model_validate(WHOLE)), asked(V1Order.model_validate(OWN))
    assert "Paid from the balance of your managed accounts at Zinc (v1): at most $90.00" in managed
    assert "Paid by your own account at the retailer, kept here as “our-shop”: at most $90.00" in own
    assert "ZMA" not in own and "managed" not in own


def test_a_number_that_has_expired_may_lead_to_another_product() -> None:
    assert "what Amazon puts in its place is bought" in asked(V1Order.model_validate(arguments()))
    assert "what Amazon puts in its place is bought" not in asked(V1Order.model_validate(WHOLE))


@pytest.mark.sampled(2)
@both_eras
@pytest.mark.parametrize("order", [WHOLE, BY_SPEED], ids=["whole", "by speed"])
async def test_the_question_that_reaches_a_person_is_about_the_bytes_that_go_out(
    home: Path, mode: str, order: dict[str, Any]
) -> None:
    zinc = Practice(home, '[policy]\napproval = "page"\n')
    async with zinc.opened() as process:
        async with Client(build_server(process), mode=mode) as client:
            facts = said(await client.call_tool("place_v1_order", order))
        assert facts["outcome"] == "waiting"
        [entry] = await questions_for(process, "local")
        question = question_of(entry)
        assert question is not None
        assert missing(V1Order.model_validate(order), question.text()) == []
    assert zinc.posts() == []
