"""A real PgBouncer before a PostgreSQL server."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

_FOUND = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pooler(server: Any, folder: Path, mode: str, *, sessions: int = 40) -> Generator[Callable[[str], str]]:
    """Start a pooler in "session" or "transaction" mode; it returns the address through it for a database's address.

    `sessions` are those that it keeps of each database.
    """
    if _FOUND is None:
        pytest.skip("no PgBouncer on this machine")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    split = urlsplit(str(server.get_uri("postgres")))
    host = parse_qs(split.query).get("host", [split.hostname])[0]
    configured = folder / f"pgbouncer-{port}.ini"
    configured.write_text(
        f"[databases]\n* = host={host} port={split.port or 5432} user=postgres\n[pgbouncer]\n"
        f"pool_mode = {mode}\ndefault_pool_size = {sessions}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\nauth_type = any\nmax_client_conn = 200\nserver_idle_timeout = 2\n"
    )
    # It does not run as root, and the server's socket belongs to the server's user.
    as_user = ["-u", server.system_user] if os.geteuid() == 0 else []
    running = subprocess.Popen([_FOUND, "-q", *as_user, str(configured)], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 30
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert running.poll() is None and time.monotonic() < until, "PgBouncer does not start"
            time.sleep(0.02)
        yield lambda address: f"postgresql://postgres@127.0.0.1:{port}{urlsplit(address).path}?sslmode=disable"
    finally:
        running.terminate()
        running.wait(30)
