"""The ledger port over auditd's socket: one connection per worker, many appends in flight.

All appends of one turn of the event loop go out in one write. A call that is in flight when the
connection breaks is sent again after the reconnect while its deadline lasts; that is safe because
appends are idempotent by event id. A call that failed is never sent again by this adapter.

LedgerRefused: auditd said that the events are not recorded, and its `code` says why. Every other
failure is LedgerUnavailable within the deadline: the events may or may not be recorded then.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sekisho.errors import LedgerRefused, LedgerUnavailable, NotFound
from sekisho.model.ids import uuid7
from sekisho.ports import ExchangeKeys, ExchangePage, LedgerHold, Used
from sekisho_audit.events import Appended, Event
from sekisho_audit.wire import Malformed, Message, Splitter, check_socket_path, encode, pack_events

_HELLO = 0
_BACKOFF_FIRST_S = 0.02
_BACKOFF_MAX_S = 0.5
# Keys of exchanges under way; each entry is some 300 bytes.
_KEYS_KEPT = 4_096
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

    def __init__(self, owner: AuditdLedger) -> None:
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


class AuditdLedger:
    """Implements `sekisho.ports.Ledger` and `Log`. Used from one event loop."""

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
        self._keys: OrderedDict[tuple[str, str], ExchangeKeys] = OrderedDict()

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

    # -- the port

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

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        """See the port. `duplicate` is false for events that this very call may have written."""
        packed, blobs = pack_events(events)
        reply, _ = await self._ask({"op": "append", "events": packed}, blobs)
        fresh, note = reply["resent"], reply.get("note", "")
        return [
            Appended(index, leaf, commits, duplicate=duplicate and not fresh, note=note)
            for index, leaf, commits, duplicate in reply["places"]
        ]

    async def exchange_keys(self, principal: str, exchange: str) -> ExchangeKeys:
        """See the port."""
        known = self._keys.get((principal, exchange))
        if known is not None:
            return known
        question = {"op": "exchange_keys", "principal": principal, "exchange": exchange}
        _, (content, commit) = await self._ask(question)
        keys = self._keys[principal, exchange] = ExchangeKeys(content=content, commit=commit)
        if len(self._keys) > _KEYS_KEPT:
            self._keys.popitem(last=False)
        return keys

    async def open_holds(self) -> Sequence[LedgerHold]:
        """See the port. Reads page by page, because each hold carries its request body."""
        holds: list[LedgerHold] = []
        more = True
        while more:
            after = holds[-1].hold if holds else ""
            reply, records = await self._ask({"op": "open_holds", "after": after})
            for fields, record in zip(reply["holds"], records, strict=True):
                fields["reviews"] = tuple(fields["reviews"])
                holds.append(LedgerHold(record=record, **fields))
            more = reply["more"]
        return holds

    async def used(self, asked: Sequence[tuple[str, str, str]]) -> Used:
        """See the port."""
        reply, _ = await self._ask({"op": "used", "asked": list(asked)})
        sums = [(requests, tokens, spend) for requests, tokens, spend in reply["sums"]]
        return Used(reply["size"], sums)

    async def exchanges(self, principal: str, before: str, limit: int) -> ExchangePage:
        """See the port."""
        question = {"op": "exchanges", "principal": principal, "before": before, "limit": limit}
        reply, _ = await self._ask(question)
        return ExchangePage(reply["data"], reply["after"], reply["indexed"], reply["size"])

    async def exchange(self, principal: str, exchange: str) -> Mapping[str, Any] | None:
        """See the port."""
        question = {"op": "exchange", "principal": principal, "exchange": exchange}
        reply, _ = await self._ask(question)
        found: Mapping[str, Any] | None = reply["exchange"]
        how_far = {"indexed": reply["indexed"], "size": reply["size"]}
        return None if found is None else {**found, **how_far}

    async def appealed(self, exchange: str) -> Mapping[str, Any] | None:
        """See the port."""
        reply, _ = await self._ask({"op": "appealed", "exchange": exchange})
        found: Mapping[str, Any] | None = reply["exchange"]
        return found

    async def appeal_reasons(self, exchange: str, read: int) -> Mapping[str, str | None]:
        """See the port."""
        reply, _ = await self._ask({"op": "appeal_reasons", "exchange": exchange, "read": read})
        return {line["id"]: line["reason"] for line in reply["reasons"]}

    async def file(self, path: str) -> bytes:
        """See the port `Log`."""
        try:
            _, [found] = await self._ask({"op": "log", "path": path})
        except LedgerRefused as error:
            raise _not_there(error) from error
        return found

    async def proofs(self, indices: Sequence[int]) -> Sequence[str]:
        """See the port `Log`."""
        try:
            reply, _ = await self._ask({"op": "proofs", "indices": list(indices)})
        except LedgerRefused as error:
            raise _not_there(error) from error
        found: Sequence[str] = reply["proofs"]
        return found

    async def status(self) -> Mapping[str, Any]:
        """Auditd's own figures: size, root, boot, queue, sessions, free disk. For operators."""
        reply, _ = await self._ask({"op": "status"})
        status: Mapping[str, Any] = reply["status"]
        return status

    async def checkpoint(self) -> str:
        """A fresh signed checkpoint as a note."""
        reply, _ = await self._ask({"op": "checkpoint"})
        return str(reply["note"])

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
        waiting = self._take(req)
        if waiting is None or waiting.answer.done():
            return
        code = fields.get("error")
        if code is None:
            fields["resent"] = waiting.resent
            waiting.answer.set_result((fields, blobs))
        elif code in _BUSY_CODES:
            waiting.answer.set_exception(LedgerUnavailable(f"{_GONE} ({code})"))
        else:
            waiting.answer.set_exception(LedgerRefused(str(fields.get("message")), code=str(code)))

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


def _not_there(error: LedgerRefused) -> Exception:
    return NotFound(str(error)) if error.code == "no_tile" else error
