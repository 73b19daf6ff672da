"""A question about products asks for its own faults, and each dialect answers as the documents may mean it."""

from typing import Any

import httpx
import pytest
from conftest import HandClock
from sandbox.practising import customer

from zinc_mcp.payments.headers import Challenge, Credential
from zinc_mcp.payments.wallet import practice_proof
from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.sandbox.faults.asked import AFTER, BEFORE, LIES
from zinc_mcp.sandbox.find.faults import NUMBERED, marked_number

COFFEE = "whole bean coffee"
SEARCH = "/search"
LOST = (httpx.TransportError, httpx.ReadTimeout)


def number(fault: str, lie: str = "none") -> str:
    return marked_number(fault, lie, 7)


def challenge_in(answer: httpx.Response) -> Challenge:
    found = Challenge.from_www_authenticate(tuple(answer.headers.get_list("www-authenticate")))
    return next(each for each in found if each.method == "sandbox")


def paid(challenge: Challenge) -> dict[str, str]:
    payload = {"type": "practice", "proof": practice_proof(challenge)}
    return {"Authorization": Credential(challenge, payload).to_authorization()}


def settled(sandbox: Sandbox) -> int:
    return len(sandbox.ledger.select("SELECT 1 FROM settlements"))


def recorded(sandbox: Sandbox) -> int:
    return len(sandbox.ledger.select("SELECT 1 FROM data_calls"))


def is_spoilt(answer: httpx.Response | None) -> bool:
    try:
        return answer is None or answer.status_code != 200 or answer.json()["status"] != "completed"
    except ValueError:
        return True


async def asked(client: httpx.AsyncClient, path: str, **parameters: Any) -> httpx.Response | None:
    try:
        return await client.get(path, params=parameters, timeout=1.0)
    except LOST:
        return None


@pytest.mark.sampled(10)
@pytest.mark.parametrize("fault", sorted(BEFORE | AFTER))
@pytest.mark.parametrize("about", ["search", "details", "offers"])
async def test_each_fault_acts_once_and_counts_if_the_question_was_answered(about: str, fault: str) -> None:
    sandbox = Sandbox(pace=100)
    product = f"/products/{number(fault)}"
    path = {"search": SEARCH, "details": product, "offers": f"{product}/offers"}[about]
    given = {"q": f"{COFFEE} fault={fault}"} if about == "search" else {"retailer": "walmart"}
    async with customer(sandbox) as client:
        assert is_spoilt(await asked(client, path, **given))
        assert recorded(sandbox) == (fault in AFTER)
        again = await asked(client, path, **given)
    assert again is not None and not is_spoilt(again)
    if about == "search":
        assert "Practice" in again.json()["results"][0]["title"], "the marks are no words of the search"
    else:
        assert number(fault) in again.text


@pytest.mark.parametrize("fault", ["drop_before", "rate_limited", "drop_after", "html_200"])
async def test_on_the_agent_rail_a_payment_is_taken_if_the_question_was_answered(clock: HandClock, fault: str) -> None:
    sandbox = Sandbox(clock=clock)
    details = {"product_id": number(fault), "retailer": "walmart"}
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://sandbox.invalid") as http:
        unpaid = await http.post("/agent/products/details", params=details)
        try:
            answer = await http.post("/agent/products/details", params=details, headers=paid(challenge_in(unpaid)))
        except httpx.TransportError:
            answer = None
    assert is_spoilt(answer)
    assert settled(sandbox) == (fault in AFTER)


@pytest.mark.parametrize("lie", sorted(LIES - {"malformed", "unknown_method_only"}))
async def test_each_payment_request_of_a_question_can_lie(clock: HandClock, lie: str) -> None:
    sandbox = Sandbox(clock=clock)

    async def request(http: httpx.AsyncClient, **question: str) -> list[str]:
        answer = await http.post("/agent/search", params=question)
        assert answer.status_code == 402
        return answer.headers.get_list("www-authenticate")

    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://sandbox.invalid") as http:
        honest = (await request(http, q=COFFEE))[-1]
        for _ in range(3):
            false = (await request(http, q=f"{COFFEE} pay_fault={lie}+"))[-1]
            assert _parts(false) != _parts(honest) or lie in ("no_chain", "wrong_chain"), "only tempo has chains"


def _parts(line: str) -> dict[str, str]:
    """Return what a challenge says, without its id and nonce, which no two have in common, and its usual end."""
    parts = dict(part.split("=", 1) for part in line.removeprefix("Payment ").split(", "))
    return {name: value for name, value in parts.items() if name not in ("id", "opaque")}


async def test_a_fault_that_does_not_exist_is_a_mistake() -> None:
    async with customer(Sandbox()) as client:
        answer = await client.get(SEARCH, params={"q": "coffee fault=never"})
        assert (answer.status_code, "never" in answer.text) == (400, True)
        assert (await client.get(f"/products/97{len(NUMBERED):02}000007", params={"retailer": "walmart"})).json()


@pytest.mark.parametrize("fault", ["drop_before", "http_500_before", "html_200", "truncated"])
async def test_the_check_of_a_shop_can_fail_once(fault: str) -> None:
    url = f"https://www.amazon.com/dp/B0SNDBXC01?check_fault={fault}"
    async with customer(Sandbox()) as client:
        first, second = [await asked(client, "/retailers/check", url=url) for _ in range(2)]
    assert first is None or first.status_code != 200 or "json" not in first.headers["content-type"]
    assert second is not None and second.json()["orderable"] is True


@pytest.mark.parametrize(("dialect", "status"), [("default", 200), ("unknown_product=not_found_404", 404)])
async def test_an_unknown_product_is_a_failed_answer_or_none(dialect: str, status: int) -> None:
    async with customer(Sandbox(dialect=Dialect.parse("" if dialect == "default" else dialect))) as client:
        for path in ("/products/B000000000", "/products/B000000000/offers"):
            answer = await client.get(path, params={"retailer": "amazon"})
            assert answer.status_code == status
            assert "not_found" in answer.text


@pytest.mark.parametrize(("dialect", "name"), [("empty_wallet=detail", "detail"), ("empty_wallet=envelope", "error")])
async def test_an_empty_wallet_is_told_in_either_shape(dialect: str, name: str) -> None:
    async with customer(Sandbox(dialect=Dialect.parse(dialect))) as client:
        answer = await client.get(SEARCH, params={"q": "insufficient funds"})
    assert (answer.status_code, list(answer.json())) == (402, [name])


@pytest.mark.parametrize(
    ("dialect", "status", "orderable"),
    [("reason", 200, True), ("not_orderable", 200, False), ("error_400", 400, None)],
)
async def test_a_refused_country_shows_in_one_of_three_ways(dialect: str, status: int, orderable: bool | None) -> None:
    url = "https://practiceroasters.example/products/house-blend"
    async with customer(Sandbox(dialect=Dialect.parse(f"refused_country={dialect}"))) as client:
        answer = await client.get("/retailers/check", params={"url": url, "country": "DE"})
        fine = await client.get("/retailers/check", params={"url": url, "country": "CA"})
    assert (answer.status_code, answer.json().get("orderable")) == (status, orderable)
    assert "retailer_country_not_supported" in answer.text
    assert fine.json()["orderable"] is True
