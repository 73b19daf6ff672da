"""A member who is removed, or may only look from now on, buys nothing more, also by a yes that was given before."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import HandClock, OpenProcess
from deciding import yes
from fake_zinc import FakeZinc
from wanted import intent, order

from zinc_mcp.checkout.deciding.approved import send_all_approved
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.consent.approval import is_approved
from zinc_mcp.decisions import decide
from zinc_mcp.errors import AnotherServerError, RefusedError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.members import Members, add_member, change_member, members_callers, remove_member, rotate_member
from zinc_mcp.owner.team.places import MembersCopy, MembersTable, let_in
from zinc_mcp.process import Process

GONE = "ada is no member of the team any more, so nothing was sent."
READER = "ada may only look and not order any more, so nothing was sent."
ASKING = '[policy]\napproval = "page"\n'


@dataclass(frozen=True)
class Team:
    """The members ada and ben: in the file of the home, or in a journal on PostgreSQL."""

    journal: str | None
    members: Members
    file: Path
    clock: HandClock

    def change(self, change: Callable[..., object], *given: object, is_heard: bool = True) -> None:
        """Change the members; `is_heard`: this server hears of it."""
        if self.journal is None:
            change(self.file, *given)
            return
        with Journal.open(self.journal, clock=self.clock) as journal:
            change(MembersTable(journal), *given)
            if is_heard and self.members.copy is not None:
                self.members.copy.take(journal.team(), 0.0)

    def caller(self, name: str) -> str:
        if self.journal is None:
            return members_callers(self.file)[name]
        with Journal.open(self.journal, clock=self.clock) as journal:
            return members_callers(MembersTable(journal))[name]


def removed(place: Path | MembersTable) -> None:
    remove_member(place, "ada")


def made_a_reader(place: Path | MembersTable) -> None:
    change_member(place, "ada", role="read")


CHANGES = [(removed, GONE), (made_a_reader, READER)]


@pytest.fixture(params=["file", "journal"])
def team(request: pytest.FixtureRequest, home: Path, clock: HandClock, write_config: Callable[[str], Path]) -> Team:
    write_config(ASKING)
    file = home / "members.json"
    if request.param == "file":
        made = Team(None, Members(file), file, clock)
    else:
        make_database: Callable[..., str] = request.getfixturevalue("make_database")
        made = Team(make_database(), Members(MembersCopy(lambda: 0.0)), file, clock)
    made.change(add_member, "ada")
    made.change(add_member, "ben")
    return made


async def asked(process: Process, caller: str, number: int = 1) -> Entry:
    """Place an order that waits for a person's yes; return its entry."""
    return entry_of(
        await place(process, intent(caller, products=[{"url": f"https://www.amazon.com/dp/B{number:09d}"}]))
    )


def entry_of(answer: object) -> Entry:
    entry = getattr(answer, "entry", None)
    assert isinstance(entry, Entry)
    return entry


async def approved(open_test_process: OpenProcess, team: Team) -> Entry:
    """Have an order of ada's approved by a process without a way to pay, so that it is not sent."""
    async with open_test_process(journal=team.journal, members=team.members) as process:
        waiting = await asked(process, team.caller("ada"))
    async with open_test_process(journal=team.journal, members=team.members, api_key=None) as page:
        entry = entry_of(await decide(page, yes(waiting), wait_seconds=0))
    assert is_approved(entry)
    return entry


@pytest.mark.parametrize(("change", "told"), CHANGES)
@pytest.mark.parametrize("is_heard", [True, False])
async def test_an_approved_order_of_a_member_who_may_not_order_any_more_is_refused_and_not_sent(
    open_test_process: OpenProcess, zinc: FakeZinc, team: Team, change: Callable[..., None], told: str, is_heard: bool
) -> None:
    entry = await approved(open_test_process, team)
    team.change(change, is_heard=is_heard)
    async with open_test_process(journal=team.journal, members=team.members) as server:
        with suppress(RefusedError):  # unless the process's own sweep is told
            await send_all_approved(server)
        now = await server.journal.read(entry.id)
    assert (now.state, now.counts_cents, (now.problem or {})["summary"]) == ("refused", 0, told)
    assert zinc.posts == []


async def test_an_approved_order_is_sent_after_its_member_got_another_token(
    open_test_process: OpenProcess, zinc: FakeZinc, team: Team
) -> None:
    await approved(open_test_process, team)
    team.change(rotate_member, "ada", is_heard=False)
    async with open_test_process(journal=team.journal, members=team.members) as server:
        await send_all_approved(server)
    assert len(zinc.orders) == 1


@pytest.mark.parametrize(("change", "told"), CHANGES)
async def test_a_yes_to_the_question_of_a_member_who_may_not_order_any_more_ends_it_and_buys_nothing(
    open_test_process: OpenProcess, zinc: FakeZinc, team: Team, change: Callable[..., None], told: str
) -> None:
    async with open_test_process(journal=team.journal, members=team.members) as server:
        waiting = await asked(server, team.caller("ada"))
        bens = await asked(server, team.caller("ben"), 2)
        team.change(change)
        with pytest.raises(RefusedError) as refusal:
            await decide(server, yes(waiting, how="terminal"))
        assert refusal.value.summary == told
        assert (await server.journal.read(waiting.id)).state == "refused"
        assert zinc.posts == []
        await decide(server, yes(bens, how="terminal"))
    assert len(zinc.orders) == 1


