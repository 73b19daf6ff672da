"""Wrong clocks buy nothing twice and pass no limit; where the time is uncertain, a person is asked."""

import dataclasses
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from journals import entry_of, journal_of
from variants import examples
from wanted import book, intent, order

from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.consent.approval import question_of
from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.process import Clocks, Process
from zinc_mcp.wiring import open_process

HOUR, DAY = 3_600.0, 86_400.0
WRONG = [sign * by for by in (HOUR, DAY, 25 * HOUR, 30 * DAY, 6 * 365 * DAY) for sign in (1, -1)]


class Wrong(HandClock):
    """A machine's clock that is wrong by `by` seconds."""

    def __init__(self, right: HandClock, by: float = 0.0) -> None:
        self._right = right
        self.by = by

    @property
    def now(self) -> float:  # type: ignore[override]
        return self._right.now + self.by


Machine = Callable[..., AsyncGenerator[Process]]


@pytest.fixture
def machine(open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path) -> Callable[..., object]:
    """Open a process on a machine whose wall clock is wrong and whose steady clock is right."""
    zinc.dated = True

    @asynccontextmanager
    async def opened(
        wrong: Wrong, *, live: bool = True, policy: str = 'approval = "none"', **more: object
    ) -> AsyncGenerator[Process]:
        home.mkdir(parents=True, exist_ok=True)
        (home / "zinc.toml").write_text(f"[policy]\n{policy}\n", encoding="utf-8")
        given = {"api_key": "zn_live_planted" if live else "zn_test_planted", **more}
        async with open_test_process(clock=wrong, uptime=lambda: ("boot", clock.now), **given) as ours:
            yield ours

    return opened


async def code_of(ours: Process, wanted: Intent) -> str:
    try:
        return entry_of(await place(ours, wanted)).state
    except ZincMcpError as error:
        return error.code


