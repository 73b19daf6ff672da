"""Tries one client against one real server of ours: its schemas, its calls, and what a model would see."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bench.callers import ROOT, free_port, listening, started, token_in
from bench.clients.environments import Client, Environment
from bench.clients.kept import lost
from bench.wanted import ADDRESS
from zinc_mcp.server.mcp.arguments import input_schema
from zinc_mcp.server.mcp.tools.cancel_order import OrderCancel
from zinc_mcp.server.mcp.tools.check_product import Check
from zinc_mcp.server.mcp.tools.get_balance import BalanceAsked
from zinc_mcp.server.mcp.tools.get_order import OrderLookup
from zinc_mcp.server.mcp.tools.list_orders import OrdersWanted
from zinc_mcp.server.mcp.tools.placing import order_schema
from zinc_mcp.server.mcp.tools.report_problem import Problem
from zinc_mcp.server.mcp.tools.return_order import Return
from zinc_mcp.server.mcp.tools.search_products import Search

OURS = {
    "place_order": order_schema(),
    "place_agent_order": order_schema(),
    "get_order": input_schema(OrderLookup),
    "search_products": input_schema(Search),
    "check_product": input_schema(Check),
    "list_orders": input_schema(OrdersWanted),
    "cancel_order": input_schema(OrderCancel),
    "get_balance": input_schema(BalanceAsked),
    "return_order": input_schema(Return),
    "report_problem": input_schema(Problem),
}
_PATIENCE = 300.0
_KEY = "a-client-s-order"
_COFFEE = "https://www.amazon.com/dp/B0SNDBXC01"
_OUTCOMES = {
    "found": "found",
    "checked": "orderable",
    "placed": "accepted",
    "followed": "placed",
    "listed": "listed",
    "balance": "shown",
    "late": "placed",
    "returned": "filed",
    "reported": "filed",
    "limit": "refused",
    "invalid": "refused",
}
"""The outcome that each step must have, by its name; `late` cancels an order that is placed, which changes nothing."""
_Json = dict[str, Any]


@dataclass
class Seen:
    """The results of a client over one transport. `failures` is empty where all is well."""

    failures: list[str] = field(default_factory=list[str])
    lost: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By converter: the statements that its schema lost."""
    half: str = ""
    """The half of a result that the model sees."""
    mark: str = ""
    """The client's mark of an error, besides the text."""
    asked: bool = False


async def tried(client: Client, made: Environment, transport: str, zinc: str, home: Path) -> Seen:
    """Let a client list the tools, call each kind, be refused and, where it can, ask its person."""
    seen = Seen()
    key = f"zn_test_{client.driver.split('.')[0]}_{transport}"
    variables = {"ZINC_API_URL": zinc, "ZINC_API_KEY": key, "ZINC_MCP_BROWSER": "0"}
    async with _server(transport, {**variables, "ZINC_MCP_HOME": str(home / "plain")}) as wire:
        facts = await _driven(client, made, transport, {**wire, "steps": _steps()}, seen)
    if facts is not None:
        _judge(client, facts, seen)
    if client.asks and not seen.failures:
        # Another account: in the same one, the order above has the same metadata and would be the answer.
        asking = {
            **variables,
            "ZINC_API_KEY": f"{key}_asking",
            "ZINC_MCP_HOME": str(home / "asking"),
            "ZINC_MCP_APPROVAL": "auto",
        }
        async with _server(transport, asking) as wire:
            step = {"name": "asked", "tool": "place_order", "arguments": _order("test-success", 6000)}
            facts = await _driven(client, made, transport, {**wire, "steps": [step]}, seen)
        if facts is not None:
            seen.asked = bool(facts["asked"]) and '"outcome":"accepted"' in _bare(facts["calls"]["asked"]["seen"])
    return seen


async def listed_forms(client: Client, made: Environment) -> _Json:
    """Return, by converter, what a client makes of each form of the schema (`bench.clients.forms`)."""
    wire = {"command": sys.executable, "args": ["-m", "bench.clients.forms"], "env": _environ({})}
    seen = Seen()
    facts = await _driven(client, made, "stdio", {**wire, "steps": []}, seen)
    return {} if facts is None else {client.name: facts["tools"], **facts.get("also", {})}


def _order(scenario: str, max_price: int) -> _Json:
    products = [{"url": f"https://zinc.com/shop/products/{scenario}"}]
    return {"products": products, "shipping_address": ADDRESS, "max_price": max_price}


