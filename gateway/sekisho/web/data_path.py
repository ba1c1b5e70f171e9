"""The data path: `/v1/*` that employees' clients use, as raw ASGI in front of FastAPI.

Routing and middleware of a framework would cost more CPU here than the rest of the gate, so this
module speaks ASGI itself: it bounds the body in size and time, watches for the client hanging up,
hands the request to the pipeline and writes what comes back. Everything that is not listed here
and not ours elsewhere is a 404 with an OpenAI error body, never a blind relay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog

from sekisho.errors import NotFound, Overloaded, SekishoError, TooLarge, TooSlow
from sekisho.pipeline import Pipeline
from sekisho.stages.receive import RawRequest
from sekisho.stages.release import Stream, Whole
from sekisho.telemetry import Metrics
from sekisho.web.problems import Headers, internal, problem
from sekisho.web.waiting import Reply, Waiting

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

CHAT = "/v1/chat/completions"
RETRY_DIGITS_MAX = 3  # of a client's retry count; a longer one is no count
_RESULT = CHAT + "/"
_OURS = ("/v1/approvals", "/v1/audit", "/v1/admin", "/v1/exchanges", "/v1/check")
_JSON: Headers = [(b"content-type", b"application/json")]
_log = structlog.get_logger("sekisho.web")


@dataclass(frozen=True, slots=True)
class Limits:
    """Per worker: sizes in bytes, times in seconds. See docs/reference/settings.md for reasons."""

    body_bytes_max: int
    body_bytes_total_max: int
    body_timeout_s: float
    inflight_max: int


class DataPath:
    """The ASGI application in front; what is not on the data path goes to `rest`."""

    def __init__(
        self,
        pipeline: Pipeline,
        waiting: Waiting,
        limits: Limits,
        rest: ASGIApp,
        *,
        metrics: Metrics,
    ) -> None:
        self._pipeline = pipeline
        self._waiting = waiting
        self._limits = limits
        self._rest = rest
        self._metrics = metrics
        self._inflight = 0
        self._body_bytes = 0
        self.admitting = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/v1/"):
            await self._rest(scope, receive, send)
            return
        handler = self._route(scope["method"], path)
        if handler is None:
            if path.startswith(_OURS):
                await self._rest(scope, receive, send)
            else:
                await _write(send, *problem(_no_such_path(scope["method"], path)))
            return
        await self._serve(handler, scope, receive, send)

    def _route(self, method: str, path: str) -> Callable[..., Awaitable[Any]] | None:
        if method == "POST" and path == CHAT:
            return self._chat
        if method == "GET" and path == "/v1/models":
            return self._models
        if method == "GET" and path.startswith(_RESULT) and "/" not in path[len(_RESULT) :]:
            return self._retrieve
        if method == "GET" and path.startswith("/v1/approvals/") and path.endswith("/result"):
            return self._result
        return None

    async def _serve(
        self, handler: Callable[..., Awaitable[Any]], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run `handler` until it is done or the client has gone, whichever comes first."""
        if not self.admitting or self._inflight >= self._limits.inflight_max:
            message = "This gateway is at its limit. Nothing was sent; try again in a moment."
            full = Overloaded(message)
            self._metrics.exchange_ended(full.code)
            await _write(send, *problem(full))
            return
        self._inflight += 1
        self._metrics.inflight.inc()
        watch = _Hangup(receive)
        answer = _Answering(send)
        try:
            await handler(scope, watch, answer)
        except asyncio.CancelledError:
            if not watch.gone:
                raise
        except SekishoError as error:
            if answer.started:
                _log.error("a stream broke off", code=error.code, exchange=error.exchange)
                raise
            await _write(answer, *problem(error, exchange=error.exchange))
        except Exception:  # the last boundary: our fault becomes an answer and a log line
            _log.exception("unexpected fault on the data path", path=scope.get("path"))
            if answer.started:
                raise
            await _write(answer, *problem(internal()))
        finally:
            watch.stop()
            self._inflight -= 1
            self._metrics.inflight.dec()

    async def _chat(self, scope: Scope, watch: _Hangup, send: Send) -> None:
        """Answer and count: `code` is what operators see this request under."""
        code = "internal_error"
        try:
            code = await self._answer(scope, watch, send)
        except asyncio.CancelledError:
            code = "cancelled"
            raise
        except SekishoError as error:
            code = error.code
            raise
        finally:
            self._metrics.exchange_ended(code)

    async def _answer(self, scope: Scope, watch: _Hangup, send: Send) -> str:
        headers = dict(scope["headers"])
        body = await self._body(headers, watch)
        try:
            raw = RawRequest(
                endpoint="chat.completions",
                body=body,
                secret=_secret(headers),
                client_ip=scope["client"][0] if scope.get("client") else "",
                idempotency_key=_text(headers.get(b"idempotency-key")),
                retry_count=_count(headers.get(b"x-stainless-retry-count")),
            )
            watch.start()
            reply = await self._pipeline.handle(raw)
        finally:
            self._body_bytes -= len(body)
        if isinstance(reply, Stream):
            try:
                await _write_stream(send, reply)
            finally:
                self._metrics.chunks_relayed(reply.chunks)
            return reply.ended
        if isinstance(reply, Whole):
            await _write(send, reply.status, _headers(reply.headers), reply.body)
            return "ok"
        await _write_reply(send, await self._waiting.first(reply, post_path=scope["path"]))
        return "held"

    async def _result(self, scope: Scope, watch: _Hangup, send: Send) -> None:
        watch.start()
        hold_id = scope["path"].split("/")[3]
        secret = _secret(dict(scope["headers"]))
        await _write_reply(send, await self._waiting.hop(hold_id, secret))

    async def _retrieve(self, scope: Scope, watch: _Hangup, send: Send) -> None:
        watch.start()
        secret = _secret(dict(scope["headers"]))
        result_id = scope["path"].rsplit("/", 1)[1]
        await _write_reply(send, await self._waiting.retrieve(result_id, secret))

    async def _models(self, scope: Scope, watch: _Hangup, send: Send) -> None:
        watch.start()
        body = await self._pipeline.models(_secret(dict(scope["headers"])))
        await _write(send, 200, _JSON, body)

    async def _body(self, headers: dict[bytes, bytes], watch: _Hangup) -> bytes:
        """Read the body within its limits; its bytes count against the worker's total."""
        limits = self._limits
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limits.body_bytes_max:
            raise _too_large(limits.body_bytes_max)
        body = bytearray()  # not a list: a body sent byte by byte would cost forty times its size
        try:
            async with asyncio.timeout(limits.body_timeout_s):
                while await self._piece(body, watch):
                    pass
        except TimeoutError as error:
            self._body_bytes -= len(body)
            text = f"The request body did not arrive within {limits.body_timeout_s:g} s."
            raise TooSlow(text) from error
        except (SekishoError, asyncio.CancelledError):
            self._body_bytes -= len(body)
            raise
        return bytes(body)

    async def _piece(self, body: bytearray, watch: _Hangup) -> bool:
        """Add what has come to `body`; whether more follows."""
        message = await watch.receive()
        if message["type"] == "http.disconnect":
            watch.gone = True
            raise asyncio.CancelledError
        piece = message.get("body", b"")
        body.extend(piece)
        self._body_bytes += len(piece)
        if len(body) > self._limits.body_bytes_max:
            raise _too_large(self._limits.body_bytes_max)
        if self._body_bytes > self._limits.body_bytes_total_max:
            text = "Too many large requests at once. Try again in a moment."
            raise Overloaded(text)
        return bool(message.get("more_body", False))


