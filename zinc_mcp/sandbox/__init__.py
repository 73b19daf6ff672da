"""The sandbox: a practice Zinc with the same paths, bodies and codes, in process or on a port.

A user practises on its products and orders. The modules `faults` and `dialect` are for the fault campaign.
"""

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zinc_mcp.sandbox.dialect import Dialect
from zinc_mcp.sandbox.ledger import Attempt, Ledger, Placed

if TYPE_CHECKING:
    import httpx
    from starlette.applications import Starlette

    from zinc_mcp.sandbox.challenges import Payee, Settlement
    from zinc_mcp.sandbox.orders.agent import Settle

__all__ = ["Dialect", "Sandbox"]


class Sandbox:
    """A practice Zinc. Orders advance with time, money is never real, and every `zn_test_` key is accepted."""

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
            dialect: the behaviour where the documents are silent; by default the best supported one.
            pace: a factor: orders advance, and slow answers come, so many times faster than at pace 1.
            clock: seconds since the epoch; every process that shares a ledger must read the same one.
            payees: the payees that a 402 offers instead of `challenges.PAYEES`.
            challenge_seconds: the time in which a challenge can be paid; the pace does not shorten it.
            settle: settles the payments of other wallets than the practice wallet; without it they do not verify.

        Raises:
            ValueError: if `pace` is not above zero.
            SettingsError: if the file cannot be used.
        """
        if not pace > 0:
            raise ValueError("pace must be above zero")
        self.ledger = Ledger(ledger)
        self.dialect = dialect or Dialect()
        self.pace = pace
        self.clock = clock
        self.payees = payees
        self.challenge_seconds = challenge_seconds
        self.settle = settle
        self.v1_secrets: dict[str, dict[str, Any]] = {}
        """The secrets in the v1 orders that this process took, by `request_id`; no file keeps them."""

    @cached_property
    def app(self) -> "Starlette":
        """The ASGI app. Some faults cut the connection, so serve it with `app.serve` or use `transport()`."""
        # Starlette and the endpoints are loaded with the first use of the app.
        from zinc_mcp.sandbox.app import build_app

        return build_app(self)

    def transport(self) -> "httpx.AsyncBaseTransport":
        """Return an httpx transport to this sandbox, in process, which answers for every origin."""
        from zinc_mcp.sandbox.app import SandboxTransport

        return SandboxTransport(self.app)

    def placed(self) -> list[Placed]:
        """Return every order, oldest first, for benches and tests."""
        return self.ledger.placed()

    def attempts(self) -> list[Attempt]:
        """Return every received POST of an order, on each rail, oldest first, with its outcome."""
        return self.ledger.attempts()

    def settlements(self) -> "list[Settlement]":
        """Return every payment that was taken, oldest first, with the amount refunded by now."""
        from zinc_mcp.sandbox.challenges import settlements

        return settlements(self.ledger, self.clock(), self.pace)
