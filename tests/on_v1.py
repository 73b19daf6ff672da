"""A process of ours that orders through Zinc's v1 in the sandbox, its arguments, and the hosts that call its tools."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from mcp import Client
from pydantic import SecretStr
from wanted import ADDRESS

from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.sandbox import Sandbox
from zinc_mcp.sandbox.dialect import Dialect
from zinc_mcp.sandbox.dialects.v1 import V1Dialect
from zinc_mcp.sandbox.v1.rules.codes import FINAL
from zinc_mcp.sandbox.v1.rules.products import WAYS
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.wiring import open_process

ASIN = "B07JGBW826"
PLACE: dict[str, Any] = {
    **{name: part for name, part in ADDRESS.items() if name != "postal_code"},
    "zip_code": ADDRESS["postal_code"],
}
CLOCKS = Clocks(
    answer_seconds=5.0,
    wire_seconds=5.0,
    refresh_seconds=1.0,
    proof_seconds=0.4,
    poll_seconds=0.05,
    peek_seconds=0.05,
    sweep_seconds=3600.0,
)


def arguments(product_id: str = ASIN, *, practice: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the arguments of an order; `practice` are faults of the sandbox."""
    notes = {} if practice is None else {"client_notes": {"practice": practice}}
    return {
        "retailer": "amazon",
        "products": [{"product_id": product_id}],
        "shipping_address": dict(PLACE),
        "max_price": 9000,
        "shipping_method": "cheapest",
        **notes,
        **changes,
    }


def way(name: str) -> str:
    """Return the practice product that goes one way."""
    return f"V1WAYS{[each.name for each in WAYS].index(name) + 1:04d}"


def refused_with(code: str) -> str:
    """Return the practice product that a POST refuses with a code."""
    return f"V1POST{FINAL.index(code) + 1:04d}"


def failing_with(code: str) -> str:
    """Return the practice product that fails with a code."""
    return f"V1FAIL{FINAL.index(code) + 1:04d}"


class Moved:
    """Seconds since the epoch, moved by the test; it goes on for the sandbox and for us alike."""

    def __init__(self, now: float = 1_795_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


Instead = Callable[[httpx.Request], "dict[str, Any] | None"]


class Wire(httpx.AsyncBaseTransport):
    """A practised Zinc whose answers a test may give itself."""

    def __init__(self, practice: "Practice") -> None:
        self._practice, self._sandbox = practice, practice.sandbox.transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the test says, or else as the sandbox does."""
        self._practice.asked.append(f"{request.method} {request.url.path}")
        given = None if self._practice.instead is None else self._practice.instead(request)
        return await self._sandbox.handle_async_request(request) if given is None else httpx.Response(200, json=given)


class Practice:
    """One home, one sandbox and one clock. `instead` gives an answer in the place of the sandbox's."""

    def __init__(self, home: Path, config: str = "", **dialect: Any) -> None:
        self.clock = Moved()
        self.sandbox = Sandbox(clock=self.clock, dialect=Dialect(v1=V1Dialect(**dialect)))
        self.instead: Instead | None = None
        self.asked: list[str] = []
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        (home / "zinc.toml").write_text(config, encoding="utf-8")

    @asynccontextmanager
    async def opened(self, **changes: Any) -> AsyncGenerator[Process]:
        """Open a process with a client token, which practises."""
        usual: dict[str, Any] = {"sandbox": True, "v1_client_token": SecretStr("planted-token-of-v1")}
        settings = Settings(home=self.home, config=self.home / "zinc.toml", browser=False, **{**usual, **changes})
        async with open_process(
            settings, transport=Wire(self), clocks=CLOCKS, clock=self.clock, uptime=None
        ) as process:
            yield process

    @asynccontextmanager
    async def host(self, mode: str, **changes: Any) -> AsyncGenerator[Client]:
        """Open a process and a host on it."""
        async with self.opened(**changes) as process, Client(build_server(process), mode=mode) as client:
            yield client

    def posts(self) -> list[str]:
        """Return the outcomes of all POSTs of orders."""
        return [str(attempt["outcome"]) for attempt in self.sandbox.attempts()]
