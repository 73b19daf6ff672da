"""A request that says one thing twice, or a form that does not end, decides nothing and lets nobody in."""

import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
from conftest import OpenProcess
from fake_zinc import FakeZinc
from server.on_a_port import JSON, initialize, served, token_in
from server.test_page import ask_always as ask_always  # a fixture: the policy asks on the page
from server.test_page import opened
from server.visitor import forms
from starlette.applications import Starlette

from zinc_mcp.owner.members import Members, add_member
from zinc_mcp.process import Process
from zinc_mcp.server.http.access import local_token
from zinc_mcp.server.http.app import build_app
from zinc_mcp.server.http.requests import Hosts
from zinc_mcp.server.pages.approval import ApprovalPage
from zinc_mcp.server.pages.forms import MAX_FORM_BYTES
from zinc_mcp.server.pages.visits import Visits

Headers = list[tuple[str, str]]
OWN, FOREIGN = "shop.example.com", "evil.example"


@asynccontextmanager
async def asked_directly(process: Process) -> AsyncGenerator[httpx.AsyncClient]:
    """Ask the application without a server before it, which may refuse such a request by itself, or may not."""
    known = Members(process.settings.home / "members.json")
    local = None if known.known() else local_token(process.settings.home)
    app = build_app(process, Hosts([OWN]), known, local=local, base=f"http://{OWN}")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{OWN}") as client:
        yield client


def page_of(process: Process) -> httpx.AsyncClient:
    """Ask the page alone in the same way."""
    app = Starlette(routes=[ApprovalPage(process, Hosts([OWN]), Visits(process.times.clock)).route()])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{OWN}")


@pytest.mark.parametrize("hosts", [(OWN, FOREIGN), (FOREIGN, OWN), (OWN, OWN)])
@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/"])
async def test_a_request_that_names_two_hosts_is_refused(
    open_test_process: OpenProcess, home: Path, path: str, hosts: tuple[str, str]
) -> None:
    async with open_test_process() as process, asked_directly(process) as client:
        headers: Headers = [("Authorization", f"Bearer {token_in(home)}"), *(("Host", host) for host in hosts)]
        answer = await client.request("GET", path, headers=headers)
    assert (answer.status_code, answer.json()) == (421, {"error": "invalid_host"})


@pytest.mark.parametrize("second", ["right", "wrong"])
@pytest.mark.parametrize("first", ["right", "wrong"])
async def test_a_request_with_two_tokens_is_refused(
    open_test_process: OpenProcess, home: Path, first: str, second: str
) -> None:
    tokens = {"right": add_member(home / "members.json", "ada"), "wrong": "zmcp_" + "x" * 43}
    async with open_test_process() as process, asked_directly(process) as client:
        headers: Headers = [("Authorization", f"Bearer {tokens[name]}") for name in (first, second)]
        answer = await client.request("GET", "/nothing-here", headers=headers)
        alone = await client.request("GET", "/nothing-here", headers=headers[:1])
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert alone.status_code == (404 if first == "right" else 401), "one token is somebody's"


@pytest.mark.parametrize("doubled", ["Host", "Origin"])
async def test_the_page_takes_no_request_that_says_twice_where_it_comes_from(
    open_test_process: OpenProcess, zinc: FakeZinc, doubled: str
) -> None:
    async with open_test_process() as process:
        own = {"Host": OWN, "Origin": f"http://{OWN}"}
        for other in (FOREIGN, OWN):
            second = other if doubled == "Host" else f"http://{other}"
            for order in ([own[doubled], second], [second, own[doubled]]):
                headers: Headers = [(name, value) for name, value in own.items() if name != doubled]
                headers += [(doubled, value) for value in order]
                async with page_of(process) as client:
                    answer = await client.post("/approve/", data={"visit": "x"}, headers=headers)
                assert answer.status_code == (421 if doubled == "Host" else 403)
                assert ("server&#39;s name" if doubled == "Host" else "Not from this page") in answer.text


