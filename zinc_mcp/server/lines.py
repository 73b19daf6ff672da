"""One message a line on stdin and stdout, for the SDK's server: bounded, and none without the answer it is owed."""

import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import BinaryIO

import anyio
import anyio.to_thread
from anyio.abc import ObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from zinc_mcp.server.eras import Incoming, Outgoing
from zinc_mcp.server.message_bounds import MOST_MESSAGE_BYTES
from zinc_mcp.server.messages import GLIMPSED_BYTES, Read, read_message, too_large

_CHUNK_BYTES = 64 * 1024


@asynccontextmanager
async def messages_on(source: BinaryIO) -> AsyncGenerator[tuple[Incoming, Outgoing]]:
    """Give the messages that come as lines of `source`, and a stream whose messages go to stdout.

    The SDK writes, with descriptor 1 turned away from everything else (mcp 2.3, `stdio_server`). It does not read: it
    drops what it cannot parse without an answer, and takes lines of any size.
    """
    async with (
        stdio_server(stdin=anyio.wrap_file(io.StringIO())) as (unused, answers),
        anyio.create_task_group() as tasks,
    ):
        send, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        await unused.aclose()
        tasks.start_soon(_read, source, send, answers)
        yield messages, answers
        tasks.cancel_scope.cancel()


async def _read(source: BinaryIO, messages: ObjectSendStream[SessionMessage | Exception], answers: Outgoing) -> None:
    try:
        async with messages:
            while (read := await anyio.to_thread.run_sync(next_message, source)) is not None:
                if read.message is not None:
                    await messages.send(SessionMessage(read.message))
                for refusal in read.refusals:
                    await answers.send(SessionMessage(refusal))
    except (anyio.ClosedResourceError, anyio.BrokenResourceError):
        await anyio.lowlevel.checkpoint()  # the server has ended


def next_message(source: BinaryIO) -> Read | None:
    """Read the next line, which ends with a line feed and nothing else; None at the end."""
    line = source.readline(MOST_MESSAGE_BYTES + 1)
    if not line:
        return None
    if len(line) <= MOST_MESSAGE_BYTES or line.endswith(b"\n"):
        return read_message(line)
    head, tail = line[:GLIMPSED_BYTES], line[-GLIMPSED_BYTES:]
    while line and not line.endswith(b"\n"):
        line = source.readline(_CHUNK_BYTES)
        tail = (tail + line)[-GLIMPSED_BYTES:]
    return too_large(head, tail)
