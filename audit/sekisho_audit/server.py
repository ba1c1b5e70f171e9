"""auditd's socket: connections, worker sessions, and the way from message to writer and back.

The event loop only collects and answers. A malformed frame closes that connection and no other. A
session is a worker process: when its last connection is gone and it does not come back within the
grace time, its open intents are closed as `unknown`.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from sekisho_audit.errors import LedgerError, Poisoned, Refused
from sekisho_audit.history import PAGE_MAX, Archive, History, Question
from sekisho_audit.ledger import Ledger, Request
from sekisho_audit.open_holds import HoldRecord
from sekisho_audit.usage import ASKED_MAX
from sekisho_audit.wire import (
    BLOBS_MAX,
    FRAME_BYTES_MAX,
    Malformed,
    Splitter,
    encode,
    unpack_events,
)
from sekisho_audit.writer import Append, AppendAnswer, Call, Writer

# One worker has one connection; a host has tens of workers and a few command-line tools.
CONNECTIONS_MAX = 256
# Incomplete messages of all connections together.
BUFFERED_BYTES_MAX = 256 * 1024 * 1024
# One page of holds; each carries its request body as one blob of the message.
HOLDS_PAGE_BYTES = 16 * 1024 * 1024
_SESSION_CHARS_MAX = 128
_CURSOR = re.compile(r"[0-9]{1,16}")


@dataclass(slots=True)
class _Presence:
    """How many connections a session has, and when it is given up."""

    connections: int = 0
    timer: asyncio.TimerHandle | None = None


class Server:
    """All connections of one auditd."""

    def __init__(
        self, ledger: Ledger, *, session_grace_s: float, history: History | None = None
    ) -> None:
        self.ledger = ledger
        self.history = history
        self.writer: Writer
        self._loop = asyncio.get_running_loop()
        self._grace_s = session_grace_s
        self._sessions: dict[str, _Presence] = {}
        self._connections: set[Connection] = set()
        self._outbox: list[tuple[Connection, bytes]] = []
        self.buffered = 0
        self.empty = asyncio.Event()
        self._closing = False

    def start(self, writer: Writer) -> None:
        """Begin to wait for the sessions that a former auditd left open."""
        self.writer = writer
        for session in self.ledger.sessions:
            self._sessions[session] = _Presence()
            self._give_up_later(session)

    def connect(self) -> Connection:
        """Protocol factory."""
        return Connection(self)

    # -- connections and sessions

    def arrived(self, connection: Connection) -> bool:
        """Whether there is room for one more connection."""
        if self._closing or len(self._connections) >= CONNECTIONS_MAX:
            return False
        self._connections.add(connection)
        return True

    def left(self, connection: Connection) -> None:
        """A connection is gone; perhaps its session too."""
        self._connections.discard(connection)
        self._note_empty()
        presence = self._sessions.get(connection.session)
        if presence is not None:
            presence.connections -= 1
            if presence.connections == 0:
                self._give_up_later(connection.session)

    def resume(self, session: str) -> None:
        """A connection belongs to this session."""
        presence = self._sessions.setdefault(session, _Presence())
        presence.connections += 1
        if presence.timer is not None:
            presence.timer.cancel()
            presence.timer = None

    def _give_up_later(self, session: str) -> None:
        self._sessions[session].timer = self._loop.call_later(
            self._grace_s, self.give_up, session, "session_lost"
        )

    def buffer(self, more: int) -> None:
        """Count bytes of unfinished messages. Raises Malformed when they are too many."""
        self.buffered += more
        if self.buffered > BUFFERED_BYTES_MAX:
            raise Malformed("too many unfinished messages")

    def give_up(self, session: str, cause: str) -> None:
        """Close a session in the ledger."""
        presence = self._sessions.pop(session, None)
        if presence is not None and presence.timer is not None:
            presence.timer.cancel()
        try:
            self.writer.submit(
                Call(lambda ledger: _close_session(ledger, session, cause), _nobody, ordered=True)
            )
        except Poisoned:
            return  # the process is about to end; the next one starts with this session

    @property
    def session_count(self) -> int:
        """Sessions that are open or may still come back."""
        return len(self._sessions)

    # -- answers: written by the writer's thread, sent by the loop

    def answer(self, connection: Connection, message: dict[str, Any], *blobs: bytes) -> None:
        """Keep an answer until the round is over. Called in the writer's thread."""
        self._outbox.append((connection, encode(message, blobs)))

    def round_over(self) -> None:
        """Hand the answers of a round to the loop. Called in the writer's thread."""
        outbox, self._outbox = self._outbox, []
        if outbox:
            self._loop.call_soon_threadsafe(_send, outbox)

    def answer_now(self, connection: Connection, message: dict[str, Any]) -> None:
        """Send an answer that belongs to no round. From any thread."""
        self._loop.call_soon_threadsafe(connection.send, encode(message))

    def close(self) -> None:
        """Close every connection after what was answered is sent."""
        self._closing = True
        for connection in list(self._connections):
            connection.end()
        self._note_empty()

    def _note_empty(self) -> None:
        if self._closing and not self._connections:
            self.empty.set()


