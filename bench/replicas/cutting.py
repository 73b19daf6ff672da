"""A proxy to PostgreSQL that cuts a connection in the middle of a commit."""

import socket
import threading
from contextlib import suppress
from typing import Literal

from bench.delaying import Delaying

When = Literal["before", "after"]

_COMMITTED = b"C\x00\x00\x00\x0bCOMMIT\x00"
_IN_TRANSACTION = b"Z\x00\x00\x00\x05T"
"""CommandComplete and ReadyForQuery (PostgreSQL, "Message Formats")."""


class Cutting(Delaying):
    """Passes on the bytes of a server and its database, and cuts the transactions that it was told to cut."""

    def __init__(self, address: str) -> None:
        self._next: When | None = None
        self._in_transaction: set[socket.socket] = set()
        self.cut: list[When] = []
        """For each transaction that was cut, whether this was before or after its commit."""
        super().__init__(address)

    def cut_next(self, when: When) -> None:
        """Cut the next transaction: before the database gets its last part, or after its commit."""
        self._next = when

    def _ask(self, client: socket.socket, server: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while part := client.recv(65_536):
                if client in self._in_transaction and self._cuts("before"):
                    break
                server.sendall(part)
        _end(client, server)

    def _answer(self, server: socket.socket, client: socket.socket, answered: threading.Event) -> None:
        with suppress(OSError):
            while part := server.recv(65_536):
                if _COMMITTED in part and self._cuts("after"):
                    break
                (self._in_transaction.add if part.endswith(_IN_TRANSACTION) else self._in_transaction.discard)(client)
                client.sendall(part)
        self._in_transaction.discard(client)
        _end(client, server)
        for end in (client, server):
            end.close()

    def _cuts(self, when: When) -> bool:
        if self._next != when:
            return False
        self._next = None
        self.cut.append(when)
        return True


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
