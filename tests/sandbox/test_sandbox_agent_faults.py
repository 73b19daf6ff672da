"""Our check refuses every lie of the sandbox, and the ledger counts the money that each fault loses."""

from typing import Any

import httpx
import pytest
from sandbox.paying import STRIPE, TEMPO, Agent, endings
from sandbox.practising import Clock, customer, order
from sandbox.test_sandbox_faults import FAULTS

from zinc_mcp.payments.failures import InvalidChallengeError, PaymentRefusedError
from zinc_mcp.payments.headers import Challenge
from zinc_mcp.payments.tempo_chain import PATH_USD
from zinc_mcp.payments.wallet import PracticeWallet
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.challenges import Payee
from zinc_mcp.sandbox.faults.asked import LIES, PAID, UNPAID

PRACTICE = PracticeWallet().terms
EVERY: Any = {"tempo": TEMPO, "stripe": STRIPE, "sandbox": PRACTICE["sandbox"]}

# lie, why our check refuses it, and the methods whose challenges it changes
TOLD: list[tuple[str, str, tuple[str, ...]]] = [
    ("wrong_amount", "amount", tuple(EVERY)),
    ("odd_amount", "amount_syntax", tuple(EVERY)),
    ("odd_amount_underscore", "amount_syntax", tuple(EVERY)),
    ("odd_amount_minus", "amount_syntax", tuple(EVERY)),
    ("odd_amount_number", "amount_syntax", tuple(EVERY)),
    ("wrong_currency", "currency", tuple(EVERY)),
    ("wrong_chain", "chain", ("tempo",)),
    ("no_chain", "chain", ("tempo",)),
    ("no_expiry", "no_expiry", tuple(EVERY)),
    ("expired", "expires_too_soon", tuple(EVERY)),
    ("expires_far", "expires_too_late", tuple(EVERY)),
    ("wrong_digest", "digest", tuple(EVERY)),
    ("other_intent", "intent", tuple(EVERY)),
    ("other_origin_header", "header", tuple(EVERY)),
    ("splits", "splits", tuple(EVERY)),
    ("push_only", "push_only", tuple(EVERY)),
    ("unknown_method_only", "method", tuple(EVERY)),
]


def test_every_lie_is_listed_here() -> None:
    assert LIES - {lie for lie, *_ in TOLD} == {"other_realm", "duplicate_keys", "malformed"}
    assert UNPAID - LIES == {"unpaid_201", "html_402"} and PAID == {"second_402", "settled_no_order"}


@pytest.mark.parametrize(("lie", "reason", "methods"), TOLD)
async def test_each_lie_is_one_that_can_be_refused(lie: str, reason: str, methods: tuple[str, ...]) -> None:
    sandbox = Sandbox(clock=Clock())
    for method in methods:
        agent = Agent(sandbox, f"success?pay_fault={lie}", query=f"?method={method}", idempotency_key=method)
        with pytest.raises(PaymentRefusedError) as caught:
            await agent.checked({method: EVERY[method]})
        assert caught.value.reason == reason
        # The list is over: the next one is honest.
        assert (await agent.checked({method: EVERY[method]}))[1].amount_cents == 5100


async def test_the_wrong_chain_is_another_one_than_the_payees() -> None:
    payee = Payee("tempo", PATH_USD, f"0x{'1' * 40}", 6, {"chainId": 42431})
    agent = Agent(Sandbox(payees=[payee]), "success?pay_fault=wrong_chain", query="")
    asked = [(await agent.offers())[0].charge_request.method_details["chainId"] for _ in range(2)]
    assert asked == [4217, 42431]


@pytest.mark.parametrize("lie", ["duplicate_keys", "malformed"])
async def test_a_malformed_challenge_cannot_be_read(lie: str) -> None:
    answer = await Agent(Sandbox(), f"success?pay_fault={lie}", query="").send()
    lines = answer.headers.get_list("www-authenticate")
    assert answer.status_code == 402 and len(lines) == 3
    for line in lines:
        with pytest.raises(InvalidChallengeError):
            Challenge.from_www_authenticate([line])


async def test_a_realm_is_no_host() -> None:
    sandbox = Sandbox()
    assert (await Agent(sandbox, "success?pay_fault=other_realm").pay()).status_code == 201
    assert endings(sandbox) == ["ordered"]


