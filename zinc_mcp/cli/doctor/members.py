"""The doctor's check of the members of a team: where they are, how many, whether a file of them is left over, and who
of them would count as two people."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from zinc_mcp.cli.doctor.findings import Finding
from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.screen import advice
from zinc_mcp.errors import SettingsError, ZincMcpError
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.member import Member
from zinc_mcp.owner.team.places import FILE, MembersFile, MembersTable
from zinc_mcp.text import plain

_SUBJECT = "members"
_MOST_NAMED = 4


def members(settings: Settings) -> Iterator[Finding]:
    """Yield where the members of a team are kept, unless there are none."""
    path = settings.home / FILE
    try:
        if settings.is_shared:
            yield from _in_journal(settings, path)
        elif path.exists():
            known = MembersFile(path).read()
            yield Finding("ok", _SUBJECT, f"{len(known)}, in the file {plain(str(path), 300)}")
            yield from _as_two_people(settings, known)
    except SettingsError as error:
        yield Finding("wrong", _SUBJECT, error.summary, advice(error))
    except ZincMcpError as error:
        yield Finding("wrong", _SUBJECT, f"They cannot be read, so a server lets nobody in. {error.summary}")


def _in_journal(settings: Settings, path: Path) -> Iterator[Finding]:
    with open_journal(settings) as journal:
        table = MembersTable(journal)
        known, was_used = table.read(), table.was_used()
    place = plain(str(path), 300)
    if was_used:
        yield Finding("ok", _SUBJECT, f"{len(known)}, in the journal's database")
        yield from _as_two_people(settings, known)
        if path.exists():
            sentence = f"Those in the file {place} do not count here."
            step = "Remove it when no server of an earlier version reads it any more."
            yield Finding("note", _SUBJECT, sentence, step)
    elif path.exists() and (left := len(MembersFile(path).read())):
        sentence = (
            f"On PostgreSQL they are kept in the journal's database, which has none yet, and the file {place} has "
            f"{left}. A server does not start so."
        )
        yield Finding("wrong", _SUBJECT, sentence, "This takes them over:", ("members", "import"))


def _as_two_people(settings: Settings, known: Mapping[str, Member]) -> Iterator[Finding]:
    """Yield the members who are somebody else as well by an identity that is mapped to nobody.

    See `owner.team.member.is_told_apart`: with members alone let in, such an identity is let in nowhere.
    """
    issuer = settings.oauth_issuer
    if issuer is None or not settings.oauth_everyone:
        return
    unmapped = [
        name for name, member in sorted(known.items()) if all(issuer != each.issuer for each in member.identities)
    ]
    if not unmapped:
        return
    more = len(unmapped) - _MOST_NAMED
    names = ", ".join(unmapped[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    sentence = (
        f"Everybody at {plain(issuer, 100)} is let in (oauth_everyone), and these members have no identity there: "
        f"{names}. One of them who signs in there counts as two people: limits and second_yes_above hold for each of "
        "the two alone, and for the one by the issuer the owner's yes counts as that of another person."
    )
    yield Finding(
        "note",
        _SUBJECT,
        sentence,
        "Name the identity of each, with the issuer's address and the subject that it gives them:",
        ("members", "change", "NAME", "--identity", "ISSUER", "SUBJECT"),
    )
