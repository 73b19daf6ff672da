"""An order whose commit was cut off on PostgreSQL is free again if it was certainly never sent."""

import re
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import pytest
from conftest import HandClock, OpenProcess
from deciding import no, yes
from fake_zinc import FakeZinc
from journal.test_crash_consistency import place
from journals import entry_of, publish
from wanted import book, intent, order

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.deciding.decide import decide
from zinc_mcp.checkout.place_order import Intent
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import JournalError
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.decision import Decision
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.process import Process


def commits(part: bytes, names: set[bytes]) -> bool:
    """Say whether bytes of a client end a transaction. The statement that ends it may have a name by then.

    The driver gives a statement a name after some uses, and from then on sends the name alone ("Extended Query").
    `names` has those that this connection has given to it so far.
    """
    named = re.findall(rb"(_pg3_\d+)\x00COMMIT\x00", part)
    names.update(named)
    if not named and re.search(rb"COMMIT(?!TED)", part):
        return True
    return any(re.search(rb"B....\x00" + name + rb"\x00", part, re.DOTALL) for name in names)


class Cutting:
    """A proxy to a PostgreSQL server that lets a commit through, takes the answer, and cuts the connection.

    It counts the commits of what a test does. A sweep, which a process does by itself at any time, commits too: its
    transactions name their round, and are cut only where a test wants that.
    """

    def __init__(self, where: str | tuple[str, int]) -> None:
        self._where = where
        self.cuts = 0
        """The number of the next commits that are cut."""
        self.passes = 0
        """The number of commits that go through before the cuts."""
        self.sweeps = 0
        """The number of the next commits of sweeps that are cut."""
        self.is_down = False
        """Whether nobody can connect."""
        self.falls = False
        """Whether the next cut ends all connections, and nobody can connect any more."""
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def go_down(self) -> None:
        """End all connections, and take none, as a server that is stopped."""
        self.is_down = True
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self.is_down:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX if isinstance(self._where, str) else socket.AF_INET)
                server.connect(self._where)
                self._open += [client, server]
                if self.is_down:  # since it was looked at above
                    self.go_down()
                cut = threading.Event()
                for ends in ((client, server, True, cut), (server, client, False, cut)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, to: socket.socket, asks: bool, cut: threading.Event) -> None:
        sweeps = False
        names: set[bytes] = set()
        with suppress(OSError):
            while part := source.recv(65_536):
                sweeps = sweeps or (asks and b"swept-" in part)
                if asks and commits(part, names):
                    if sweeps and self.sweeps > 0:
                        self.sweeps -= 1
                        cut.set()
                    elif sweeps:
                        pass
                    elif self.passes > 0:
                        self.passes -= 1
                    elif self.cuts > 0:
                        self.cuts -= 1
                        cut.set()
                        self.is_down = self.is_down or self.falls
                    sweeps = False
                if not asks and cut.is_set():
                    if self.falls:  # a sweep has a connection of its own
                        self.go_down()
                    break  # the server has answered: it is committed
                to.sendall(part)
        for end in (source, to):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            if not asks:
                end.close()


@pytest.fixture
def behind(make_database: Callable[..., str]) -> Generator[tuple[Cutting, str, str]]:
    """Give the proxy, the journal's address through it, and the address around it."""
    straight = make_database()
    split = urlsplit(straight)
    name = split.path.removeprefix("/")
    folder = parse_qs(split.query).get("host", [None])[0]
    where: str | tuple[str, int]
    if folder is not None:
        port = parse_qs(split.query).get("port", [split.port or 5432])[0]
        where = f"{unquote(folder)}/.s.PGSQL.{port}"
    else:
        where = (split.hostname or "127.0.0.1", split.port or 5432)
    proxy = Cutting(where)
    user = f"{split.username}{f':{split.password}' if split.password else ''}@" if split.username else ""
    yield proxy, f"postgresql://{user}127.0.0.1:{proxy.port}/{name}?sslmode=disable", straight
    proxy.close()


@pytest.fixture
async def by_wallet(open_test_process: OpenProcess, behind: tuple[Cutting, str, str]) -> AsyncGenerator[Process]:
    """Give a process behind the proxy whose orders a wallet pays. Its journal is open, and an order not the first."""
    async with open_test_process(journal=behind[1], api_key=None, wallet="sandbox") as process:
        await publish(process)
        yield process


