"""A real HTTP server on loopback that takes messages and answers as the test says."""

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio


@dataclass
class Message:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@dataclass
class Listener:
    """Keeps the messages; `answers` are taken one after the other, then it is 200."""

    url: str = ""
    messages: list[Message] = field(default_factory=list[Message])
    answers: list[int | str] = field(default_factory=list[int | str])
    """A status; `hang` for no answer; `redirect`; `huge` for 200 and an endless body."""

    @property
    def events(self) -> list[str]:
        return [str(message.json["event"]) for message in self.messages]

    def of(self, event: str) -> dict[str, Any]:
        """Return the only message about an event."""
        [found] = [message.json for message in self.messages if message.json["event"] == event]
        return found

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has come."""
        with anyio.fail_after(60):
            while not condition():
                await anyio.sleep(0.02)


@contextmanager
def listening() -> Generator[Listener]:
    """Listen while inside."""
    listener, over = Listener(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            listener.messages.append(Message(self.path, dict(self.headers), body))
            answer = listener.answers.pop(0) if listener.answers else 200
            if answer == "hang":
                over.wait(60)
                return
            if answer == "redirect":
                self.send_response(307)
                self.send_header("Location", f"{listener.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(answer if isinstance(answer, int) else 200)
            if answer == "huge":
                self.end_headers()
                for _ in range(2000):
                    self.wfile.write(b"x" * 65536)
                    time.sleep(0.001)
                return
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    listener.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        over.set()
        server.shutdown()
        server.server_close()
