"""Before a person is asked about an order of v1, Zinc is asked for titles if an API key pays, and for no check."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from conftest import HandClock
from fake_zinc import FakeZinc
from on_v1 import ASIN, arguments
from pydantic import SecretStr
from server.as_a_host import both_eras, call, host
from wanted import arguments as by_page

from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.consent.approval import question_of
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.wiring import open_process

PRODUCT = f"/products/{ASIN}"


class Network(httpx.AsyncBaseTransport):
    """Zinc's two services, of which v2 could order at no shop."""

    def __init__(self, clock: HandClock) -> None:
        self.zinc = FakeZinc(clock)
        self.zinc.check = {"orderable": False, "support": "unsupported", "ships_to": None}
        self.zinc.products[ASIN] = {"product_id": ASIN, "retailer": "amazon", "title": "A told title", "price": 1900}
        self.asked_v1: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.zinc.io":
            self.asked_v1.append(f"{request.method} {request.url.path}")
            return httpx.Response(200, json={"orders": []})
        return await self.zinc.transport().handle_async_request(request)

    @property
    def asked_v2(self) -> list[str]:
        """The questions to v2 about shops and products."""
        paths = [request.url.path for request in self.zinc.requests]
        return [path for path in paths if path.startswith(("/retailers", "/products"))]


@asynccontextmanager
async def opened(
    home: Path, network: Network, clocks: Clocks, clock: HandClock, key: str | None
) -> AsyncGenerator[Process]:
    home.mkdir(parents=True, exist_ok=True)
    (home / "zinc.toml").write_text('[policy]\napproval = "page"\n', encoding="utf-8")
    settings = Settings(
        home=home,
        config=home / "zinc.toml",
        api_key=None if key is None else SecretStr(key),
        v1_client_token=SecretStr("planted-token"),
        browser=False,
    )
    async with open_process(settings, transport=network, clocks=clocks, clock=clock, uptime=None) as process:
        yield process


@pytest.mark.sampled(3)
@both_eras
@pytest.mark.parametrize(
    ("key", "looked_up"),
    [(None, []), ("zn_live_planted", [PRODUCT]), ("zn_test_planted", [])],
    ids=["no key", "a key for real orders", "a key for testing"],
)
async def test_a_v1_question_has_titles_only_by_a_key_for_the_same_money_and_no_check_goes_before_it(
    home: Path, clocks: Clocks, clock: HandClock, mode: str, key: str | None, looked_up: list[str]
) -> None:
    network = Network(clock)
    async with opened(home, network, clocks, clock, key) as process, host(process, mode) as client:
        assert (await call(client, "place_v1_order", arguments()))["outcome"] == "waiting"
        [entry] = await questions_for(process, "local")
        question = question_of(entry)
        assert question is not None
        assert ("A told title" in question.text()) is bool(looked_up)
    assert network.asked_v2 == looked_up
    assert set(network.asked_v1) == {"GET /v1/orders"}, "v1 is asked for the time and for lost orders, and nothing else"


async def test_the_same_order_by_its_page_is_checked_first(home: Path, clocks: Clocks, clock: HandClock) -> None:
    network = Network(clock)
    async with opened(home, network, clocks, clock, "zn_live_planted") as process, host(process, "auto") as client:
        answer = await client.call_tool("place_order", by_page())
        assert answer.is_error
    assert network.asked_v2 == ["/retailers/check"]
