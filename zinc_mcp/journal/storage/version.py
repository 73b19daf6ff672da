"""The version of a journal's schema, checked before anything is written.

A journal keeps two numbers. `schema` is the version that a program must at least have. An older process writes nothing,
even if it opened the journal before: a newer process may keep something in another place, and would not find the rows
of the older one. `added` is the version up to which all has been added that older programs need not know
(`schema.ADDING`).
"""

import sqlalchemy as sa

from zinc_mcp.errors import JournalError
from zinc_mcp.journal.storage.statements import ask
from zinc_mcp.journal.storage.tables import KEPT_VERSION, SCHEMA_VERSION, WRITABLE


def check(kept: str | None) -> None:
    """Check the version that a writing transaction has read by `KEPT_SCHEMA`.

    Raises:
        JournalError: the upgrade to a newer version was finished since this process began, or the version is gone.
    """
    if kept not in WRITABLE:
        raise newer() if version_in(kept) > SCHEMA_VERSION else half_made()


def check_now(connection: sa.Connection) -> None:
    """Check the schema inside a writing transaction that does not read it otherwise.

    Raises:
        JournalError: as `check`.
    """
    ask(connection, KEPT_VERSION, {}, lambda found: check(found[0][0] if found else None))


def newer() -> JournalError:
    """Return the failure of a journal that only a newer version of this program may use."""
    return JournalError(
        "The journal's upgrade to a newer version of zinc-mcp is finished, so this one does not touch it any more.",
        "Tell the user to upgrade zinc-mcp and to start it again, or to point ZINC_MCP_JOURNAL at another journal.",
        owner_step="Upgrade zinc-mcp and start it again, or point ZINC_MCP_JOURNAL at another journal.",
    )


def half_made() -> JournalError:
    """Return the failure of a database that holds a part of a journal, or a journal without its version."""
    return JournalError(
        "The journal's database holds only a part of a journal. Keep it: it may say what was bought.",
        "Tell the user to put a whole copy of the journal in its place, or to point ZINC_MCP_JOURNAL at another one.",
        owner_step="Put a whole copy of the journal in its place, or point ZINC_MCP_JOURNAL at another one.",
    )


def version_in(kept: object) -> int:
    """Return the version of a schema as a journal keeps it.

    Raises:
        JournalError: it is not the number of a version.
    """
    if not isinstance(kept, str) or not kept.isascii() or not kept.isdecimal() or not 0 < int(kept[:9]):
        raise half_made()
    return int(kept[:9])