def _send(outbox: list[tuple[Connection, bytes]]) -> None:
    by_connection: dict[Connection, list[bytes]] = {}
    for connection, frame in outbox:
        by_connection.setdefault(connection, []).append(frame)
    for connection, frames in by_connection.items():
        connection.send(b"".join(frames))


def _close_session(ledger: Ledger, session: str, cause: str) -> None:
    ledger.close_session(session, cause)


def _nobody(_error: LedgerError) -> None:
    """Nobody waits for this answer."""


class Connection(asyncio.Protocol):
    """One client. Requests are answered in the order their batches become durable."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._splitter = Splitter()
        self._transport: asyncio.Transport | None = None
        self.session = ""
        self._operations: dict[str, Callable[[int, dict[str, Any], list[bytes]], None]] = {
            "append": self._append,
            "hello": self._hello,
            "bye": self._bye,
            "exchange_keys": self._exchange_keys,
            "open_holds": self._open_holds,
            "used": self._used,
            "exchanges": self._exchanges,
            "exchange": self._exchange,
            "status": self._status,
            "checkpoint": self._checkpoint,
        }

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

    def end(self) -> None:
        """Close after what was sent."""
        if self._transport is not None:
            self._transport.close()

    # -- operations

    def _serve(self, message: dict[str, Any], blobs: list[bytes]) -> None:
        req, name = message.get("req"), message.get("op")
        operation = self._operations.get(name) if isinstance(name, str) else None
        if type(req) is not int or operation is None:
            raise Malformed("a request needs `req` and a known `op`")
        try:
            operation(req, message, blobs)
        except LedgerError as error:
            self.send(encode(_failure(req, error)))

    def _append(self, req: int, message: dict[str, Any], blobs: list[bytes]) -> None:
        events = unpack_events(message.get("events"), blobs)
        size = sum(len(blob) for blob in blobs)

        def answered(result: AppendAnswer) -> None:
            if isinstance(result, LedgerError):
                self._server.answer(self, _failure(req, result))
                return
            places = [(p.index, p.leaf, p.commits, p.duplicate) for p in result]
            self._server.answer(self, {"req": req, "places": places})

        self._server.writer.submit(Append(Request(events, self.session), size, answered))

    def _hello(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        session, pid = message.get("session"), message.get("pid")
        if type(session) is not str or not 0 < len(session) <= _SESSION_CHARS_MAX:
            raise Malformed("a session is a short text")
        if type(pid) is not int or self.session:
            raise Malformed("hello comes once and names a pid")
        self.session = session
        self._server.resume(session)

        def run(ledger: Ledger) -> None:
            ledger.open_session(session, pid)
            about = {"origin": ledger.origin, "boot": ledger.boot, "vkey": ledger.key.line()}
            self._server.answer(self, {"req": req, **about})

        self._call(req, run, ordered=True)

    def _bye(self, req: int, _message: dict[str, Any], _blobs: list[bytes]) -> None:
        session, self.session = self.session, ""
        if session:
            self._server.give_up(session, "ended")
        self._call(req, lambda _ledger: self._server.answer(self, {"req": req}), ordered=True)

    def _exchange_keys(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        principal, exchange = message.get("principal"), message.get("exchange")
        if type(principal) is not str or type(exchange) is not str:
            raise Malformed("exchange_keys needs principal and exchange")

        def run(ledger: Ledger) -> None:
            try:
                keys = ledger.exchange_keys(principal, exchange)
            except Refused as error:
                self._server.answer(self, _failure(req, error))
                return
            self._server.answer(self, {"req": req}, *keys)

        self._call(req, run)

    def _open_holds(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        after = message.get("after", "")
        if type(after) is not str:
            raise Malformed("`after` is a hold id")

        def run(ledger: Ledger) -> None:
            page, more = _page(ledger, after)
            holds = [_hold_fields(item) for item in page]
            answer = {"req": req, "holds": holds, "more": more}
            self._server.answer(self, answer, *(item.record for item in page))

        self._call(req, run)

    def _used(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        asked = message.get("asked")
        if type(asked) is not list or not all(map(_is_question, asked)):
            raise Malformed("`asked` is a list of [dimension, name, window]")
        if len(asked) > ASKED_MAX:
            raise Refused("bad_request", f"at most {ASKED_MAX} sums are told at once")

        def run(ledger: Ledger) -> None:
            try:
                sums = ledger.used(asked)
            except Refused as error:
                self._server.answer(self, _failure(req, error))
                return
            self._server.answer(self, {"req": req, "size": ledger.size, "sums": sums})

        self._call(req, run)

    def _exchanges(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        principal, before = message.get("principal"), message.get("before", "")
        limit = message.get("limit")
        if type(principal) is not str or type(before) is not str or type(limit) is not int:
            raise Malformed("exchanges needs principal, `before` and limit")
        if (before and not _CURSOR.fullmatch(before)) or not 0 < limit <= PAGE_MAX:
            raise Refused("bad_request", f"`before` is a cursor, limit is 1 to {PAGE_MAX}")

        def ask(archive: Archive) -> dict[str, Any]:
            page = archive.page(principal, int(before) if before else None, limit)
            return {"data": page.data, "after": page.after, **_how_far(archive)}

        self._ask(req, ask)

    def _exchange(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        principal, exchange = message.get("principal"), message.get("exchange")
        if type(principal) is not str or type(exchange) is not str:
            raise Malformed("exchange needs principal and exchange")
        self._ask(req, lambda a: {"exchange": a.one(principal, exchange), **_how_far(a)})

    def _ask(self, req: int, ask: Callable[[Archive], dict[str, Any]]) -> None:
        """Ask the history, which answers from its own thread."""
        server = self._server
        if server.history is None:
            raise Refused("busy", "this auditd keeps no index of exchanges")

        def failed(error: LedgerError) -> None:
            server.answer_now(self, _failure(req, error))

        def answered(found: dict[str, Any]) -> None:
            server.answer_now(self, {"req": req, **found})

        server.history.submit(Question(ask, answered, failed))

    def _status(self, req: int, _message: dict[str, Any], _blobs: list[bytes]) -> None:
        writer, sessions = self._server.writer, self._server.session_count

        def run(ledger: Ledger) -> None:
            status = {
                "origin": ledger.origin,
                "size": ledger.size,
                "root": ledger.root().hex(),
                "boot": ledger.boot,
                "poisoned": ledger.poisoned,
                "queue_events": writer.queued_events,
                "queue_bytes": writer.queued_bytes,
                "sessions": sessions,
                "disk_free_bytes": writer.disk_free_bytes,
                "pid": os.getpid(),
            }
            self._server.answer(self, {"req": req, "status": status})

        self._call(req, run)

    def _checkpoint(self, req: int, _message: dict[str, Any], _blobs: list[bytes]) -> None:
        def run(ledger: Ledger) -> None:
            ledger.write_checkpoint()
            note = (ledger.directory / "checkpoint").read_bytes()
            self._server.answer(self, {"req": req, "note": note.decode()})

        self._call(req, run)

    def _call(self, req: int, run: Callable[[Ledger], None], *, ordered: bool = False) -> None:
        def failed(error: LedgerError) -> None:
            self._server.answer(self, _failure(req, error))

        self._server.writer.submit(Call(run, failed, ordered=ordered))


def _how_far(archive: Archive) -> dict[str, int]:
    return {"indexed": archive.indexed, "size": archive.size}


def _is_question(item: object) -> bool:
    return type(item) is list and [type(part) for part in item] == [str, str, str]


def _failure(req: int, error: LedgerError) -> dict[str, Any]:
    code = error.code if isinstance(error, Refused) else "poisoned"
    return {"req": req, "error": code, "message": str(error)}


def _page(ledger: Ledger, after: str) -> tuple[list[HoldRecord], bool]:
    page: list[HoldRecord] = []
    size = 0
    for item in ledger.open_holds(after):
        size += len(item.record)
        full = len(page) == BLOBS_MAX or size > min(HOLDS_PAGE_BYTES, FRAME_BYTES_MAX // 2)
        if page and full:
            return page, True
        page.append(item)
    return page, False


def _hold_fields(item: HoldRecord) -> dict[str, Any]:
    return {
        "hold": item.hold,
        "filed_index": item.filed_index,
        "reviews": item.reviews,
        "settled": item.settled,
        "settled_index": item.settled_index,
        "intent": item.intent,
        "outcome": item.outcome,
    }
