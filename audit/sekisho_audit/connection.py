"""One connection to auditd's socket: messages in, operations, answers out.

A malformed message closes this connection and no other. What may be asked is the table that the
socket gives its connections; whoever is asked answers by way of the errand.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from sekisho_audit.errand import Errand, Operation, failure
from sekisho_audit.errors import LedgerError
from sekisho_audit.wire import Malformed, Splitter, encode

if TYPE_CHECKING:
    from sekisho_audit.server import Server


_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid: unix(7), SO_PEERCRED


class Connection(asyncio.Protocol):
    """One client. Requests are answered in the order their batches become durable."""

    def __init__(self, server: Server, operations: Mapping[str, Operation]) -> None:
        self._server = server
        self._operations = operations
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self.session = ""
        self.officers: list[str] = []  # who was let in on this connection

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection if there is room."""
        if not self._server.arrived(self):
            transport.close()
            return
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Serve the messages that are complete."""
        before = self._splitter.buffered
        try:
            messages = self._splitter.feed(data)
            self._server.buffer(self._splitter.buffered - before)
            with self._server.writer.together():
                for message, blobs in messages:
                    self._serve(message, blobs)
        except Malformed as error:
            self.send(encode({"req": 0, "error": "malformed", "message": str(error)}))
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Forget the connection."""
        self._server.buffered -= self._splitter.buffered
        self._transport = None
        self._server.left(self)

    def pause_writing(self) -> None:
        """The client does not read its answers: take no more requests from it."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def send(self, frames: bytes) -> None:
        """Send answers, if the client is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frames)

    @property
    def peer(self) -> str:
        """The account and the process at the other end, as the kernel knows them."""
        end = None if self._transport is None else self._transport.get_extra_info("socket")
        if end is None:
            return "gone"
        raw = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        return f"uid {uid}, pid {pid}"

    def refuse(self, req: int, error: LedgerError) -> None:
        """Say no, and hang up."""
        self.send(encode(failure(req, error)))
        self.end()

    def end(self) -> None:
        """Close after what was sent."""
        if self._transport is not None:
            self._transport.close()

    def _serve(self, message: dict[str, Any], blobs: list[bytes]) -> None:
        req, name = message.get("req"), message.get("op")
        operation = self._operations.get(name) if isinstance(name, str) else None
        if type(req) is not int or operation is None:
            raise Malformed("a request needs `req` and a known `op`")
        try:
            operation(Errand(self._server, self, req, message, blobs))
        except LedgerError as error:
            self.send(encode(failure(req, error)))
