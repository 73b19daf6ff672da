"""Carrying an attempt to its end in a task of the process, even if something fails on the way.

It is the same for an order and for a change of one: each waiting call is told how it ended, and an ending that could
not be written down stays in doubt.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from zinc_mcp.errors import JournalError, ZincMcpError
from zinc_mcp.journal.records.clocks import FREE
from zinc_mcp.journal.records.entry import StaleEntryError
from zinc_mcp.process import Attempt, Process
from zinc_mcp.spending.outcome import end, settle

logger = logging.getLogger(__name__)


async def carry(
    process: Process,
    attempt: Attempt,
    steps: Callable[[], Awaitable[None]],
    *,
    sent: str,
    crashed: Callable[[], ZincMcpError],
    moves_money: bool,
) -> None:
    """Run the steps of an attempt to their end, and tell the calls that wait.

    Args:
        process: what this process shares.
        attempt: the entry that is being sent.
        steps: send it, and write down what the answer proves.
        sent: the sentence that it was sent, without its full stop.
        crashed: makes the error to tell if our own code fails.
        moves_money: whether it may buy something.
    """
    try:
        with anyio.CancelScope(shield=True):
            await steps()
    except JournalError as error:
        attempt.error = await _told(process, attempt, error, sent, moves_money=moves_money)
        with suppress(JournalError):  # the next work that succeeds frees the entries that were marked and never sent
            await process.journal.run(lambda journal: None)
    except ZincMcpError as error:
        attempt.error = error
    except StaleEntryError as stale:
        attempt.entry = stale.current
    except Exception:
        # Our crash must not end the process with other requests in flight. The entry stays in doubt, as the journal has
        # it, and each waiting call is told so.
        logger.exception("sending %s crashed", attempt.entry.key)
        attempt.error = crashed()
    finally:
        process.attempts.pop(attempt.entry.id, None)
        attempt.done.set()


async def leave_in_doubt(process: Process, attempt: Attempt) -> None:
    """Let other processes look up an entry that is still in doubt after the last step."""
    if attempt.entry.state == "unknown":
        await settle(process, attempt, "unknown", "left in doubt", **FREE)


async def _told(
    process: Process, attempt: Attempt, error: JournalError, sent: str, *, moves_money: bool
) -> ZincMcpError:
    """Return the error to tell after the journal failed here; if nothing has left, the entry ends as refused."""
    if attempt.left or error.is_told:
        return error.in_doubt(sent, attempt.entry.key, moves_money=moves_money)
    try:
        what = "the journal failed before anything was sent"
        await end(process, attempt, "refused", what, error.before_sending(), unsent=True)
    except JournalError as still:
        return still
    return attempt.error or error.before_sending()