class _Answering:
    """`send`, knowing whether an answer has begun: a second one must never be started."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Message) -> None:
        self.started = True
        await self._send(message)


class _Hangup:
    """Cancels the handler's task when the client goes away after its request was read."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.gone = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        handler = asyncio.current_task()
        if handler is not None:
            self._task = asyncio.create_task(self._watch(handler))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self, handler: asyncio.Task[Any]) -> None:
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                handler.cancel()
                return


def _secret(headers: dict[bytes, bytes]) -> str:
    """The presented key: `Authorization: Bearer …` or `x-api-key`."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip().decode("latin-1")
    return headers.get(b"x-api-key", b"").strip().decode("latin-1")


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")[:256]


def _count(value: bytes | None) -> int:
    return int(value) if value and value.isdigit() and len(value) <= RETRY_DIGITS_MAX else 0


def _too_large(body_bytes_max: int) -> TooLarge:
    return TooLarge(f"The body is larger than {body_bytes_max} bytes. Send less text at once.")


def _no_such_path(method: str, path: str) -> NotFound:
    message = (
        f"{method} {path[:128]} is not offered by this gateway. It offers POST {CHAT} and "
        "GET /v1/models; nothing was sent on."
    )
    return NotFound(message, code="unknown_path")


def _headers(headers: Any) -> Headers:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _write(send: Send, status: int, headers: Headers, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _write_reply(send: Send, reply: Reply) -> None:
    await _write(send, reply.status, reply.headers, reply.body)


async def _write_stream(send: Send, stream: Stream) -> None:
    headers = [*_headers(stream.headers), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": stream.status, "headers": headers})
    async with aclosing(stream.pieces) as pieces:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
