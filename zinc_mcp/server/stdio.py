"""The server on stdin and stdout, for one host. Nothing but the protocol reaches stdout."""

from __future__ import annotations

import gc
import io
import os
import select
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from zinc_mcp.owner.settings import Settings

if TYPE_CHECKING:
    from zinc_mcp.process import Process
    from zinc_mcp.server.mcp.server import Server

Opener = Callable[[Settings], "AbstractAsyncContextManager[Process]"]


def run(settings: Settings, opener: Opener | None = None) -> None:
    """Serve until the host closes stdin or a signal says stop; an order on the wire is finished first.

    Args:
        settings: what the owner configured.
        opener: opens the process in another way than `open_process`, as a fault campaign does.

    Raises:
        SettingsError, RefusedError: if what the owner configured cannot be used.
    """
    # What is loaded from here on stays: until it is, looking for garbage among it only keeps the host waiting.
    gc.disable()
    import anyio

    from zinc_mcp.server.mcp.server import log_to_stderr

    log_to_stderr()
    try:
        anyio.run(_serve, settings, opener)
    except* (BrokenPipeError, ConnectionResetError):
        pass  # the host is gone and nobody reads any more
    finally:
        gc.enable()
        # What was printed and never flushed would otherwise reach the wire when the interpreter exits.
        with suppress(OSError):
            os.dup2(2, 1)


async def _serve(settings: Settings, opener: Opener | None) -> None:
    from zinc_mcp.server.mcp.server import build_server
    from zinc_mcp.server.pages.browser import page_beside
    from zinc_mcp.wiring import open_process

    async with (opener or open_process)(settings) as process, page_beside(process) as page:
        server = build_server(process, page)
        gc.freeze()
        gc.enable()
        if sys.platform == "win32":
            await _on(sys.stdin.buffer, server)
        else:
            await _until_a_signal(server)


async def _on(source: BinaryIO, server: Server) -> None:
    from zinc_mcp.server.eras import served_in_either_era
    from zinc_mcp.server.lines import messages_on

    async with messages_on(source) as (messages, answers):
        await served_in_either_era(server.serve_streams, messages, answers)


async def _until_a_signal(server: Server) -> None:
    """Serve, and take SIGTERM and SIGINT for the end of stdin."""
    import anyio

    with (
        _stdin_with_an_end() as (source, end),
        anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
    ):

        async def listen() -> None:
            async for _ in signals:
                end()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await _on(source, server)
            tasks.cancel_scope.cancel()


@contextmanager
def _stdin_with_an_end() -> Generator[tuple[BinaryIO, Callable[[], object]]]:
    """Give a stdin, and what ends it.

    It is read in a thread that no cancellation reaches: without this a signal would wait for the host's next line.
    Descriptor 0 itself is pointed at nothing, so that no child eats the protocol.
    """
    descriptor = os.dup(sys.stdin.fileno())
    nothing = os.open(os.devnull, os.O_RDONLY)
    woken, wake = os.pipe()
    try:
        os.dup2(nothing, 0)
        yield io.BufferedReader(_Ending(descriptor, woken), 64 * 1024), lambda: os.write(wake, b".")
    finally:
        for each in (descriptor, nothing, woken, wake):
            os.close(each)


class _Ending(io.RawIOBase):
    """Reads `source` until it ends or `woken` has something to read."""

    def __init__(self, source: int, woken: int) -> None:
        super().__init__()
        self._source = source
        self._woken = woken

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        ready, _, _ = select.select([self._source, self._woken], [], [])
        if self._woken in ready:
            return 0
        read = os.read(self._source, len(buffer))
        buffer[: len(read)] = read
        return len(read)
