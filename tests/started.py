"""The program as a person runs it: its own home, no terminal, and no configuration of this machine."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

from preloaded import Ended, finished

import zinc_mcp
from zinc_mcp.__main__ import main

ROOT = Path(__file__).parents[1]
PLANTED = "zn_live_planted_5a1e"


class Started:
    """Starts the program, either in this process or in one of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.config = self.home / "zinc.toml"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "UV"))}
        self.environment = {
            **kept,
            "HOME": str(folder / "user"),  # whose hosts are those of whoever runs the tests
            "ZINC_MCP_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "TZ": "UTC",
            "ZINC_MCP_BROWSER": "0",
        }

    def configure(self, toml: str) -> None:
        """Write `zinc.toml`."""
        self.home.mkdir(exist_ok=True)
        self.config.write_text(toml, encoding="utf-8")

    def run(self, *arguments: str, **variables: str) -> Ended:
        """Run one command through `main` to its end; no output of it may show the planted secret."""
        stdout, stderr = io.StringIO(), io.StringIO()
        code = 0
        with (
            _environment({**self.environment, **variables}),
            _arguments(*arguments),
            contextlib.redirect_stdout(stdout),
            contextlib.redirect_stderr(stderr),
        ):
            try:
                main()
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0
        return _searched(Ended(code, stdout.getvalue(), stderr.getvalue()))

    def quickly(self, *arguments: str, **variables: str) -> Ended:
        """Run our program in a process of its own, without a terminal; it starts quickly."""
        return _searched(finished(arguments, {**self.environment, **variables}))

    def process(self, *arguments: str, **variables: str) -> Ended:
        """Run `python` with these arguments in a process of its own, without a terminal."""
        ended = subprocess.run(
            [sys.executable, *arguments],
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return _searched(Ended(ended.returncode, ended.stdout, ended.stderr))


def _searched(ended: Ended) -> Ended:
    assert PLANTED not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _arguments(*arguments: str) -> Generator[None]:
    before = sys.argv
    sys.argv = [str(Path(zinc_mcp.__path__[0]) / "__main__.py"), *arguments]
    try:
        yield
    finally:
        sys.argv = before
