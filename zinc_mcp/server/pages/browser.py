"""The approval page in the person's own browser, on the machine this process runs on.

The secret that opens the page stands in a file that only its owner can read, and is sent by a POST: never in an
argument, which every user of the machine can list, and never in a URL, which browsers and proxies remember.
"""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.team.member import LOCAL
from zinc_mcp.private_files import make_folder, open_file
from zinc_mcp.server.mcp.asking import Page, Terminal, in_a_terminal, on_the_page
from zinc_mcp.server.pages.visits import SECRET_SECONDS, Visits

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from zinc_mcp.process import Process

SHOW_SECONDS = 3.0
"""The longest time to start a browser; one that is still busy then is taken for open."""
AGAIN_SECONDS = 60.0
"""A window that was opened and has shown nothing after this time is taken for lost."""
OPEN_SECONDS = 120.0
"""A window that was not used for this long counts as closed or out of sight, and the next question opens another one.
So a model that asks much opens at most one window every two minutes."""

END_SECONDS = 5.0
"""The longest time for the page to end with its process; then it is cut off."""

Show = Callable[[Path], bool]
"""Opens a file in the person's browser; False when that did not work."""

_SHOW = "import sys, webbrowser; sys.exit(0 if webbrowser.open(sys.argv[1]) else 1)"
_FILES = "approve-*.html"


class BrowserPage:
    """Shows the owner's questions in a browser, and tells members where to find their own."""

    def __init__(
        self, process: "Process", visits: Visits, base: Callable[[], Awaitable[str]], *, show: Show | None = None
    ) -> None:
        """Remember how to reach the person.

        Args:
            process: gives the home for the file.
            visits: makes the secrets.
            base: returns the origin of the page, and serves the page first if it is not served yet.
            show: opens the file; by default the browser of this desktop, where there is one and the owner allows it.
        """
        self._settings = process.settings
        self._clock = process.times.clock
        self._stopping = process.stopping
        self._visits = visits
        self._base = base
        allowed = process.settings.browser and has_desktop(os.environ)
        self._show = show or (show_in_browser if allowed else None)
        self._one = anyio.Lock()
        self._opened_at: float | None = None
        self._files: dict[Path, float] = {}

    async def address(self, entry: Entry) -> str | None:
        """Return the address of the page of an order; None for an owner whose browser cannot be opened from here.

        It lets nobody in: members sign in, and the owner's window comes from the file, as always.
        """
        if entry.caller == LOCAL and self._show is None:
            return None
        try:
            return await self._address(entry)
        except OSError:
            return None

    async def offer(self, entry: Entry) -> str:
        """See that the person has a window with the page, and return a sentence that says where they can decide.

        The owner's window is of no use once the process is told to stop: no other one serves it.
        """
        if entry.caller != LOCAL:
            return on_the_page(self._settings, entry, await self._address(entry))
        if self._show is None or self._stopping.is_set():
            return await Terminal().offer(entry)
        async with self._one:  # of two questions at once, the second finds the window of the first
            already = self._is_open()
            if not already and not await self._opened(entry, self._show):
                return await Terminal().offer(entry)
        where = "tell them to look there"
        if already:
            where += ", and to press “Look again” if they do not see this order"
        return (
            f"The page where the user decides is open in their browser; {where}. Without it they can run "
            f"{in_a_terminal(entry)} in a terminal of their own."
        )

    def forget(self) -> None:
        """Remove every file that may still open a page."""
        for path in list(self._files):
            self._remove(path)

    def _is_open(self) -> bool:
        if self._visits.is_used(OPEN_SECONDS):
            return True
        # The browser may take a while.
        return self._opened_at is not None and 0 <= self._clock() - self._opened_at < AGAIN_SECONDS

    async def _opened(self, entry: Entry, show: Show) -> bool:
        try:
            path = await self._written(entry)
        except OSError:
            return False
        if not await anyio.to_thread.run_sync(show, path, abandon_on_cancel=True):
            self._remove(path)
            return False
        self._opened_at = self._clock()
        return True

    async def _address(self, entry: Entry) -> str:
        from zinc_mcp.server.pages.approval import address_of

        return address_of(await self._base(), entry.id)

    async def _written(self, entry: Entry) -> Path:
        from zinc_mcp.server.pages.documents import opener

        address = await self._address(entry)
        path = self._settings.home / _FILES.replace("*", secrets.token_hex(8))
        document = opener(address, self._visits.make_secret(lambda: self._remove(path)))
        for old, until in list(self._files.items()):
            if time.monotonic() > until:
                self._remove(old)
        await anyio.to_thread.run_sync(_write, path, document)
        self._files[path] = time.monotonic() + SECRET_SECONDS
        return path

    def _remove(self, path: Path) -> None:
        self._files.pop(path, None)
        with suppress(OSError):
            path.unlink(missing_ok=True)


