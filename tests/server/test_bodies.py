"""A broken body over HTTP gets the same error as on stdin, on both paths and in both eras."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
from conftest import OpenProcess
from server.as_a_host import both_eras
from server.broken import BROKEN, SERVED, UNANSWERED, modern, request
from server.on_a_port import JSON, initialize, served, token_in


@asynccontextmanager
async def posting(open_test_process: OpenProcess, era: str) -> AsyncGenerator[tuple[httpx.AsyncClient, str]]:
    """Give a client that may post, and where to, with a session of the older era where that is meant."""
    async with open_test_process() as process, served(process) as origin:
        headers = {**JSON, "Authorization": f"Bearer {token_in(process.settings.home)}"}
        async with httpx.AsyncClient(headers=headers, timeout=20) as client:
            if era == "legacy":
                opened = await client.post(f"{origin}/mcp", json=initialize())
                client.headers["Mcp-Session-Id"] = opened.headers["mcp-session-id"]
                client.headers["MCP-Protocol-Version"] = "2025-11-25"
            else:
                client.headers.update({"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"})
            yield client, f"{origin}/mcp"


@both_eras
async def test_every_body_gets_its_answer(open_test_process: OpenProcess, mode: str) -> None:
    async with posting(open_test_process, mode) as (client, where):
        for name, (body, owed) in BROKEN.items():
            answer = await client.post(where, content=body)
            error = answer.json()
            [code] = {code for code, _ in owed}
            wanted = owed[0][1] if len(owed) == 1 else None  # one body, one answer
            assert (answer.status_code, error["error"]["code"], error["id"]) == (400, code, wanted), name
        for name, (body, wanted) in SERVED.items():
            answer = await client.post(where, content=modern(body) if mode == "auto" else body)
            found = re.search(r"\{.*\}", answer.text)
            assert found is not None, name
            told = json.loads(found[0])
            assert (answer.status_code, told["id"], "tools" in told["result"]) == (200, wanted, True), name
        for name, body in UNANSWERED.items():
            answer = await client.post(where, content=body)
            # The newer era takes no answers, and says so without an id.
            takes_none = mode == "auto" and "notification" not in name
            assert answer.status_code == (400 if takes_none and answer.content else 202), name
            assert not takes_none or not answer.content or answer.json()["id"] is None, name


async def test_a_body_in_many_pieces_is_one_message(open_test_process: OpenProcess) -> None:
    async def pieces(whole: bytes) -> AsyncGenerator[bytes]:
        for each in whole:
            yield bytes([each])

    async with posting(open_test_process, "auto") as (client, where):
        whole = await client.post(where, content=pieces(modern(request().encode())))
        broken = await client.post(where, content=pieces(request(params='{"a":').encode()))
    assert "tools" in whole.json()["result"]
    assert (broken.status_code, broken.json()["id"]) == (400, 5)


async def test_a_broken_message_is_answered_over_sse_too(open_test_process: OpenProcess) -> None:
    async with open_test_process() as process, served(process) as origin:
        headers = {"Authorization": f"Bearer {token_in(process.settings.home)}", "Content-Type": "application/json"}
        async with (
            httpx.AsyncClient(headers=headers, timeout=20) as client,
            client.stream("GET", f"{origin}/sse") as stream,
        ):
            lines = stream.aiter_lines()
            where = ""
            async for line in lines:
                if line.startswith("data: "):
                    where = origin + line.removeprefix("data: ")
                    break
            for name in ("half a surrogate pair", "an id of true", "a batch of nothing", "jsonrpc as a number"):
                body, [(code, wanted)] = BROKEN[name]
                answer = await client.post(where, content=body)
                found = answer.json()
                assert (answer.status_code, found["error"]["code"], found["id"]) == (400, code, wanted), name
            assert (await client.post(where, json=initialize())).status_code == 202
            async for line in lines:
                if line.startswith("data: "):
                    assert json.loads(line.removeprefix("data: "))["result"]["serverInfo"]["name"] == "zinc"
                    break


@pytest.mark.parametrize("path", ["/mcp", "/messages/"])
async def test_a_caller_without_a_token_learns_nothing_about_a_body(open_test_process: OpenProcess, path: str) -> None:
    async with open_test_process() as process, served(process) as origin, httpx.AsyncClient() as client:
        answer = await client.post(f"{origin}{path}", content=b"{", headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
