"""The doctor's checks of the journal: whether it can be used, and the facts in it that the owner should know."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import get_args

from zinc_mcp.cli.doctor.findings import Finding
from zinc_mcp.cli.own_journal import open_journal
from zinc_mcp.cli.screen import advice
from zinc_mcp.consent.approval import question_of
from zinc_mcp.errors import JournalError, RefusedError, ZincMcpError
from zinc_mcp.invocation import command
from zinc_mcp.journal.journal import Journal
from zinc_mcp.journal.records.entry import Mode, UnreadableEntryError
from zinc_mcp.journal.records.own_policy import STEP, in_words
from zinc_mcp.journal.records.twin import any_order_of
from zinc_mcp.journal.storage.tables import SCHEMA_VERSION
from zinc_mcp.owner.addresses import Kept, saved_addresses
from zinc_mcp.owner.pin import notice
from zinc_mcp.owner.policy import read_policy
from zinc_mcp.owner.settings import Settings
from zinc_mcp.owner.team.own_policy import own_policy
from zinc_mcp.text import plain

_MOST_SHOWN = 10


def journal_findings(settings: Settings) -> Iterator[Finding]:
    """Yield the findings about the journal and the saved addresses.

    The addresses in the settings are checked even if the journal cannot be used.
    """
    try:
        with open_journal(settings) as journal:
            findings = [
                _addresses(settings, journal.addresses(), journal.address_names()),
                _use(journal),
                *_upgrade(journal),
                *_published(settings, journal),
                *_unreadable(journal),
                *_pin(journal),
                *_pauses(journal),
                *_doubt(journal),
            ]
    except ZincMcpError as error:
        findings = [_addresses(settings, {}), Finding("wrong", "journal", error.summary, advice(error))]
    yield from findings


def _addresses(settings: Settings, kept: Kept, all_names: Sequence[str] = ()) -> Finding:
    try:
        names = sorted(saved_addresses(settings, kept))
    except ZincMcpError as error:
        return Finding("wrong", "addresses", error.summary, "Correct the address; it cannot be shipped to.")
    known = {name.casefold() for name in names}
    wrong = [plain(name, 40) for name in all_names if name.casefold() not in known]
    if wrong:
        sentence = f"These saved addresses of the journal cannot be read: {', '.join(wrong[:20])}."
        return Finding(
            "wrong", "addresses", sentence, "Remove it and add it again:", ("addresses", "remove"), (wrong[0],)
        )
    named = ", ".join(plain(name, 40) for name in names[:20])
    return Finding("ok", "addresses", f"{len(names)} saved: {named}" if names else "none saved")


def _use(journal: Journal) -> Finding:
    try:
        journal.try_to_write()
    except JournalError as error:
        sentence = f"It can be read and not written, so nothing can be ordered. {error.summary}"
        return Finding("wrong", "journal", sentence, advice(error))
    return Finding("ok", "journal", "it can be read and written")


def _upgrade(journal: Journal) -> Iterator[Finding]:
    if journal.kept_schema().schema != SCHEMA_VERSION:
        sentence = "zinc-mcp of the version before can still use it."
        step = "When nothing of that version runs any more, this ends the upgrade:"
        yield Finding("note", "journal", sentence, step, ("journal", "finish-upgrade"))


def _published(settings: Settings, journal: Journal) -> Iterator[Finding]:
    """Compare the policy that holds here with the one that is published for all servers on the journal."""
    published = journal.published_policy() if settings.is_shared else None
    if published is None:
        return
    try:
        own = own_policy(read_policy(settings), partial(saved_addresses, settings))
    except ZincMcpError:
        return  # the checks of the policy and of the addresses report it
    if own.digest == published.digest:
        yield Finding("ok", "policy", "it is the one that is published for all servers on the journal")
    else:
        yield Finding("wrong", "policy", in_words(own, published), STEP.format(command("policy", "publish")))


def _unreadable(journal: Journal) -> Iterator[Finding]:
    """Yield the unreadable rows of entries, and the unreadable questions and bodies of unfinished entries."""
    found = {error.entry_id: error for error in journal.unreadable()}
    for mode in get_args(Mode):
        for entry in journal.unfinished(mode=mode, limit=1000):
            try:
                question_of(entry)
                if entry.body is None:
                    raise UnreadableEntryError(entry.id, "body")
                any_order_of(entry)
            except UnreadableEntryError as error:
                found[entry.id] = error
            except RefusedError:
                found[entry.id] = UnreadableEntryError(entry.id, "body")
    for entry_id in sorted(found)[:_MOST_SHOWN]:
        sentence = found[entry_id].summary
        yield Finding("wrong", "journal", sentence, "Other orders go on without it. Keep a copy of the journal.")
    if len(found) > _MOST_SHOWN:
        yield Finding("wrong", "journal", f"{len(found) - _MOST_SHOWN} more of its entries cannot be read.")


def _pin(journal: Journal) -> Iterator[Finding]:
    is_set = journal.pin() is not None
    asked = "set; every yes needs it, and hosts' dialogues are not used" if is_set else "not set"
    yield Finding("ok", "PIN", asked)
    ends = journal.pin_ends()
    if ends is not None:
        yield Finding("note", "PIN", notice(ends, time.time()))


def _pauses(journal: Journal) -> Iterator[Finding]:
    for why in journal.pauses():
        yield Finding("note", "pause", f"paused: {plain(why)}", "This ends it:", ("resume",))


def _doubt(journal: Journal) -> Iterator[Finding]:
    count, latest = journal.doubtful(5)
    if not count:
        return
    name = "order" if all(entry.kind == "order" for entry in latest) else "request"
    orders = f"{count} {name}{' was' if count == 1 else 's were'}"
    keys = ", ".join(plain(entry.key, 64) for entry in latest)
    last = "" if count <= len(latest) else f", the last {len(latest)} of them"
    yield Finding(
        "note",
        "doubt",
        f"{orders} sent or paid, and how it ended is not known{last}: {keys}",
        "This says more about one:",
        ("orders", "show"),
        (latest[0].key,),
    )
