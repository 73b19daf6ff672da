"""Without an account the sandbox answers a question about products only when exactly that question is paid for."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from conftest import HandClock
from server.as_a_host import call, host

from zinc_mcp.owner.settings import Settings
from zinc_mcp.payments.headers import Challenge, Credential
from zinc_mcp.payments.wallet import practice_proof
from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.wiring import open_process

COFFEE = {"q": "whole bean coffee", "max_price": "2000"}
DETAILS = {"product_id": "B0SNDBXC01", "retailer": "amazon"}


@pytest.fixture
def sandbox(clock: HandClock) -> Sandbox:
    return Sandbox(clock=clock)


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://sandbox.invalid") as client:
        yield client


def challenge_in(answer: httpx.Response) -> Challenge:
    found = Challenge.from_www_authenticate(tuple(answer.headers.get_list("www-authenticate")))
    return next(each for each in found if each.method == "sandbox")


def credential(challenge: Challenge) -> dict[str, str]:
    payload = {"type": "practice", "proof": practice_proof(challenge)}
    return {"Authorization": Credential(challenge, payload).to_authorization()}


async def ask(http: httpx.AsyncClient, path: str, parameters: dict[str, str], **headers: str) -> httpx.Response:
    return await http.post(path, params=parameters, headers=headers)


async def test_each_question_costs_a_cent_and_is_answered_when_it_is_paid(
    http: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    for path, parameters in (
        ("/agent/search", COFFEE),
        ("/agent/products/search", {"query": "coffee", "retailer": "walmart"}),
        ("/agent/products/details", DETAILS),
        ("/agent/products/offers", DETAILS),
    ):
        unpaid = await ask(http, path, parameters)
        assert unpaid.status_code == 402
        found = Challenge.from_www_authenticate(tuple(unpaid.headers.get_list("www-authenticate")))
        assert {each.method: each.charge_request.amount for each in found} == {
            "tempo": "10000",
            "stripe": "1",
            "sandbox": "1",
        }
        paid = await ask(http, path, parameters, **credential(challenge_in(unpaid)))
        assert (paid.status_code, paid.json()["status"]) == (200, "completed")
        assert "payment-receipt" in paid.headers and "x-api-key" not in paid.headers
    assert [(each["amount_cents"], each["outcome"]) for each in sandbox.settlements()] == [(1, "answered")] * 4
    assert sandbox.placed() == []


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/agent/search", {}),
        ("/agent/search", {"q": "x", "limit": "51"}),
        ("/agent/products/details", {"retailer": "amazon"}),
        ("/agent/products/offers", {"product_id": "9990000011", "retailer": "etsy"}),
    ],
)
async def test_a_wrong_question_is_refused_before_any_payment_is_asked_for(
    http: httpx.AsyncClient, path: str, parameters: dict[str, str]
) -> None:
    answer = await ask(http, path, parameters)
    assert answer.status_code == 422 and "www-authenticate" not in answer.headers
    assert (await http.get("/agent/search", params=COFFEE)).status_code == 405


async def test_a_payment_is_good_for_its_own_question_once(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    paying = credential(challenge_in(await ask(http, "/agent/search", COFFEE)))
    for path, parameters in (("/agent/search", {**COFFEE, "q": "tea"}), ("/agent/products/details", DETAILS)):
        assert (await ask(http, path, parameters, **paying)).status_code == 402
    assert sandbox.settlements() == []
    assert (await ask(http, "/agent/search", COFFEE, **paying)).status_code == 200
    again = await ask(http, "/agent/search", COFFEE, **paying)
    assert again.status_code == 402 and "results" not in again.json()
    assert len(sandbox.settlements()) == 1
    assert (await ask(http, "/agent/search", COFFEE, Authorization="Payment abc")).status_code == 402


async def test_a_challenge_that_is_over_pays_for_nothing(http: httpx.AsyncClient, clock: HandClock) -> None:
    paying = credential(challenge_in(await ask(http, "/agent/search", COFFEE)))
    clock.pass_seconds(301)
    assert (await ask(http, "/agent/search", COFFEE, **paying)).status_code == 402


async def test_folded_challenges_are_read_too(clock: HandClock) -> None:
    sandbox = Sandbox(clock=clock, dialect=Dialect(challenges="folded"))
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://sandbox.invalid") as http:
        unpaid = await ask(http, "/agent/search", COFFEE)
        assert len(unpaid.headers.get_list("www-authenticate")) == 1
        assert (await ask(http, "/agent/search", COFFEE, **credential(challenge_in(unpaid)))).status_code == 200


async def test_the_practice_wallet_finds_and_checks_in_the_sandbox(clock: HandClock, home: Path) -> None:
    home.mkdir()
    (home / "zinc.toml").write_text('[policy]\nrails = ["agent"]\n', encoding="utf-8")
    sandbox = Sandbox(clock=clock)
    settings = Settings(home=home, config=home / "zinc.toml", sandbox=True, browser=False)
    async with (
        open_process(settings, transport=sandbox.transport(), clock=clock, uptime=None) as process,
        host(process, "auto") as client,
    ):
        found = await call(client, "search_products", {"query": "whole bean coffee", "max_price": 2000})
        url = found["results"][0]["url"]
        told = await call(client, "check_product", {"url": url, "details": True, "offers": True})
    assert (found["cost_cents"], told["cost_cents"]) == (1, 2)
    assert "This cost $0.01 of practice money." in found["summary"]
    assert len(sandbox.settlements()) == 3 and json.dumps(told).count("Practice Mart") == 1
