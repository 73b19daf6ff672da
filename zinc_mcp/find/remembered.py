"""The answer to a question that was asked before, or is being asked just now, by any process on the journal."""

from typing import Any

import anyio

from zinc_mcp.errors import ZincUnreachableError
from zinc_mcp.find.failures import refused_before, unanswered_before
from zinc_mcp.find.question import Found, kept_answer
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.process import Process
from zinc_mcp.zinc.find.products import DataCall


async def await_answer(process: Process, call: DataCall[Any], entry: Entry) -> Found[Any]:
    """Return the answer that an entry keeps, waiting as long as its process may still be asking.

    Raises:
        UnreadableAnswerError: no answer came, which counts as paid, or Zinc refused it, which cost nothing.
        ZincUnreachableError: the question was not sent.
    """
    while entry.state == "sending" and process.leases.is_held(entry):
        await anyio.sleep(process.clocks.peek_seconds)
        entry = await process.journal.read(entry.id)
    age = max(0.0, process.times.clock() - entry.opened_at)
    answer = kept_answer(call, entry)
    if answer is not None:
        return Found(answer, 0, age)
    if entry.state == "rejected":
        raise refused_before(age)
    if entry.state == "refused":
        raise ZincUnreachableError("The same question was being asked by another call, and was not sent.")
    raise unanswered_before(age)
