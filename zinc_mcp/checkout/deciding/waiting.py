"""The questions that wait: a caller's own, and those of others that an admin of a team may answer."""

from zinc_mcp.consent.approval import question_of
from zinc_mcp.journal.records.decision import OWNER, SECOND_YES
from zinc_mcp.journal.records.entry import Entry, UnreadableEntryError, tell_unreadable
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.member import is_by_issuer
from zinc_mcp.process import Process


async def questions_for(process: Process, caller: str) -> list[Entry]:
    """Return the entries of a caller whose question stands and may be answered by this process, oldest first."""
    waiting = await process.journal.run(lambda journal: journal.waiting(caller))
    return [entry for entry in waiting if is_asked_here(process, entry)]


def is_asked_here(process: Process, entry: Entry) -> bool:
    """Say whether the question of an entry stands, and this process may decide about it."""
    if entry.mode == "live" and process.practises:
        return False
    try:
        return question_of(entry) is not None
    except UnreadableEntryError as error:
        tell_unreadable(process.told, "zinc_entries", (error.entry_id,), error.column)
        return False


async def questions_of_others(process: Process, admin: str) -> list[Entry]:
    """Return the entries of other callers that an admin may decide about, oldest first.

    They are those that need the yes of another person, and those of callers who cannot sign in to the page.
    """
    waiting = await process.journal.run(lambda journal: journal.waiting(None))
    return [entry for entry in waiting if is_for_admins(process, entry, admin) and is_asked_here(process, entry)]


def is_for_admins(process: Process, entry: Entry, admin: str) -> bool:
    """Say whether an admin may see and decide about an entry that is not their own."""
    if entry.caller in (admin, OWNER):
        return False
    return bool((entry.consent or {}).get(SECOND_YES)) or cannot_sign_in(process.settings, entry.caller)


def cannot_sign_in(settings: Settings, caller: str) -> bool:
    """Say whether a caller has no way to sign in to the page: they are no member, and the issuer signs nobody in."""
    return is_by_issuer(caller) and settings.oauth_client_id is None
