"""The values that all steps in one process share: journal, rails, policy, clocks, and the orders being sent."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.journal.news import News
from zinc_mcp.journal.records.clocks import LeaseClock, Times
from zinc_mcp.journal.records.decision import Admission
from zinc_mcp.journal.records.entry import Entry, Mode
from zinc_mcp.journal.records.money import Payment
from zinc_mcp.journal.records.own_policy import OwnPolicy
from zinc_mcp.journal.runner import Runner, Unwritten
from zinc_mcp.known_settings import RailName, Role
from zinc_mcp.owner.policy import Policy
from zinc_mcp.owner.settings import Settings
from zinc_mcp.rails import Rail
from zinc_mcp.zinc.client import ZincClient
from zinc_mcp.zinc.find.products import Offers, Product
from zinc_mcp.zinc.find.retailers import ShopCheck
from zinc_mcp.zinc.product_urls.url_parts import ProductAddress
from zinc_mcp.zinc.responses import Order

if TYPE_CHECKING:
    from zinc_mcp.telemetry.watch import Watch

Checkpoint = Callable[[str], None]
"""Called at every step that a crash could fall on: logs it; the fault campaign kills the process here."""


LOOK_UP_SECONDS = 15.0
"""The longest time for which a caller waits for its questions about products."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """All waiting times in seconds, in one place, so that a fault campaign can run the same code faster."""

    answer_seconds: float = 25.0
    """A placing tool answers within this time: hosts stop listening after 60 s, and progress does not extend that."""
    wire_seconds: float = 60.0
    """The longest time for one request that may spend money."""
    sign_seconds: float = 60.0
    """The longest time for a payment wallet to sign, if it asks nobody."""
    lease_margin_seconds: float = 15.0
    """A sending lease is this much longer than a request. No other process takes over the entry before its end."""
    opening_lease_seconds: float = 30.0
    """The longest time to open an entry and decide about it; after that another process may clear it away."""
    form_seconds: float = 20.0
    """The older protocol's dialogue closes after this time: hosts give up after 60 s, and the page comes after it."""
    approval_seconds: float = 600.0
    """The longest time for a person to decide, and for a yes to wait until a process can send."""
    looking_lease_seconds: float = 30.0
    """For this time one process alone looks up an order in doubt; then another may."""
    refresh_seconds: float = 3.0
    """The longest time for a refusal to wait for news from Zinc about the orders that cause it."""
    proof_seconds: float = 8.0
    """For this time an order is read again and again after a cancellation, until it shows what became of it."""
    repeat_seconds: float = 600.0
    """Within this time a call for the same goods is a repeat, and the same bytes may be sent again."""
    twin_seconds: float = 86_400.0
    """Within this time an earlier order for the same goods is the answer, or a new one needs a yes."""
    sweep_seconds: float = 60.0
    """The interval at which a running process looks up orders in doubt."""
    heed_seconds: float = 1.0
    """The interval at which a running process looks for a decision made elsewhere, while a question is open."""
    poll_seconds: float = 2.0
    """The interval at which a waiting look-up asks Zinc."""
    glance_seconds: float = 0.5
    """The interval at which a waiting look-up checks whether another process has brought news."""
    hint_seconds: float = 10.0
    """An order is read at most once within this time because of hints that Zinc's webhooks bring."""
    notices_seconds: float = 2.0
    """The interval at which a running process looks for something to tell the owner (`notify.notifier`)."""
    follow_seconds: float = 60.0
    """The interval at which a running process looks again at orders of which the owner was told, and asks Zinc."""
    telling_seconds: float = 10.0
    """The longest time for one message to the owner."""
    members_seconds: float = 1.0
    """The interval at which a server asks the journal whether it still has the same members."""
    look_up_seconds: float = LOOK_UP_SECONDS
    peek_seconds: float = 0.2
    """The interval at which a call checks whether another process has moved an entry on."""


