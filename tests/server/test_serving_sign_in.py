"""A server without a key says how to sign in, and takes a key that was kept at its next start."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import preloaded
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic import SecretStr
from signing import Practice, practice
from started import ROOT, Started
from wanted import arguments

from zinc_mcp.owner.secrets.store import SecretStore

KEPT = "zn_test_kept_at_the_practice_zinc"
BOOK = "https://www.amazon.com/dp/B0SNDBXC01"
SUCCESS = [{"url": "https://zinc.com/shop/products/test-success"}]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with practice(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@asynccontextmanager
async def server(home: Path, log: Path, **variables: str) -> AsyncGenerator[Client]:
    environment = {"PATH": "/usr/bin:/bin", "ZINC_MCP_HOME": str(home), "PYTHONPATH": str(ROOT), **variables}
    [program, *words] = preloaded.command("zinc_mcp")
    parameters = StdioServerParameters(command=program, args=words, env=environment)
    with log.open("w", encoding="utf-8") as errlog:
        async with Client(stdio_client(parameters, errlog=errlog)) as client:
            yield client


async def told(client: Client, tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", (await client.call_tool(tool, dict(given))).structured_content)


def keep(home: Path, origin: str, key: str = KEPT) -> None:
    parts = {"value": SecretStr(key)}
    SecretStore(home).put("api_key", parts, "file", instead_of=None, origin=origin, remark="test")


async def test_a_server_without_a_key_says_how_to_sign_in_and_takes_the_key_at_its_next_start(
    tmp_path: Path, sandbox: Practice
) -> None:
    started, log = Started(tmp_path), tmp_path / "log"
    variables = {"ZINC_API_URL": sandbox.url, "ZINC_MCP_APPROVAL": "none"}
    wanted, looked = arguments(products=SUCCESS, max_price=6000), {"url": BOOK, "details": True}
    async with server(started.home, log, **variables) as client:
        answer, checked = await told(client, "place_order", wanted), await told(client, "check_product", looked)
        assert answer["code"] == "account_not_configured"
        for said in (answer["next_step"], checked["not_read"]["details"]):
            assert "sign in with `" in said and " -m zinc_mcp login`" in said
        keep(started.home, sandbox.url)
        answer, checked = await told(client, "place_order", wanted), await told(client, "check_product", looked)
        assert answer["code"] == "account_not_configured"
        again = "Tell the user to start this server again: an API key was kept after it had started."
        assert answer["next_step"] == again
        assert again in checked["not_read"]["details"]
    assert "kept on" not in log.read_text()
    async with server(started.home, log, **variables) as client:
        assert (await told(client, "place_order", wanted))["outcome"] == "accepted"
    assert "zinc-mcp: The API key is the test key that was kept on 2" in log.read_text()
    assert KEPT not in log.read_text()


async def test_a_key_that_was_kept_for_another_zinc_is_not_used_and_this_is_said(
    tmp_path: Path, sandbox: Practice
) -> None:
    started, log = Started(tmp_path), tmp_path / "log"
    keep(started.home, "https://api.zinc.com")
    async with server(started.home, log, ZINC_API_URL=sandbox.url) as client:
        answer = await told(client, "place_order", arguments(products=SUCCESS, max_price=6000))
        balance = await told(client, "get_balance", {})
    assert answer["code"] == "account_not_configured"
    assert "The kept API key is for https://api.zinc.com, and ZINC_API_URL names another" in answer["summary"]
    assert "nothing was sent" in answer["summary"] and " login`" in answer["next_step"]
    assert balance.get("account") is None
    assert "is for https://api.zinc.com" in log.read_text()


@pytest.mark.parametrize("key", ["zn_live_of_the_owner_51c7", "zn_test_of_the_owner_51c7"])
async def test_practice_works_with_any_key_in_the_environment_or_in_the_store(tmp_path: Path, key: str) -> None:
    log = tmp_path / "log"
    for name, variables in (("store", {}), ("environment", {"ZINC_API_KEY": key})):
        home = tmp_path / name  # one of its own: a second order would be the twin of the first
        keep(home, "https://api.zinc.com", key)
        async with server(home, log, ZINC_MCP_SANDBOX="1", **variables) as client:
            answer = await told(client, "place_order", arguments(products=SUCCESS, max_price=6000))
            assert answer.get("order_id"), answer
    assert "The API key is" not in log.read_text()
