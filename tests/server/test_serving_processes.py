"""The server process writes only the protocol to stdout, and any end in the middle leaves one order."""

import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import preloaded
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fake_zinc import FakeZinc
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from server.as_a_host import call
from server.on_a_port import JSON, initialize, token_in, until_healthy, zinc_on_a_port
from started import ROOT
from variants import rare
from wanted import arguments

from zinc_mcp.owner.members import add_member

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

ENDINGS = ["eof", "SIGTERM", "SIGINT"]
SIGTERM_OFTEN = ["SIGTERM", *map(rare, ("eof", "SIGINT"))]


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZINC_")}
    return {**kept, "ZINC_MCP_HOME": str(home), "ZINC_MCP_SANDBOX": "1", "PYTHONPATH": str(ROOT)}


def with_zinc(environment: dict[str, str], origin: str) -> dict[str, str]:
    own = {name: value for name, value in environment.items() if name != "ZINC_MCP_SANDBOX"}
    return {**own, "ZINC_API_URL": origin, "ZINC_API_KEY": "zn_test_planted-secret"}


@asynccontextmanager
async def program(environment: dict[str, str], *words: str, anew: bool = False) -> AsyncGenerator[anyio.abc.Process]:
    """Start the program quickly, with signals passed on to it, or as a host starts it."""
    start = [sys.executable, "-m", "zinc_mcp"] if anew else preloaded.command("zinc_mcp")
    process = await anyio.open_process([*start, *words], env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.aclose()


async def lines(process: anyio.abc.Process) -> AsyncGenerator[dict[str, Any]]:
    assert process.stdout is not None
    waiting = b""
    async for chunk in process.stdout:
        *whole, waiting = (waiting + chunk).split(b"\n")
        for line in whole:
            yield json.loads(line)
    assert waiting == b""


async def tell(process: anyio.abc.Process, *messages: dict[str, Any]) -> None:
    assert process.stdin is not None
    await process.stdin.send(b"".join(json.dumps(message).encode() + b"\n" for message in messages))


def orders(environment: dict[str, str]) -> list[dict[str, Any]]:
    ended = preloaded.finished(["orders", "--json"], environment)
    assert ended.returncode == 0
    return [dict(order) for order in json.loads(ended.stdout)]


CALL = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "place_order", "arguments": arguments()},
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.mark.parametrize("mode", ["auto", rare("legacy")])
async def test_a_host_buys_over_stdio(environment: dict[str, str], mode: str) -> None:
    started = StdioServerParameters(command=sys.executable, args=["-m", "zinc_mcp"], env=environment)
    async with Client(stdio_client(started), mode=mode) as client:
        product = {"products": [{"url": "https://zinc.com/shop/products/test-success"}]}
        placed = await call(client, "place_order", arguments(**product))
        looked = await call(client, "get_order", {"order_id": placed["key"]})
    assert placed["mode"] == "sandbox"
    assert looked["order_id"] == placed["order_id"]


@pytest.mark.parametrize("ending", ENDINGS)
async def test_every_way_to_end_the_server_ends_it_in_order(environment: dict[str, str], ending: str) -> None:
    async with program(environment) as process:
        answers = lines(process)
        await tell(process, initialize())
        assert (await anext(answers))["id"] == 1
        await end(process, ending)
        with anyio.fail_after(5):
            assert [answer async for answer in answers] == []
            assert await process.wait() == 0
        assert process.stderr is not None
        assert b"Traceback" not in b"".join([chunk async for chunk in process.stderr])


@pytest.mark.parametrize("ending", SIGTERM_OFTEN)
async def test_an_order_on_the_wire_is_finished_before_the_server_ends(
    environment: dict[str, str], zinc: FakeZinc, ending: str
) -> None:
    arrived = anyio.Event()

    async def on_post() -> None:
        arrived.set()
        await anyio.sleep(1)

    zinc.on_post = on_post
    async with zinc_on_a_port(zinc) as origin:
        own = with_zinc(environment, origin)
        async with program(own) as process:
            await tell(process, initialize(), READY, CALL)
            await arrived.wait()
            await end(process, ending)
            with anyio.fail_after(10):
                answered = [answer["id"] async for answer in lines(process)]
                assert await process.wait() == 0
            assert process.stderr is not None
            noise = b"".join([chunk async for chunk in process.stderr])
        [order] = await anyio.to_thread.run_sync(orders, own)
    assert answered in ([1], [1, 2])
    assert b"planted-secret" not in noise
    assert len(zinc.posts) == len(zinc.orders) == 1
    assert order["state"] == "accepted"


@pytest.mark.parametrize("ending", SIGTERM_OFTEN)
async def test_a_server_that_ends_while_a_dialogue_stands_has_sent_nothing_and_leaves_no_traceback(
    environment: dict[str, str], zinc: FakeZinc, write_config: Callable[[str], Path], ending: str
) -> None:
    write_config('[policy]\napproval = "auto"\n')
    opening = initialize()
    opening["params"]["capabilities"] = {"elicitation": {}}
    async with zinc_on_a_port(zinc) as origin:
        own = {**with_zinc(environment, origin), "ZINC_MCP_BROWSER": "0"}
        async with program(own) as process:
            await tell(process, opening, READY, CALL)
            answers = lines(process)
            while (await anext(answers)).get("method") != "elicitation/create":
                pass
            await end(process, ending)
            with anyio.fail_after(10):
                assert [answer async for answer in answers if "result" in answer] == []
                assert await process.wait() == 0
            assert process.stderr is not None
            noise = b"".join([chunk async for chunk in process.stderr])
        [order] = await anyio.to_thread.run_sync(orders, own)
    assert noise == b""
    assert zinc.posts == []
    assert order["state"] == "waiting"


