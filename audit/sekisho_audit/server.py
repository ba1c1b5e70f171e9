"""All connections of auditd's socket, worker sessions, and the way of answers back to them.

The event loop only collects and answers; `connection.py` has what a client may ask. A session is a
worker process: when its last connection is gone and it does not come back within the grace time,
its open intents are closed as `unknown`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from sekisho_audit.anchors.desk import AnchorDesk
from sekisho_audit.connection import Connection
from sekisho_audit.desks import Desks
from sekisho_audit.disclose_operations import DISCLOSE_OPERATIONS
from sekisho_audit.erase_operations import ERASE_OPERATIONS
from sekisho_audit.erasure_desk import ErasureDesk
from sekisho_audit.errand import Operation, written
from sekisho_audit.errors import LedgerError, Poisoned, Refused
from sekisho_audit.export_desk import ExportDesk
from sekisho_audit.export_operations import EXPORT_OPERATIONS
from sekisho_audit.figure_operations import FIGURE_OPERATIONS
from sekisho_audit.ledger import Ledger
from sekisho_audit.officer_desk import OfficerDesk
from sekisho_audit.officer_operations import PRESENT_OPERATIONS
from sekisho_audit.prune_operations import PRUNE_OPERATIONS
from sekisho_audit.pruning_desk import PruningDesk
from sekisho_audit.reading_operations import READING_OPERATIONS
from sekisho_audit.retention_desk import RetentionDesk
from sekisho_audit.retention_operations import RETENTION_OPERATIONS
from sekisho_audit.search_operations import OFFICER_SEARCH_OPERATIONS, SEARCH_OPERATIONS
from sekisho_audit.wire import Malformed, encode
from sekisho_audit.worker_operations import WORKER_OPERATIONS
from sekisho_audit.writer import Call, Writer

# One worker has one connection; a host has tens of workers and a few command-line tools.
CONNECTIONS_MAX = 256
# Incomplete messages of all connections together.
BUFFERED_BYTES_MAX = 256 * 1024 * 1024
OFFICERS_POLL_S = 1.0
# A loop that is busy for longer sends them later.
_SENT_S = 0.02
TOLD = -1  # `req` of what nobody asked for

OFFICER_OPERATIONS: dict[str, Operation] = {
    **PRESENT_OPERATIONS,
    **DISCLOSE_OPERATIONS,
    **OFFICER_SEARCH_OPERATIONS,
    **EXPORT_OPERATIONS,
    **ERASE_OPERATIONS,
    **RETENTION_OPERATIONS,
    **PRUNE_OPERATIONS,
}


@dataclass(slots=True)
class _Presence:
    """How many connections a session has, and when it is given up."""

    connections: int = 0
    timer: asyncio.TimerHandle | None = None


class Server:
    """All connections of one auditd."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        session_grace_s: float,
        desks: Desks | None = None,
        officers: OfficerDesk | None = None,
        anchors: AnchorDesk | None = None,
        erasures: ErasureDesk | None = None,
        retention: RetentionDesk | None = None,
        prunings: PruningDesk | None = None,
    ) -> None:
        self.ledger = ledger
        self.desks = desks or Desks()
        self.officers = officers
        self.anchors = anchors
        self.exports = ExportDesk()
        self.erasures = erasures
        self.retention = retention
        self.prunings = prunings
        self.writer: Writer
        self._loop = asyncio.get_running_loop()
        self._grace_s = session_grace_s
        self._sessions: dict[str, _Presence] = {}
        self._connections: set[Connection] = set()
        self._outbox: list[tuple[Connection, bytes]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.buffered = 0
        self.empty = asyncio.Event()
        self._closing = False
        self._complaint = ""

    def start(self, writer: Writer) -> None:
        """Begin to wait for the sessions that a former auditd left open."""
        self.writer = writer
        if self.officers is not None:
            self.officers.start(writer)
            self._look_at_officers(self.officers)
        if self.erasures is not None:
            self.erasures.tell_workers = self._drop_keys
            self.spawn(self.erasures.resume(lambda run: written(writer, run)))
        if self.retention is not None:
            self.retention.tell_workers = self._drop_keys
            self.spawn(self.retention.keep(lambda run: written(writer, run)))
        for session in self.ledger.sessions:
            self._sessions[session] = _Presence()
            self._give_up_later(session)

    def connect(self) -> Connection:
        """Protocol factory of the workers' socket."""
        return Connection(
            self, WORKER_OPERATIONS | READING_OPERATIONS | SEARCH_OPERATIONS | FIGURE_OPERATIONS
        )

    def connect_officer(self) -> Connection:
        """Protocol factory of the officers' socket."""
        return Connection(self, OFFICER_OPERATIONS)

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

    def _look_at_officers(self, desk: OfficerDesk) -> None:
        """Have changes of the file of officers recorded, whether or not anybody comes."""
        try:
            desk.tick()
        except Poisoned:
            return  # the process is about to end
        except Refused as error:
            if self._complaint != str(error):
                self._complaint = str(error)
                sys.stderr.write(f"auditd: nobody is let in as an officer: {error}\n")
        self._loop.call_later(OFFICERS_POLL_S, self._look_at_officers, desk)

    def _drop_keys(self, principal: str) -> None:
        """Tell workers to forget the keys of somebody. One that is away drops all of its own."""
        told = encode({"req": TOLD, "drop_keys": principal})
        for connection in self._connections:
            if connection.session:
                connection.send(told)

    @property
    def session_count(self) -> int:
        """Sessions that are open or may still come back."""
        return len(self._sessions)

    # -- answers: written by the writer's thread, sent by the loop

    def answer(self, connection: Connection, message: dict[str, Any], *blobs: bytes) -> None:
        """Keep an answer until the round is over. Called in the writer's thread."""
        self._outbox.append((connection, encode(message, blobs)))

    def round_over(self) -> None:
        """Have the loop send the answers of a round, and wait for that: those who are answered come
        with what they want next while the next round is built. Called in the writer's thread.
        """
        outbox, self._outbox = self._outbox, []
        if outbox:
            sent = threading.Event()
            self._loop.call_soon_threadsafe(_send, outbox, sent)
            sent.wait(_SENT_S)

    def spawn(self, answering: Coroutine[Any, Any, None]) -> None:
        """Let something be answered that takes a while, beside the rest."""
        task = self._loop.create_task(answering)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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


def _send(outbox: list[tuple[Connection, bytes]], sent: threading.Event) -> None:
    by_connection: dict[Connection, list[bytes]] = {}
    for connection, frame in outbox:
        by_connection.setdefault(connection, []).append(frame)
    try:
        for connection, frames in by_connection.items():
            connection.send(b"".join(frames))
    finally:
        sent.set()


def _close_session(ledger: Ledger, session: str, cause: str) -> None:
    ledger.close_session(session, cause)


def _nobody(_error: LedgerError) -> None:
    """Nobody waits for this answer."""
