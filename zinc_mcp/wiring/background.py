"""The tasks that a process runs beside its calls: it looks up, listens, and tells the owner."""

from __future__ import annotations

import gc
import logging
import time
from functools import cache
from typing import TYPE_CHECKING

import anyio

from zinc_mcp.aftercare.look_up import sweep as sweep_changes
from zinc_mcp.checkout.look_up import sweep
from zinc_mcp.decisions import send_all_approved
from zinc_mcp.errors import RefusedError, ZincMcpError

if TYPE_CHECKING:
    from zinc_mcp.owner.notify import Notify
    from zinc_mcp.process import Process

logger = logging.getLogger(__name__)

_TELLING_STARTS_SECONDS = 15.0


async def keep_sweeping(process: Process) -> None:
    """Look up entries in doubt and send approved ones: when the journal is first used, and then regularly.

    While a question is open, this looks for its answer often, because another process may take the answer.
    """
    await process.journal.used.wait()
    clocks = process.clocks
    due = 0.0
    while True:
        undecided = False
        try:
            if time.monotonic() >= due:
                due = time.monotonic() + clocks.sweep_seconds
                for rail in process.rails.values():
                    await sweep(process, rail)
                    await sweep_changes(process, rail)
            undecided = await send_all_approved(process)
        except RefusedError:
            undecided = True  # this one was refused; others may wait for a decision
        except ZincMcpError:
            pass  # the journal fails: every call says so, and it may work again in the next round
        except Exception as error:  # an unforeseen error must not end the server, now and after each restart
            logger.error("a round of looking up and sending failed (%s)", type(error).__name__)
        _keep_what_is_loaded()
        left = max(0.0, due - time.monotonic())
        await process.asked.wait(min(clocks.heed_seconds, left) if undecided else left)


async def listen(process: Process) -> None:
    """Take news of other processes' changes, from the first use of the journal on."""
    await process.journal.used.wait()
    from zinc_mcp.journal.storage.notifying import keep_listening  # SQLAlchemy: `tools/list` does not wait for it

    await keep_listening(process.settings.journal_url, process.news)


async def tell_the_owner(process: Process, notify: Notify) -> None:
    """Tell the owner what happens to orders, from the first use of the journal on, or from soon after the start.

    A process that was killed may have left news untold, so this does not always wait for the first use.
    """
    with anyio.move_on_after(_TELLING_STARTS_SECONDS):
        await process.journal.used.wait()
    from zinc_mcp.notify.notifier import keep_telling  # SQLAlchemy: `tools/list` does not wait for it

    await keep_telling(process, notify)


@cache
def _keep_what_is_loaded() -> None:
    """Exclude the loaded modules from the garbage collector's later searches, once.

    All large libraries are loaded by now. A large answer makes a full search likely, and such a search stops the event
    loop for a longer time than reading the answer does.
    """
    gc.freeze()
