"""The agent rail: a 402 of the real form, a payment that is verified and settled once, an order with its own key."""

import json
from typing import Any

import httpx
from sandbox.practising import Clock, order

from zinc_mcp.payments.challenge import Challenge
from zinc_mcp.payments.practice import PracticeWallet
from zinc_mcp.payments.receipt import Receipt
from zinc_mcp.payments.terms import Terms, choose
from zinc_mcp.sandbox import Sandbox

ORIGIN = "https://api.zinc.com"


class Agent:
    """A payer without an account: asks, pays with imaginary money, and sends again what it sent."""

    def __init__(self, sandbox: Sandbox, body: dict[str, Any] | None = None, query: str = "?method=sandbox") -> None:
        self.sandbox = sandbox
        self.content = json.dumps(order(idempotency_key="k") if body is None else body).encode()
        self.url = f"/agent/orders{query}"
        self.authorization = ""
        self.challenge_id = ""

    async def send(self, authorization: str = "", content: bytes | None = None, url: str = "") -> httpx.Response:
        """POST, with a credential or without."""
        headers = {"authorization": authorization} if authorization else {}
        async with httpx.AsyncClient(transport=self.sandbox.transport(), base_url=ORIGIN, timeout=0.3) as client:
            return await client.post(url or self.url, content=content or self.content, headers=headers)

    async def sign(self) -> str:
        """Ask, and sign the practice wallet's challenge."""
        answer = await self.send()
        offered = Challenge.from_www_authenticate(answer.headers.get_list("www-authenticate"))
        wallet, now = PracticeWallet(), self.sandbox.clock()
        price = json.loads(self.content)["max_price"]
        terms = Terms(ORIGIN, f"{ORIGIN}{self.url}", self.content, price, wallet.terms)
        challenge, charge = choose(offered, terms, now, status=answer.status_code)
        self.challenge_id = challenge.id
        self.authorization = (await wallet.pay(challenge, charge, now=now)).authorization.get_secret_value()
        return self.authorization

    async def pay(self) -> httpx.Response:
        """Ask, sign and send again."""
        return await self.send(await self.sign())

    async def get(self, path: str, api_key: str) -> httpx.Response:
        """Read something with a key."""
        headers = {"authorization": f"Bearer {api_key}"}
        async with httpx.AsyncClient(transport=self.sandbox.transport(), base_url=ORIGIN) as client:
            return await client.get(path, headers=headers)

    async def fate(self) -> Any:
        """Look up what became of the challenge."""
        return (await self.get(f"/practice/settlements/{self.challenge_id}", "")).json()


async def test_a_paid_order_comes_with_its_key_and_a_receipt() -> None:
    sandbox = Sandbox(clock=Clock())
    agent = Agent(sandbox)
    answer = await agent.pay()
    assert answer.status_code == 201
    receipt = Receipt.from_payment_receipt(answer.headers["payment-receipt"])
    (settled,) = sandbox.settlements()
    assert receipt is not None and receipt.is_success and receipt.reference == settled["reference"]
    assert (settled["amount_cents"], settled["order_id"]) == (5100, answer.json()["id"])
    assert (await agent.get(f"/orders/{answer.json()['id']}", answer.headers["x-api-key"])).status_code == 200
    assert await agent.fate() == {"ending": "settled", "reference": settled["reference"]}
