"""A stand-in for an OPA server: its Data API on loopback in front of the real engine.

No binary of OPA can be had from the package registries, so this answers as OPA's documentation of
the REST API says: `result` is absent where the decision is undefined, provenance names the bundle
with its revision, errors have OPA's body. It can also misbehave in every way that a network or a
broken server can. docs/howto/opa-server.md says how to run the same tests against a real one.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from opa_bindings import OpaEngine, OpaError, OpaUndefinedError

from sekisho.adapters.bundle import build, read_bundle

VERSION = "1.20.2"  # of the engine behind it
Fault = Callable[[web.Request, "DataAPI"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived. `path` has the query string."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class DataAPI:
    """The server. Change what it runs with `serve`; `fault` answers instead of OPA while it is set,
    for as many requests as `fault_count` says.
    """

    port: int = 0
    token: str = ""
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    seen: list[Asked] = field(default_factory=list)
    fault: Fault | None = None
    fault_count: int = 1_000_000
    revisions: dict[str, str] = field(default_factory=dict)
    _engine: OpaEngine | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """For `[policy] url`."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def serve(self, directory: Path | None, *, revision: str | None = None) -> str:
        """Swap to the bundle in `directory`, or to no rules at all; its revision."""
        if directory is None:
            engine, revisions = OpaEngine(), {}
            engine.eval_query("true")
        else:
            made = read_bundle(directory)
            engine, revisions = build(made), {"sekisho": revision or made.revision}
        with self._lock:
            old, self._engine, self.revisions = self._engine, engine, revisions
        if old is not None:
            old.close()
        return next(iter(revisions.values()), "")

    def fail(self, fault: Fault | None, count: int = 1_000_000) -> None:
        """Misbehave from now on, or for the next `count` requests."""
        self.fault, self.fault_count = fault, count

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        body = await request.read()
        self.seen.append(Asked(request.method, request.path_qs, dict(request.headers), body))
        if self.fault is not None and self.fault_count > 0:
            self.fault_count -= 1
            return await self.fault(request, self)
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            said = {
                "code": "unauthorized",
                "message": "request rejected by administrative policy",
            }
            return web.json_response(said, status=401)
        if request.path == "/health":
            return web.json_response({})
        if (request.method, request.path) != ("POST", "/v1/data/sekisho/decision"):
            return web.json_response({"code": "resource_not_found"}, status=404)
        return await self.decide(request, json.loads(body))

    async def decide(self, request: web.Request, asked: Any) -> web.Response:
        """The Data API. Answer and provenance are of one moment, as in one transaction of OPA."""
        status, said, revisions = await asyncio.to_thread(self._evaluate, asked["input"])
        if status == web.HTTPOk.status_code and request.query.get("provenance") == "true":
            said["provenance"] = {"version": VERSION, "build_commit": "", "build_timestamp": ""}
            if revisions:
                named = {name: {"revision": revision} for name, revision in revisions.items()}
                said["provenance"]["bundles"] = named
        return web.json_response(said, status=status)

    def _evaluate(self, document: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        said: dict[str, Any] = {"decision_id": "0b1d52c4-0000-4000-8000-000000000000"}
        with self._lock:
            assert self._engine is not None
            try:
                said["result"] = self._engine.eval_document("sekisho.decision", document)
            except OpaUndefinedError:
                pass
            except OpaError as error:
                inner = {"code": _code(error), "message": str(error.message)}
                failed = {
                    "code": "internal_error",
                    "message": "error(s) occurred while evaluating query",
                    "errors": [inner],
                }
                return 500, failed, self.revisions
            return 200, said, self.revisions


def _code(error: OpaError) -> str:
    """OPA's own code of an error in evaluation; the library has it in the message only."""
    found = re.search(r"\b(eval_[a-z_]+_error): ", str(error.message))
    return found[1] if found else "eval_internal_error"


@contextmanager
def data_api(directory: Path | None, **more: Any) -> Iterator[DataAPI]:
    """A running server with the bundle in `directory`; in a thread and event loop of its own."""
    api = DataAPI(**more)
    api.serve(directory)
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", api.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", api.port, ssl_context=api.tls)
        await site.start()
        api.port = runner.addresses[0][1]
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        ready.set()
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run, name="opa-data-api", daemon=True)
    thread.start()
    if not ready.wait(10):
        message = "the Data API did not start"
        raise AssertionError(message)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def says(status: int, body: bytes | dict[str, Any], kind: str = "application/json") -> Fault:
    """A fault: this answer, whatever is asked."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def fault(_request: web.Request, _api: DataAPI) -> web.StreamResponse:
        return web.Response(status=status, body=raw, headers={"content-type": kind})

    return fault


def decides(result: Any) -> Fault:
    """A fault: this decision, by the bundle that is served."""

    async def fault(_request: web.Request, api: DataAPI) -> web.StreamResponse:
        named = {name: {"revision": revision} for name, revision in api.revisions.items()}
        body = {"result": result, "provenance": {"version": VERSION, "bundles": named}}
        return web.json_response(body)

    return fault


def slow(seconds: float) -> Fault:
    """A fault: the right answer, too late."""

    async def fault(request: web.Request, api: DataAPI) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await api.decide(request, await request.json())

    return fault


async def reset(request: web.Request, _api: DataAPI) -> web.StreamResponse:
    """A fault: the connection ends without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def cut(request: web.Request, _api: DataAPI) -> web.StreamResponse:
    """A fault: the connection ends in the middle of an answer."""
    response = web.StreamResponse(headers={"content-type": "application/json"})
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b'{"result": {"schema": "sekisho.decision/v1", "effect": "allow"')
    assert request.transport is not None
    request.transport.abort()
    return response


async def flood(request: web.Request, _api: DataAPI) -> web.StreamResponse:
    """A fault: an answer without an end."""
    response = web.StreamResponse(headers={"content-type": "application/json"})
    await response.prepare(request)
    try:
        while True:
            await response.write(b"[" * 65_536)
    except (ConnectionError, OSError):
        return response


if __name__ == "__main__":  # for measurements: a server in a process of its own, until it is ended
    with data_api(Path(sys.argv[1])) as running:
        sys.stdout.write(f"{running.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
