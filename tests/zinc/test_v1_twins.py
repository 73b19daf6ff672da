"""An order of v1 and one of v2 are one intention exactly when they name the same product and place."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from wanted import ADDRESS

from zinc_mcp.journal.twin import body_digest, digests_of_body, near_digests, to_bytes, twin_digest
from zinc_mcp.zinc.orders import OrderCreate
from zinc_mcp.zinc.v1.order import V1Order
from zinc_mcp.zinc.v1.products import RETAILERS, address_of, domain_of

CORPUS = Path(__file__).parent / "twin_corpus"
V1_ADDRESS: dict[str, Any] = {
    **{name: text for name, text in ADDRESS.items() if name != "postal_code"},
    "zip_code": ADDRESS["postal_code"],
}


def pairs() -> list[dict[str, Any]]:
    """Return the pairs of every file of the corpus. Those in `worlds_blind.json` were written before the code."""
    found: list[dict[str, Any]] = []
    for path in sorted(CORPUS.glob("worlds*.json")):
        found += json.loads(path.read_text(encoding="utf-8"))
    return found


def placed(of: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return {name: text for name, text in {**of, **change}.items() if text is not None}


def v1_order(pair: dict[str, Any]) -> V1Order:
    """Return the pair's order of v1. `v1` is one product with its retailer, or has several in `products`."""
    product = {name: part for name, part in pair["v1"].items() if name not in ("retailer", "products")}
    return V1Order.model_validate(
        {
            "retailer": pair["v1"]["retailer"],
            "products": pair["v1"].get("products", [product]),
            "shipping_address": placed(V1_ADDRESS, pair.get("v1_place", {})),
            "max_price": 5000,
            "shipping_method": "cheapest",
        }
    )


def v2_order(pair: dict[str, Any]) -> OrderCreate:
    """Return the pair's order of v2. `v2` is one product, or several."""
    v2: Any = pair["v2"]
    products = cast(list[Any], v2 if isinstance(v2, list) else [v2])
    place = placed(ADDRESS, pair.get("v2_place", {}))
    return OrderCreate.model_validate({"products": products, "shipping_address": place, "max_price": 9000})


def verdict_of(pair: dict[str, Any]) -> str:
    """Return our verdict on a pair, in the corpus's words."""
    one, other = v1_order(pair), v2_order(pair)
    if twin_digest("local", one) == twin_digest("local", other):
        return "same"
    shared = set(near_digests("local", "live", one)) & set(near_digests("local", "live", other))
    return "near" if shared else "different"


def test_the_corpus_has_many_pairs_of_each_kind() -> None:
    assert len(pairs()) >= 60
    assert {pair["v1"]["retailer"] for pair in pairs()} == set(RETAILERS)
    assert min(sum(pair["verdict"] == verdict for pair in pairs()) for verdict in ("same", "different")) >= 20


def test_each_pair_is_read_as_the_corpus_says() -> None:
    wrong = [
        f"{pair['verdict']} but read as {read}: {pair['v1']} {pair['v2']} ({pair['why']})"
        for pair in pairs()
        # An open pair may be one product or two, so a person is asked at most; a near pair is two that may be one wish.
        if (read := verdict_of(pair)) != pair["verdict"]
        and not (pair["verdict"] == "open" and read != "same")
        and not (pair["verdict"] == "different" and read == "near")
    ]
    assert wrong == []


@pytest.mark.parametrize("retailer", RETAILERS)
def test_a_number_is_the_product_of_its_page(retailer: Any) -> None:
    order = v1_order({"v1": {"retailer": retailer, "product_id": example(retailer)}})
    again = OrderCreate.model_validate(
        {"products": [{"url": order.pages[0].url}], "shipping_address": ADDRESS, "max_price": 5000}
    )
    assert twin_digest("local", order) == twin_digest("local", again)
    assert near_digests("local", "live", order) == near_digests("local", "live", again)
    assert order.domain == again.domain == domain_of(retailer)
    assert order.items()[0]["url"] == address_of(retailer, example(retailer)).url


def example(retailer: str) -> str:
    """Return a product's number at a retailer."""
    return str(next(pair["v1"]["product_id"] for pair in pairs() if pair["v1"]["retailer"] == retailer))


OTHER_WORDS: dict[str, dict[str, Any]] = {
    "price": {"max_price": 9000},
    "discount and bid": {"zma_discount": -5, "zma_priority_bid": 100},
    "way of shipping": {"shipping_method": None, "shipping": {"order_by": "speed"}},
    "gift": {"is_gift": True, "gift_message": "Hi"},
    "notes": {"client_notes": {"why": "again"}},
    "key": {"idempotency_key": "another"},
    "account": {"retailer_account": {"profile": "mine"}},
    "criteria": {"products": [{"product_id": "B07JGBW826", "seller_selection_criteria": {"prime": False}}]},
}


def wanted(**changes: Any) -> V1Order:
    arguments: dict[str, Any] = {
        "retailer": "amazon",
        "products": [{"product_id": "B07JGBW826"}],
        "shipping_address": V1_ADDRESS,
        "max_price": 5000,
        "shipping_method": "cheapest",
        **changes,
    }
    return V1Order.model_validate({name: value for name, value in arguments.items() if value is not None})


@pytest.mark.parametrize("what", OTHER_WORDS)
def test_the_same_intention_in_other_words_is_a_twin(what: str) -> None:
    changed = wanted(**OTHER_WORDS[what])
    assert twin_digest("local", changed) == twin_digest("local", wanted())
    assert (body_digest(changed) == body_digest(wanted())) == (what == "key")


def test_a_default_that_is_given_is_the_same_wish() -> None:
    assert body_digest(wanted(zma_discount=0, is_gift=False, fail_if_taxed=False)) == body_digest(wanted())


@pytest.mark.parametrize("what", OTHER_WORDS)
def test_frozen_bytes_are_read_as_the_order_that_they_were_made_of(what: str) -> None:
    order = wanted(**OTHER_WORDS[what])
    twin = twin_digest("local", order)
    body = to_bytes(order, "key-1", twin)
    assert digests_of_body("local", "live", body) == (twin, near_digests("local", "live", order))
    again = V1Order.from_body(json.loads(body))
    assert again.idempotency_key == "key-1"
    assert body_digest(again) == body_digest(order)
    notes = {"zinc_mcp_key": "key-1", "zinc_mcp_twin": twin}
    assert json.loads(body)["client_notes"] == {**(order.client_notes or {}), **notes}
    assert body == order.wire("key-1", notes)


def test_an_order_of_v1_is_never_read_as_one_of_v2() -> None:
    body = json.loads(to_bytes(wanted(), "key-1", "twin"))
    with pytest.raises(ValueError):
        OrderCreate.model_validate(body)
    assert digests_of_body("local", "live", json.dumps({**body, "retailer": "nowhere"}).encode()) is None
