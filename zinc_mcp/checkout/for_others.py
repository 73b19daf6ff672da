"""The questions of other callers that an admin of a team may see and answer."""

from zinc_mcp.checkout.decide import is_asked_here
from zinc_mcp.journal.records.decision import OWNER, SECOND_YES
from zinc_mcp.journal.records.entry import Entry
from zinc_mcp.owner.team.member import is_by_issuer
from zinc_mcp.process import Process


async def questions_of_others(process: Process, admin: str) -> list[Entry]:
    """Return the entries of other callers that an admin may decide about, oldest first.

    They are those that need the yes of another person, and those of callers who cannot sign in to the page.
    """
    waiting = await process.journal.run(lambda journal: journal.waiting(None))
    return [entry for entry in waiting if is_for_admins(entry, admin) and is_asked_here(process, entry)]


def is_for_admins(entry: Entry, admin: str) -> bool:
    """Say whether an admin may see and decide about an entry that is not their own."""
    others = entry.caller not in (admin, OWNER)
    return others and (bool((entry.consent or {}).get(SECOND_YES)) or is_by_issuer(entry.caller))
