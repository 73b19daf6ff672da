"""Orders of v1 for an account of the owner's own, practised in process, with all that goes over the wire."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import fake_keyring
import httpx
import keyring
from pydantic import SecretStr

from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.sandbox import Dialect, Sandbox
from zinc_mcp.wiring import open_process

ORIGIN = "https://sandbox.invalid/v1"
"""The origin of the built-in sandbox."""
NUMBERS = ("B0SNDBXC01", "B0SNDBXC02", "B0SNDBXC03", "B0SNDBXC04", "B0SNDBXC05", "B0SNDBXC06")
ALLOWED = '[policy]\nretailer_accounts = ["work"]\n'
ADDRESS = {
    "first_name": "Ada",
    "last_name": "Buyer",
    "address_line1": "12 Usual Street",
    "city": "New York",
    "state": "NY",
    "zip_code": "10001",
    "phone_number": "212-555-0147",
}


def wish(number: str = NUMBERS[0], **changes: Any) -> dict[str, Any]:
    """Return the arguments of an order for the account `work`; what is None is left out."""
    whole = {
        "retailer": "amazon",
        "products": [{"product_id": number}],
        "shipping_address": ADDRESS,
        "max_price": 9000,
        "shipping_method": "cheapest",
        "retailer_account": {"profile": "work"},
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


class Wire(httpx.AsyncBaseTransport):
    """A practised Zinc that keeps the bytes of each order that reaches it."""

    def __init__(self, clock: Callable[[], float], ledger: Path | None = None, dialect: str = "") -> None:
        self.sandbox = Sandbox(ledger, clock=clock, dialect=Dialect.parse(dialect))
        self.sent: list[bytes] = []
        self.headers: list[str] = []
        self._transport = self.sandbox.transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the sandbox does."""
        self.headers.append(f"{request.url} {request.headers}")
        if request.method == "POST" and request.url.path.endswith("/orders"):
            self.sent.append(request.content)
        return await self._transport.handle_async_request(request)


@contextmanager
def keyring_of_the_test() -> Generator[None]:
    """Let the library `keyring` use the file that `FAKE_KEYRING` names."""
    before = keyring.get_keyring()
    keyring.set_keyring(fake_keyring.ours())
    yield
    keyring.set_keyring(before)


@asynccontextmanager
async def practising(
    home: Path, wire: httpx.AsyncBaseTransport, clocks: Clocks, clock: Callable[[], float], **settings: Any
) -> AsyncGenerator[Process]:
    """Open a process that practises v1 over this wire."""
    configured = Settings(
        home=home,
        config=home / "zinc.toml",
        sandbox=True,
        v1_client_token=SecretStr("practice-token"),
        browser=False,
        **settings,
    )
    async with open_process(configured, transport=wire, clocks=clocks, clock=clock) as process:
        yield process
