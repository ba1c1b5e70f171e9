"""An OPA server for tests that only ask it: the stand-in, or a real one where there is one.

`SEKISHO_OPA_URL` names a real server that polls `sekisho.tar.gz` from
`http://127.0.0.1:$SEKISHO_OPA_BUNDLE_PORT`, where a test serves its bundle until it ends.
`SEKISHO_OPA_TOKEN` is the server's token, if it wants one.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sekisho.adapters.bundle import read_bundle
from sekisho.adapters.opa_bundle import packed
from sekisho.adapters.opa_channel import OpaPlace
from sekisho.adapters.opa_server import ServerOPA
from sekisho.errors import PolicyUnavailable
from support.opa_data_api import data_api

POLLED_S = 60.0


@contextmanager
def served(directory: Path) -> Iterator[OpaPlace]:
    """A server that decides by the bundle in `directory`."""
    url = os.environ.get("SEKISHO_OPA_URL", "")
    if not url:
        with data_api(directory) as api:
            yield OpaPlace(api.url)
        return
    place = OpaPlace(url, token=os.environ.get("SEKISHO_OPA_TOKEN"))
    with _bundle_site(packed(read_bundle(directory))):
        asyncio.run(_until_polled(directory, place))
        yield place


@contextmanager
def _bundle_site(content: bytes) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/gzip")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing: tests read their own output."""

    place = ("127.0.0.1", int(os.environ["SEKISHO_OPA_BUNDLE_PORT"]))
    with ThreadingHTTPServer(place, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


async def _until_polled(directory: Path, place: OpaPlace) -> None:
    engine = ServerOPA(directory, place, deadline_ms=5000)
    await engine.start()
    try:
        async with asyncio.timeout(POLLED_S):
            while True:
                try:
                    await engine.check()
                except PolicyUnavailable:
                    await asyncio.sleep(0.5)
                else:
                    return
    finally:
        await engine.close()
