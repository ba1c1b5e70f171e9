"""A server on loopback that serves a published log, and lies where it is told to."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.cut_files import BELOW
from sekisho_audit.errors import Refused
from sekisho_audit.kept import Kept
from sekisho_audit.ledger import Ledger
from sekisho_audit.published import Published
from sekisho_audit.receipt import Receipt
from sekisho_audit.remote_log import Address, RemoteLog
from sekisho_audit.report import Report
from sekisho_audit.tiles import WIDTH, MemoryLevels, NoTile, TilePath, tile_paths
from sekisho_audit.tree import leaf_hash
from sekisho_audit.verify_log import verify_log

PREFIX = "/v1/audit/log/"
Lie = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class LogSite:
    """What is served: `files` stand before `published`, and `lies` answer in their own way."""

    published: Published | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    lies: dict[str, Lie] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    credentials: set[str | None] = field(default_factory=set)
    url: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str) -> bytes | None:
        """The file at a path below the prefix, None if there is none."""
        if path in self.gone:
            return None
        if path in self.files:
            return self.files[path]
        if self.published is None:
            return None
        try:
            with self._lock:
                if path == "checkpoint":
                    return self.published.checkpoint
                if path.startswith(BELOW):
                    return self.published.pruned(path.removeprefix(BELOW))
                return self.published.tile(TilePath.parse(path.removeprefix("tile/")))
        except (NoTile, Refused):
            return None

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.credentials.add(request.headers.get("authorization"))
        path = request.path.removeprefix(PREFIX)
        self.asked.append(path)
        if path in self.lies:
            self.lies[path](request)
            return
        body = self.answer(path)
        request.send_response(404 if body is None else 200)
        request.send_header("content-length", str(len(body or b"")))
        request.end_headers()
        request.wfile.write(body or b"")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Nothing: clients that hang up are what is tested."""


@contextmanager
def log_site(published: Published | None = None) -> Iterator[LogSite]:
    """A site that serves while the block runs."""
    site = LogSite(published)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_GET(self) -> None:
            try:
                site.serve(self)
            except OSError:  # the client had enough
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Nothing: tests read their own output."""

    with _Quiet(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield site
        finally:
            site.ended.set()
            server.shutdown()
            thread.join()


def publish(directory: Path, ledger: Ledger) -> Published:
    """The log of a ledger, followed to its last checkpoint."""
    ledger.write_checkpoint()
    published = Published(directory, ledger.directory, lambda: ledger.signed)
    while published.follow():
        pass
    return published


def serve(site: LogSite, bodies: list[bytes], note: bytes) -> None:
    """Serve another log, with all its tiles as they must be."""
    levels = MemoryLevels()
    for body in bodies:
        levels.append(leaf_hash(body))
    site.published = None
    site.files["checkpoint"] = note
    for path in tile_paths(len(bodies)):
        hashes = levels.hashes(path.level or 0, path.index * WIDTH, path.width)
        site.files[f"tile/{path}"] = hashes
        if path.level == 0:
            entries = str(path).replace("0/", "entries/", 1)
            first = path.index * WIDTH
            site.files[f"tile/{entries}"] = b"".join(
                struct.pack(">H", len(body)) + body for body in bodies[first : first + path.width]
            )


def check_log(
    site: LogSite, key: VerifierKey, *pinned: bytes, receipt: Receipt | None = None
) -> Report:
    """What the verifier says of the log that is served."""
    with RemoteLog(Address.parse(site.url), "key-1") as log:
        return verify_log(log, key=key, kept=Kept(pinned, receipt))
