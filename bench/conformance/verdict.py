"""Compares the results of the suite with the expected ones, and makes their table and their page."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.conformance.scenarios import PACKAGE, REQUIREMENTS, TARGETS, Target

FORM = "wire-schema-valid"
"""The check of each message against the protocol's JSON schema, which the suite adds to every scenario."""

HEADER = "| scenario | revision | passed | failed, expected | failed | not exercised |\n|---|---|---|---|---|---|\n"

_FAILED = frozenset({"FAILURE", "WARNING"})
"""The statuses that count as failed. A warning means that a SHOULD is not followed."""

_FOLDER = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True)
class Check:
    """One check of a scenario. `status` is the suite's: SUCCESS, FAILURE, WARNING, SKIPPED or INFO."""

    name: str
    status: str
    message: str = ""


@dataclass(frozen=True)
class Ran:
    """One scenario at one revision of the protocol."""

    revision: str
    scenario: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> dict[str, str]:
        """The checks that failed, each with the suite's words for it."""
        return {each.name: each.message for each in self.checks if each.status in _FAILED}

    @property
    def passed(self) -> set[str]:
        """The checks that passed. A check that is made several times has failed if it failed once."""
        return {each.name for each in self.checks if each.status == "SUCCESS"} - self.failed.keys()


def read(folder: Path, revision: str) -> list[Ran]:
    """Read the suite's output: a folder with `checks.json` for each scenario.

    Raises:
        ValueError: it does not have the form of the pinned version.
    """
    found: list[Ran] = []
    for each in sorted(folder.iterdir()):
        name = _FOLDER.fullmatch(each.name)
        if name is None:
            raise ValueError(f"the suite wrote {each.name}, which is no scenario's folder")
        written: list[dict[str, Any]] = json.loads((each / "checks.json").read_text(encoding="utf-8"))
        checks = (Check(one["id"], one["status"], one.get("errorMessage") or "") for one in written)
        found.append(Ran(revision, name[1], tuple(checks)))
    return found


def required(package: Path) -> dict[str, list[str]]:
    """Return the scenarios that the suite requires of a server, by revision, from the folder of its package."""
    return {
        each.stem: yaml.safe_load(each.read_text(encoding="utf-8"))["server"]
        for each in sorted((package / REQUIREMENTS).glob("*.yaml"))
    }


