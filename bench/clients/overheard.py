"""Records the messages of a client to a server, to know the revision of the protocol that the two speak.

`python -m bench.clients.overheard FILE WORD...` runs `python WORD...`, hands stdin on to it, and adds it to FILE.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

_PIECE_BYTES = 64 * 1024
_HANDSHAKE = re.compile(rb'"method"\s*:\s*"initialize"')
_OFFERED = re.compile(rb'"protocolVersion"\s*:\s*"(\d{4}-\d\d-\d\d)"')
_NAMED = re.compile(rb'"io\.modelcontextprotocol/protocolVersion"\s*:\s*"(\d{4}-\d\d-\d\d)"')


def spoken(heard: bytes) -> str:
    """Return the revision that a client spoke, or an empty text if it named none.

    A handshake names it, and our server takes each revision that a client here offers. Without a handshake each request
    names it.
    """
    named = (_OFFERED if _HANDSHAKE.search(heard) else _NAMED).search(heard)
    return "" if named is None else named[1].decode()


@asynccontextmanager
async def overheard(port: int) -> AsyncGenerator[tuple[int, bytearray]]:
    """Listen on a free port for the server on `port`; give that port, and all bytes that clients send."""
    heard = bytearray()
    passing: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_pass_on(reader, writer, port, heard))
        passing.add(task)
        task.add_done_callback(passing.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1]), heard
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, heard: bytearray) -> None:
    own = int(writer.get_extra_info("sockname")[1])
    host = re.compile(rb"(\r\nhost: *127\.0\.0\.1:)%d\r\n" % own, re.IGNORECASE)

    def to_server(piece: bytes) -> bytes:
        heard.extend(piece)
        # The server takes only its own address as `Host`.
        return host.sub(rb"\g<1>%d\r\n" % port, piece)

    theirs, ours = await asyncio.open_connection("127.0.0.1", port)
    copying = [
        asyncio.create_task(_copied(reader, ours, to_server)),
        asyncio.create_task(_copied(theirs, writer, bytes)),
    ]
    try:
        # The first side that closes ends both.
        await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in copying:
            task.cancel()
        for each in (writer, ours):
            each.close()
        await asyncio.gather(*copying, return_exceptions=True)


async def _copied(reader: asyncio.StreamReader, to: asyncio.StreamWriter, change: Callable[[bytes], bytes]) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        to.write(change(piece))
        await to.drain()


def _run(file: Path, words: list[str]) -> int:
    """Run `python` with the words, on our stdout and stderr; return its exit code."""
    with file.open("ab") as written, subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        while piece := os.read(0, _PIECE_BYTES):
            written.write(piece)
            written.flush()
            process.stdin.write(piece)
            process.stdin.flush()
        process.stdin.close()
        return process.wait()


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), sys.argv[2:]))
