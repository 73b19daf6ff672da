"""The process behind a server on stdio, opened at its first need.

Hosts start every server that they know and list its tools, also if nobody buys anything. Until the first call, the
server loads no checkout, opens no journal and connects to nobody.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import anyio

from zinc_mcp.errors import RefusedError, ZincMcpError
from zinc_mcp.owner.settings import Settings

if TYPE_CHECKING:
    from zinc_mcp.process import Process
    from zinc_mcp.server.mcp.tools.tool import Service
    from zinc_mcp.telemetry.watch import Watch

Opener = Callable[..., "AbstractAsyncContextManager[Process]"]
"""Opens a process by its settings and `watch`, as `wiring.open_process` does."""
SOON_SECONDS = 2.0
"""A process with work of its own is opened after this time: by then the list of tools has been sent."""


class Opening:
    """Opens a process and its approval page, and keeps both open until `end`."""

    def __init__(self, settings: Settings, opener: Opener | None = None, watch: "Watch | None" = None) -> None:
        """Prepare; nothing is opened yet.

        Args:
            settings: the owner's settings.
            opener: opens the process in another way than `open_process`.
            watch: is told of what happens in the process.
        """
        self._settings = settings
        self._opener = opener
        self._watch = watch
        self._wanted = anyio.Event()
        self._settled = anyio.Event()
        self._end = anyio.Event()
        self._service: Service | None = None
        self._failure: ZincMcpError = RefusedError("The server is ending, so nothing was done.")

    async def service(self) -> "Service":
        """Return the objects that the tools share; open the process if it is not open.

        Raises:
            SettingsError, RefusedError: it cannot be opened. The next call tries again.
        """
        if self._service is None:
            settled = self._settled
            self._wanted.set()
            await settled.wait()
        if self._service is None:
            raise self._failure
        return self._service

    async def run(self) -> None:
        """Open the process when it is needed, and return when it has ended."""
        by_itself = self._settings.notify is not None or self._settings.wallet is not None
        with anyio.move_on_after(SOON_SECONDS if by_itself else None):
            await self._wanted.wait()
        while not self._end.is_set():
            self._wanted = anyio.Event()
            try:
                await self._keep_open()
            except ZincMcpError as error:
                if self._service is not None:
                    raise
                self._failure = error
                self._settled.set()
                self._settled = anyio.Event()
                await self._wanted.wait()
        self._settled.set()

    def end(self) -> None:
        """Close the process if it is open; `run` returns when that is done."""
        self._end.set()
        self._wanted.set()

    async def _keep_open(self) -> None:
        from zinc_mcp.server.mcp.server import service_of
        from zinc_mcp.server.pages.browser import page_beside
        from zinc_mcp.wiring import open_process

        opened = (self._opener or open_process)(self._settings, watch=self._watch)
        async with opened as process, page_beside(process) as page:
            self._service = service_of(process, page)
            self._settled.set()
            await self._end.wait()
