"""The members in the journal's database: read when a server starts, and kept up to date in its memory.

The database tells of a change (`journal.storage.notifying`), and each server also asks every second, in case the
message is lost. When neither works for `CONFIRMED_SECONDS`, nobody is let in (`owner.team.places.MembersCopy`).
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from zinc_mcp.errors import JournalError, SettingsError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.owner.members import Members, list_members
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.places import FILE, MembersCopy

if TYPE_CHECKING:
    from zinc_mcp.process import Process

logger = logging.getLogger("zinc_mcp")


def members_of(settings: Settings, path: Path | None) -> Members:
    """Return the members of a server that starts: those of the file that is named, else of the journal or the home.

    Raises:
        SettingsError: the home has a file of members that the journal in its database has never had.
    """
    if path is not None or not settings.is_shared:
        return Members(path or settings.home / FILE)
    copy = MembersCopy()
    try:
        _read_first(settings, copy)
    except JournalError as error:
        logger.warning("the members could not be read, so nobody is let in yet: %s", error.summary)
    return Members(copy)


@asynccontextmanager
async def kept_up_to_date(process: "Process", members: Members) -> AsyncGenerator[None]:
    """Keep the members of the journal up to date while inside. Those of a file are read again by themselves."""
    copy = members.copy
    if copy is None:
        yield
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep, process, copy)
        yield
        tasks.cancel_scope.cancel()


def _read_first(settings: Settings, copy: MembersCopy) -> None:
    from zinc_mcp.journal.journal import Journal  # SQLAlchemy: only a server on PostgreSQL waits for it here

    asked_at = copy.clock()
    with Journal.open(settings.journal_url) as journal:
        team = journal.team()
    left = list_members(settings.home / FILE) if team.revision is None else []
    if left:
        raise SettingsError(
            f"The members of a journal on PostgreSQL are kept in its database, which has none yet, and the file "
            f"{settings.home / FILE} has {len(left)}. So the server is not started.",
            f"{command('members', 'import')} takes them over, with their tokens. If they are to be members no more, "
            "remove the file.",
        )
    copy.take(team, asked_at)


async def _keep(process: "Process", copy: MembersCopy) -> None:
    failed = False
    while True:
        changed = anyio.Event()
        process.news.on_members = changed.set
        asked_at = copy.clock()
        try:
            copy.take(await process.journal.run(lambda journal: journal.team_since(copy.revision)), asked_at)
            if failed:
                logger.info("the members can be read again")
            failed = False
        except ZincMcpError as error:
            if not failed:
                logger.warning("the members could not be read: %s", error.summary)
            failed = True
        with anyio.move_on_after(process.clocks.members_seconds):
            await changed.wait()
