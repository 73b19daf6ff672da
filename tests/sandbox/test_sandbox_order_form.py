"""The sandbox takes and refuses orders as Zinc does, and not as our own client does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox.practising import Clock, customer, order, placed, product, read
from variants import examples
from wanted import ADDRESS

from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.sandbox.products import SCENARIOS
from zinc_mcp.zinc.account.account import get_health, get_wallet
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.failures import read_failure
from zinc_mcp.zinc.orders import OrderCreate, canonical
from zinc_mcp.zinc.placed.order_list import find_orders
from zinc_mcp.zinc.responses import Order

INVALID: dict[str, tuple[dict[str, Any], list[str | int]]] = {
    "no products": ({"products": []}, ["products"]),
    "products missing": ({"products": ...}, ["products"]),
    "max_price missing": ({"max_price": ...}, ["max_price"]),
    "max_price as text": ({"max_price": "5000"}, ["max_price"]),
    "max_price as float": ({"max_price": 50.5}, ["max_price"]),
    "max_price negative": ({"max_price": -1}, ["max_price"]),
    "address missing": ({"shipping_address": ...}, ["shipping_address"]),
    "address incomplete": ({"shipping_address": {"first_name": "Ada"}}, ["shipping_address", "last_name"]),
    "quantity 0": ({"products": [product(quantity=0)]}, ["products", 0, "quantity"]),
    "quantity 101": ({"products": [product(quantity=101)]}, ["products", 0, "quantity"]),
    "empty variant": ({"products": [product(variant=[{"label": "", "value": "M"}])]}, ["products", 0, "variant", 0]),
    "offer condition": ({"products": [product(condition_in=["Used - Good"])]}, ["products", 0, "condition_in", 0]),
    "url without host": ({"products": [{"url": "https://[a.b"}]}, ["products", 0, "url"]),
    "plain http": ({"products": [{"url": "http://zinc.com/x"}]}, ["products", 0, "url"]),
    "long key": ({"idempotency_key": "k" * 37}, ["idempotency_key"]),
    "unknown preference": ({"fulfillment": {"speed": "best_effort"}}, ["fulfillment", "speed"]),
    "strict is not a mode": ({"fulfillment": {"items": "strict"}}, ["fulfillment", "items"]),
    "message without gift": ({"gift_message": "Hello"}, []),
    "gift preference without gift": ({"fulfillment": {"gift": "best_effort"}}, []),
    "long message": ({"is_gift": True, "gift_message": "x" * 241}, ["gift_message"]),
    "null message": ({"is_gift": True, "gift_message": None}, ["gift_message"]),
    "handling days 0": ({"handling_days_max": 0}, ["handling_days_max"]),
    "connect without method": ({"payment": {"mode": "connect"}}, ["payment"]),
    "endless number": ({"metadata": {"a": float("inf")}}, []),
    "metadata list": ({"metadata": []}, ["metadata"]),
    "half a surrogate pair as key": ({"idempotency_key": "\ud800"}, ["idempotency_key"]),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", INVALID)
async def test_an_invalid_order_is_a_422_on_its_field(name: str) -> None:
    change, where = INVALID[name]
    body = {field: value for field, value in {**order(), **change}.items() if value is not ...}
    sandbox = Sandbox()
    async with customer(sandbox) as client:
        answer = await client.post("/orders", content=json.dumps(body).replace("Infinity", "1e999"))
    assert answer.status_code == 422
    found = [problem["loc"] for problem in answer.json()["detail"]]
    assert any(loc[: len(where) + 1] == ["body", *where] for loc in found), found
    assert sandbox.placed() == [] and sandbox.attempts()[0]["outcome"] == "rejected_422"


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b'"order"', b"NaN", b"[" * 100_000, b"\xff\xfe"])
async def test_a_body_that_is_no_object_is_a_422(content: bytes) -> None:
    async with customer(Sandbox()) as client:
        answer = await client.post("/orders", content=content)
    assert answer.status_code == 422
    assert read_failure(answer.json()).code == "validation_error"


@pytest.mark.parametrize(
    ("field", "value"),
    [("country", "USA"), ("country", "United States"), ("postal_code", "1234"), ("address_line2", "x" * 61)],
)
async def test_an_address_that_cannot_be_right_is_refused(field: str, value: str) -> None:
    body = order(shipping_address={**ADDRESS, field: value})
    async with customer(Sandbox()) as client:
        answer = await client.post("/orders", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_shipping_address")
    async with customer(Sandbox(dialect=Dialect(address="detail_422"))) as client:
        answer = await client.post("/orders", json=body)
    assert answer.json()["detail"][0]["loc"] == ["body", "shipping_address", field]


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"zinc_mcp_key": "k", "nested": {"a": [1, None]}, "big": "x" * 100_000}},
        {"metadata": None, "po_number": None, "idempotency_key": None, "payment": None},
        {"max_price": 0},
        {"products": [product(), {"url": "https://www.amazon.com/s?k=pen"}]},
        {"products": [{"url": "https://www.target.com/"}]},
        {"shipping_address": {**ADDRESS, "country": "de", "postal_code": "10115"}},
        {"shipping_address": {**ADDRESS, "postal_code": "10001-1234"}},
        {"po_number": "x" * 5000},
    ],
)
async def test_the_sandbox_takes_orders_that_only_our_client_refuses(fields: dict[str, Any]) -> None:
    async with customer(Sandbox()) as client:
        await placed(client, order(**fields))


async def test_the_sandbox_takes_every_order_that_our_client_can_send() -> None:
    wanted = OrderCreate.model_validate(
        order(
            products=[
                product(
                    quantity=2, variant=[{"label": "Size", "value": "M"}], condition_in=["New"], condition_not_in=[]
                )
            ],
            idempotency_key="0b1f3f2e-4f2a-4d58-9d62-3f6a3f0d2c11",
            retailer_credentials_id="zn_acct_1",
            metadata={"note": "x"},
            po_number="PO",
            handling_days_max=3,
            is_gift=True,
            gift_message="Happy birthday\nAda",
            payment={"mode": "connect", "payment_method": "pm_1", "margin": {"type": "percent", "value": 1.5}},
            customer_notifications={"email": "ada@example.com"},
            fulfillment={"gift": "best_effort", "items": "best_effort", "quantity": "best_effort"},
        )
    )
    async with customer(Sandbox()) as client:
        answer = await client.post("/orders", content=canonical(wanted.to_wire()))
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [
        ("invalid-address", 400, "invalid_shipping_address"),
        ("url-unreachable", 400, "url_unreachable"),
        ("unsupported-retailer", 400, "unsupported_retailer"),
        ("no-such-scenario", 400, "url_unreachable"),
    ],
)
async def test_a_synchronous_error_creates_nothing(scenario: str, status: int, code: str) -> None:
    sandbox = Sandbox()
    async with customer(sandbox) as client:
        answer = await client.post("/orders", json=order(scenario, idempotency_key="k"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        await placed(client, order(idempotency_key="k"))
    assert [attempt["outcome"] for attempt in sandbox.attempts()] == [f"rejected_{status}", "created"]


async def test_insufficient_funds_names_the_required_amount() -> None:
    async with customer(Sandbox()) as client:
        answer = await client.post("/orders", json=order("insufficient-funds"))
    details = answer.json()["error"]["details"]
    assert answer.status_code == 402
    assert details["required"] == 5100 and details["available"] < 5100 and details["fund_with"]


@pytest.mark.parametrize("authorization", [None, "Bearer zn_live_1", "Bearer zn_test_", "Basic zn_test_1", "zn_test_1"])
async def test_only_a_test_key_gets_in(authorization: str | None) -> None:
    sandbox = Sandbox()
    async with customer(sandbox) as client:
        client.headers.pop("authorization")
        headers = {"Authorization": authorization} if authorization else {}
        paths = ("/orders", "/orders/x", "/orders/x/timeline", "/wallet/me", "/orders/test-products")
        answers = [await client.get(path, headers=headers) for path in paths]
        answers.append(await client.post("/orders", json=order(), headers={**headers, "X-Test-Mode": "true"}))
        assert (await client.get("/health", headers=headers)).status_code == 200
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["error"]["code"] for answer in answers} <= {"unauthorized", "invalid_token"}
    assert sandbox.placed() == []


async def test_an_order_is_seen_only_by_the_key_that_placed_it() -> None:
    sandbox = Sandbox()
    async with customer(sandbox) as ada, customer(sandbox, "zn_test_bob") as bob:
        taken = await placed(ada, order(idempotency_key="k"))
        for path in (f"/orders/{taken['id']}", f"/orders/{taken['id']}/timeline"):
            answer = await bob.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert (await bob.post(f"/orders/{taken['id']}/cancel")).status_code == 404
        assert (await bob.get("/orders")).json()["orders"] == []
        await placed(bob, order(idempotency_key="k"))


async def test_the_test_products_are_zincs_eight_and_ours_apart() -> None:
    async with customer(Sandbox()) as client:
        found = (await client.get("/orders/test-products")).json()
    assert len(found["products"]) == 8
    assert {row["scenario"] for row in found["products"] if row["is_synchronous_error"]} == {
        "invalid_address",
        "url_unreachable",
        "insufficient_funds",
    }
    assert not {row["url"] for row in found["products"]} & {row["url"] for row in found["practice"]}


async def test_our_client_and_the_sandbox_understand_each_other() -> None:
    from pydantic import SecretStr

    sandbox = Sandbox()
    zinc, key = ZincClient("https://api.zinc.com", transport=sandbox.transport()), SecretStr("zn_test_ada")
    body = canonical(order(idempotency_key="k", metadata={"zinc_mcp_key": "k"})).encode()
    taken = await zinc.create_order(body, key)
    assert (await zinc.get_order(taken.id, key)).id == taken.id
    assert [found.id for found in await find_orders(zinc, "zinc_mcp_key", "k", key)] == [taken.id]
    assert (await get_wallet(zinc, key))["order_fee_cents"] == 100
    assert await get_health(zinc) == "up"
    await zinc.aclose()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=45),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = sorted({*OrderCreate.model_fields, "unknown"})
_URLS = st.sampled_from([*SCENARIOS, "https://www.amazon.com/dp/B07JGBW826?th=1", "https://a.b:x/?fault=none", ""])
_PRODUCTS = st.lists(st.fixed_dictionaries({"url": _URLS, "quantity": st.integers(0, 101)}), max_size=3)
_WISHES = st.dictionaries(st.sampled_from(["gift", "items", "quantity"]), st.just("best_effort"))


@given(
    change=st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=2),
    products=_PRODUCTS,
    max_price=st.integers(-1, 10**6),
    wishes=_WISHES,
    gift=st.booleans(),
    seconds=st.floats(0, 100),
)
@examples(100)
async def test_any_body_is_taken_or_refused_and_a_taken_one_can_be_read(
    change: dict[str, Any],
    products: list[dict[str, Any]],
    max_price: int,
    wishes: dict[str, str],
    gift: bool,
    seconds: float,
) -> None:
    clock = Clock()
    sandbox = Sandbox(clock=clock)
    body = order(products=products, max_price=max_price, fulfillment=wishes, is_gift=gift) | change
    async with customer(sandbox) as client:
        answer = await client.post("/orders", json=body)
        assert answer.status_code in (201, 400, 402, 422), answer.text
        assert len(sandbox.placed()) == (answer.status_code == 201)
        if answer.status_code == 201:
            clock.now += seconds
            seen = await read(client, answer.json()["id"])
            assert Order.model_validate(seen).id == seen["id"]
            result = Order.model_validate(seen).job_result
            if result and result.price_components and result.price_components.payment_currency == "USD":
                assert 0 < (result.price_components.charged_cents or 0) <= body["max_price"]


async def test_any_other_path_is_a_404() -> None:
    async with customer(Sandbox()) as client:
        unknown = await client.get("/nowhere")
        assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not Found"})
