"""One gateway worker: a uvicorn server on a socket it was given, with the application behind it.

Prints `ready` when it accepts. It ends by itself, to be replaced, when its policy engines are
exhausted by runaway rules: no engine can be cancelled, only left behind with its process.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop

from sekisho import telemetry, wiring
from sekisho.config import Settings, load
from sekisho.web.answering import ASGIApp
from sekisho.web.cors import with_cors
from sekisho.web.http_guard import guarded
from sekisho.web.security_headers import constant
from sekisho.web.tls import configured

EXIT_REPLACE = 75  # EX_TEMPFAIL: start me again
GC_ALLOCATIONS = 50_000  # some hundred requests between two looks
KEEPALIVE_S = 65  # longer than the 60 s that load balancers keep idle connections

_log = structlog.get_logger("sekisho.worker")


class Loop(uvloop.Loop):
    """uvloop that gives a TLS handshake as long as the head of a request.

    A connection counts towards `connections_max` only when its handshake is done, and uvicorn has
    no setting for how long that may take: a minute, for as many as come.
    """

    def __init__(self, handshake_timeout_s: float) -> None:
        super().__init__()
        self._handshake_timeout_s = handshake_timeout_s

    async def create_server(self, *args: Any, **options: Any) -> Any:
        """As asyncio has it."""
        if options.get("ssl") is not None:
            options.setdefault("ssl_handshake_timeout", self._handshake_timeout_s)
        return await super().create_server(*args, **options)


class _Server(uvicorn.Server):
    """uvicorn, saying `ready` on standard output once it accepts.

    uvicorn raises a captured signal again when it has stopped serving, which would end the process
    before the worker has written its last outcomes; here the loop handles signals until the end.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write("ready\n")
        sys.stdout.flush()


async def run(settings: Settings, listener: socket.socket) -> int:
    """Serve until SIGTERM; the exit status."""
    exhausted = asyncio.Event()
    worker = wiring.build(settings)
    server = _Server(_config(settings, worker.app))
    await worker.start(on_exhausted=exhausted.set)
    calm_collector()
    ending = asyncio.create_task(_end_when(exhausted, worker, server))
    try:
        await server.serve(sockets=[listener])
    finally:
        ending.cancel()
        await worker.stop()
    return EXIT_REPLACE if exhausted.is_set() else 0


async def _end_when(exhausted: asyncio.Event, worker: wiring.Worker, server: _Server) -> None:
    await exhausted.wait()
    _log.critical("policy engines exhausted: this worker ends and is replaced")
    worker.stop_admitting()
    server.should_exit = True


def _config(settings: Settings, app: ASGIApp) -> uvicorn.Config:
    """Raises TLSUnusable when the files of [server] cannot be used."""
    tls = configured(settings.server)
    # Told by people's way to us: a proxy in front may end TLS.
    https = tls is not None or settings.public_url.startswith("https://")
    return uvicorn.Config(
        with_cors(app, settings.server.cors_origins),
        loop="none",
        http=guarded(
            settings.server.header_bytes_max,
            settings.server.headers_timeout_s,
            settings.server.connections_max,
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=constant(https=https),
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
        proxy_headers=False,
        timeout_keep_alive=KEEPALIVE_S,
        timeout_graceful_shutdown=int(settings.server.drain_s),
    )


def calm_collector() -> None:
    """Look for reference cycles seldom: requests make none, and each look costs all of them.

    What lives as long as the process is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)


def main() -> int:
    """Parse, load, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    options = parser.parse_args()
    settings = load(options.config)
    telemetry.configure(settings.log.level, settings.log.format)
    listener = socket.socket(fileno=options.fd)
    handshake_s = settings.server.headers_timeout_s
    with asyncio.Runner(loop_factory=lambda: Loop(handshake_s)) as runner:
        return runner.run(run(settings, listener))


if __name__ == "__main__":
    sys.exit(main())