async def test_the_losses_of_a_careless_payer_are_counted() -> None:
    sandbox = Sandbox()
    agent = Agent(sandbox, "success?pay_fault=wrong_amount")
    (challenge,) = await agent.offers()
    wallet: Any = PracticeWallet()

    class Charge:
        header, expires_at = "Authorization", 0.0

    paid = await wallet.pay(challenge, Charge(), now=0.0)
    assert (await agent.send(paid.authorization.get_secret_value())).status_code == 201
    assert sandbox.settlements()[0]["amount_cents"] == 5_101


async def test_a_402_can_come_without_a_challenge_and_a_redirect_in_its_place() -> None:
    sandbox = Sandbox()
    page = await Agent(sandbox, "success?pay_fault=html_402").send()
    assert (page.status_code, "www-authenticate" in page.headers) == (402, False)
    elsewhere = await Agent(sandbox, "success?pay_fault=redirect", idempotency_key="r").send()
    assert (elsewhere.status_code, elsewhere.headers["location"].startswith("https://elsewhere.")) == (307, True)
    for name, _, seen, _ in FAULTS:
        agent = Agent(Sandbox(pace=100), f"success?pay_fault={name}")
        assert await agent.outcome() == (402 if seen == 201 else seen), name
        assert len(agent.sandbox.placed()) == 0
    assert sandbox.placed() == []


async def test_an_order_can_be_given_although_nobody_paid() -> None:
    sandbox = Sandbox()
    agent = Agent(sandbox, "success?pay_fault=unpaid_201,unpaid_201")
    given = await agent.send()
    assert (given.status_code, "payment-receipt" in given.headers) == (201, False)
    assert (await agent.get(f"/orders/{given.json()['id']}", given.headers["x-api-key"])).status_code == 200
    assert (await agent.send()).json()["id"] == given.json()["id"]
    assert (await agent.pay()).status_code == 409
    assert endings(sandbox) == ["duplicate"] and len(sandbox.placed()) == 1


async def test_after_a_payment_each_fault_settles_or_does_not() -> None:
    for name, accepted, seen, _ in FAULTS:
        sandbox = Sandbox(pace=100)
        agent = Agent(sandbox, f"success?fault={name}")
        authorization = await agent.sign()
        assert await agent.outcome(authorization) == seen, name
        assert (len(sandbox.placed()), endings(sandbox)) == (accepted, ["ordered"] * accepted), name
        assert await agent.outcome(authorization) == 201, name
        assert (len(sandbox.placed()), endings(sandbox)) == (1, ["ordered"]), name


async def test_the_headers_of_a_truncated_201_arrive() -> None:
    sandbox = Sandbox()
    agent = Agent(sandbox, "success?fault=truncated")
    headers = {"authorization": await agent.sign()}
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://api.zinc.com") as client:
        async with client.stream("POST", agent.url, content=agent.content, headers=headers) as answer:
            assert answer.headers["x-api-key"] and answer.headers["payment-receipt"]
            with pytest.raises(httpx.RemoteProtocolError):
                await answer.aread()
    assert endings(sandbox) == ["ordered"]


async def test_a_second_402_asks_for_more_and_has_taken_nothing() -> None:
    sandbox = Sandbox(clock=Clock())
    agent = Agent(sandbox, "success?fault=second_402")
    authorization = await agent.sign()
    again = await agent.send(authorization)
    (dearer,) = Challenge.from_www_authenticate(again.headers.get_list("www-authenticate"))
    assert (again.status_code, dearer.charge_request.amount) == (402, "10200")
    assert sandbox.settlements() == [] and (await agent.fate())["ending"] == "open"
    assert (await agent.send(authorization)).status_code == 201


async def test_money_without_an_order_stays_so() -> None:
    sandbox = Sandbox()
    agent = Agent(sandbox, "success?fault=settled_no_order")
    authorization = await agent.sign()
    assert [await agent.outcome(authorization) for _ in range(2)] == [500, 500]
    assert endings(sandbox) == ["no_order"] and sandbox.placed() == []
    assert (await agent.fate())["ending"] == "settled" and sandbox.settlements()[0]["refunded_cents"] == 0


async def test_faults_of_a_payment_mean_nothing_to_an_account() -> None:
    async with customer(Sandbox()) as client:
        answer = await client.post("/orders", json=order("success?fault=settled_no_order"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
        assert (await client.post("/orders", json=order("success?pay_fault=malformed"))).status_code == 201
