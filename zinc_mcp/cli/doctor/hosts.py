"""The doctor's checks of hosts: which ones start this server, with which settings, and whether that works."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from zinc_mcp.cli.doctor.findings import Finding
from zinc_mcp.cli.screen import advice
from zinc_mcp.hosts.entries import NAME, shown_variables
from zinc_mcp.hosts.machine import this_machine
from zinc_mcp.hosts.record import read_record
from zinc_mcp.hosts.survey import FoundEntry, FoundHost, look
from zinc_mcp.hosts.trial import Trial, try_start
from zinc_mcp.owner.settings import Settings
from zinc_mcp.text import plain

_PLACES = ("ZINC_MCP_HOME", "ZINC_MCP_JOURNAL", "ZINC_MCP_JOURNAL_FILE")
_MOST_LISTED = 20


def host_findings(settings: Settings) -> Iterator[Finding]:
    """Yield the findings about each host on this machine. Each server is started as its host starts it."""
    looked = list(look(this_machine(os.environ), read_record(settings.home)))
    tried: dict[tuple[object, ...], Trial] = {}
    for each in looked:
        yield from _host(each, tried)
    without = [each.host.title for each in looked if not each.seen and not each.trouble and each.host.form != "yaml"]
    if without:
        named = ", ".join(without)
        yield Finding("ok", "hosts", f"{named} {'does' if len(without) == 1 else 'do'} not have this server")
    yield from _journals(looked, settings)


def _host(looked: FoundHost, tried: dict[tuple[object, ...], Trial]) -> Iterator[Finding]:
    title = looked.host.title
    for error in looked.trouble:
        yield Finding("note", title, error.summary, advice(error))
    ours = [each for each in looked.seen if each.is_ours]
    for each in looked.seen:
        if not each.is_ours:
            sentence = f"{plain(each.path, 400)} has a server {NAME} that is not this program."
            yield Finding("note", title, sentence)
        elif each.address:
            yield Finding("ok", title, f"uses the server at {plain(each.address, 200)}, which is not tried from here")
        else:
            yield _started(each, tried)
    by_file: dict[Path, list[str]] = {}
    for each in ours:
        by_file.setdefault(each.path, []).append(plain(each.name, 60))
    for path, names in by_file.items():
        if len(names) > 1:
            sentence = f"{plain(path, 400)} has this server {len(names)} times: {', '.join(names[:_MOST_LISTED])}."
            yield Finding("note", title, sentence, "Remove all but one there, or the model sees each tool twice.")


def _started(seen: FoundEntry, tried: dict[tuple[object, ...], Trial]) -> Finding:
    title, program = seen.host.title, plain(seen.words[0], 300)
    if seen.is_off:
        return Finding("note", title, f"has this server switched off ({plain(seen.path, 400)})")
    if seen.fetches:
        sentence = f"starts this server with {program}, which may fetch a package at any start, so it is not tried."
        return Finding("note", title, sentence, "This starts what is installed here:", ("install",), (seen.host.id,))
    environment = seen.environment(os.environ)
    if shutil.which(seen.words[0], path=environment["PATH"]) is None:
        sentence = (
            f"starts {program}, which is not there{'' if os.path.isabs(seen.words[0]) else ' on its short PATH'}."
        )
        return Finding("wrong", title, sentence, "This starts what is installed here:", ("install",), (seen.host.id,))
    key = (*seen.words, *sorted(environment.items()))
    ended = tried[key] if key in tried else tried.setdefault(key, try_start(seen.words, environment))
    if not ended.tools:
        sentence = f"starts {program}, which does not answer: {plain(ended.why, 300)}"
        return Finding("wrong", title, sentence, "This renews its entry:", ("install",), (seen.host.id,))
    settings = ", ".join(f"{name}={value}" for name, value in shown_variables(seen.variables).items())
    given = f", with {plain(settings, 300)}" if settings else ""
    return Finding("ok", title, f"starts {program}{given}; it lists {len(ended.tools)} tools")


def _journals(looked: list[FoundHost], settings: Settings) -> Iterator[Finding]:
    """Yield a note if hosts keep different journals, because limits and repeats are counted in each by itself."""
    titles: dict[str, list[str]] = {}
    for each in looked:
        for seen in each.seen:
            if seen.is_ours and seen.words and not seen.is_off:
                title = each.host.title
                titles.setdefault(_place(seen.environment(os.environ)), []).append(title)
    here = _place({**os.environ, "ZINC_MCP_HOME": str(settings.home)})
    if len(titles) > 1:
        named = "; ".join(f"{', '.join(dict.fromkeys(names))}: {plain(place, 200)}" for place, names in titles.items())
        sentence = f"The hosts keep {len(titles)} journals ({named}), so limits and repeats are counted in each alone."
        yield Finding("note", "journals", sentence, "Give all of them the same home, or none.")
    elif titles and here not in titles:
        [place] = titles
        sentence = f"The hosts use {plain(place, 200)}, and this command looks at {plain(here, 200)}."
        yield Finding("note", "journals", sentence, "Set the same ZINC_MCP_HOME here to see what they see.")


def _place(environment: Mapping[str, str]) -> str:
    """Return the place of the journal of a server with these variables, without a database's address.

    The address may hold a password.
    """
    home = environment.get("ZINC_MCP_HOME") or os.path.join(
        environment.get("USERPROFILE" if os.name == "nt" else "HOME", ""), ".zinc-mcp"
    )
    home = os.path.abspath(os.path.expanduser(home))
    if any(environment.get(name) for name in _PLACES[1:]):
        return f"a database of its own, with the home {home}"
    return home