@pytest.mark.parametrize(("change", "told"), CHANGES)
async def test_an_order_is_not_sent_if_its_member_is_changed_while_its_process_stands_still_before_the_wire(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    clock: HandClock,
    team: Team,
    change: Callable[..., None],
    told: str,
) -> None:
    def stand_still(step: str) -> None:
        if step == "sending":
            clock.pass_seconds(60)
            team.change(change)

    async with open_test_process(journal=team.journal, members=team.members, checkpoint=stand_still) as server:
        waiting = await asked(server, team.caller("ada"))
        with suppress(RefusedError):  # unless the process's own sweep is told
            await decide(server, yes(waiting, how="terminal"))
        now = await server.journal.read(waiting.id)
    assert (now.state, (now.problem or {})["summary"]) == ("refused", told)
    assert zinc.posts == []


@pytest.mark.parametrize("step", ["approved", "signing", "signed"])
async def test_a_wallet_pays_for_no_order_of_a_member_who_is_removed_before_the_payment_leaves(
    open_test_process: OpenProcess, zinc: FakeZinc, team: Team, step: str
) -> None:
    def at(reached: str) -> None:
        if reached == step and "ada" in still:
            still.clear()
            team.change(removed)

    still = ["ada"]
    wallet = {"api_key": None, "wallet": "sandbox"}
    async with open_test_process(journal=team.journal, members=team.members, checkpoint=at, **wallet) as server:
        waiting = entry_of(await place(server, Intent(team.caller("ada"), "agent", order())))
        with suppress(RefusedError):  # unless the process's own sweep is told
            await decide(server, yes(waiting, how="terminal"))
        now = await server.journal.read(waiting.id)
    assert (now.state, now.counts_cents, (now.problem or {})["summary"]) == ("refused", 0, GONE)
    assert zinc.orders == {}


@pytest.mark.parametrize("team", ["file"], indirect=True)
@pytest.mark.parametrize("change", [removed, made_a_reader])
async def test_with_members_in_a_file_a_change_in_the_middle_of_a_call_counts_for_it(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    team: Team,
    change: Callable[..., None],
    write_config: Callable[[str], Path],
) -> None:
    write_config('[policy]\napproval = "none"\n')
    ada = team.caller("ada")
    async with open_test_process(members=team.members) as server:
        with let_in(ada, team.members.mark_of(ada)):
            await place(server, intent(ada))
            assert len(zinc.orders) == 1
            team.change(change)
            with pytest.raises(RefusedError, match="have just changed"):
                await place(server, intent(ada, products=[{"url": "https://www.amazon.com/dp/B000000002"}]))
    assert len(zinc.orders) == 1


async def test_a_process_that_serves_no_team_leaves_the_order_of_somebody_it_does_not_know_to_the_teams_server(
    open_test_process: OpenProcess, zinc: FakeZinc, team: Team
) -> None:
    entry = await approved(open_test_process, team)
    team.change(removed)
    async with open_test_process(journal=team.journal) as owners_own:
        await send_all_approved(owners_own)
        assert is_approved(await owners_own.journal.read(entry.id))
    assert zinc.posts == []


@pytest.mark.parametrize("name", ["members.json", "elsewhere.json"])
async def test_a_process_that_serves_no_team_sends_nothing_for_the_only_member_of_a_file_once_they_are_removed(
    open_test_process: OpenProcess,
    zinc: FakeZinc,
    home: Path,
    clock: HandClock,
    write_config: Callable[[str], Path],
    name: str,
) -> None:
    write_config(ASKING)
    team = Team(None, Members(home / name), home / name, clock)
    team.change(add_member, "ada")
    entry = await approved(open_test_process, team)
    team.change(removed)
    async with open_test_process() as owners_own:
        await send_all_approved(owners_own)
        assert is_approved(await owners_own.journal.read(entry.id))
    assert zinc.posts == []


async def test_a_yes_in_a_process_that_serves_no_team_to_the_question_of_somebody_it_does_not_know_is_not_taken(
    open_test_process: OpenProcess, zinc: FakeZinc, team: Team
) -> None:
    async with open_test_process(journal=team.journal, members=team.members) as server:
        waiting = await asked(server, team.caller("ada"))
        bens = await asked(server, team.caller("ben"), 2)
    team.change(removed)
    async with open_test_process(journal=team.journal) as owners_own:
        with pytest.raises(AnotherServerError, match=r"does not know ada as a member .* the question still stands"):
            await decide(owners_own, yes(waiting, how="terminal"))
        assert (await owners_own.journal.read(waiting.id)).state == "waiting"
        await decide(owners_own, yes(bens, how="terminal"))
    assert len(zinc.orders) == 1
