"""A relay on loopback that adds our server's token, because the suite cannot send one.

It changes two things in the head of a request. It adds the header `Authorization`. If `Host` or `Origin` ends with the
relay's own port, it writes the server's port instead, as if the caller had called the server itself. It does not change
the name in them, so that a scenario about DNS rebinding meets the server's own check of names. It passes answers on
unchanged.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_MOST_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_NAMES = ("host", "origin")


@asynccontextmanager
async def relayed(port: int, token: str) -> AsyncGenerator[int]:
    """Listen on a free port of 127.0.0.1 for the server on `port`, and give that free port."""
    passing: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(reader, writer, port, token))
        passing.add(task)
        task.add_done_callback(passing.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=_MOST_HEAD_BYTES)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


def authorized(head: bytes, own: int, port: int, token: str) -> bytes:
    """Return the head of a request with the token and the server's port."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    passed = [first, f"Authorization: Bearer {token}".encode()]
    for line in lines:
        name = line.partition(b":")[0].strip().lower().decode("latin-1")
        ending = f":{own}".encode()
        if name in _NAMES and line.rstrip().endswith(ending):
            line = line.rstrip().removesuffix(ending) + f":{port}".encode()
        passed.append(line)
    return b"\r\n".join(passed) + b"\r\n\r\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, token: str) -> None:
    own = int(writer.get_extra_info("sockname")[1])
    writers, tasks = [writer], list[asyncio.Task[None]]()
    try:
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        writers.append(ours)
        tasks.append(asyncio.create_task(_requests(reader, ours, own, port, token)))
        tasks.append(asyncio.create_task(_copied(theirs, writer)))
        # The first side that closes ends both: the suite leaves streams, and a server ends connections.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except OSError:
        pass  # the caller sees that its connection ends
    finally:
        for task in tasks:
            task.cancel()
        for each in writers:
            each.close()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _requests(reader: asyncio.StreamReader, to: asyncio.StreamWriter, own: int, port: int, token: str) -> None:
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        to.write(authorized(head, own, port, token))
        told = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        }
        if told.get(b"transfer-encoding", b"").lower() == b"chunked":
            while True:
                line = await reader.readuntil(b"\r\n")
                size = int(line.partition(b";")[0], 16)
                to.write(line + await reader.readexactly(size + 2))
                if not size:
                    break
        else:
            to.write(await reader.readexactly(int(told.get(b"content-length", b"0"))))
        await to.drain()


async def _copied(reader: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        to.write(piece)
        await to.drain()
