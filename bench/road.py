"""Counts the files of ours that one order enters, and its changes from one file to another, on each rail.

    python -m bench.road            # the figures
    python -m bench.road --files    # and every file, with the number of calls into it

Measured with `sys.setprofile` on the event loop's thread, from `place` to its answer, in the sandbox. The sandbox's
files, and calls that it makes, do not count. A call of a function, and a coroutine that goes on, enters a file. This is
a change if the last entered file of ours was another one. All modules are loaded before, and the policy asks nobody.

With a journal younger than a day an order enters more files, since Zinc is asked for orders of an earlier journal that
may be lost. This is measured as well.
"""

import argparse
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from types import FrameType

import anyio

import zinc_mcp
from bench.place_order import fill
from bench.wanted import order
from zinc_mcp.checkout.place_order import Intent, place
from zinc_mcp.known_settings import RailName
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.wiring import open_process
from zinc_mcp.zinc.orders import OrderCreate

PACKAGE = f"{Path(zinc_mcp.__file__).parent}/"
SANDBOX = f"{PACKAGE}sandbox/"
MARKS: dict[tuple[RailName, bool], tuple[int, int]] = {
    ("account", True): (20, 80),
    ("account", False): (22, 93),
    ("agent", True): (27, 165),
    ("agent", False): (27, 165),
}
"""The most files and changes of file, by the rail and by whether the journal is older than a day."""
_BEFORE = 3
"""The number of orders that are placed first, so that all code is loaded."""
_SWEPT_SECONDS = 2.0
"""The first round of `wiring.background.keep_sweeping`, which does not belong to the order, is over by then."""


class Road:
    """Counts calls into our files."""

    def __init__(self) -> None:
        self.files: Counter[str] = Counter()
        self.changes = 0
        self._last = ""

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Take one event of the interpreter."""
        name = frame.f_code.co_filename
        if event != "call" or not name.startswith(PACKAGE) or _is_in_sandbox(frame):
            return
        file = name.removeprefix(PACKAGE)
        self.files[file] += 1
        self.changes += file != self._last
        self._last = file


def _is_in_sandbox(frame: FrameType | None) -> bool:
    """Say whether the sandbox runs this, or has called it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(SANDBOX):
            return True
        frame = frame.f_back
    return False


async def measure(rail: RailName, home: Path, *, is_old: bool) -> Road:
    """Place one order by this rail in the sandbox, with an old or a new journal, and return its road."""
    (home / "zinc.toml").write_text('[policy]\napproval = "none"\nmax_day = 10_000_000\n', encoding="utf-8")
    settings = load_settings({"ZINC_MCP_HOME": str(home), "ZINC_MCP_SANDBOX": "1"})
    intents = [Intent("local", rail, OrderCreate.model_validate(order(number))) for number in range(_BEFORE + 1)]
    if is_old:
        fill(Path(settings.journal_url.removeprefix("sqlite:///")), 0)
    road = Road()
    async with open_process(settings) as process:
        for intent in intents[:-1]:
            await place(process, intent)
        await anyio.sleep(_SWEPT_SECONDS)
        sys.setprofile(road)
        try:
            await place(process, intents[-1])
        finally:
            sys.setprofile(None)
    return road


def main() -> int:
    """Print the figures; return 1 if one is above its mark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", action="store_true", help="name every file")
    chosen = parser.parse_args()
    missed = False
    for (rail, is_old), (files, changes) in MARKS.items():
        with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as home:
            road = anyio.run(partial(measure, rail, Path(home), is_old=is_old))
        name = rail if is_old else f"{rail}, on a journal's first day"
        print(f"{name}: {len(road.files)} files (at most {files}), {road.changes} changes (at most {changes})")
        missed |= len(road.files) > files or road.changes > changes
        if chosen.files:
            for file, calls in road.files.most_common():
                print(f"  {calls:5} {file}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
