"""A host: the SDK's own client on our server, in both protocol eras, and the checks on every result."""

import json
from typing import Any, cast

import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent
from variants import usual

from zinc_mcp.process import Process
from zinc_mcp.server.mcp.server import build_server

both_eras = pytest.mark.parametrize("mode", ["auto", "legacy"])
"""2026-07-28 without a handshake, and the handshake of 2025-11-25."""
usually_one_era = pytest.mark.parametrize("mode", usual(["auto", "legacy"], lambda era: era == "auto"))
"""The older era only in a thorough run: for answers that are the same in both, as other tests show."""


def host(process: Process, mode: str) -> Client:
    """Return a client of a server for this process, in memory."""
    return Client(build_server(process), mode=mode)


def by_hand(process: Process) -> Client:
    """Return a client of the newer protocol whose test brings the answers to questions itself."""

    async def never(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        raise AssertionError("the test answers by a second call")

    return Client(build_server(process), mode="auto", elicitation_callback=never)


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool that must succeed, and return what it says."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, said(result)
    return said(result)


async def refused(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool that must not succeed, and return what it says."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, said(result)
    return said(result)


def said(result: CallToolResult) -> dict[str, Any]:
    """Return the structure of a result, having checked that its text states the same facts.

    Several clients hand a result on without its error mark (docs/clients.md): both halves have to say it themselves.
    """
    facts = cast(dict[str, Any], result.structured_content)
    assert facts, result
    assert str(facts["summary"]).startswith("Error: ") is bool(result.is_error), facts
    [content] = result.content
    assert isinstance(content, TextContent)
    sentence, _, rest = content.text.partition("\n")
    assert sentence == f"{facts['summary']} {facts['next_step']}"
    assert json.loads(rest) == {name: item for name, item in facts.items() if name not in ("summary", "next_step")}
    return facts


def size(value: Any) -> int:
    """Return how many bytes a value is as compact JSON."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
