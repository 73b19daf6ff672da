"""Decisions about the question that an entry waits with."""

from zinc_mcp.journal.records.decision import Decision, How, reference_of
from zinc_mcp.journal.records.entry import Entry


def yes(
    entry: Entry,
    *,
    how: How = "page",
    who: str = "local",
    pin: str | None = None,
) -> Decision:
    """Return a yes to the question that this entry waits with."""
    about = reference_of(entry)
    assert about is not None, entry
    return Decision(about, yes=True, how=how, who=who, pin=pin)


def no(entry: Entry, *, how: How = "terminal") -> Decision:
    """Return a no to the question that this entry waits with."""
    about = reference_of(entry)
    assert about is not None, entry
    return Decision(about, yes=False, how=how, who="local")