async def end(process: anyio.abc.Process, ending: str) -> None:
    if ending == "eof":
        assert process.stdin is not None
        await process.stdin.aclose()
    else:
        process.send_signal(signal.Signals[ending])


async def test_a_host_that_dies_without_reading_leaves_no_traceback(environment: dict[str, str]) -> None:
    async with program(environment) as process:
        await tell(process, initialize())
        assert process.stdout is not None
        await process.stdout.receive()
        await process.stdout.aclose()
        await tell(process, *({"jsonrpc": "2.0", "id": number, "method": "ping"} for number in range(2, 50)))
        await end(process, "eof")
        with anyio.fail_after(10):
            assert await process.wait() == 0
        assert process.stderr is not None
        assert b"Traceback" not in b"".join([chunk async for chunk in process.stderr])


async def test_a_broken_message_is_answered_and_never_printed(environment: dict[str, str]) -> None:
    async with program(environment) as process:
        answers = lines(process)
        assert process.stdin is not None
        await process.stdin.send(b"planted-secret\n{\n\xff\xfe\n" + b"[" * 10_000 + b"\n")
        await tell(process, initialize())
        while (await anext(answers)).get("id") != 1:
            pass
        await process.stdin.aclose()
        await process.wait()
        assert process.stderr is not None
        assert b"planted-secret" not in b"".join([chunk async for chunk in process.stderr])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("ending", ["SIGTERM", rare("SIGINT")])
async def test_serve_finishes_an_order_on_the_wire_before_it_ends(
    environment: dict[str, str], zinc: FakeZinc, ending: str
) -> None:
    arrived = anyio.Event()

    async def on_post() -> None:
        arrived.set()
        await anyio.sleep(1)

    zinc.on_post = on_post
    listened: list[str] = []
    origin = f"http://127.0.0.1:{free_port()}"
    async with zinc_on_a_port(zinc) as zinc_origin, httpx2.AsyncClient(timeout=20) as client:
        own = with_zinc(environment, zinc_origin)
        async with program(own, "serve", "--http", origin.removeprefix("http://"), anew=True) as process:
            await until_healthy(client, origin)
            client.headers["Authorization"] = f"Bearer {token_in(Path(own['ZINC_MCP_HOME']))}"
            opened = await client.post(f"{origin}/mcp", headers=JSON, json=initialize())
            session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
            async with anyio.create_task_group() as tasks:

                async def place() -> None:
                    try:
                        await client.post(f"{origin}/mcp", headers=JSON | session, json=CALL)
                    except httpx2.TransportError:
                        pass

                async def listen() -> None:
                    async with client.stream("GET", f"{origin}/sse") as stream:
                        listened.extend([line async for line in stream.aiter_lines()])

                tasks.start_soon(place)
                tasks.start_soon(listen)
                await arrived.wait()
                process.send_signal(signal.Signals[ending])
                with anyio.fail_after(15):
                    assert await process.wait() == 0
            assert process.stderr is not None
            noise = b"".join([chunk async for chunk in process.stderr])
        [order] = await anyio.to_thread.run_sync(orders, own)
    assert order["state"] == "accepted"
    assert len(zinc.posts) == 1
    assert listened[0] == "event: endpoint"
    assert b"Traceback" not in noise
    assert b"planted-secret" not in noise
    assert b'the header "Authorization: Bearer TOKEN"' in noise
    assert str(Path(own["ZINC_MCP_HOME"]) / "http-token").encode() in noise
    assert token_in(Path(own["ZINC_MCP_HOME"])).encode() not in noise


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


async def test_a_team_server_speaks_tls_to_members_who_name_it(
    environment: dict[str, str], home: Path, tmp_path: Path
) -> None:
    token = add_member(home / "members.json", "ada")
    cert, key = certificate(tmp_path, "mcp.example.com")
    port = free_port()
    words = ["serve", "--http", f"127.0.0.1:{port}", "--allow-host", "mcp.example.com"]
    trusted = ssl.create_default_context(cafile=str(cert))
    async with (
        program(environment, *words, "--tls-cert", str(cert), "--tls-key", str(key)) as process,
        httpx2.AsyncClient(verify=trusted, timeout=20) as client,
    ):
        origin = f"https://localhost:{port}"
        await until_healthy(client, origin)
        named = {**JSON, "Host": "mcp.example.com"}
        assert (await client.post(f"{origin}/mcp", headers=named, json=initialize())).status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await client.post(f"{origin}/mcp", headers=named | bearer, json=initialize())).status_code == 200
        other = {**named, **bearer, "Host": "evil.example"}
        assert (await client.post(f"{origin}/mcp", headers=other, json=initialize())).status_code == 421
        plain_origin = {**named, **bearer, "Origin": "http://mcp.example.com"}
        assert (await client.post(f"{origin}/mcp", headers=plain_origin, json=initialize())).status_code == 403
        await client.aclose()
        process.terminate()
        assert await process.wait() == 0
        assert process.stderr is not None
        noise = b"".join([chunk async for chunk in process.stderr])
    assert token.encode() not in noise
