"""Real proxies in front of servers of a team, with the files of `deploy/`: only addresses in them are replaced."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from server.test_serving_processes import certificate

from bench.proxied import DEPLOY, NAMES, nginx_configuration, replaced


class Proxy:
    """A running proxy, and the clients that trust its certificate."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.origin = f"https://localhost:{port}"
        self.port = port
        self.trust = ssl.create_default_context(cafile=certificate)

    def client(self, token: str | None = None, **headers: str) -> httpx2.AsyncClient:
        """Return a client that trusts it."""
        given = dict(headers) if token is None else {"Authorization": f"Bearer {token}", **headers}
        return httpx2.AsyncClient(headers=given, timeout=90, verify=self.trust)

    @asynccontextmanager
    async def host(self, token: str, era: str, asks: Any) -> AsyncGenerator[Client]:
        """Be a host: of the newer protocol (`auto`), of the older one (`legacy`), or over SSE (`sse`)."""
        if era == "sse":

            def http(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
                return httpx2.AsyncClient(headers=headers, timeout=timeout, verify=self.trust)

            bearer = {"Authorization": f"Bearer {token}"}
            wire = sse_client(f"{self.origin}/sse", headers=bearer, httpx_client_factory=http)
            async with Client(wire, mode="legacy", elicitation_callback=asks) as client:
                yield client
            return
        async with (
            self.client(token) as http_client,
            Client(
                streamable_http_client(f"{self.origin}/mcp", http_client=http_client),
                mode=era,
                elicitation_callback=asks,
            ) as client,
        ):
            yield client


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def caddy_configuration(folder: Path, port: int, servers: Sequence[int]) -> str:
    """Return `deploy/Caddyfile` with these addresses, and the certificate at hand instead of one from an authority."""
    text = replaced(
        (DEPLOY / "Caddyfile").read_text(encoding="utf-8"),
        {
            **{rf"{name}:8765": f"127.0.0.1:{own}" for name, own in zip(NAMES, servers, strict=True)},
            r"zinc\.example\.com \{\n": f"https://localhost:{port} {{\n\ttls {folder}/cert.pem {folder}/key.pem\n",
        },
    )
    return f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n\n{text}"


@contextmanager
def proxy(name: str, folder: Path, servers: Sequence[int], port: int) -> Generator[Proxy]:
    """Run nginx or Caddy in front of servers on these ports; the test is skipped where it is not installed."""
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed; .ci/run installs nginx where it may")
    trusted, _ = certificate(folder, "localhost")
    path = folder / f"{name}.conf"
    if name == "nginx":
        path.write_text(nginx_configuration(folder, port, servers), encoding="utf-8")
        words = [program, "-p", str(folder), "-e", "stderr", "-c", str(path), "-g", "daemon off;"]
    else:
        path.write_text(caddy_configuration(folder, port, servers), encoding="utf-8")
        words = [program, "run", "--adapter", "caddyfile", "--config", str(path)]
    log = folder / f"{name}.log"
    with log.open("w", encoding="utf-8") as errors:
        running = subprocess.Popen(
            words, stderr=errors, stdout=errors, cwd=folder, env={"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        )
        try:
            until = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert running.poll() is None and time.monotonic() < until, log.read_text(encoding="utf-8")
                    time.sleep(0.05)
            yield Proxy(port, trusted)
        finally:
            # Caddy waits for open streams before it ends; nginx has children that only it can end.
            (running.terminate if name == "nginx" else running.kill)()
            running.wait(20)
