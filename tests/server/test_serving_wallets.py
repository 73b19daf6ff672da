"""`place_agent_order` pays with our real wallets, from a host to the chain, with pympp's payee behind Zinc.

Offline: stand-ins on this machine are the Tempo node and Stripe, and the code that verifies payments is not ours.
"""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import HandClock
from fake_zinc import FakeZinc, failure
from payments.fake_stripe import FakeStripe
from payments.fake_tempo import MODERATO, FakeTempo
from payments.payees import StripePayee, TempoPayee
from pydantic import SecretStr
from server.as_a_host import both_eras, call, host, refused
from wanted import arguments

from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.wiring import open_process

# web3, which pytempo imports, uses websockets.legacy, deprecated upstream; nothing of ours touches either.
pytestmark = pytest.mark.filterwarnings("ignore:websockets.legacy is deprecated:DeprecationWarning")

TEMPO_KEY = "0x" + "11" * 32
STRIPE_KEY = "rk_test_planted0123456789"


@pytest.fixture
def clock() -> HandClock:
    return HandClock(time.time())  # a chain and a payee keep the real time


class Wallets:
    """Opens shops that pay by the wallet of a test, and knows how often money moved."""

    def __init__(self, home: Path, zinc: FakeZinc, clocks: Clocks, clock: HandClock) -> None:
        self.settings: dict[str, Any] = {}
        self.transport: Any = None
        self.secrets: tuple[str, ...] = ()
        self.taken: Any = None
        self._home, self._zinc, self._clocks, self._clock = home, zinc, clocks, clock

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Process]:
        settings = Settings(home=self._home, config=self._home / "zinc.toml", browser=False, **self.settings)
        how: dict[str, Any] = {"clocks": self._clocks, "clock": self._clock, "wallet_transport": self.transport}
        async with open_process(settings, transport=self._zinc.transport(), **how) as process:
            yield process


@pytest.fixture(params=["tempo", "stripe"])
async def wallets(
    request: pytest.FixtureRequest, home: Path, zinc: FakeZinc, clocks: Clocks, clock: HandClock
) -> AsyncGenerator[Wallets]:
    made = Wallets(home, zinc, clocks, clock)
    home.mkdir()
    (home / "zinc.toml").write_text('[policy]\napproval = "none"\n', encoding="utf-8")
    if request.param == "stripe":
        stripe = FakeStripe(clock)
        zinc.payee = StripePayee(stripe)
        made.settings = {
            "wallet": "stripe",
            "stripe_secret_key": SecretStr(STRIPE_KEY),
            "stripe_payment_method": "pm_card_visa",
        }
        made.transport = stripe.transport()
        made.secrets = (STRIPE_KEY, "spt_planted")
        made.taken = lambda: sum(1 for token in stripe.tokens.values() if "usage_details" in token)
        yield made
        return
    pytest.importorskip("pytempo", reason="the extra zinc-mcp[tempo] is not installed")
    node = FakeTempo()
    async with node.listening() as rpc:
        zinc.payee = TempoPayee(rpc)
        made.settings = {
            "wallet": "tempo",
            "tempo_private_key": SecretStr(TEMPO_KEY),
            "tempo_rpc_url": rpc,
            "tempo_chain_id": MODERATO,
        }
        made.secrets = (TEMPO_KEY, TEMPO_KEY[2:], "planted-node-key")
        made.taken = lambda: len(node.settled)
        yield made


@both_eras
async def test_an_order_is_paid_once_verified_by_somebody_else_and_read_with_its_own_key(
    wallets: Wallets, zinc: FakeZinc, mode: str
) -> None:
    async with wallets.opened() as process, host(process, mode) as client:
        placed = await call(client, "place_agent_order", arguments())
        again = await call(client, "place_agent_order", arguments(max_price=4_000))
        [order_id] = zinc.orders
        zinc.settle(order_id, 4_000)
        looked = await call(client, "get_order", {"order_id": order_id})
    assert (placed["outcome"], placed["order_id"]) == ("accepted", order_id)
    assert placed["payment"]["authorised_cents"] == 5_100
    assert placed["payment"]["reference"] == zinc.settlements[0]
    assert (again["new_order"], again["order_id"]) == (False, order_id)
    assert (looked["outcome"], looked["price"]["expected_back_cents"]) == ("placed", 1_000)
    assert "not proved yet" in looked["summary"]
    assert wallets.taken() == 1
    paid = [request.headers["authorization"] for request in zinc.posts if "authorization" in request.headers]
    text = json.dumps([placed, again, looked])
    for secret in (*wallets.secrets, *zinc.order_keys, *(each.removeprefix("Payment ") for each in paid)):
        assert secret not in text


async def test_a_lost_answer_is_sent_again_as_it_was_and_money_moves_once(wallets: Wallets, zinc: FakeZinc) -> None:
    zinc.script = ["truncated"]
    async with wallets.opened() as process, host(process, "auto") as client:
        placed = await call(client, "place_agent_order", arguments())
    assert placed["outcome"] == "accepted", "its own key finds it"
    assert wallets.taken() == len(zinc.orders) == 1


async def test_money_that_was_taken_without_an_order_is_told_with_what_zinc_needs_to_find_it(
    wallets: Wallets, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.script = ["settled_no_order", failure(502, "bad_gateway")]
    async with wallets.opened() as process, host(process, "auto") as client:
        doubted = await refused(client, "place_agent_order", arguments())
        assert doubted["code"] == "outcome_unknown"
        clock.pass_seconds(1_000)
        told = await refused(client, "place_agent_order", arguments())
        looked = await call(client, "get_order", {"order_id": doubted["key"]})
    assert (told["code"], told["key"]) == ("paid_no_order", doubted["key"])
    assert looked["outcome"] == "paid_no_order"
    assert looked["payment"]["challenge_id"], "what Zinc can find it by; Stripe's reference came with the lost answer"
    assert wallets.taken() == 1
    assert zinc.orders == {}
