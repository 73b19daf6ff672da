"""The entries and events of a journal that its process has closed, and the policy of several servers on one."""

from pathlib import Path

from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Entry, Event
from zinc_mcp.process import Answer, Process


def entry_of(answer: Answer) -> Entry:
    assert answer.entry is not None
    return answer.entry


def journal_of(home: Path) -> tuple[list[Entry], list[Event]]:
    with Journal.open(f"sqlite:///{home / 'journal.db'}") as journal:
        entries = journal.entries()
        return entries, [event for entry in entries for event in journal.events(entry.id)]


async def publish(process: Process) -> None:
    """Make the policy of a process the one of all servers on its journal, as the owner's command does."""
    own = process.own_policy(process.policy())
    if own is not None:
        await process.journal.run(lambda journal: journal.publish_policy(own))