def objections(
    target: Target, ran: Sequence[Ran], known: Iterable[str], required: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return everything that is not as expected; an empty list if the run is good.

    Args:
        target: the tested server.
        ran: the scenarios that ran.
        known: the names of all scenarios of the suite, whether they ran or not.
        required: the scenarios that the suite requires of a server, by revision.
    """
    skipped = {name for names in target.left_out.values() for name in names}
    wanted = {(revision, name) for revision, names in target.ours.items() for name in names}
    here = {(each.revision, each.scenario) for each in ran}
    there = {*known, *(name for _, name in here)}
    new = {*((None, name) for name in there - {name for _, name in wanted}), *(here - wanted)}
    found = [f"{name}, {revision}: did not run" for revision, name in sorted(wanted - here)]
    found += [
        f"{name}: neither to be passed nor left out" + (f" in {revision}" if revision else "")
        for revision, name in sorted(new, key=str)
        if name not in skipped
    ]
    found += [f"{name}: left out, and the suite does not have it" for name in sorted(skipped - there)]
    found += [f"{name}: both to be passed and left out" for name in sorted(skipped & {name for _, name in wanted})]
    for each in ran:
        if (each.revision, each.scenario) in wanted:
            found += _of_ours(each, target.expected)
        elif FORM in each.failed:
            found.append(f"{each.scenario}, {each.revision}: {FORM}: {each.failed[FORM]}")
        elif target.has_fixtures and each.scenario in skipped and not each.failed and each.passed - {FORM}:
            found.append(f"{each.scenario}, {each.revision}: left out, and it passes")
    for revision, name, check in target.expected:
        if (revision, name) not in wanted:
            found.append(f"{name}, {revision}: {check} is expected to fail in a scenario that is not run")
    if target.has_fixtures:
        found += [
            f"{name}, {revision}: required, and not to be passed"
            for revision, names in required.items()
            for name in names
            if (revision, name) not in wanted
        ]
    return found


def _of_ours(ran: Ran, expected: Mapping[tuple[str, str, str], str]) -> list[str]:
    where = f"{ran.scenario}, {ran.revision}"
    may_fail = {check for revision, name, check in expected if (revision, name) == (ran.revision, ran.scenario)}
    found = [f"{where}: {name} failed: {said}" for name, said in ran.failed.items() if name not in may_fail]
    found += [f"{where}: {name} is expected to fail and did not" for name in sorted(may_fail - ran.failed.keys())]
    if not ran.passed | ran.failed.keys():
        found.append(f"{where}: nothing was checked")
    return found


def table(target: Target, ran: Sequence[Ran]) -> str:
    """Return the table of the scenarios to pass, with their sum for each revision."""
    rows = ""
    for revision, names in target.ours.items():
        ours = {each.scenario: each for each in ran if each.revision == revision and each.scenario in names}
        rows += "".join(_row(name, revision, [_counts(target, ours[name])]) for name in names if name in ours)
        rows += _row("**together**", revision, [_counts(target, each) for each in ours.values()])
    return HEADER + rows


def page(ran: Mapping[str, Sequence[Ran]]) -> str:
    """Return the whole page, `docs/conformance.md`. `ran`: the scenarios that ran, by the title of their target."""
    return f"""\
# Conformance

Made by `python -m bench.conformance --write`; nothing here is written by hand. MCP's own conformance suite
(`{PACKAGE}`) runs against the server in the sandbox: once as
people use it, and once with the tools, resources and prompts added that the suite wants. The suite can send no token,
so a relay on loopback adds it; the names in `Host` and `Origin` reach the server as the suite sent them. The command
fails where a check fails that is not listed here, where a listed one passes, where the suite has a scenario that is not
listed, and where the second server is spared a scenario that the suite requires. Several results of one check count as
one; a warning of the suite counts as a failure.
{"".join(_section(target, ran.get(target.title, ())) for target in TARGETS)}"""


def _section(target: Target, ran: Sequence[Ran]) -> str:
    forms = Counter(check.status for each in ran for check in each.checks if check.name == FORM)
    spared = [each for each in ran if each.scenario not in target.ours[each.revision]]
    reasons = "".join(
        f"- `{check}` ({name}, {revision}): {reason}\n" for (revision, name, check), reason in target.expected.items()
    )
    left = "".join(
        f"- A scenario that {reason}: {', '.join(f'`{name}`' for name in names)}.\n"
        for reason, names in target.left_out.items()
    )
    return f"""
## {target.title}

{target.explanation}

{table(target, ran)}
Checks that fail, and why:

{reasons}
Scenarios that are not expected to pass, and why:

{left}
Of these, {len(spared)} ran, for the form of the messages alone, and {sum(len(each.failed) for each in spared)} checks
failed in them. In {forms["SUCCESS"]} of the {forms.total()} scenarios that check it, every message of the server was
valid by the protocol's JSON schema.
"""


def _counts(target: Target, ran: Ran) -> tuple[int, ...]:
    expected = {check for check in ran.failed if (ran.revision, ran.scenario, check) in target.expected}
    return (
        len(ran.passed),
        len(expected),
        len(ran.failed.keys() - expected),
        len({each.name for each in ran.checks} - ran.passed - ran.failed.keys()),
    )


def _row(name: str, revision: str, counts: Sequence[tuple[int, ...]]) -> str:
    return f"| {name} | {revision} | {' | '.join(str(sum(column)) for column in zip(*counts, strict=True))} |\n"
