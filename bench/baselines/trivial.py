"""A server without any checks: its tools that read make the same HTTP calls as ours and return the JSON.

Its `place_order` and `place_v1_order` send the order, and make as many durable commits as ours, with as many bytes in
the log. They commit in a separate thread, since on the event loop every other call would wait for the disk.

`python -m bench.baselines.trivial stdio` serves over stdio, and `http PORT` over HTTP.

    BENCH_UPSTREAM  the upstream's origin
    BENCH_DATABASE  the SQLite file of the commits (only for the tools that place)
    BENCH_PAYLOAD   bytes per commit
    BENCH_COMMITS   commits per order: the first ones before the request, the last one after it
"""

import os
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import httpx
import uvicorn
from mcp.server import MCPServer
from starlette.applications import Starlette

_UPSTREAM = httpx.AsyncClient(
    base_url=os.environ["BENCH_UPSTREAM"],
    trust_env=False,
    limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=15.0),
)
_BEARER = {"Authorization": "Bearer zn_test_bench"}

server = MCPServer("trivial", log_level="WARNING")


@server.tool()
async def get_order(order_id: str) -> dict[str, Any]:
    """Look up one order."""
    answer = await _UPSTREAM.get(f"/orders/{order_id}", headers=_BEARER)
    order: dict[str, Any] = answer.json()
    return order


@server.tool()
async def search_products(query: str) -> dict[str, Any]:
    """Search products."""
    return await _read("/search", q=query, limit=10)


@server.tool()
async def check_product(url: str, details: bool = False) -> dict[str, Any]:
    """Say whether a product can be ordered."""
    check = await _read("/retailers/check", url=url, country="US")
    if not details:
        return check
    about = await _read(f"/products/{url.rpartition('/')[2]}", retailer="amazon")
    return {"check": check, "details": about}


@server.tool()
async def list_orders(limit: int) -> dict[str, Any]:
    """List the newest orders."""
    return await _read("/orders", limit=limit)


@server.tool()
async def get_balance(limits_only: bool = False) -> dict[str, Any]:
    """Show the balance."""
    return await _read("/wallet/me")


@server.tool()
async def cancel_order(order_id: str) -> dict[str, Any]:
    """Look an order up, to cancel it if it is pending."""
    return await _read(f"/orders/{order_id}")


async def _read(path: str, **parameters: Any) -> dict[str, Any]:
    answer = await _UPSTREAM.get(path, params=parameters, headers=_BEARER)
    found: dict[str, Any] = answer.json()
    return found


@server.tool()
async def place_order(
    products: list[dict[str, Any]], shipping_address: dict[str, Any], max_price: int
) -> dict[str, Any]:
    """Place one order."""
    return await _placed("/orders", products=products, shipping_address=shipping_address, max_price=max_price)


@server.tool()
async def place_v1_order(
    retailer: str,
    products: list[dict[str, Any]],
    shipping_address: dict[str, Any],
    max_price: int,
    shipping_method: str,
) -> dict[str, Any]:
    """Place one order of v1."""
    return await _placed(
        "/v1/orders",
        retailer=retailer,
        products=products,
        shipping_address=shipping_address,
        max_price=max_price,
        shipping_method=shipping_method,
    )


async def _placed(path: str, **body: Any) -> dict[str, Any]:
    commits = int(os.environ["BENCH_COMMITS"])
    for _ in range(commits - 1):
        await anyio.to_thread.run_sync(_commit, limiter=_ONE)
    answer = await _UPSTREAM.post(path, json=body, headers=_BEARER)
    await anyio.to_thread.run_sync(_commit, limiter=_ONE)
    order: dict[str, Any] = answer.json()
    return order


def _opened() -> sqlite3.Connection | None:
    path = os.environ.get("BENCH_DATABASE")
    if path is None:
        return None
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=1"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE IF NOT EXISTS written (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
    connection.execute("PRAGMA synchronous=OFF")
    for _ in range(1_000):  # until the WAL has its full size: commits that make a file longer are slower
        connection.execute("INSERT INTO written (payload) VALUES (zeroblob(4096))")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


_DATABASE = _opened()
_ONE = anyio.CapacityLimiter(1)
_PAYLOAD = b"x" * int(os.environ.get("BENCH_PAYLOAD", "0"))


def _commit() -> None:
    assert _DATABASE is not None
    _DATABASE.execute("BEGIN IMMEDIATE")
    _DATABASE.execute("INSERT INTO written (payload) VALUES (?)", (_PAYLOAD,))
    _DATABASE.execute("COMMIT")


def serve(port: int) -> None:
    """Serve Streamable HTTP and SSE on one port, with the settings of our own server."""
    streamable, sse = server.streamable_http_app(), server.sse_app()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with server.session_manager.run():
            yield

    app = Starlette(routes=[*streamable.routes, *sse.routes], lifespan=lifespan)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    if sys.argv[1] == "http":
        serve(int(sys.argv[2]))
    else:
        server.run("stdio")
