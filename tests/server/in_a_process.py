"""A server in its own process on real pipes, as a host starts it, with a browser and a clock."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import preloaded
import pytest
from conftest import HandClock
from mcp.client.stdio import StdioServerParameters, stdio_client
from started import ROOT

from zinc_mcp.process import Clocks

# The SDK's client tells nobody the exit code. A shell that a signal ends writes none.
_AND_ITS_END = '"$@"; echo $? > "$0"'

_BROWSER = """#!/bin/sh
echo "$(ls -l "${1#file://}" | cut -c 1-10) $1" >> "$0.seen"
"""


class ClockInAFile(HandClock):
    """A clock set by hand that other processes can read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._write()

    def pass_seconds(self, seconds: float) -> None:
        """Let time go by, here and wherever the file is read."""
        super().pass_seconds(seconds)
        self._write()

    def _write(self) -> None:
        whole = self.path.with_suffix(".new")
        whole.write_text(str(self.now), encoding="ascii")
        whole.replace(self.path)


class Desktop:
    """A host's desktop. Its browser is a script that writes down the files it was told to open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.browser = folder / "browser"
        self.browser.write_text(_BROWSER, encoding="utf-8")
        self.browser.chmod(0o755)

    def pages(self) -> int:
        """Return how many pages were put before the person, each from a file that only they could read."""
        seen = self.folder / "browser.seen"
        lines = seen.read_text(encoding="utf-8").splitlines() if seen.exists() else []
        assert all(line.startswith("-rw------- file://") for line in lines), lines
        return len(lines)

    @asynccontextmanager
    async def started(self, environ: dict[str, str], clocks: Clocks, clock: ClockInAFile) -> AsyncGenerator[Any]:
        """Start a server and give the streams for a client; when the client leaves, the server ends by itself."""
        log, ended = self.folder / "server.log", self.folder / "server.ended"
        ended.unlink(missing_ok=True)
        program = [*preloaded.command("server.timed_server"), json.dumps(asdict(clocks)), str(clock.path)]
        parameters = StdioServerParameters(
            command="sh",
            args=["-c", _AND_ITS_END, str(ended), *program],
            env={**environ, "PYTHONPATH": str(ROOT), "BROWSER": str(self.browser)},
        )
        try:
            with log.open("w", encoding="utf-8") as errors, pytest.MonkeyPatch.context() as patched:
                # The SDK's client sends a signal after two seconds, which a busy machine may need. Ten are still fewer
                # than a dialogue stands: a server that waited for its end would be found out.
                patched.setattr("mcp.client.stdio.PROCESS_TERMINATION_TIMEOUT", 10.0)
                async with stdio_client(parameters, errlog=errors) as streams:
                    yield streams
        finally:
            noise = log.read_text(encoding="utf-8")
            assert ended.exists(), f"a signal ended it: {noise}"
            assert ended.read_text(encoding="ascii") == "0\n", noise
            assert "Traceback" not in noise, noise