async def test_over_a_socket_two_hosts_or_two_tokens_let_nobody_in(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path
) -> None:
    body = str(initialize()).replace("'", '"').encode()
    async with open_test_process() as process, served(process) as origin:
        address = origin.removeprefix("http://")
        right = f"Bearer {token_in(home)}"
        for hosts, tokens in (
            ([address, FOREIGN], [right]),
            ([FOREIGN, address], [right]),
            ([address], [right, "Bearer zmcp_x"]),
            ([address], ["Bearer zmcp_x", right]),
        ):
            lines = [f"Host: {host}" for host in hosts] + [f"Authorization: {token}" for token in tokens]
            lines += [f"{name}: {value}" for name, value in JSON.items()]
            head = "\r\n".join(["POST /mcp HTTP/1.1", *lines, f"Content-Length: {len(body)}", "Connection: close"])
            status = await anyio.to_thread.run_sync(_status, address, head.encode() + b"\r\n\r\n" + body)
            assert status in (400, 401, 421), (hosts, tokens)
    assert zinc.requests == []


@pytest.mark.parametrize(
    "lengths",
    [
        "Content-Length: 5\r\nContent-Length: {all}",
        "Content-Length: {all}\r\nContent-Length: 5",
        "Content-Length: 5, {all}",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: -5",
        "Content-Length : 5",
        "Transfer-Encoding: chunked\r\nContent-Length: {all}",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: chunked\rX: y",
    ],
    ids=repr,
)
async def test_a_request_whose_end_can_be_read_in_two_ways_is_one_request_at_most(
    open_test_process: OpenProcess, zinc: FakeZinc, home: Path, lengths: str
) -> None:
    async with open_test_process() as process, served(process) as origin:
        address = origin.removeprefix("http://")
        head = f"Host: {address}\r\nAuthorization: Bearer {token_in(home)}\r\n"
        second = f"POST /mcp HTTP/1.1\r\n{head}Content-Length: 1\r\n\r\n{{"
        body = f"0\r\n\r\n{second}"
        sent = f"POST /mcp HTTP/1.1\r\n{head}{lengths.format(all=len(body))}\r\n\r\n{body}"
        answer = await anyio.to_thread.run_sync(_answer, address, sent.encode("latin-1"))
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    assert answer.split(b" ")[1] in (b"400", b"501"), answer
    assert zinc.requests == []


def _answer(address: str, request: bytes) -> bytes:
    host, _, port = address.rpartition(":")
    got = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        while piece := connection.recv(65_536):
            got += piece
    return got


def _status(address: str, request: bytes) -> int:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        return int(connection.recv(100).split(b" ")[1])


# A form


async def test_a_form_beyond_its_bound_decides_nothing_although_a_right_answer_stands_in_it(
    open_test_process: OpenProcess, zinc: FakeZinc
) -> None:
    async with opened(open_test_process) as (_, person):
        [form] = [each for each in forms(person.page) if "about" in each.fields]
        right = {**form.fields, "decision": "yes"}
        for excess in ({"pad": "x" * MAX_FORM_BYTES}, {f"field{nth}": "" for nth in range(20)}):
            for both in ({**right, **excess}, {**excess, **right}):
                assert (await person.send(to=form.action, **both)).status_code == 400
        assert zinc.posts == []
        assert (await person.send(to=form.action, **right)).status_code == 200
    assert len(zinc.posts) == 1


async def test_a_form_without_end_is_answered_before_it_ends(open_test_process: OpenProcess, zinc: FakeZinc) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b"decision=yes&pad="
        while sent < 200 * MAX_FORM_BYTES:
            sent += 1024
            yield b"x" * 1024

    async with open_test_process() as process, page_of(process) as client:
        headers = {"Origin": f"http://{OWN}", "Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post("/approve/", content=endless(), headers=headers)
    assert answer.status_code == 400
    assert sent < 3 * MAX_FORM_BYTES, "what comes after the bound is not read"
    assert zinc.posts == []
