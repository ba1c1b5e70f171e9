"""One connection to auditd's socket: many requests in flight, kept up as long as it is wanted.

All requests of one turn of the event loop go out in one write. One that is in flight when the
connection breaks is sent again after the reconnect while its deadline lasts; that is safe because
appends are idempotent by event id. A request that failed is never sent again.

LedgerRefused: auditd said that it did not do it, and its `code` says why. Every other failure is
LedgerUnavailable within the deadline: it may or may not have been done then.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.wire import Malformed, Message, Splitter, check_socket_path, encode

_HELLO = 0
_TOLD = -1  # what auditd says without being asked
_BACKOFF_FIRST_S = 0.02
_BACKOFF_MAX_S = 0.5
_GONE = "The audit log is not available, so nothing was let through. Try again in a few seconds."
_LATE = "The audit log did not answer in time, so nothing was let through. Try again."
_BUSY_CODES = frozenset({"busy", "disk_full", "poisoned", "malformed"})


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """Patience and bounds of one worker's connection."""

    append_deadline_s: float = 2.0
    # Longer than auditd needs to start again after a crash; beyond it every call fails at once.
    down_max_s: float = 1.5
    in_flight_max: int = 4_096
    in_flight_bytes_max: int = 256 * 1024 * 1024


class _Waiting:
    """A request under way."""

    __slots__ = ("answer", "due_s", "frame", "resent")

    def __init__(self, frame: bytes, answer: asyncio.Future[Message], due_s: float) -> None:
        self.frame = frame
        self.answer = answer
        self.due_s = due_s
        self.resent = False


