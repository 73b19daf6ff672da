"""A team server in its own process with few open files, and bare sockets to send it anything."""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from server.on_a_port import JSON, initialize
from started import ROOT

from zinc_mcp.owner.members import add_member

HOST = b"Host: mcp.example.com\r\n"


class TeamServer:
    """A running team server: its port, its process and its members."""

    def __init__(self, home: Path, port: int, pid: int, tls: tuple[Path, Path] | None = None) -> None:
        self.home = home
        self.members = home / "members.json"
        self.port = port
        self.pid = pid
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self._opened: list[socket.socket] = []
        self._trusted: ssl.SSLContext | bool = False
        if tls is not None:
            self._trusted = context = ssl.create_default_context(cafile=str(tls[0]))
            context.check_hostname = False

    def member(self, name: str) -> str:
        """Add a member; return the token."""
        return add_member(self.members, name)

    def client(self, token: str | None = None) -> httpx2.Client:
        """Return a client that names the server as its proxy would."""
        headers = {**JSON, "Host": "mcp.example.com"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return httpx2.Client(base_url=self.origin, headers=headers, timeout=20, verify=self._trusted)

    def bare(self, sent: bytes = b"") -> socket.socket:
        """Open a connection and send these bytes."""
        opened = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self._opened.append(opened)
        with suppress(OSError):  # it may have been ended already
            opened.sendall(sent)
        return opened

    def close(self) -> None:
        """Close what was opened here."""
        while self._opened:
            self._opened.pop().close()

    def stream(self, token: str, session: str | None = None) -> socket.socket:
        """Open a stream of a session, or an SSE connection without one."""
        path, kept = ("/sse", "") if session is None else ("/mcp", f"Mcp-Session-Id: {session}\r\n")
        opened = self.bare(head("GET", path, token, kept + "Accept: text/event-stream\r\n"))
        return opened

    def health_seconds(self) -> float:
        """Ask how it is, on a connection of its own; return how long that took."""
        began = time.monotonic()
        assert httpx2.get(f"{self.origin}/healthz", timeout=5, verify=self._trusted).status_code == 200
        return time.monotonic() - began

    def resident_kib(self) -> int:
        """Return its resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise OSError("no VmRSS in /proc")

    def files(self) -> int:
        """Return how many files it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def head(method: str, path: str, token: str | None = None, more: str = "") -> bytes:
    """Return the head of a request."""
    bearer = "" if token is None else f"Authorization: Bearer {token}\r\n"
    return f"{method} {path} HTTP/1.1\r\n".encode() + HOST + f"{bearer}{more}\r\n".encode()


def session_of(client: httpx2.Client) -> str:
    """Open a session of the handshake era; return its id."""
    answer = client.post("/mcp", json=initialize())
    assert answer.status_code == 200, answer.text
    return str(answer.headers["mcp-session-id"])


def calling(tool: str, arguments: dict[str, Any], number: int = 2) -> dict[str, Any]:
    """Return the message that calls a tool."""
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def answered(opened: socket.socket, seconds: float = 10.0) -> bytes:
    """Return all bytes until the server ends the connection.

    Raises:
        TimeoutError: the server does not end it within so many seconds.
    """
    until, got = time.monotonic() + seconds, b""
    while True:
        opened.settimeout(max(until - time.monotonic(), 0.001))
        try:
            piece = opened.recv(65_536)
        except (ConnectionResetError, BrokenPipeError):
            return got
        if not piece:
            return got
        got += piece


def status_of(opened: socket.socket, seconds: float = 10.0) -> int:
    """Return the status of the answer that comes next; 0 when the connection ends without one."""
    opened.settimeout(seconds)
    try:
        return int((opened.recv(65_536) or b"- 0 -").split(b" ", 2)[1])
    except ConnectionResetError:
        return 0


def is_open(opened: socket.socket) -> bool:
    """Say whether the server has left a connection open; received bytes are dropped."""
    opened.setblocking(False)
    try:
        while opened.recv(65_536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def team_server(home: Path, *, files: int = 256, tls: tuple[Path, Path] | None = None) -> Generator[TeamServer]:
    """Start one in the sandbox, behind a proxy or with TLS of its own, that may have so many files open.

    It ends at the end, in order.
    """
    add_member(home / "members.json", "somebody")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZINC_", "UV"))}
    words = f"serve --http 127.0.0.1:{port} --allow-host mcp.example.com "
    words += f"--tls-cert '{tls[0]}' --tls-key '{tls[1]}'" if tls else "--behind-proxy"
    log = home / "server.log"
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            ["sh", "-c", f'ulimit -n {files}; exec "$0" -m zinc_mcp {words}', sys.executable],  # noqa: S607
            env={**kept, "ZINC_MCP_HOME": str(home), "PYTHONPATH": str(ROOT), "ZINC_MCP_SANDBOX": "1"},
            stderr=errors,
        )
        server = TeamServer(home, port, process.pid, tls)
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    server.health_seconds()
                    break
                except httpx2.TransportError:
                    assert process.poll() is None, log.read_text(encoding="utf-8")
                    assert time.monotonic() < until
                    time.sleep(0.1)
            yield server
        finally:
            server.close()
            process.terminate()
            assert process.wait(30) == 0
    noise = log.read_text(encoding="utf-8")
    assert "Traceback" not in noise, noise
    assert json.dumps(noise).count("\\n") < 50, "refused clients fill the log"