@asynccontextmanager
async def page_beside(process: "Process", *, show: Show | None = None) -> AsyncGenerator[Page]:
    """Give a page for a process that serves no HTTP itself: it is served on loopback from the first question on."""
    async with anyio.create_task_group() as tasks:
        visits = Visits(process.times.clock)
        serving = _OwnServer(process, visits, tasks)
        page = BrowserPage(process, visits, serving.base, show=show)
        tasks.start_soon(_tidied, process.settings.home)
        try:
            yield page
        finally:
            page.forget()
            serving.stop()
            # The process ends even if the page cannot.
            tasks.cancel_scope.deadline = anyio.current_time() + END_SECONDS


def has_desktop(environ: Mapping[str, str]) -> bool:
    """Say whether the person would see a browser that is opened here."""
    given = {name for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY") if environ.get(name)}
    if environ.get("SSH_CONNECTION"):
        # The person's screen is at another machine, unless it is forwarded.
        return "DISPLAY" in given
    return sys.platform in ("win32", "darwin") or bool(given)


def show_in_browser(path: Path) -> bool:
    """Open a file in the person's browser.

    It is opened in a child process, so that nothing a browser prints reaches the protocol, and it inherits no secrets.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_") and name != "TERM"}
    try:
        child = subprocess.Popen(  # noqa: S603  # our own interpreter
            [sys.executable, "-I", "-c", _SHOW, path.as_uri()],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        return child.wait(SHOW_SECONDS) == 0
    except subprocess.TimeoutExpired:
        # Without this wait it would stay in the machine's list of processes for as long as we run.
        threading.Thread(target=child.wait, name="browser", daemon=True).start()
        return True


class _OwnServer:
    """Serves the page on loopback, from its first use on."""

    def __init__(self, process: "Process", visits: Visits, tasks: TaskGroup) -> None:
        self._process = process
        self._visits = visits
        self._tasks = tasks
        self._one = anyio.Lock()
        self._base: str | None = None
        self._stop: Callable[[], None] = lambda: None
        self._has_ended = False

    async def base(self) -> str:
        """Return the origin of the page, serving it from now on."""
        async with self._one:
            if self._base is None:
                from zinc_mcp.server.http.bounded_server import serve_on_loopback

                name, self._stop = await serve_on_loopback(self._tasks, self._app)
                self._base = f"http://{name}"
                if self._has_ended:
                    self._stop()
            return self._base

    def stop(self) -> None:
        """End it, also if it is just being started."""
        self._has_ended = True
        self._stop()

    def _app(self, name: str) -> "ASGIApp":
        from starlette.applications import Starlette

        from zinc_mcp.server.http.requests import Hosts
        from zinc_mcp.server.pages.approval import ApprovalPage

        return Starlette(routes=[ApprovalPage(self._process, Hosts([name], schemes=("http",)), self._visits).route()])


async def _tidied(home: Path) -> None:
    """Remove files that a killed process left. Their secrets have opened nothing since it ended."""
    await anyio.to_thread.run_sync(_tidy, home, abandon_on_cancel=True)


def _tidy(home: Path) -> None:
    with suppress(OSError):
        for path in home.glob(_FILES):
            if time.time() - path.stat().st_mtime > SECRET_SECONDS:
                path.unlink()


def _write(path: Path, document: str) -> None:
    make_folder(path.parent)
    with open(open_file(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY), "w", encoding="utf-8") as file:
        file.write(document)