class _Wire(asyncio.Protocol):
    """The bytes of one connection."""

    def __init__(self, owner: AuditdSocket) -> None:
        self._owner = owner
        self._splitter = Splitter()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's, so no isinstance here.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._splitter.feed(data)
        except Malformed:
            if self.transport is not None:
                self.transport.abort()
            return
        for message in messages:
            self._owner.answered(self, message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.transport = None
        self._owner.lost(self)


class AuditdSocket:
    """A client of one auditd. Used from one event loop."""

    def __init__(
        self,
        socket_path: str,
        *,
        session: str | None = None,
        limits: LedgerLimits | None = None,
        origin: str = "",
    ) -> None:
        """`origin`: the only ledger to talk to; whichever answers first if it is not given."""
        check_socket_path(socket_path)
        self._path = socket_path
        self._limits = limits or LedgerLimits()
        self.session = session or uuid7()
        self._loop: asyncio.AbstractEventLoop
        self._wire: _Wire | None = None
        self._ready = False
        self._down = False
        self._closing = False
        self._backoff_s = 0.0
        self._origin = origin
        self._next_req = _HELLO
        self._waiting: dict[int, _Waiting] = {}
        self._waiting_bytes = 0
        self._due: deque[tuple[float, int]] = deque()
        self._due_timer: asyncio.TimerHandle | None = None
        self._down_timer: asyncio.TimerHandle | None = None
        self._outbox: list[bytes] = []
        self._reconnecting: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()

    # -- life

    async def start(self, wait_s: float = 5.0) -> None:
        """Connect. Raises LedgerUnavailable if auditd does not answer in time; keeps trying."""
        self._loop = asyncio.get_running_loop()
        self._lost_connection()
        try:
            await asyncio.wait_for(self._connected.wait(), wait_s)
        except TimeoutError as error:
            raise LedgerUnavailable(_GONE) from error

    async def close(self) -> None:
        """End the session: what is still open in it is recorded as unknown."""
        self._closing = True
        if self._ready:
            try:
                await self._ask({"op": "bye"})
            except LedgerUnavailable:
                self._ready = False  # auditd ends the session by itself after its grace time
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        for timer in (self._due_timer, self._down_timer):
            if timer is not None:
                timer.cancel()
        self._fail_all(_GONE)
        if self._wire is not None and self._wire.transport is not None:
            self._wire.transport.close()

    @property
    def origin(self) -> str:
        """The name of the ledger: the one asked for, else known once connected."""
        if not self._origin:
            raise LedgerUnavailable(_GONE)
        return self._origin

    @property
    def connected(self) -> bool:
        """Whether auditd answers hello: for readiness."""
        return self._ready

    # -- requests

    async def _ask(self, message: dict[str, Any], blobs: Sequence[bytes] = ()) -> Message:
        limits = self._limits
        if self._down or len(self._waiting) >= limits.in_flight_max:
            raise LedgerUnavailable(_GONE)
        self._next_req += 1
        req = message["req"] = self._next_req
        try:
            frame = encode(message, blobs)
        except (Malformed, TypeError) as error:
            raise LedgerUnavailable(f"{_GONE} (the event cannot be sent: {error})") from error
        if self._waiting_bytes + len(frame) > limits.in_flight_bytes_max:
            raise LedgerUnavailable(_GONE)
        due_s = self._loop.time() + limits.append_deadline_s
        waiting = _Waiting(frame, self._loop.create_future(), due_s)
        self._waiting[req] = waiting
        self._waiting_bytes += len(frame)
        self._watch(due_s, req)
        if self._ready:
            self._send(frame)
        return await waiting.answer

    def _send(self, frame: bytes) -> None:
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(frame)

    def _flush(self) -> None:
        frames, self._outbox = self._outbox, []
        if self._ready and self._wire is not None and self._wire.transport is not None:
            self._wire.transport.write(b"".join(frames))

    def _take(self, req: int) -> _Waiting | None:
        waiting = self._waiting.pop(req, None)
        if waiting is not None:
            self._waiting_bytes -= len(waiting.frame)
        return waiting

    def answered(self, wire: _Wire, message: Message) -> None:
        """An answer arrived."""
        fields, blobs = message
        req = fields.get("req")
        if wire is not self._wire or not isinstance(req, int):
            return
        if req == _HELLO:
            self._greeted(fields)
            return
        if req == _TOLD:
            self._told(fields)
            return
        waiting = self._take(req)
        if waiting is None or waiting.answer.done():
            return
        code = fields.get("error")
        if code is None:
            fields["resent"] = waiting.resent
            waiting.answer.set_result((fields, blobs))
        elif code in _BUSY_CODES:
            why = f"{_GONE} ({code}: {fields.get('message')})"
            waiting.answer.set_exception(LedgerUnavailable(why))
        else:
            waiting.answer.set_exception(LedgerRefused(str(fields.get("message")), code=str(code)))

    def _told(self, fields: Mapping[str, Any]) -> None:
        """Something that auditd says to all its workers; for whoever builds on this."""

    def _disconnected(self) -> None:
        """Auditd is away, so nothing is told; for whoever builds on this."""

    # -- deadlines: all calls have the same patience, so the oldest is always due first

    def _watch(self, due_s: float, req: int) -> None:
        self._due.append((due_s, req))
        if self._due_timer is None:
            self._due_timer = self._loop.call_at(due_s, self._expire)

    def _expire(self) -> None:
        self._due_timer = None
        now = self._loop.time()
        while self._due:
            due_s, req = self._due[0]
            if req in self._waiting and due_s > now:
                self._due_timer = self._loop.call_at(due_s, self._expire)
                return
            self._due.popleft()
            self._fail(req, _LATE)

    def _fail(self, req: int, why: str) -> None:
        waiting = self._take(req)
        if waiting is not None and not waiting.answer.done():
            waiting.answer.set_exception(LedgerUnavailable(why))

    def _fail_all(self, why: str) -> None:
        for req in list(self._waiting):
            self._fail(req, why)

    # -- the connection

    def lost(self, wire: _Wire) -> None:
        """The connection is gone."""
        if wire is self._wire:
            self._wire = None
            self._lost_connection()

    def _lost_connection(self) -> None:
        self._ready = False
        self._connected.clear()
        self._disconnected()
        if self._closing:
            return
        if self._down_timer is None:
            self._down_timer = self._loop.call_later(self._limits.down_max_s, self._give_up)
        if self._reconnecting is None or self._reconnecting.done():
            self._reconnecting = self._loop.create_task(self._reconnect())

    def _give_up(self) -> None:
        """Auditd has been away too long: fail what waits, and what comes until it is back."""
        self._down = True
        self._fail_all(_GONE)

    async def _reconnect(self) -> None:
        while self._wire is None:
            # Reset only by a greeting, so that one who accepts and hangs up is not called for ever.
            pause_s = self._backoff_s
            self._backoff_s = min(max(2 * pause_s, _BACKOFF_FIRST_S), _BACKOFF_MAX_S)
            await asyncio.sleep(pause_s)
            try:
                _, wire = await self._loop.create_unix_connection(lambda: _Wire(self), self._path)
            except OSError:
                continue
            if wire.transport is None:
                continue
            self._wire = wire
            hello = {"op": "hello", "req": _HELLO, "session": self.session, "pid": os.getpid()}
            wire.transport.write(encode(hello))

    def _greeted(self, fields: Mapping[str, Any]) -> None:
        if "error" in fields or (self._origin and fields.get("origin") != self._origin):
            if self._wire is not None and self._wire.transport is not None:
                self._wire.transport.abort()
            return
        self._origin = str(fields["origin"])
        self._ready, self._down, self._backoff_s = True, False, 0.0
        if self._down_timer is not None:
            self._down_timer.cancel()
            self._down_timer = None
        self._connected.set()
        for waiting in self._waiting.values():
            waiting.resent = True
            self._send(waiting.frame)
