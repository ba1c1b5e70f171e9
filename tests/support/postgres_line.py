"""A line to PostgreSQL that breaks at a commit: before it was told, or before its answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_COMMIT = b"COMMIT\x00"


class Line:
    """Passes bytes on both ways; `lose` says what is lost of the next commit."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.lose = ""  # "question" or "answer"
        self._silent = False
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                self._silent = False
                for pump in (self._up, self._back):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65_536):
                if data.endswith(_COMMIT) and self.lose == "question":
                    self.lose = ""
                    break
                if data.endswith(_COMMIT) and self.lose == "answer":
                    self.lose = ""
                    self._silent = True
                server.sendall(data)
        self._hang_up(client, server)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if self._silent:
                    break  # it has answered: what was told has taken effect
                client.sendall(data)
        self._hang_up(client, server)

    def _hang_up(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Break everything."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._hang_up(*self._open)


@contextmanager
def line_to(port: int) -> Iterator[Line]:
    """A line to a port of loopback."""
    line = Line(port)
    try:
        yield line
    finally:
        line.close()
