"""Random questions and answers never send an order whose own question was not answered with a yes.

Practice and live, two rails, two payers, two callers, given and derived keys, processes that come and go; people answer
new and old questions, twice, late, with a no, and from places that pay with something else.
"""

import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import HandClock
from deciding import no, yes
from fake_zinc import FakeZinc
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from variants import examples
from wanted import BOOK, book, order

from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.deciding.waiting import questions_for
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.errors import ZincMcpError
from zinc_mcp.journal.records.decision import QuestionRef, reference_of
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.known_settings import RailName
from zinc_mcp.owner.settings import Settings
from zinc_mcp.process import Clocks, Process
from zinc_mcp.wiring import open_process

pytestmark = pytest.mark.usefixtures("quiet_failures")

CLOCKS = Clocks(
    answer_seconds=0.4,
    wire_seconds=5.0,
    refresh_seconds=0.3,
    poll_seconds=0.02,
    peek_seconds=0.01,
    sweep_seconds=3600.0,
    heed_seconds=3600.0,
)

PROCESSES: dict[str, dict[str, Any]] = {
    "live": {"api_key": SecretStr("zn_live_one")},
    "live, another account": {"api_key": SecretStr("zn_live_two")},
    "practice": {"api_key": SecretStr("zn_test_one"), "wallet": "sandbox"},
    "practice, another account": {"api_key": SecretStr("zn_test_two")},
    "terminal": {},
}

WISHES: list[dict[str, Any]] = [
    {},
    {"max_price": 9000},
    {"products": [{"url": BOOK, "quantity": 2}]},
    {"products": book(2)},
    {"products": [*book(2), {"url": BOOK}]},
    {"idempotency_key": "key-1"},
    {"idempotency_key": "key-1", "products": book(3), "max_price": 300},
    {"idempotency_key": "key-2", "products": book(3)},
]


@dataclass(frozen=True)
class Place:
    process: str
    caller: str
    rail: RailName
    wish: int


@dataclass(frozen=True)
class Answer:
    """A person answers a question that they once saw, the newest or an older one, in any process."""

    which: int
    process: str
    says_yes: bool
    as_caller: bool


@dataclass(frozen=True)
class Pass:
    seconds: float


@dataclass(frozen=True)
class Policy:
    text: str


@dataclass(frozen=True)
class Sweep:
    process: str


Happening = Place | Answer | Pass | Policy | Sweep

_processes = st.sampled_from(list(PROCESSES))
_payers = st.sampled_from([name for name in PROCESSES if name != "terminal"])
_places = st.builds(
    Place, _payers, st.sampled_from(["local", "ada"]), st.sampled_from(["account", "agent"]), st.integers(0, 7)
)
_answers = st.builds(Answer, st.integers(0, 6), _processes, st.sampled_from([True, True, True, False]), st.booleans())
_happenings: st.SearchStrategy[Happening] = st.one_of(
    _places,
    _places,
    _answers,
    _answers,
    _answers,
    st.builds(Pass, st.sampled_from([1.0, 700.0, 4_000.0, 90_000.0])),
    st.builds(
        Policy, st.sampled_from(["max_day = 6000", "max_order = 4000", "", 'retailers_blocked = ["amazon.com"]'])
    ),
    st.builds(Sweep, _processes),
)


