"""A gateway for commands of the terminal: answers as scripted, while the command believes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

Says = Callable[[str, str, Any], object]
"""From method, path and what was sent (None for nothing) to the answer, which goes out as JSON."""


@contextmanager
def at_work(says: Says, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """It runs, and commands go to it with a key."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Stay quiet."""

        def do_GET(self) -> None:
            self._answer("GET")

        def do_PUT(self) -> None:
            self._answer("PUT")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            body = json.dumps(says(method, self.path, json.loads(sent) if sent else None)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("SEKISHO_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("SEKISHO_KEY", "sk-sekisho-x")
    monkeypatch.setenv("NO_PROXY", "*")
    yield
    server.shutdown()
    thread.join()
    server.server_close()
