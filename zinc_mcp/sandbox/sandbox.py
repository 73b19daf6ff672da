"""The sandbox as its users hold it: a ledger, a dialect, a pace and a clock, opened as an app or as a transport."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zinc_mcp.sandbox.campaign.dialect import Dialect
from zinc_mcp.sandbox.ledger import Attempt, Ledger, Placed

if TYPE_CHECKING:
    import httpx
    from starlette.applications import Starlette

    from zinc_mcp.sandbox.agent_orders import Settle
    from zinc_mcp.sandbox.campaign.lies import Payee
    from zinc_mcp.sandbox.challenges import Settlement, Till


class Sandbox:
    """A Zinc to practise on. Orders advance with time, money is never real, and any `zn_test_` key is taken."""

    def __init__(
        self,
        ledger: Path | None = None,
        *,
        dialect: Dialect | None = None,
        pace: float = 1.0,
        clock: Callable[[], float] = time.time,
        payees: "Sequence[Payee] | None" = None,
        challenge_seconds: float = 300.0,
        settle: "Settle | None" = None,
    ) -> None:
        """Open a sandbox.

        Args:
            ledger: the SQLite file that keeps the orders; several processes may share one. None keeps them in memory.
            dialect: how it speaks where the documents are silent.
            pace: how many times faster than the documented walk orders advance and faults wait.
            clock: seconds since the epoch; every process that shares a ledger must read the same one.
            payees: what a 402 offers instead of `offers.PAYEES`.
            challenge_seconds: how long a challenge can be paid; the pace does not shorten it.
            settle: settles what the practice wallet does not pay; without it such a payment does not verify.

        Raises:
            ValueError: if `pace` is not above zero.
            SettingsError: if the file cannot be used.
        """
        if not pace > 0:
            raise ValueError("pace must be above zero")
        self.dialect = dialect or Dialect()
        self.pace = pace
        self.clock = clock
        self.challenge_seconds = challenge_seconds
        self._ledger = Ledger(ledger)
        self._till: Till | None = None
        self._payees = payees
        self._settle = settle
        self._app: Starlette | None = None

    @property
    def app(self) -> "Starlette":
        """The ASGI app. A drop needs a connection to cut: serve it with `port.serve` or use `transport()`."""
        if self._app is None:
            # Starlette and the endpoints are loaded when somebody practises, not when somebody lists tools.
            from zinc_mcp.sandbox.answers import Dated
            from zinc_mcp.sandbox.app import build_app
            from zinc_mcp.sandbox.campaign.lies import PAYEES, Offers

            till = self._opened()
            offers = Offers(till, self.dialect, self._payees or PAYEES, self.challenge_seconds)
            self._app = build_app(self._ledger, till, offers, self.dialect, self.pace, self.clock, self._settle)
            self._app.add_middleware(Dated, clock=self.clock)
        return self._app

    def transport(self) -> "httpx.AsyncBaseTransport":
        """Return an httpx transport to this sandbox: in process, no port, whatever the origin."""
        from zinc_mcp.sandbox.transport import SandboxTransport

        return SandboxTransport(self.app)

    def placed(self) -> list[Placed]:
        """Return every order that exists, oldest first: for judges and tests."""
        return self._ledger.placed()

    def attempts(self) -> list[Attempt]:
        """Return every `POST /orders` and `POST /agent/orders` received, oldest first, with what became of it."""
        return self._ledger.attempts()

    def settlements(self) -> "list[Settlement]":
        """Return every payment taken, oldest first, with what of it has been given back by now."""
        return self._opened().settlements(self.clock(), self.pace)

    @property
    def payment_secret(self) -> str:
        """What binds the challenges: for a verifier that is not ours."""
        return self._opened().secret

    def _opened(self) -> "Till":
        if self._till is None:
            from zinc_mcp.sandbox.challenges import Till

            self._till = Till(self._ledger)
        return self._till
