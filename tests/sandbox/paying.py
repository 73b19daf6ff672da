"""An agent for the tests: it has no account, pays with imaginary money, and checks a challenge only when asked to."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
from sandbox.practising import order

from zinc_mcp.payments.headers import Challenge
from zinc_mcp.payments.terms import Charge, MethodTerms, Terms, choose
from zinc_mcp.payments.wallet import PracticeWallet
from zinc_mcp.sandbox import Sandbox

ORIGIN = "https://api.zinc.com"
TEMPO = MethodTerms({"0x20C000000000000000000000b9537d11c60E8b50": 6}, chain_id=4217)
STRIPE = MethodTerms({"usd": 2})


class Agent:
    """Asks, signs, and sends again what it sent."""

    def __init__(self, sandbox: Sandbox, *scenarios: str, query: str = "?method=sandbox", **fields: Any) -> None:
        self.sandbox = sandbox
        self.content = json.dumps(order(*scenarios, **{"idempotency_key": "k", **fields})).encode()
        self.url = f"/agent/orders{query}"
        self.challenge_id = ""

    async def send(self, authorization: str = "", content: bytes | None = None, url: str = "") -> httpx.Response:
        """POST the order, with a credential or without."""
        headers = {"authorization": authorization} if authorization else {}
        async with httpx.AsyncClient(transport=self.sandbox.transport(), base_url=ORIGIN, timeout=2.0) as client:
            content = self.content if content is None else content
            return await client.post(url or self.url, content=content, headers=headers)

    async def offers(self, **changes: Any) -> list[Challenge]:
        """Ask, and read the challenges."""
        answer = await self.send(**changes)
        assert answer.status_code == 402, answer.text
        return Challenge.from_www_authenticate(answer.headers.get_list("www-authenticate"))

    async def checked(self, methods: Mapping[str, MethodTerms]) -> tuple[Challenge, Charge]:
        """Ask, and check as our rail does."""
        price = json.loads(self.content)["max_price"]
        terms = Terms(ORIGIN, f"{ORIGIN}{self.url}", self.content, price, methods)
        return choose(await self.offers(), terms, self.sandbox.clock(), status=402)

    async def sign(self) -> str:
        """Ask, and sign the practice wallet's challenge unless something is wrong with it."""
        wallet = PracticeWallet()
        challenge, charge = await self.checked(wallet.terms)
        self.challenge_id = challenge.id
        paid = await wallet.pay(challenge, charge, now=self.sandbox.clock())
        return paid.authorization.get_secret_value()

    async def pay(self) -> httpx.Response:
        """Ask, sign and send again."""
        return await self.send(await self.sign())

    async def outcome(self, authorization: str = "") -> Any:
        """POST, and return the status or the way the connection failed."""
        try:
            return (await self.send(authorization)).status_code
        except httpx.TransportError as error:
            return type(error)

    async def get(self, path: str, api_key: str = "") -> httpx.Response:
        """Read something, with a key or without."""
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        async with httpx.AsyncClient(transport=self.sandbox.transport(), base_url=ORIGIN) as client:
            return await client.get(path, headers=headers)

    async def fate(self) -> Any:
        """Look up what became of the challenge that was signed last."""
        return (await self.get(f"/practice/settlements/{self.challenge_id}")).json()


def endings(sandbox: Sandbox) -> list[str]:
    """Return how each payment that was taken ended."""
    return [each["outcome"] for each in sandbox.settlements()]
