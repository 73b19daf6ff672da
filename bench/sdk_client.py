"""The SDK's own client at a server over HTTP, as a host uses it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

_ANSWER_SECONDS = 90


@asynccontextmanager
async def connected(
    origin: str,
    transport: str,
    mode: str,
    token: str | None = None,
    *,
    asks: Any = None,
    **headers: str,
) -> AsyncGenerator[Client]:
    """Connect over Streamable HTTP (`mcp`) or SSE (`sse`).

    Args:
        origin: the origin of the server.
        transport: `mcp` or `sse`.
        mode: the era of the protocol, as the SDK names it: `auto` or `legacy`.
        token: the bearer token of each request.
        asks: answers the server's questions to a person.
        headers: further headers of each request.
    """
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if transport == "sse":
        wire = sse_client(f"{origin}/sse", headers=dict(headers))
        async with Client(wire, mode=mode, elicitation_callback=asks) as client:
            yield client
        return
    async with (
        httpx2.AsyncClient(headers=headers, timeout=_ANSWER_SECONDS) as http,
        Client(
            streamable_http_client(f"{origin}/mcp", http_client=http), mode=mode, elicitation_callback=asks
        ) as client,
    ):
        yield client
