"""What one process shares: its way to the journal, to Zinc, to the owner's policy, and to the time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from zinc_mcp.attempt import Attempt
from zinc_mcp.clocks import Clocks
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.admission import Admission
from zinc_mcp.journal.entry import RailName, State
from zinc_mcp.journal.leases import LeaseClock
from zinc_mcp.journal.runner import Writer
from zinc_mcp.journal.times import Times
from zinc_mcp.journal.unwritten import Unwritten
from zinc_mcp.owner.policy import Policy
from zinc_mcp.rails.rail import Rail

Checkpoint = Callable[[str], None]
"""Called at every step that a crash could fall on; the fault campaign kills the process here."""


class Wake:
    """Ends a wait early, now and again."""

    def __init__(self) -> None:
        self._set = anyio.Event()

    def set(self) -> None:
        """End the wait that is under way, or the next one at once."""
        self._set.set()

    async def wait(self, seconds: float) -> None:
        """Wait until it is set, and no longer than `seconds`."""
        with anyio.move_on_after(seconds):
            await self._set.wait()
        self._set = anyio.Event()


@dataclass(frozen=True, slots=True)
class Process:
    """What every step of an order works with. It is built once, by the wiring, and has no behaviour of its own."""

    rails: Mapping[RailName, Rail]
    journal: Writer
    unwritten: Unwritten
    """What this process has learnt and could not write down yet."""
    policy: Callable[[], Policy]
    """Reads the owner's policy as it stands; raises `policy_invalid`."""
    clocks: Clocks
    times: Times
    leases: LeaseClock
    owner: str
    """Names this process in leases."""
    holder: str
    """Names this process for ever (`holder.this_process`)."""
    admission: Admission
    """What is checked again before anything is sent."""
    checkpoint: Checkpoint
    tasks: TaskGroup
    """Where work runs that outlives the call which started it."""
    attempts: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    """What this process is sending, by the id of the entry."""
    counted: set[int] = field(default_factory=set[int])
    """Entries sent more than once for whose keys this process has counted Zinc's orders."""
    told: set[object] = field(default_factory=set[object])
    """Rows that cannot be read and were logged once."""
    swept: dict[tuple[RailName, frozenset[State]], int] = field(
        default_factory=dict[tuple[RailName, frozenset[State]], int]
    )
    """After which entry the next round of a sweep begins."""
    unusable: dict[RailName, ZincMcpError] = field(default_factory=dict[RailName, ZincMcpError])
    """Ways to buy that are set up and cannot be used for new orders, with the reason."""
    asked: Wake = field(default_factory=Wake)
    """Is set when a person has been asked: from then on a decision may come from any process."""

    @property
    def practises(self) -> bool:
        """Whether this process can only practise: then it decides about no live order."""
        return bool(self.rails) and all(rail.mode != "live" for rail in self.rails.values())
