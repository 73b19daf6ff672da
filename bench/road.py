"""How many of our files one `place_order` call enters, and how often it goes from one to another, on each rail.

    python -m bench.road            # the figures
    python -m bench.road --files    # and every file, with how many calls went into it

Measured with `sys.setprofile` in every thread, from `tools/call` of a client in memory to Zinc's answer (the sandbox in
process, whose own files do not count): each function call that enters a file of `zinc_mcp` other than that of the last
function of ours that was called is a change. Everything is loaded and warm, approval is `none`.
"""

import argparse
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
from mcp import Client

import zinc_mcp
from bench.wanted import order
from zinc_mcp.owner.settings import load_settings
from zinc_mcp.server.mcp.server import build_server
from zinc_mcp.wiring import open_process

PACKAGE = str(Path(zinc_mcp.__file__).parent) + "/"
MOST = {"place_order": (20, 90), "place_agent_order": (28, 200)}
"""The marks: files, and changes of file."""


class Road:
    """Counts calls into our files."""

    def __init__(self) -> None:
        self.files: Counter[str] = Counter()
        self.changes = 0
        self._last: dict[int, str] = {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        """Take one event of the interpreter."""
        name = frame.f_code.co_filename
        if event != "call" or not name.startswith(PACKAGE) or name.startswith(f"{PACKAGE}sandbox/"):
            return
        file = name.removeprefix(PACKAGE)
        self.files[file] += 1
        thread = threading.get_ident()
        if self._last.get(thread) != file:
            self.changes += 1
            self._last[thread] = file


async def measure(tool: str, home: Path) -> Road:
    """Place one order by this tool in the sandbox, after others that load all there is, and return its road."""
    (home / "zinc.toml").write_text('[policy]\napproval = "none"\nmax_day = 10_000_000\n', encoding="utf-8")
    settings = load_settings({"ZINC_MCP_HOME": str(home), "ZINC_MCP_SANDBOX": "1", "ZINC_MCP_BROWSER": "off"})
    async with open_process(settings) as process, Client(build_server(process)) as client:
        for number in range(3):
            await _placed(client, tool, number)
        road = Road()
        threading.setprofile_all_threads(road) if sys.version_info >= (3, 12) else threading.setprofile(road)
        sys.setprofile(road)
        try:
            await _placed(client, tool, 3)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return road


async def _placed(client: Client, tool: str, number: int) -> None:
    result: Any = await client.call_tool(tool, order(number))
    assert not result.is_error, result.content


def main() -> int:
    """Print the figures; the exit status is 1 where one is above its mark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", action="store_true", help="name every file")
    chosen = parser.parse_args()
    missed = False
    for tool, (files, changes) in MOST.items():
        with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as home:
            road = anyio.run(measure, tool, Path(home))
        print(f"{tool}: {len(road.files)} files (at most {files}), {road.changes} changes (at most {changes})")
        missed |= len(road.files) > files or road.changes > changes
        if chosen.files:
            for file, calls in road.files.most_common():
                print(f"  {calls:5} {file}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
