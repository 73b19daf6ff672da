"""A proxy to a PostgreSQL server on this machine that counts round trips, and makes each one longer.

A round trip begins when a client sends something after the server has answered. Parts that are sent together are one.
"""

import socket
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

_SPUN_SECONDS = 0.0005


class Delaying:
    """Passes on the bytes of clients and a server, and delays the start of each round trip by `delay_seconds`."""

    def __init__(self, address: str, delay_seconds: float = 0.0) -> None:
        split = urlsplit(address)
        asked = parse_qs(split.query)
        folder = asked.get("host", [None])[0]
        port = asked.get("port", [split.port or 5432])[0]
        self._server: str | tuple[str, int] = (
            (split.hostname or "127.0.0.1", int(port)) if folder is None else f"{unquote(folder)}/.s.PGSQL.{port}"
        )
        self._delay = delay_seconds
        self.round_trips = 0
        """The number of round trips of all connections together."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        user = f"{split.username}{f':{split.password}' if split.password else ''}@" if split.username else ""
        port = self._listening.getsockname()[1]
        self.address = f"postgresql://{user}127.0.0.1:{port}{split.path}?sslmode=disable"
        """The database's address through this proxy."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX if isinstance(self._server, str) else socket.AF_INET)
                try:
                    server.connect(self._server)
                except OSError:  # it restarts
                    client.close()
                    server.close()
                    continue
                answered = threading.Event()
                answered.set()
                threading.Thread(target=self._ask, args=(client, server, answered), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client, answered), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while part := client.recv(65_536):
                if answered.is_set():
                    answered.clear()
                    self.round_trips += 1
                    _wait_until(time.perf_counter() + self._delay)
                server.sendall(part)
        _close(client, server)

    def _answer(self, server: socket.socket, client: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while part := server.recv(65_536):
                answered.set()
                client.sendall(part)
        _close(client, server)
        for end in (client, server):
            end.close()


def _wait_until(then: float) -> None:
    """Wait until a time, exact to a few microseconds. A sleep alone takes at least a tenth of a millisecond longer."""
    if (left := then - time.perf_counter()) > _SPUN_SECONDS:
        time.sleep(left - _SPUN_SECONDS)
    while time.perf_counter() < then:
        pass


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