@pytest.fixture
async def asked(
    open_test_process: OpenProcess, write_config: Callable[[str], object], behind: tuple[Cutting, str, str]
) -> AsyncGenerator[tuple[Process, Entry]]:
    """Give a process behind the proxy, and an entry whose question waits."""
    write_config('[policy]\napproval = "page"\n')
    async with open_test_process(journal=behind[1]) as process:
        yield process, entry_of(await place_order.place(process, intent()))


def seen(address: str, clock: HandClock) -> list[Entry]:
    with Journal.open(address, clock=clock) as journal:
        return journal.entries()


def nothing_was_sent(told: object) -> None:
    assert isinstance(told, JournalError), told
    assert "Nothing was sent." in told.summary
    assert not told.money_may_have_moved


async def test_an_order_whose_opening_was_committed_unheard_is_free_again(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, behind: tuple[Cutting, str, str]
) -> None:
    proxy, address, straight = behind
    async with open_test_process(journal=address) as process:
        entry_of(await place_order.place(process, intent()))
        proxy.cuts = 1
        nothing_was_sent(await place(process, intent(products=book(2))))
        [lost, _] = seen(straight, clock)
        assert (lost.state, lost.counts_cents) == ("refused", 0), "freed at the next good connection"
        assert entry_of(await place_order.place(process, intent(products=book(2)))).state == "accepted"
        assert len(zinc.orders) == 2


async def test_an_entry_that_could_not_be_freed_is_freed_when_the_process_ends(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, behind: tuple[Cutting, str, str]
) -> None:
    proxy, address, straight = behind
    async with open_test_process(journal=address) as process:
        entry_of(await place_order.place(process, intent()))
        proxy.cuts = 3
        nothing_was_sent(await place(process, intent(products=book(3))))
        proxy.cuts = 0
    assert [entry.counts_cents for entry in seen(straight, clock)] == [0, 5100]
    assert len(zinc.posts) == 1


@pytest.mark.parametrize(("passes", "state"), [(0, "refused"), (1, "refused"), (2, "refused")])
async def test_a_paid_order_whose_marking_was_committed_unheard_asks_no_wallet_and_is_free_again(
    by_wallet: Process,
    zinc: FakeZinc,
    clock: HandClock,
    behind: tuple[Cutting, str, str],
    passes: int,
    state: str,
) -> None:
    proxy, _, straight = behind
    proxy.passes, proxy.cuts = passes, 1
    nothing_was_sent(await place(by_wallet, Intent("local", "agent", order())))
    [lost] = seen(straight, clock)
    assert (lost.state, lost.counts_cents) == (state, 0)
    assert zinc.settlements == []
    assert entry_of(await place_order.place(by_wallet, Intent("local", "agent", order()))).state == "accepted"
    assert len(zinc.settlements) == len(zinc.orders) == 1


async def test_a_payment_whose_writing_was_committed_unheard_does_not_leave_and_is_not_kept(
    by_wallet: Process, zinc: FakeZinc, clock: HandClock, behind: tuple[Cutting, str, str]
) -> None:
    proxy, _, straight = behind
    proxy.passes, proxy.cuts = 3, 1
    told = entry_of(await place_order.place(by_wallet, Intent("local", "agent", order())))
    assert (told.state, told.counts_cents) == ("refused", 0)
    assert zinc.settlements == []
    with Journal.open(straight, clock=clock) as journal:
        payment = journal.payment(told.id)
    assert payment is not None
    assert payment.credential is None
    assert entry_of(await place_order.place(by_wallet, Intent("local", "agent", order()))).state == "accepted"
    assert len(zinc.settlements) == len(zinc.orders) == 1


async def test_a_paid_order_whose_second_sending_was_committed_unheard_keeps_its_credential(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, behind: tuple[Cutting, str, str]
) -> None:
    proxy, address, straight = behind
    zinc.script = ["lose_before"]

    def at(passed: str) -> None:
        if passed == "answered":
            proxy.passes, proxy.cuts = 1, 1  # that there was no answer, and that it is sent again

    async with open_test_process(journal=address, api_key=None, wallet="sandbox", checkpoint=at) as process:
        await publish(process)
        told = entry_of(await place_order.place(process, Intent("local", "agent", order())))
        assert (told.state, told.counts_cents, proxy.cuts) == ("unknown", 5100, 0)
        assert zinc.settlements == []
        with Journal.open(straight, clock=clock) as journal:
            payment = journal.payment(told.id)
        assert payment is not None
        assert payment.credential is not None, "it has left once, and may still be settled"
        assert entry_of(await place_order.place(process, Intent("local", "agent", order()))).state == "accepted"
    assert len(zinc.settlements) == len(zinc.orders) == 1