@given(
    clocks_wrong=st.tuples(*[st.sampled_from([0.0, *WRONG])] * 3),
    live=st.booleans(),
    idle=st.sampled_from([5.0, 700.0]),
    limit=st.sampled_from([11_000, 90_000]),
)
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_no_setting_of_the_clocks_buys_twice_or_passes_a_limit(
    tmp_path_factory: pytest.TempPathFactory, clocks_wrong: tuple[float, ...], live: bool, idle: float, limit: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    right = HandClock()
    zinc = FakeZinc(right, dated=True)
    # Practice asks nobody, however uncertain the clock is: what stands and counts must then hold by itself.
    approval = 'approval = "none"\n' if live else ""
    (home / "zinc.toml").write_text(f"[policy]\n{approval}max_day = {limit}\n", encoding="utf-8")
    from pydantic import SecretStr

    from zinc_mcp.owner.settings import Settings

    key = SecretStr("zn_live_planted" if live else "zn_test_planted")
    configured = Settings(home=home, config=home / "zinc.toml", api_key=key, browser=False)
    wrong = Wrong(right)
    times = Clocks(
        answer_seconds=5.0,
        wire_seconds=5.0,
        refresh_seconds=1.0,
        poll_seconds=0.05,
        peek_seconds=0.05,
        sweep_seconds=3600.0,
    )
    wished = [intent(), intent(products=book(1)), intent(products=book(2)), intent(products=book(3))]
    for process in (clocks_wrong[:2], clocks_wrong[2:]):
        wrong.by = process[0]
        async with open_process(
            configured, transport=zinc.transport(), clocks=times, clock=wrong, uptime=lambda: ("boot", right.now)
        ) as ours:
            for by in process:
                wrong.by = by
                for wanted in wished:
                    await code_of(ours, wanted)
                    right.pass_seconds(idle)
    urls = [placed["items"][0]["url"] for placed in zinc.orders.values()]
    assert len(urls) == len(set(urls)), "no second purchase"
    assert len(zinc.orders) * 5100 <= limit, "no limit is passed"
    if live and all(abs(by) > 600 for by in clocks_wrong):
        assert not zinc.orders, "nothing new without a person"


@pytest.mark.sampled(4)
@pytest.mark.parametrize("by", WRONG)
async def test_a_clock_far_from_zincs_opens_nothing_where_nobody_is_asked(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock, by: float, home: Path
) -> None:
    wrong = Wrong(clock, by)
    async with machine(wrong) as ours:
        with pytest.raises(RefusedError) as refused:
            await place(ours, intent())
        assert "resume" in refused.value.next_step
        assert (refused.value.code, refused.value.money_may_have_moved) == ("clock_uncertain", False)
        assert not zinc.posts
        wrong.by = 0.0  # somebody sets it right
        assert await code_of(ours, intent()) == "accepted"


async def test_the_agent_rail_asks_zinc_for_the_time_before_it_opens(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    async with machine(Wrong(clock, 2 * DAY), live=False, api_key=None, wallet="sandbox") as ours:
        assert await code_of(ours, Intent("local", "agent", order())) == "clock_uncertain"
    assert [request.url.path for request in zinc.requests][:1] == ["/health"]
    assert not zinc.posts


async def test_a_person_can_be_asked_about_an_uncertain_clock_and_may_say_yes(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    policy = 'approval = "auto"\napprove_above = 20000'
    async with machine(Wrong(clock, -DAY), policy=policy) as ours:
        asked = entry_of(await place(ours, intent()))
        question = question_of(asked)
        assert question is not None
        assert "clock is uncertain" in question.text()
        assert not zinc.posts
        await decide(ours, yes(asked, how="terminal"))
    assert len(zinc.orders) == 1


async def test_the_owner_can_accept_the_clock_in_a_terminal(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    wrong = Wrong(clock, HOUR)
    async with machine(wrong) as ours:
        assert await code_of(ours, intent()) == "clock_uncertain"
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=wrong) as journal:
            assert journal.accept_clock()
            assert not journal.accept_clock()
        assert await code_of(ours, intent()) == "accepted"
        wrong.by = 3 * HOUR
        assert await code_of(ours, intent(products=book(2))) == "clock_uncertain", "another clock is not accepted"


async def test_an_entry_from_the_future_makes_the_clock_uncertain_until_the_owner_has_seen_it(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path
) -> None:
    ahead = Wrong(clock, 30 * DAY)
    policy = 'approval = "page"'
    async with machine(ahead, policy=policy) as ours:
        asked = entry_of(await place(ours, intent()))
        await decide(ours, yes(asked, how="terminal"))
    ahead.by = 0.0
    async with machine(ahead) as ours:
        assert await code_of(ours, intent(products=book(2))) == "clock_uncertain"
        with Journal.open(f"sqlite:///{home / 'journal.db'}", clock=ahead) as journal:
            assert journal.accept_clock()
        assert await code_of(ours, intent(products=book(2))) == "accepted"
    [_, first] = journal_of(home)[0]
    assert abs(first.counted_at - clock.now) < DAY, "it counts from the time that Zinc gave it"


@pytest.mark.parametrize("slept", [True, False])
async def test_an_idle_month_with_a_right_clock_asks_nobody_anything(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, home: Path, slept: bool
) -> None:
    """The steady clock stops while a machine sleeps; Zinc is asked again before this makes the clock uncertain."""
    zinc.dated = True
    home.mkdir(parents=True)
    (home / "zinc.toml").write_text('[policy]\napproval = "none"\n', encoding="utf-8")
    asleep = 0.0

    def uptime() -> tuple[str, float]:
        return "boot", clock.now - asleep

    async with open_test_process(api_key="zn_live_planted", uptime=uptime) as ours:
        assert await code_of(ours, intent()) == "accepted"
        clock.pass_seconds(2 * DAY)
        assert await code_of(ours, intent(products=book(1))) == "accepted"
        clock.pass_seconds(30 * DAY)
        asleep = 30 * DAY if slept else 0.0
        assert await code_of(ours, intent(products=book(2))) == "accepted"
        assert await code_of(ours, intent()) == "accepted", "a day later it may be bought again"
    assert len(zinc.orders) == 4


async def test_answers_without_a_time_make_nothing_uncertain(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.dated = False
    async with machine(Wrong(clock, 6 * 365 * DAY)) as ours:
        assert await code_of(ours, intent()) == "accepted"


@pytest.mark.parametrize("by", [2 * DAY, -2 * DAY, 40 * DAY, -HOUR])
async def test_a_clock_that_is_set_while_no_answer_has_a_time_passes_no_limit_and_buys_nothing_twice(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock, by: float
) -> None:
    zinc.dated = False
    wrong = Wrong(clock)
    async with machine(wrong, live=False, policy="max_day = 12000") as ours:
        for number in range(5):
            await code_of(ours, intent())
            await code_of(ours, intent(products=book(number)))
            wrong.by += by
            clock.pass_seconds(60)
    urls = [placed["items"][0]["url"] for placed in zinc.orders.values()]
    assert len(urls) == len(set(urls)) == 2


async def test_nobody_is_asked_anything_extra_when_a_clock_only_runs_and_no_answer_has_a_time(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.dated = False
    async with machine(Wrong(clock)) as ours:
        for number in range(3):
            assert await code_of(ours, intent(products=book(number))) == "accepted"
            clock.pass_seconds(30 * DAY)


async def test_a_clock_that_is_set_while_no_answer_has_a_time_opens_nothing_where_nobody_is_asked(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock
) -> None:
    zinc.dated = False
    wrong = Wrong(clock)
    async with machine(wrong) as ours:
        assert await code_of(ours, intent(products=book(1))) == "accepted"
        wrong.by = 3 * HOUR
        with pytest.raises(RefusedError, match="was set 3 hours ahead") as refused:
            await place(ours, intent())
        assert refused.value.code == "clock_uncertain"


@pytest.mark.parametrize("by", [25 * HOUR, -25 * HOUR])
async def test_a_question_is_over_when_either_clock_says_so(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock, by: float, clocks: Clocks
) -> None:
    wrong = Wrong(clock)
    async with machine(wrong, policy='approval = "page"') as ours:
        asked = entry_of(await place(ours, intent()))
        wrong.by = by
        clock.pass_seconds(2 * clocks.approval_seconds + 60)
        with pytest.raises(RefusedError):
            await decide(ours, yes(asked, how="terminal"))
    assert not zinc.posts


async def test_an_answer_that_was_lost_is_not_sent_again_later_than_zinc_allows(
    machine: OpenProcess, zinc: FakeZinc, clock: HandClock, clocks: Clocks
) -> None:
    wrong = Wrong(clock)
    zinc.script = ["lose_before", "lose_before"]
    async with machine(wrong, live=False, policy="", clocks=dataclasses.replace(clocks, answer_seconds=1.0)) as ours:
        assert await code_of(ours, intent()) == "unknown"
        sent = len(zinc.posts)
        clock.pass_seconds(3 * HOUR)
        wrong.by = -3 * HOUR + 60  # set back meanwhile: by this clock a minute has gone by
        assert await code_of(ours, intent()) == "unknown"
        assert len(zinc.posts) == sent
