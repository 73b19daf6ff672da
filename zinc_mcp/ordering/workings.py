"""What every part of the road works with, put together once by the shop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from zinc_mcp.api.responses import Order
from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.ordering.admission import Admission
from zinc_mcp.ordering.clocks import Clocks
from zinc_mcp.ordering.entry import Entry, RailName
from zinc_mcp.ordering.lease import LeaseClock
from zinc_mcp.ordering.policy import Policy
from zinc_mcp.ordering.rail import Rail
from zinc_mcp.ordering.reconcile import Reconciler
from zinc_mcp.ordering.sending import Sender
from zinc_mcp.ordering.settling import Checkpoint
from zinc_mcp.ordering.times import APART_SECONDS, Times
from zinc_mcp.ordering.writer import Writer


class Bell:
    """Wakes whoever waits for it, now and again."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake the one who waits, or let the next wait end at once."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Wait until somebody rings, and no longer than `seconds`."""
        with anyio.move_on_after(seconds):
            await self._rung.wait()
        self._rung = anyio.Event()


@dataclass(frozen=True, slots=True)
class Workings:
    """One process's way to the journal, to Zinc and to the owner's policy."""

    rails: Mapping[RailName, Rail]
    writer: Writer
    sender: Sender
    reconciler: Reconciler
    policy: Callable[[], Policy]
    clocks: Clocks
    clock: Callable[[], float]
    leases: LeaseClock
    owner: str
    """Names this process in leases."""
    checkpoint: Checkpoint
    admission: Admission
    """What is checked again before anything is sent."""
    tasks: TaskGroup
    """Where work runs that outlives the call which started it."""
    times: Times
    bell: Bell = field(default_factory=Bell)
    """Rings when a person has been asked: from then on a decision may come from any process."""
    unusable: Mapping[RailName, ZincMcpError] = field(default_factory=dict[RailName, ZincMcpError])
    """Ways to buy that are set up and cannot be used for new orders, with the reason; it is looked at each time."""

    def rail(self, name: RailName) -> Rail:
        """Return a way to buy.

        Raises:
            RefusedError: it is not set up; the sentence says what is missing.
        """
        rail = self.rails.get(name)
        unusable = self.unusable.get(name)
        if unusable is not None:
            raise RefusedError(
                f"{unusable.summary} So nothing can be paid with the payment wallet, and nothing was sent.",
                f"Tell the user: {unusable.owner_step or unusable.next_step}",
                code="wallet_unavailable",
                owner_step=unusable.owner_step,
            )
        if rail is not None:
            return rail
        if name == "agent":
            raise RefusedError(
                "No payment wallet is set up, so nothing can be paid with one.",
                "Tell the user to set ZINC_WALLET (tempo, stripe or command), or use place_order with a Zinc API key "
                "(ZINC_API_KEY).",
                code="wallet_not_configured",
            )
        raise RefusedError(
            "No Zinc API key is configured, so no order can be placed.",
            "Tell the user to set ZINC_API_KEY, or ZINC_MCP_SANDBOX=1 to practise.",
            code="account_not_configured",
        )

    @property
    def practises(self) -> bool:
        """Say whether this process can only practise: then it decides about no live order."""
        return bool(self.rails) and all(rail.mode != "live" for rail in self.rails.values())

    def until(self, seconds: float) -> dict[str, Any]:
        """Return, for a consent, when it is over: by our clock and by Zinc's."""
        zinc = self.times.zinc()
        return {"until": self.clock() + seconds, "zinc_until": None if zinc is None else zinc + seconds}

    async def hear_the_time(self, rail: Rail) -> None:
        """Have Zinc tell the time where this process has not heard it yet, or where it differs much from ours.

        Clocks that only run stand still while a machine sleeps: it is only believed that they differ once Zinc has
        been asked just now.
        """
        if not self.times.answered or abs(self.times.apart_seconds()) > APART_SECONDS:
            await rail.ask_the_time()

    async def reread(self, entry: Entry) -> Entry:
        """Return an entry as it stands now."""
        return await self.writer.read(entry.id)

    async def refreshed(self, entry: Entry, rail: Rail) -> tuple[Entry, Order | None]:
        """`Reconciler.refresh` that takes no longer than a refusal may wait, and no trouble for an answer."""
        with anyio.move_on_after(self.clocks.refresh):
            try:
                return await self.reconciler.refresh(entry, rail)
            except ZincMcpError:
                pass
        return await self.reread(entry), None
