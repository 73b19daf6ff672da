"""Run MCP's conformance suite against our server in the sandbox, as it is and with the suite's fixtures.

The results are printed, or written to the page.

npm installs the suite into `--scratch`, which is kept and used again if it is given. npm also installs Node if this
machine has none that is new enough. Everything else stays on loopback. If one of them cannot be installed, the run is
skipped and tells the reason.
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path

from bench.callers import ROOT, free_port, listening, started, token_in
from bench.clients.environments import NotHadError, program
from bench.conformance.relay import relayed
from bench.conformance.scenarios import PACKAGE, PROGRAM, TARGETS, Target
from bench.conformance.verdict import Ran, objections, page, read, required, table

PAGE = ROOT / "docs" / "conformance.md"
_PATIENCE = 600.0
_NAME = re.compile(r"^\s+- (\S+) \[", re.MULTILINE)


async def ran(target: Target, suite: tuple[str, str], scratch: Path) -> list[Ran]:
    """Run all scenarios of each revision against a server, and return their results.

    Raises:
        RuntimeError: the suite did not run.
        ValueError: its output does not have the form of the pinned version.
    """
    found: list[Ran] = []
    port, home = free_port(), scratch / "home"
    sandbox = {"ZINC_MCP_SANDBOX": "1", "ZINC_MCP_HOME": str(home), "ZINC_MCP_BROWSER": "0"}
    async with started([word.format(port=port) for word in target.program], sandbox) as process:
        await listening(port)
        async with relayed(port, token_in(home)) as relay:
            for revision in target.ours:
                out = scratch / revision
                url = f"http://127.0.0.1:{relay}/mcp"
                await _said(*suite, "server", "--url", url, "--requirements", revision, "-o", str(out))
                if not out.is_dir():
                    raise RuntimeError(f"the suite wrote nothing for {revision}")
                found += read(out, revision)
        if process.returncode is None:
            process.terminate()
    return found


async def known_to(suite: tuple[str, str]) -> list[str]:
    """Return the names of all scenarios for servers in the suite."""
    return _NAME.findall(await _said(*suite, "list", "--server"))


async def _said(*words: str) -> str:
    """Run a program and return its output. Its exit code is ignored, because scenarios that are not for us fail."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("ZINC_")},
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise RuntimeError(f"the suite did not end within {_PATIENCE:.0f} s") from None
    return out.decode(errors="replace")


def main() -> int:
    """Run the suite, print the tables or write the page, and return 1 if anything is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/conformance.md")
    parser.add_argument("--scratch", type=Path, help="keep what is installed here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-conformance-") as name:
        try:
            suite = program(PACKAGE, PROGRAM, (given.scratch or Path(name, "environments")).resolve())
        except NotHadError as error:
            print(f"skipped: the conformance suite cannot be installed here ({error})")
            return 0
        try:
            known = asyncio.run(known_to(suite))
            found = {
                target.title: asyncio.run(ran(target, suite, Path(name, str(place))))
                for place, target in enumerate(TARGETS)
            }
            needed = required(Path(suite[1]).parents[1])
        except (RuntimeError, ValueError, OSError) as error:
            print(f"failed: {error}")
            return 1
    wrong = False
    for target in TARGETS:
        print(f"{target.title}:\n\n{table(target, found[target.title])}")
        for each in objections(target, found[target.title], known, needed):
            wrong = True
            print(f"not as expected: {each}")
    if given.write and not wrong:
        PAGE.write_text(page(found), encoding="utf-8")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
