"""Breaks one line of the program at a time, in a copy, and checks that the campaign or the tests notice it.

    python -m bench.sabotage                        # all of them, the campaign with three fresh seeds each
    python -m bench.sabotage --list
    python -m bench.sabotage leases-ignored --seed 7
    python -m bench.sabotage --turn 12              # two of them by rotation, as CI does

Each sabotage of `bench.sabotages` names a file, the exact text that it replaces, the promise that this breaks, and the
proof that must notice it. The proof is the fault campaign, within 300 intentions, by the rows about this promise, or
tests by name. A named test must fail: one that is skipped or cannot run notices nothing. The exit status is 1 if the
text is not in the file (so that the table stays true), if the copy is not green without the sabotage, and if it stays
green with it.
"""

import argparse
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.sabotages import BY_TESTS, SABOTAGES, ByCampaign, ByTests, Sabotage

ROOT = Path(__file__).parents[1]
INTENTIONS = 300
"""The number of intentions within which the campaign must notice."""
CAMPAIGN_SECONDS, TESTS_SECONDS = 900, 600
_PYTEST = ("-m", "pytest", "-q", "-rsfE", "-n0", "-m", "", "-p", "no:cacheprovider")
_CANNOT_RUN = ("ImportError", "ModuleNotFoundError", "SyntaxError", "NameError")
"""Errors of a test that has not reached the line that it tests."""
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "*.venv", "__pycache__", ".*_cache", ".hypothesis", "dist", "build", "artefacts", "*.egg-info"
)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one sabotage, with one seed if the campaign must notice it."""

    name: str
    noticed: bool
    by: str
    """The rows of the campaign, or the test, that turned red; or the reason why none did."""
    seed: int | None = None
    intentions: int | None = None
    """The number of intentions that the campaign had judged when it noticed."""
    seconds: float = 0.0


class NotGreenError(Exception):
    """A copy without any change is not green, or is not what would run."""


def copied(folder: Path) -> Path:
    """Copy the tree into a folder; nothing changes the working tree."""
    copy = folder / "copy"
    shutil.copytree(ROOT, copy, ignore=_LEFT_OUT)
    return copy


def applied(sabotage: Sabotage, tree: Path) -> None:
    """Replace the sabotage's text in a copy.

    Raises:
        LookupError: the text is not there exactly once.
    """
    file = tree / sabotage.file
    text = file.read_text(encoding="utf-8")
    times = text.count(sabotage.text)
    if times != 1:
        raise LookupError(f"its text stands {times} times in {sabotage.file} instead of once: renew the sabotage")
    file.write_text(text.replace(sabotage.text, sabotage.replacement), encoding="utf-8")


def tried(sabotage: Sabotage, seed: int | None) -> Result:
    """Apply one sabotage to a copy; return whether it is noticed while a copy without it is green."""
    began = time.monotonic()

    def result(noticed: bool, by: str, intentions: int | None = None) -> Result:
        return Result(sabotage.name, noticed, by, seed, intentions, time.monotonic() - began)

    with tempfile.TemporaryDirectory(prefix="zinc-mcp-sabotage-") as name:
        folder = Path(name)
        try:
            tree = copied(folder)
            applied(sabotage, tree)
            if isinstance(sabotage.by, ByTests):
                return result(*_tests(sabotage.by, tree, folder))
            assert seed is not None
            rows, intentions = _campaign(sabotage.by, tree, folder, seed)
            noticed = [row for row in rows if row in sabotage.by.rows]
            if not noticed:
                others = f", but for {', '.join(rows)}" if rows else ""
                return result(False, f"green after {intentions} intentions{others}", intentions)
            shutil.rmtree(tree)
            _check_green(sabotage.by, copied(folder), folder, seed, intentions)
            return result(True, ", ".join(noticed), intentions)
        except LookupError as error:
            return result(False, str(error.args[0]))
        except NotGreenError as error:
            return result(False, str(error))
        except subprocess.TimeoutExpired:
            return result(False, "neither red nor green in time")


def _campaign(by: ByCampaign, tree: Path, folder: Path, seed: int, most: int | None = None) -> tuple[list[str], int]:
    """Run the campaign until one of its rows is broken; return all broken rows, and the number of intentions."""
    figures = folder / "figures.json"
    command = [
        "-m", "bench.faults", "--seed", str(seed), "--intentions", str(INTENTIONS), "--dialect", "default", "--brief",
        "--rail", by.rail, "--first", ",".join(by.first), "--kinds", ",".join(by.kinds), "--at-once", "3",
        "--turns", "5", "--late-looks", "0",
        "--until", ";".join(by.rows), "--most", str(INTENTIONS if most is None else most), "--json", str(figures),
    ]  # fmt: skip
    figures.unlink(missing_ok=True)
    ended = _run(command, tree, folder, CAMPAIGN_SECONDS)
    if not figures.exists():
        raise NotGreenError(f"the campaign itself ended with {ended.returncode}: {ended.stderr.strip()[-300:]!r}")
    found = json.loads(figures.read_text(encoding="utf-8"))
    return list(found["broken"]), int(found["counts"].get("intentions", 0))


def _check_green(by: ByCampaign, tree: Path, folder: Path, seed: int, intentions: int) -> None:
    rows, _ = _campaign(by, tree, folder, seed, intentions)
    if rows:
        raise NotGreenError(f"red without the sabotage as well: {', '.join(rows)}")


def _tests(by: ByTests, tree: Path, folder: Path) -> tuple[bool, str]:
    ended = _run([*_PYTEST, "-x", *by.tests], tree, folder, TESTS_SECONDS)
    return noticed_by_tests(ended.returncode, ended.stdout)


def noticed_by_tests(code: int, stdout: str) -> tuple[bool, str]:
    """Return whether a test failed, with its name or the reason why not, from pytest's exit code and summary.

    If any test did not run, none counts as failed.
    """
    lines = stdout.splitlines()
    # A line of a failed test's log has more spaces behind its level.
    could_not = [line for line in lines if re.match(r"(SKIPPED|ERROR) \S", line)]
    failed = [line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")]
    if could_not:
        return False, f"could not be tried: {could_not[0]}"
    if code == 1 and failed:
        name, _, why = failed[0].partition(" - ")
        if why.startswith(_CANNOT_RUN):
            return False, f"could not be tried: {failed[0]}"
        return True, name.rpartition("::")[2]
    return False, "green" if code == 0 else f"pytest ended with {code}: {failed}"


def _check_tests(sabotages: Iterable[Sabotage]) -> str | None:
    """Run every named test in a copy without changes; return their output if they are not green."""
    names = sorted({test for each in sabotages if isinstance(each.by, ByTests) for test in each.by.tests})
    if not names:
        return None
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-sabotage-") as name:
        tree = copied(Path(name))
        ended = _run([*_PYTEST, *names], tree, Path(name), TESTS_SECONDS)
        if noticed_by_tests(ended.returncode, ended.stdout)[1] != "green":
            return f"not green without any sabotage:\n{ended.stdout[-3000:]}{ended.stderr[-500:]}"
    return None


def _run(command: Sequence[str], tree: Path, folder: Path, seconds: float) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "CAMPAIGN_", "PYTEST_"))}
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    environ = {**kept, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch)}
    # This path comes before an installed package, editable or not. The program is asked for its path, to be sure.
    asked = subprocess.run(
        [sys.executable, "-c", "import bench, zinc_mcp; print(zinc_mcp.__file__)"],
        cwd=tree, env=environ, capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    if not Path(asked.stdout.strip()).is_relative_to(tree):
        raise NotGreenError(f"the copy would not run, but {asked.stdout.strip()}")
    return subprocess.run(
        [sys.executable, *command], cwd=tree, env=environ, stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", errors="replace", timeout=seconds, check=False,
    )  # fmt: skip


def in_turn(turn: int) -> list[Sabotage]:
    """Return two sabotages by rotation that tests must notice, since a random campaign may sometimes miss one."""
    return [BY_TESTS[(2 * turn + more) % len(BY_TESTS)] for more in (0, 1)]


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    promises = {each.name: each.promise for each in SABOTAGES}
    lines = ["| sabotage | breaks | noticed by | seed | after | seconds |", "|---|---|---|---|---|---|"]
    for each in results:
        after = "" if each.intentions is None else f"{each.intentions} intentions"
        by = each.by if each.noticed else f"**not noticed**: {each.by}"
        seed = "" if each.seed is None else str(each.seed)
        lines.append(f"| {each.name} | {promises[each.name]} | {by} | {seed} | {after} | {each.seconds:.0f} |")
    return "\n".join(lines)


def listed() -> str:
    """Return a line for each sabotage."""
    return "\n".join(
        f"{each.name:34} {'campaign' if isinstance(each.by, ByCampaign) else 'tests':9} {each.file}: {each.promise}"
        for each in SABOTAGES
    )


def main() -> int:
    """Try the chosen sabotages and print the proof that noticed each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; all of them if none is named")
    parser.add_argument("--list", action="store_true", help="list them and end")
    parser.add_argument("--turn", type=int, help="two that tests must notice, by rotation")
    parser.add_argument(
        "--by", choices=["campaign", "tests"], help="only those that the campaign, or tests, must notice"
    )
    parser.add_argument("--seeds", type=int, default=3, help="the number of fresh seeds of the campaign (3)")
    parser.add_argument("--seed", type=int, action="append", help="this seed instead of a fresh one; may be repeated")
    parser.add_argument("--at-once", type=int, default=2, help="sabotages at the same time (2)")
    chosen = parser.parse_args()
    if chosen.list:
        print(listed())
        return 0
    unknown = set(chosen.names) - {each.name for each in SABOTAGES}
    if unknown:
        parser.error(f"no such sabotage: {', '.join(sorted(unknown))}")
    some = in_turn(chosen.turn) if chosen.turn is not None else list(SABOTAGES)
    some = [each for each in some if not chosen.names or each.name in chosen.names]
    if chosen.by is not None:
        some = [each for each in some if isinstance(each.by, ByCampaign) == (chosen.by == "campaign")]
    seeds = chosen.seed or [secrets.randbelow(10**8) for _ in range(chosen.seeds)]
    if trouble := _check_tests(some):
        print(trouble)
        return 1
    work: list[tuple[Sabotage, int | None]] = [
        (each, seed) for each in some for seed in (seeds if isinstance(each.by, ByCampaign) else [None])
    ]
    results: list[Result] = []
    with ThreadPoolExecutor(chosen.at_once) as pool:
        for result in pool.map(tried, *zip(*work, strict=True)):
            results.append(result)
            said = "noticed" if result.noticed else "NOT NOTICED"
            print(f"{result.name:34} {said}: {result.by} ({result.seconds:.0f} s)", file=sys.stderr, flush=True)
    print(table(results))
    return 0 if all(each.noticed for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