def _steps() -> list[_Json]:
    placed = {**_order("test-success", 6000), "idempotency_key": _KEY}
    look = {"order_id": _KEY, "wait_seconds": 25}
    back = {"order_id": _KEY, "items": [{"number": 1, "quantity": 1}], "reason": "no_longer_needed"}
    problem = {"order_id": _KEY, "reason": "late", "message": "It has not come yet."}
    return [
        {"name": "found", "tool": "search_products", "arguments": {"query": "whole bean coffee", "max_price": 2000}},
        {"name": "checked", "tool": "check_product", "arguments": {"url": _COFFEE, "details": True}},
        {"name": "placed", "tool": "place_order", "arguments": placed},
        {"name": "followed", "tool": "get_order", "arguments": look, "until": '"is_final":true', "times": 5},
        {"name": "listed", "tool": "list_orders", "arguments": {"limit": 5}},
        {"name": "balance", "tool": "get_balance", "arguments": {"limits_only": False}},
        {"name": "late", "tool": "cancel_order", "arguments": {"order_id": _KEY}},
        {"name": "returned", "tool": "return_order", "arguments": back},
        {"name": "reported", "tool": "report_problem", "arguments": problem},
        {"name": "limit", "tool": "place_order", "arguments": _order("test-delayed", 2_600_000)},
        {"name": "invalid", "tool": "place_order", "arguments": {**_order("test-delayed", 6000), "max_total": 1}},
    ]


def _judge(client: Client, facts: _Json, seen: Seen) -> None:
    for name, ours in OURS.items():
        for converter, tools in {"": facts["tools"], **facts.get("also", {})}.items():
            theirs: Any = tools.get(name)
            gone = lost(ours, cast(_Json, theirs)) if isinstance(theirs, dict) else [str(theirs)]
            seen.lost.setdefault(converter, []).extend(each for each in gone if each not in seen.lost[converter])
    for converter, gone in seen.lost.items():
        known = client.loses.get(converter)
        if bool(gone) is (known is None) or (known is not None and known not in gone):
            seen.failures.append(f"schema{converter and ' of '}{converter}: {', '.join(gone) or 'nothing lost'}"[:200])
    calls: Mapping[str, Mapping[str, str]] = facts["calls"]
    for name, outcome in _OUTCOMES.items():
        said = _bare(calls[name]["seen"])
        if f'"outcome":"{outcome}"' not in said:
            seen.failures.append(f"{name}: {calls[name]['seen'][:160]}")
        if ("Error:" in said) is not (outcome == "refused"):
            seen.failures.append(f"{name}: does not say whether it is an error")
    if '"is_final":true' not in _bare(calls["followed"]["seen"]):
        seen.failures.append("followed: not to its end")
    seen.half = _half(calls["placed"]["seen"])
    seen.mark = calls["limit"]["error"]


def _half(shown: str) -> str:
    """Say which half it is: only the structure has a field `summary`, and only the text begins with the summary."""
    bare = shown.replace("\\", "")
    structure, text = '"summary":' in bare.replace(": ", ":"), "retailer. At most" in bare and '{"outcome"' in bare
    text = text and "\n{" in shown.replace("\\n", "\n")
    return "both" if structure and text else "structure" if structure else "text"


def _bare(shown: str) -> str:
    return shown.replace("\\", "").replace('": ', '":')


def _environ(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


@asynccontextmanager
async def _server(transport: str, variables: Mapping[str, str]) -> AsyncGenerator[_Json]:
    if transport == "stdio":
        yield {"command": sys.executable, "args": ["-m", "zinc_mcp"], "env": _environ(variables)}
        return
    port, home = free_port(), Path(variables["ZINC_MCP_HOME"])
    async with started(["-m", "zinc_mcp", "serve", "--http", f"127.0.0.1:{port}"], variables):
        await listening(port)
        path = "mcp" if transport == "http" else "sse"
        headers = {"Authorization": f"Bearer {token_in(home)}"}
        yield {"url": f"http://127.0.0.1:{port}/{path}", "headers": headers}


async def _driven(client: Client, made: Environment, transport: str, plan: _Json, seen: Seen) -> _Json | None:
    process = await asyncio.create_subprocess_exec(
        *made.program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "PYTHONPATH"))},
        limit=16 * 1024 * 1024,
    )
    given = {"transport": transport, "program": made.inspector, **plan}
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
    facts: _Json = json.loads(lines[-1])
    return facts
