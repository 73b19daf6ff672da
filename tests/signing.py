"""A sandbox on a port to sign in to, the person who clicks on its page, and a Zinc that answers as it is told."""

import json
import re
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import preloaded
from started import Started

KEY = re.compile(r"zn_(?:live|test)_[0-9A-Za-z_-]{8,}")
"""A key in a text. The planted ones of tests are not meant."""


@dataclass
class Practice:
    """A sandbox in a process of its own, and what its ledger says."""

    url: str
    ledger: Path

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read rows of its ledger."""
        with closing(sqlite3.connect(self.ledger, timeout=10)) as database:
            return database.execute(statement).fetchall()

    def names(self) -> list[str]:
        """Return the names that programs gave to Zinc, oldest first."""
        return [name for (name,) in self.rows("SELECT name FROM device_codes ORDER BY seq")]

    def click(self, answer: str) -> None:
        """Wait for a code that nobody has decided about, open its page and click."""
        until = time.monotonic() + 30
        while not (codes := self.rows("SELECT user_code FROM device_codes WHERE status = 'pending'")):
            assert time.monotonic() < until, "nobody asks to sign in"
            time.sleep(0.05)
        with httpx.Client(base_url=self.url, trust_env=False) as person:
            page = person.get("/device", params={"user_code": codes[0][0]})
            assert page.status_code == 200
            assert person.post("/device", data={"user_code": codes[0][0], "granted": answer}).status_code == 200

    @contextmanager
    def person(self, answer: str) -> Generator[None]:
        """Have a person click as soon as a program asks."""
        clicking = threading.Thread(target=self.click, args=(answer,))
        clicking.start()
        try:
            yield
        finally:
            clicking.join(40)
            assert not clicking.is_alive()


@contextmanager
def practice(folder: Path, pace: float = 20.0) -> Generator[Practice]:
    """Run the command `sandbox`. At pace 20 a code stands 45 seconds, at 900 it stands two."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / "practice.db"
    with subprocess.Popen(
        [*preloaded.command("zinc_mcp"), "sandbox", "--port", "0", "--pace", str(pace), "--ledger", str(ledger)],
        env=Started(folder).environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as running:
        assert running.stdout is not None
        try:
            yield Practice(running.stdout.readline().strip(), ledger)
        finally:
            running.terminate()


Answer = tuple[int, object] | Callable[[BaseHTTPRequestHandler], None]
"""A status with a JSON value or bytes, or what is done instead of answering."""


@dataclass
class ToldZinc:
    """A Zinc on a port. For each path it gives the answers that it was told, and the last one again and again."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict[str, list[Answer]])
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(
        default_factory=list[tuple[str, str, dict[str, str], bytes]]
    )

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in their order."""
        return [path for _, path, _, _ in self.requests]


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def code_of(url: str, **changes: object) -> dict[str, object]:
    """Return an honest answer to `POST /device/code`, with changes."""
    honest: dict[str, object] = {
        "device_code": "device-secret-7d1e",
        "user_code": "WXYZ-BCDF",
        "verification_uri": f"{url}/device",
        "verification_uri_complete": f"{url}/device?user_code=WXYZ-BCDF",
        "expires_in": 600,
        "interval": 1,
        "human_message": "Open it.",
        "next": "Poll.",
    }
    return {**honest, **changes}


def refusal(code: str) -> dict[str, object]:
    """Return an error in Zinc's envelope."""
    return {"error": {"code": code, "message": "said by Zinc", "details": None}}


WALLET = {"id": "1", "user_id": 7, "balance": 4200, "order_fee_cents": 100, "wallet_type": "purchases"}


@contextmanager
def told_zinc() -> Generator[ToldZinc]:
    """Run such a Zinc."""
    zinc = ToldZinc()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            zinc.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, content))
            listed = zinc.answers.get(self.path, [(404, refusal("not_found"))])
            given = listed.pop(0) if len(listed) > 1 else listed[0]
            if callable(given):
                given(self)
                return
            status, value = given
            body = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # the names that the library wants

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    zinc.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield zinc
    finally:
        server.shutdown()
        server.server_close()
