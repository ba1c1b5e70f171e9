"""One connection to auditd's socket: messages in, operations, answers out.

A malformed message closes this connection and no other. Appends and calls go to the writer's
thread, questions about exchanges to the history's, about the published log to the desk's.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from sekisho_audit.errors import LedgerError, Refused
from sekisho_audit.history import PAGE_MAX, Archive, Question
from sekisho_audit.ledger import Ledger, Request
from sekisho_audit.log_desk import PROOFS_MAX, LogDesk
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
from sekisho_audit.writer import Append, AppendAnswer, Call

if TYPE_CHECKING:
    from sekisho_audit.server import Server

# One page of holds; each carries its request body as one blob of the message.
HOLDS_PAGE_BYTES = 16 * 1024 * 1024
_SESSION_CHARS_MAX = 128
_CURSOR = re.compile(r"[0-9]{1,16}")


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
            "appealed": self._appealed,
            "appeal_reasons": self._appeal_reasons,
            "log": self._log,
            "proofs": self._proofs,
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
        receipt = any(event.type == "backend.intent" for event in events)

        def answered(result: AppendAnswer) -> None:
            if isinstance(result, LedgerError):
                self._server.answer(self, _failure(req, result))
                return
            places = [(p.index, p.leaf, p.commits, p.duplicate) for p in result]
            told: dict[str, Any] = {"req": req, "places": places}
            if receipt:
                told["note"] = self._server.ledger.note().decode()
            self._server.answer(self, told)

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

    def _appealed(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        exchange = message.get("exchange")
        if type(exchange) is not str:
            raise Malformed("appealed needs exchange")
        self._ask(req, lambda a: {"exchange": a.appealed(exchange)})

    def _appeal_reasons(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        exchange, read = message.get("exchange"), message.get("read")
        if type(exchange) is not str or type(read) is not int:
            raise Malformed("appeal_reasons needs exchange, and the index of what is on record")

        def ask(archive: Archive) -> dict[str, Any]:
            try:
                return {"reasons": archive.reasons(exchange, read)}
            except Refused as error:
                return _failure(req, error)

        self._ask(req, ask)

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

    def _log(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        path = message.get("path")
        if type(path) is not str:
            raise Malformed("log needs the path of a file")

        async def ask(log: LogDesk) -> bytes:
            return encode({"req": req}, [await log.file(path)])

        self._ask_log(req, ask)

    def _proofs(self, req: int, message: dict[str, Any], _blobs: list[bytes]) -> None:
        indices = message.get("indices")
        if type(indices) is not list or not all(type(index) is int for index in indices):
            raise Malformed("proofs needs indices")
        if len(indices) > PROOFS_MAX:
            raise Refused("bad_request", f"at most {PROOFS_MAX} proofs are given at once")

        async def ask(log: LogDesk) -> bytes:
            return encode({"req": req, "proofs": await log.proofs(indices)})

        self._ask_log(req, ask)

    def _ask_log(self, req: int, ask: Callable[[LogDesk], Awaitable[bytes]]) -> None:
        """Ask for something of the published log, which answers from its own thread."""
        log = self._server.log
        if log is None:
            raise Refused("busy", "this auditd publishes no log")

        async def run() -> None:
            try:
                self.send(await ask(log))
            except LedgerError as error:
                self.send(encode(_failure(req, error)))

        self._server.spawn(run())

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
