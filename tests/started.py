"""The program as a person runs it: a process of its own, a home of its own, no terminal."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLANTED = "zn_live_planted_5a1e"


class Started:
    """Starts `python -m zinc_mcp` with an environment in which nothing of this machine's configuration counts."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.config = self.home / "zinc.toml"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "UV"))}
        self.environment = {**kept, "ZINC_MCP_HOME": str(self.home), "PYTHONPATH": str(ROOT), "TZ": "UTC"}

    def configure(self, toml: str) -> None:
        """Write `zinc.toml`."""
        self.home.mkdir(exist_ok=True)
        self.config.write_text(toml, encoding="utf-8")

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run one command to its end; no output of it may show the planted secret."""
        ended = self.python("-m", "zinc_mcp", *arguments, **variables)
        assert PLANTED not in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
        return ended

    def python(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run the interpreter to its end."""
        return subprocess.run(
            [sys.executable, *arguments],
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