async def test_an_order_whose_acceptance_was_committed_unheard_is_told_as_accepted_and_written_down_once(
    open_test_process: OpenProcess, zinc: FakeZinc, clock: HandClock, behind: tuple[Cutting, str, str]
) -> None:
    proxy, address, straight = behind
    async with open_test_process(journal=address) as process:
        entry_of(await place_order.place(process, intent()))
        proxy.passes, proxy.cuts = 1, 1
        placed = entry_of(await place_order.place(process, intent(products=book(2))))
        assert (placed.state, proxy.cuts) == ("accepted", 0)
    with Journal.open(straight, clock=clock) as journal:
        assert [each.state for each in journal.events(placed.id)] == ["waiting", "sending", "accepted"]
    assert len(zinc.orders) == 2


@pytest.mark.parametrize("answer", [yes, no])
async def test_a_decision_that_was_committed_unheard_is_taken_as_it_was_given(
    asked: tuple[Process, Entry],
    zinc: FakeZinc,
    clock: HandClock,
    behind: tuple[Cutting, str, str],
    answer: Callable[[Entry], Decision],
) -> None:
    proxy, _, straight = behind
    process, waiting = asked
    proxy.cuts = 1
    decided = entry_of(await decide(process, answer(waiting)))
    assert (decided.state, proxy.cuts) == ("accepted" if answer is yes else "declined", 0)
    assert [each.state for each in seen(straight, clock)] == [decided.state]
    assert len(zinc.orders) == (answer is yes)


async def test_calls_while_the_database_is_down_are_told_so_and_go_on_when_it_is_back(
    open_test_process: OpenProcess, zinc: FakeZinc, behind: tuple[Cutting, str, str]
) -> None:
    proxy, address, _ = behind
    async with open_test_process(journal=address) as process:
        placed = entry_of(await place_order.place(process, intent()))
        proxy.go_down()
        told = await place(process, intent(products=book(2)))
        assert isinstance(told, JournalError) and not told.money_may_have_moved, told
        for sentence in (
            "database cannot be reached.",
            "Nothing was sent by this call.",
            "Whether an earlier call has ordered the same cannot be looked up now.",
        ):
            assert sentence in told.summary
        with pytest.raises(JournalError, match="database cannot be reached"):
            await look(process, "local", placed.key)
        proxy.is_down = False
        assert entry_of(await look(process, "local", placed.key)).order_id == placed.order_id
        assert entry_of(await place_order.place(process, intent(products=book(2)))).state == "accepted"
    assert len(zinc.orders) == len(zinc.posts) == 2


@pytest.mark.parametrize("answer", [yes, no])
async def test_a_decision_of_which_nobody_can_read_whether_it_was_committed_is_told_as_a_doubt_and_settles_later(
    asked: tuple[Process, Entry],
    zinc: FakeZinc,
    clock: HandClock,
    behind: tuple[Cutting, str, str],
    answer: Callable[[Entry], Decision],
) -> None:
    proxy, _, straight = behind
    process, waiting = asked
    proxy.cuts, proxy.falls = 1, True
    with pytest.raises(JournalError) as told:
        await decide(process, answer(waiting))
    assert proxy.cuts == 0
    assert ("The answer was yes" in told.value.summary) == (answer is yes), told.value.summary
    assert told.value.money_may_have_moved == (answer is yes)
    [entry] = seen(straight, clock)
    assert entry.state == ("waiting" if answer is yes else "declined"), "it was committed"
    proxy.is_down = False
    process.asked.set()
    while answer is yes and seen(straight, clock)[0].state != "accepted":
        await anyio.sleep(0.02)
    assert [each.state for each in seen(straight, clock)] == ["accepted" if answer is yes else "declined"]
    assert len(zinc.orders) == (answer is yes)