@dataclass
class World:
    """One journal, one Zinc, and the questions that people were shown."""

    home: Path
    clock: HandClock = field(default_factory=HandClock)
    shown: dict[QuestionRef, Entry] = field(default_factory=dict[QuestionRef, Entry])
    agreed: set[QuestionRef] = field(default_factory=set[QuestionRef])
    processes: dict[str, Process] = field(default_factory=dict[str, Process])

    def __post_init__(self) -> None:
        self.zinc = FakeZinc(self.clock)

    def write_policy(self, text: str) -> None:
        """Let the owner change their policy."""
        policy = f'[policy]\napproval = "auto"\nmax_orders_day = 100\n{text}\n'
        (self.home / "zinc.toml").write_text(policy, encoding="utf-8")

    async def happen(self, what: Happening) -> None:
        """Let one event happen, refused or not."""
        try:
            await self._happen(what)
        except ZincMcpError:
            pass
        for each in ("local", "ada"):
            for entry in await questions_for(self.processes["terminal"], each):
                if (reference := reference_of(entry)) is not None:
                    self.shown.setdefault(reference, entry)
        self.check()

    async def _happen(self, what: Happening) -> None:
        match what:
            case Place():
                wanted = Intent(what.caller, what.rail, order(**WISHES[what.wish]))
                await place(self.processes[what.process], wanted)
            case Answer():
                if not self.shown:
                    return
                seen = list(self.shown)[-1 - what.which % len(self.shown)]
                entry = self.shown[seen]
                decision = yes(entry) if what.says_yes else no(entry)
                if what.says_yes:
                    self.agreed.add(seen)
                caller = entry.caller if what.as_caller else None
                await decide(self.processes[what.process], decision, caller=caller)
            case Pass():
                self.clock.pass_seconds(what.seconds)
            case Policy():
                self.write_policy(what.text)
            case Sweep():
                await send_all_approved(self.processes[what.process])

    def check(self) -> None:
        """Check that people said yes to everything that was sent."""
        sent: list[tuple[bytes, str, str]] = []
        for request in self.zinc.posts:
            authorization = request.headers.get("authorization", "")
            if request.url.path == "/agent/orders":
                if "authorization" in request.headers:
                    sent.append((request.content, "agent", "practice"))
            else:
                mode = "practice" if "zn_test" in authorization else authorization
                sent.append((request.content, "account", mode))
        allowed = [self.shown[reference] for reference in self.agreed]
        for content, rail, payer in sent:
            own = [each for each in allowed if each.body == content and each.rail == rail]
            assert own, "somebody must have said yes to these bytes on this rail"
            assert any((each.mode == "live") == (payer != "practice") for each in own), (
                "practice and live were mixed up"
            )
        for agreed in allowed:
            times = sum(content == agreed.body and rail == agreed.rail for content, rail, _ in sent)
            assert times <= sum(each.body == agreed.body and each.rail == agreed.rail for each in allowed)


async def lived(happenings: list[Happening], home: Path) -> World:
    """Let it all happen, with every process open from beginning to end."""
    world = World(home)
    world.write_policy("")
    async with AsyncExitStack() as stack:
        for name, options in PROCESSES.items():
            configured = Settings(home=home, config=home / "zinc.toml", browser=False, **options)
            opened = open_process(
                configured, transport=world.zinc.transport(), clocks=CLOCKS, clock=world.clock, uptime=None
            )
            world.processes[name] = await stack.enter_async_context(opened)
        for each in happenings:
            await world.happen(each)
    world.check()
    return world


_lives = st.lists(_happenings, min_size=2, max_size=18)


@examples(40)
@given(_lives)
def test_no_order_is_sent_without_a_yes_to_its_own_question(happenings: list[Happening]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(lived, happenings, Path(folder))


@pytest.mark.thorough
@examples(160)
@given(_lives)
def test_no_order_is_sent_without_its_own_yes_in_many_more_lives(happenings: list[Happening]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(lived, happenings, Path(folder))


def test_the_world_can_buy_with_a_yes(tmp_path: Path) -> None:
    buy: Callable[[str, RailName], list[Happening]] = lambda process, rail: [  # noqa: E731  # read twice below
        Place(process, "local", rail, 0),
        Answer(0, process, says_yes=True, as_caller=True),
    ]
    live = anyio.run(lived, buy("live", "account"), tmp_path)
    (tmp_path / "other").mkdir()
    paid = anyio.run(lived, buy("practice", "agent"), tmp_path / "other")
    assert (len(live.zinc.orders), len(paid.zinc.orders)) == (1, 1)
