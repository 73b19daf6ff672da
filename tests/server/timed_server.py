"""The product's stdio server with a test's clocks: `python timed_server.py CLOCKS TIME`.

CLOCKS is `Clocks` as JSON, and TIME a file that holds the seconds since the epoch, read whenever the server looks.
"""

import json
import sys
from functools import partial
from pathlib import Path

from zinc_mcp.owner.settings import load_settings
from zinc_mcp.process import Clocks
from zinc_mcp.server.stdio import run
from zinc_mcp.wiring import open_process


def main(clocks: str, time: str) -> None:
    """Serve until the host closes stdin."""

    def clock() -> float:
        return float(Path(time).read_text(encoding="ascii"))

    run(load_settings(), partial(open_process, clocks=Clocks(**json.loads(clocks)), clock=clock))


if __name__ == "__main__":
    main(*sys.argv[1:])
