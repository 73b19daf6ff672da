"""A person's decision about an entry of any kind. On a yes `checkout` sends orders, and `aftercare` changes of them."""

from functools import partial

from zinc_mcp.aftercare import send
from zinc_mcp.checkout.deciding import approved
from zinc_mcp.checkout.deciding import decide as deciding
from zinc_mcp.journal.records.entry import CHANGES, Entry
from zinc_mcp.process import Process


async def send_approved(process: Process, entry: Entry) -> Entry:
    """Send an approved order or change, if this process can, and return its entry as it stands then.

    Raises:
        RefusedError: `paused`, or the policy does not allow it any more.
    """
    if entry.kind in CHANGES:
        return await send.send_approved(process, entry)
    return await approved.send_approved(process, entry)


decide = partial(deciding.decide, send=send_approved)
"""See `checkout.deciding.decide.decide`."""
await_decision = partial(deciding.await_decision, send=send_approved)
"""See `checkout.deciding.decide.await_decision`."""
send_all_approved = partial(approved.send_all_approved, send=send_approved)
"""See `checkout.deciding.approved.send_all_approved`."""
