"""A browser that starts slowly leaves no zombie process."""

import os
import sys
import time
from pathlib import Path

import pytest

from zinc_mcp.server.pages import browser

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the list of processes is read from /proc")


def children() -> list[str]:
    """Return the states of this process's children (proc(5), the third field)."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == str(os.getpid()):
            found.append(fields[0])
    return found


@pytest.mark.parametrize("seconds", [0.1, 0.8])
def test_a_slow_browser_leaves_no_process_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    slow = tmp_path / "slow-browser"
    slow.write_text(f"#!/bin/sh\nsleep {seconds}\n", encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{slow} %s")
    monkeypatch.setattr(browser, "SHOW_SECONDS", 0.3)
    before = len(children())
    for _ in range(3):
        browser.show_in_browser(tmp_path / "page.html")
    deadline = time.monotonic() + 20
    while len(children()) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(children()) <= before