@dataclass(slots=True)
class Attempt:
    """One entry being sent by this process. It outlives the call that started it."""

    entry: Entry
    left: bool = False
    """Whether the first byte of a purchase may have left, or a wallet may have been asked, now or earlier."""
    payment: Payment | None = None
    """The wallet's payment for it, as this process knows it."""
    done: anyio.Event = field(default_factory=anyio.Event)
    order: Order | None = None
    error: ZincMcpError | None = None
    wanted: int = 0
    """The number of placing calls that still wait. The same bytes are sent again only while at least one call waits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of an intention, as far as it is known now."""

    entry: Entry | None
    """None only for an order that was not placed through this journal."""
    order: Order | None = None
    """The order as Zinc showed it during this call, if it was read."""
    earlier: bool = False
    """An earlier order is the answer: this call bought nothing new."""
    refusal: RefusedError | None = None
    """The refusal that a new order would get now, if an earlier order is the answer."""
    unasked: ZincMcpError | None = None
    """The error if Zinc could not be asked; the entry is then as the journal last had it."""
    is_changed: bool | None = None
    """Whether the caller has changed the order, or wanted to, as was read with the entry; None if it was not read."""
    shown_by: RailName | None = None
    """The rail that reads the order, if no entry names it."""

    @property
    def rail_name(self) -> RailName:
        """The rail of the order."""
        return self.entry.rail if self.entry is not None else self.shown_by or "account"


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """What Zinc answered about a product. An error stands where it gave no answer, None where it was not asked."""

    address: ProductAddress
    country: str
    shop: ShopCheck | ZincMcpError
    details: Product | ZincMcpError | None = None
    offers: Offers | ZincMcpError | None = None
    cost_cents: int = 0
    """The cost of the questions to Zinc that this call asked."""
    remembered: tuple[str, ...] = ()
    """Those of details and offers that were remembered and not asked for."""
    age_seconds: float | None = None
    """The age of the oldest remembered answer; None if nothing was remembered."""
    mode: Mode | None = None
    """The mode of the rail that asked for details and offers; None if nothing was asked."""
    objection: ZincMcpError | None = None
    """The reason that the owner's policy allows no order of the product; None if it allows one."""


class Wake:
    """An event that ends a wait early, and can be used again."""

    def __init__(self) -> None:
        self._set = anyio.Event()

    def set(self) -> None:
        """End the current wait, or the next one at once."""
        self._set.set()

    async def wait(self, seconds: float) -> None:
        """Wait until it is set, and no longer than `seconds`."""
        with anyio.move_on_after(seconds):
            await self._set.wait()
        self._set = anyio.Event()


@dataclass(frozen=True, slots=True)
class Process:
    """The values that every step of an order works with. The wiring builds it once; it has no behaviour of its own."""

    settings: Settings
    rails: Mapping[RailName, Rail]
    journal: Runner
    unwritten: Unwritten
    """Facts that this process has learnt and could not write down yet."""
    client: ZincClient
    """The client for answers that Zinc gives to everybody. It has no key."""
    policy: Callable[[], Policy]
    """Reads the owner's policy as it stands; raises `policy_invalid`."""
    own_policy: Callable[[Policy], OwnPolicy | None]
    """Returns a policy as other servers on the journal compare theirs; None where no other shares it."""
    role_of: Callable[[str], Role | None]
    """Returns the role of a caller in a team as it stands, None for the owner; raises `SettingsError`."""
    clocks: Clocks
    times: Times
    leases: LeaseClock
    owner: str
    """Names this process in leases."""
    holder: str
    """Names this process, also after its end (`clocks.this_process`)."""
    admission: Admission
    """The checks that are made again before anything is sent."""
    checkpoint: Checkpoint
    tasks: TaskGroup
    """Its tasks outlive the calls that start them."""
    attempts: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    """The entries that this process is sending, by id."""
    counted: set[int] = field(default_factory=set[int])
    """Entries that were sent more than once. For the key of each, this process has counted the orders at Zinc."""
    told: set[object] = field(default_factory=set[object])
    """The unreadable rows that this process has logged."""
    swept: dict[tuple[RailName, str], int] = field(default_factory=dict[tuple[RailName, str], int])
    """The id after which the next sweep of a rail goes on, by what it looks for (`spending.in_turn`)."""
    unusable: dict[RailName, ZincMcpError] = field(default_factory=dict[RailName, ZincMcpError])
    """Rails that are set up but cannot be used for new orders, with the reason."""
    warmed: anyio.Event = field(default_factory=anyio.Event)
    """Set when the payment wallet's library is loaded, or is known to be unusable."""
    news: News = field(default_factory=News)
    """Wakes the tasks that wait for a change of an entry by any process."""
    asked: Wake = field(default_factory=Wake)
    """Set when a person has been asked, because a decision may then come from any process."""
    calls: Counter[str] = field(default_factory=Counter[str])
    """The number of tool calls that run, by caller."""
    stopping: anyio.Event = field(default_factory=anyio.Event)
    """Set when the process was told to stop. Calls that only wait then answer with what is known."""
    watch: "Watch | None" = None
    """Takes metrics and spans of this process; None if nobody has asked for them."""

    @property
    def practises(self) -> bool:
        """Whether this process can only practise: then it decides about no live order."""
        return bool(self.rails) and all(rail.mode != "live" for rail in self.rails.values())

    @property
    def can_buy(self) -> bool:
        """Whether there is a rail that can be used."""
        return bool(self.rails.keys() - self.unusable.keys())
