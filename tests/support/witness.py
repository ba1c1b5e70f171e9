"""A small witness after the C2SP text, on loopback, that can be told to misbehave.

Honest by default: one latest checkpoint for each origin, signed only if it leads on from the last.
`aics-witness` plays the independent one; this one exists for faults.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from sekisho_audit.checkpoint import (
    BadNote,
    Checkpoint,
    VerifierKey,
    from_base64,
    open_any,
    split_note,
)
from sekisho_audit.cosignature import Cosigner
from sekisho_audit.tree import BadProof, verify_consistency

Reply = tuple[int, str, bytes]


@dataclass
class Seen:
    """The latest checkpoint of one ledger, with the note that is shown."""

    checkpoint: Checkpoint
    note: bytes


@dataclass
class Witness:
    """What a witness knows. `twist` changes an answer on its way out."""

    cosigner: Cosigner
    keys: dict[str, list[VerifierKey]]
    seen: dict[str, Seen] = field(default_factory=dict)
    twist: Callable[[Reply], Reply] | None = None
    clock_s: Callable[[], float] = time.time
    shows: bool = True
    asked: list[str] = field(default_factory=list)
    stuck: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)

    def add_checkpoint(self, body: bytes) -> Reply:
        """As the text says, in its order of checks."""
        head, _, note = body.partition(b"\n\n")
        lines = head.decode().split("\n")
        self.asked.append(lines[0])
        old, proof = int(lines[0].removeprefix("old ")), [from_base64(one) for one in lines[1:]]
        origin = note.decode().partition("\n")[0]
        if origin not in self.keys:
            return 404, "", b""
        try:
            told = open_any(note, self.keys[origin])
        except BadNote:
            return 403, "", b""
        last = self.seen.get(origin)
        size = last.checkpoint.size if last else 0
        if old > told.size:
            return 400, "", b""
        if old != size:
            return 409, "text/x.tlog.size", f"{size}\n".encode()
        try:
            if last:
                verify_consistency(size, told.size, last.checkpoint.root, told.root, proof)
            elif proof:
                return 422, "", b""
        except BadProof:
            return 422, "", b""
        line = self.cosigner.line(split_note(note)[0], int(self.clock_s())).encode()
        self.seen[origin] = Seen(told, note + line)
        return 200, "", line

    def show(self, path: str) -> Reply:
        """The latest checkpoint, by the hash of its origin."""
        for origin, seen in self.seen.items():
            if self.shows and path == f"/{sha256(origin.encode()).hexdigest()}/checkpoint":
                return 200, "text/plain", seen.note
        return 404, "", b""


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        witness = cast("WitnessServer", self.server).witness
        body = self.rfile.read(int(self.headers["Content-Length"]))
        witness.arrived.set()
        if witness.stuck is not None:
            witness.stuck.wait(30)
        known = self.path == "/w/add-checkpoint"
        self._answer(witness.add_checkpoint(body) if known else (404, "", b""))

    def do_GET(self) -> None:
        witness = cast("WitnessServer", self.server).witness
        self._answer(witness.show(self.path.removeprefix("/w")))

    def _answer(self, reply: Reply) -> None:
        twist = cast("WitnessServer", self.server).witness.twist
        status, kind, body = twist(reply) if twist else reply
        self.send_response(status)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: tests look at what was asked."""


class WitnessServer(ThreadingHTTPServer):
    """A witness at `url`, until it is closed."""

    daemon_threads = True

    def __init__(self, witness: Witness) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.witness = witness
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its submission prefix, and its monitoring prefix."""
        return f"http://127.0.0.1:{self.server_address[1]}/w"

    def close(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()
        self._thread.join(10)
