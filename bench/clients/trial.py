"""Tries one client against one real server of ours: its schemas, its calls, and the results that a model would see."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bench.callers import ROOT, free_port, listening, started, token_in
from bench.clients.environments import Client, Environment, Way
from bench.clients.journey import (
    ASKED,
    LEFT_WAITING,
    OFFERED,
    OURS,
    QUESTIONS,
    Json,
    bare,
    journey,
    not_offered,
    untold,
)
from bench.clients.kept import lost
from bench.clients.overheard import overheard, spoken

_PATIENCE = 300.0
_OLDER = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
_REVISIONS = {"": (*_OLDER, "2026-07-28"), "newer": ("2026-07-28",), "older": _OLDER}
"""The revisions that a client may speak, by its era (empty: the client's own choice)."""


@dataclass
class Seen:
    """The results of a client over one transport. `failures` is empty if all went well."""

    failures: list[str] = field(default_factory=list[str])
    lost: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The statements that each converter's schema lost."""
    half: str = ""
    """The half of a result that the model sees."""
    mark: str = ""
    """The client's mark of an error, besides the text."""
    asked: bool = False
    """Whether its person was asked for each yes, and gave it."""
    spoke: str = ""
    """The revision of the protocol."""


async def tried(client: Client, made: Environment, way: Way, zinc: str, home: Path) -> Seen:
    """Let a client list the tools, make the journey's calls, get resources and prompts, and make calls that ask."""
    seen = Seen()
    account = f"zn_test_{client.driver.split('.')[0]}_{way.transport}_{way.era}"
    variables = {"ZINC_API_URL": zinc, "ZINC_WALLET": "sandbox", "ZINC_MCP_BROWSER": "0"}
    plain = {**variables, "ZINC_API_KEY": account, "ZINC_MCP_HOME": str(home / "plain")}
    # Another account: in the same one, the earlier order has the same metadata and would be the answer.
    asking = {**variables, "ZINC_API_KEY": f"{account}_asking", "ZINC_MCP_HOME": str(home / "asking")}
    asking["ZINC_MCP_APPROVAL"] = "auto"
    steps = journey()
    facts = await _driven_there(client, made, way, plain, {"steps": steps, "offered": OFFERED}, seen)
    if facts is not None:
        _judge(client, steps, facts, seen)
    if not seen.failures:
        steps = ASKED if client.asks else LEFT_WAITING
        facts = await _driven_there(client, made, way, asking, {"steps": steps}, seen)
        if facts is not None:
            seen.failures += untold(steps, facts["calls"])
            if len(facts["asked"]) != QUESTIONS * client.asks:
                seen.failures.append(f"its person was asked {len(facts['asked'])} times")
            seen.asked = client.asks
    return seen


async def listed_forms(client: Client, made: Environment) -> Json:
    """Return each form of the schema (`bench.clients.forms`) as a client converts it, by converter."""
    wire = {"command": sys.executable, "args": ["-m", "bench.clients.forms"], "env": _environ({})}
    seen = Seen()
    facts = await _driven(client, made, Way("stdio"), {**wire, "steps": []}, seen)
    return {} if facts is None else {client.name: facts["tools"], **facts.get("also", {})}


async def _driven_there(
    client: Client, made: Environment, way: Way, variables: Mapping[str, str], plan: Json, seen: Seen
) -> Json | None:
    heard_in = Path(variables["ZINC_MCP_HOME"]).with_suffix(".heard")
    heard_in.parent.mkdir(parents=True, exist_ok=True)
    async with _server(way.transport, variables, heard_in) as (wire, heard):
        facts = await _driven(client, made, way, {**wire, **plan}, seen)
    if heard_in.exists():
        heard.extend(heard_in.read_bytes())
    spoke = spoken(bytes(heard))
    if spoke not in _REVISIONS[way.era]:
        seen.failures.append(f"spoke revision {spoke or 'none'}")
    seen.spoke = spoke
    return facts


def _judge(client: Client, steps: Sequence[Json], facts: Json, seen: Seen) -> None:
    for name, ours in OURS.items():
        for converter, tools in {"": facts["tools"], **facts.get("also", {})}.items():
            theirs: Any = tools.get(name)
            gone = lost(ours, cast(Json, theirs)) if isinstance(theirs, dict) else [str(theirs)]
            seen.lost.setdefault(converter, []).extend(each for each in gone if each not in seen.lost[converter])
    for converter, gone in seen.lost.items():
        known = client.loses.get(converter)
        strange = [each for each in gone if known is None or not re.fullmatch(known, each)]
        if strange or (known is not None and not gone):
            seen.failures.append(
                f"schema{converter and ' of '}{converter}: {', '.join(strange) or 'nothing lost'}"[:200]
            )
    calls: Mapping[str, Mapping[str, str]] = facts["calls"]
    seen.failures += untold(steps, calls)
    seen.failures += not_offered(client.offers, facts.get("offered", {}))
    seen.half = _half(calls["placed"]["seen"])
    seen.mark = calls["over a limit"]["error"]


def _half(shown: str) -> str:
    """Return the half of a result: only the structure has a field `summary`, and only the text begins with it."""
    said = bare(shown)
    structure, text = '"summary":' in said, "retailer. At most" in said and '{"outcome"' in said
    text = text and "\n{" in shown.replace("\\n", "\n")
    return "both" if structure and text else "structure" if structure else "text"


def _environ(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


@asynccontextmanager
async def _server(
    transport: str, variables: Mapping[str, str], heard_in: Path
) -> AsyncGenerator[tuple[Json, bytearray]]:
    """Start a server for a client, and give the way to it and all bytes that the client sends over HTTP.

    Over stdio the client starts the server itself, and its bytes go to the file `heard_in`.
    """
    if transport == "stdio":
        args = ["-m", "bench.clients.overheard", str(heard_in), "-m", "zinc_mcp"]
        yield {"command": sys.executable, "args": args, "env": _environ(variables)}, bytearray()
        return
    port, home = free_port(), Path(variables["ZINC_MCP_HOME"])
    async with started(["-m", "zinc_mcp", "serve", "--http", f"127.0.0.1:{port}"], variables):
        await listening(port)
        path = "mcp" if transport == "http" else "sse"
        headers = {"Authorization": f"Bearer {token_in(home)}"}
        async with overheard(port) as (relay, heard):
            yield {"url": f"http://127.0.0.1:{relay}/{path}", "headers": headers}, heard


async def _driven(client: Client, made: Environment, way: Way, plan: Json, seen: Seen) -> Json | None:
    process = await asyncio.create_subprocess_exec(
        *made.program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "PYTHONPATH"))},
        limit=16 * 1024 * 1024,
    )
    given = {"transport": way.transport, "era": way.era, "program": made.inspector, **plan}
    try:
        out, errors = await asyncio.wait_for(process.communicate(json.dumps(given).encode()), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        seen.failures.append(f"{client.name}: no end after {_PATIENCE:.0f} s")
        return None
    lines = out.decode(errors="replace").strip().splitlines()
    if process.returncode or not lines:
        last = errors.decode(errors="replace").strip().splitlines() or ["no output"]
        seen.failures.append(f"{client.name}: {' / '.join(last[-3:])}"[:400])
        return None
    facts: Json = json.loads(lines[-1])
    return facts
