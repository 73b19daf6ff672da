"""The time until a host has the tools, and the memory of the server, compared with the least server of this SDK.

Measured: `python -m zinc_mcp` with an API key, over stdio. The time (ms) goes from the start of the process to the
answer to `tools/list`, in the era with a handshake and in the era without one. Resident memory (MiB, VmRSS) is read
after that answer, and again after the answer to a first `get_order`. Baseline: an `MCPServer` with one trivial tool, in
the same era; its memory is read after its `tools/list`. All are started in turns, with bytecode compiled before.
Another contestant practises in the sandbox. If `pympp[tempo]` is installed, one more has a Tempo wallet configured, and
its row shows the longer wait.

A ratio of 1.10 means that the host waits 10 % longer than for a server that can do nothing.
"""

import compileall
import importlib.util
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.baselines.zinc import ORDER_ID
from bench.callers import ROOT, Era, Stdio, resident_kib, started, succeeded, upstream
from bench.figures import Figure, at_most, compared, in_turns, run_bench

ERAS: Sequence[Era] = ("legacy", "modern")
_NAMES: Mapping[Era, str] = {"legacy": "with a handshake", "modern": "without a handshake"}


@dataclass
class _Contestant:
    name: str
    program: Sequence[str]
    variables: Mapping[str, str]
    seconds: dict[Era, list[float]] = field(default_factory=lambda: {"legacy": [], "modern": []})
    mib: list[float] = field(default_factory=list[float])
    mib_in_use: list[float] = field(default_factory=list[float])


async def measure(*, quick: bool = False) -> list[Figure]:
    """Start each contestant in turns and return the figures."""
    compileall.compile_dir(str(ROOT / "zinc_mcp"), quiet=2)
    compileall.compile_dir(str(ROOT / "bench"), quiet=2)
    with tempfile.TemporaryDirectory(prefix="zinc-mcp-bench-") as folder:
        async with upstream() as origin:
            contestants = _contestants(Path(folder), origin)
            for number in range(-1, 3 if quick else 15):
                for era in ERAS:
                    for each in in_turns(number, contestants):
                        await _start(each, era, count=number >= 0)
    bare, ours, practising, *with_wallet = contestants
    figures = [
        compared(
            f"cold start to `tools/list`{where}, {_NAMES[era]}",
            [1000 * seconds for seconds in each.seconds[era]],
            [1000 * seconds for seconds in bare.seconds[era]],
            "ms",
            at_most(1.08),
        )
        for each, where in ((ours, ""), (practising, " in the sandbox"))
        for era in ERAS
    ]
    figures.append(compared("resident after `tools/list`", ours.mib, bare.mib, "MiB", at_most(1.07)))
    figures.append(compared("resident after a first `get_order`", ours.mib_in_use, bare.mib, "MiB"))
    for each in with_wallet:
        figures.extend(
            compared(
                f"cold start with a Tempo wallet, {_NAMES[era]}, against without one",
                [1000 * seconds for seconds in each.seconds[era]],
                [1000 * seconds for seconds in ours.seconds[era]],
                "ms",
            )
            for era in ERAS
        )
    return figures


def _contestants(folder: Path, origin: str) -> list[_Contestant]:
    ours = {
        "ZINC_MCP_HOME": str(folder / "home"),
        "ZINC_API_KEY": "zn_test_bench",
        "ZINC_API_URL": origin,
        "ZINC_MCP_BROWSER": "0",
    }
    practising = {"ZINC_MCP_HOME": str(folder / "practice"), "ZINC_MCP_SANDBOX": "1", "ZINC_MCP_BROWSER": "0"}
    contestants = [
        _Contestant("bare", ["-m", "bench.baselines.bare"], {}),
        _Contestant("ours", ["-m", "zinc_mcp"], ours),
        _Contestant("practising", ["-m", "zinc_mcp"], practising),
    ]
    if importlib.util.find_spec("pytempo") is not None:
        wallet = {"ZINC_WALLET": "tempo", "ZINC_TEMPO_PRIVATE_KEY": "0x" + "11" * 32}
        contestants.append(_Contestant("tempo", ["-m", "zinc_mcp"], {**ours, **wallet}))
    return contestants


async def _start(contestant: _Contestant, era: Era, *, count: bool) -> None:
    began = time.perf_counter()
    async with started(contestant.program, contestant.variables) as process:
        server = Stdio(process, era)
        await server.opened()
        tools = await server.asked("tools/list", {})
        seconds = time.perf_counter() - began
        assert tools["tools"]
        resident = resident_kib(process.pid)
        in_use = 0
        if contestant.name == "ours":
            succeeded(await server.call("get_order", {"order_id": ORDER_ID}))
            in_use = resident_kib(process.pid)
    if count:
        contestant.seconds[era].append(seconds)
        contestant.mib.append(resident / 1024)
        contestant.mib_in_use.append(in_use / 1024)


if __name__ == "__main__":
    sys.exit(run_bench(measure, __doc__))
