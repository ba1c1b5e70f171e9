"""The data path: `/v1/*` that employees' clients use, as raw ASGI in front of FastAPI.

Routing and middleware of a framework would cost more CPU here than the rest of the gate, so this
module speaks ASGI itself. It asks who is there before it reads a body, gives each principal a
bounded share of this worker, bounds the body in size and time, hands the request to the pipeline
and writes what comes back. Everything that is not listed here and not ours elsewhere is a 404 with
an OpenAI error body, never a blind relay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qsl

import structlog

from sekisho.errors import (
    BadRequest,
    InternalFault,
    LimitReached,
    Overloaded,
    SekishoError,
    TooLarge,
    TooSlow,
    Unavailable,
)
from sekisho.model.hold import HoldView
from sekisho.model.principal import Principal
from sekisho.pipeline import Pipeline
from sekisho.releasing.gathering import Gathering
from sekisho.releasing.outcome import CLIENT_GONE
from sekisho.releasing.relay import Stream
from sekisho.releasing.replies import Whole
from sekisho.stages.receive import RawRequest
from sekisho.telemetry import Metrics
from sekisho.web.answering import Answering, ASGIApp, Receive, Scope, Send, as_headers
from sekisho.web.background import Background
from sekisho.web.dialects import CHAT, RESPONSES, Dialect
from sekisho.web.entrance import Entrance
from sekisho.web.language import spoken
from sekisho.web.meanwhile import Meanwhile
from sekisho.web.offered import no_such_path
from sekisho.web.problems import Headers, problem
from sekisho.web.slots import Slots
from sekisho.web.waiting import Reply, Waiting

CHECK = "/v1/check"
IDEMPOTENCY_CHARS_MAX = 256  # a uuid has 36
RETRY_DIGITS_MAX = 3  # of a client's retry count; a longer one is no count
_RESPONSES = RESPONSES.path + "/"
_CANCEL = "/cancel"
_OURS = (
    *("/v1/approvals", "/v1/grants", "/v1/samples"),
    *("/v1/audit", "/v1/admin", "/v1/exchanges", "/v1/me"),
)
_JSON: Headers = [(b"content-type", b"application/json")]
_log = structlog.get_logger("sekisho.web")


@dataclass(frozen=True, slots=True)
class Asking:
    """A request whose head was read and whose principal is known."""

    scope: Scope
    headers: Mapping[bytes, bytes]
    principal: Principal
    client_ip: str


Handler = Callable[[Asking, Answering], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Per worker: sizes in bytes, times in seconds. See docs/reference/settings.md for reasons."""

    body_bytes_max: int
    body_bytes_total_max: int
    body_timeout_s: float
    inflight_max: int
    waiting_max: int
    per_principal_max: int
    write_timeout_s: float
    language: str = "en"


class DataPath:
    """The ASGI application in front; what is not on the data path goes to `rest`.

    `can_promise` says whether outcomes of new exchanges can still be recorded.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        waiting: Waiting,
        background: Background,
        limits: Limits,
        rest: ASGIApp,
        *,
        entrance: Entrance,
        metrics: Metrics,
        can_promise: Callable[[], bool],
    ) -> None:
        self._pipeline = pipeline
        self._entrance = entrance
        self._waiting = waiting
        self._background = background
        self._meanwhile = Meanwhile(waiting)
        self._limits = limits
        self._rest = rest
        self._metrics = metrics
        self._can_promise = can_promise
        self._asking = Slots(limits.inflight_max, limits.per_principal_max)
        self._waiters = Slots(limits.waiting_max, limits.per_principal_max)
        self._answers: set[Answering] = set()
        self._body_bytes = 0
        self.admitting = True

    async def drop_stalled(self) -> None:
        """Cut off clients that do not read what they asked for; runs until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._limits.write_timeout_s / 4)
            for answer in list(self._answers):
                if answer.stalled_since_s < clock() - self._limits.write_timeout_s:
                    answer.cut()

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
                answer = Answering(send, receive)
                await answer.whole(*problem(no_such_path(scope["method"], path)))
            return
        await self._serve(handler, scope, receive, send)

    def _route(self, method: str, path: str) -> Handler | None:
        for dialect in (CHAT, RESPONSES):
            if method == "POST" and path == dialect.path:
                return partial(self._post, dialect)
            under = dialect.path + "/"
            if method == "GET" and path.startswith(under) and "/" not in path[len(under) :]:
                return partial(self._retrieve, dialect)
        if method == "POST" and path.startswith(_RESPONSES) and path.endswith(_CANCEL):
            return self._cancel
        if method == "POST" and path == CHECK:
            return self._check
        if method == "GET" and path == "/v1/models":
            return self._models
        if method == "GET" and path.startswith("/v1/approvals/") and path.endswith("/result"):
            return self._result
        return None

    async def _serve(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        """Run `handler` until it is done or the client has gone, whichever comes first."""
        answer = Answering(send, receive)
        self._answers.add(answer)
        self._metrics.inflight.inc()
        try:
            await self._guarded(handler, scope, answer)
        finally:
            answer.stop_watching()
            self._answers.discard(answer)
            self._metrics.inflight.dec()

    async def _guarded(self, handler: Handler, scope: Scope, answer: Answering) -> None:
        """Whatever happens becomes one complete answer, unless nobody is there to read it."""
        try:
            self._admit()
            find = self._pipeline.identify
            principal, shown = await self._entrance.enter(scope, "data path", find)
            await handler(Asking(scope, dict(scope["headers"]), principal, shown.ip), answer)
        except asyncio.CancelledError:
            if not answer.gone and not answer.started:
                await answer.whole(*problem(_stopping()))
        except SekishoError as error:
            self._metrics.exchange_ended(error.code)
            if answer.started:
                _log.error("a stream broke off", code=error.code, exchange=error.exchange)
                raise
            language = self._language(scope)
            await answer.whole(*problem(error, exchange=error.exchange, language=language))
        except Exception:  # the last boundary: our fault becomes an answer and a log line
            _log.exception("unexpected fault on the data path", path=scope.get("path"))
            self._metrics.exchange_ended(InternalFault.code)
            if answer.started:
                raise
            await answer.whole(*problem(InternalFault()))

    def _language(self, scope: Scope) -> str:
        wished = dict(scope["headers"]).get(b"accept-language", b"")
        return spoken(wished, self._limits.language)

    def _admit(self) -> None:
        if not self.admitting:
            raise _stopping()
        if not self._can_promise():
            raise _overloaded()

    async def _post(self, dialect: Dialect, asking: Asking, answer: Answering) -> None:
        who = asking.principal.id
        with ExitStack() as place:
            place.enter_context(self._asking.taken_by(who))
            held = await self._ask(dialect, asking, answer)
            if isinstance(held, Gathering):
                await self._keep_company(held, dialect, asking, answer, place)
                return
        if held is None:
            return
        comes_back = held.hold.background and not held.unjustified
        if comes_back and not held.hold.stream:  # waits for nothing, so takes nobody's place
            await self._say(await self._background.posted(held), answer)
            return
        with ExitStack() as place:
            placed = self._placed(place, who)
            if comes_back and placed:
                await self._say(await self._background.posted(held), answer)
            elif placed:
                reply = await self._waiting.first(held, post_path=asking.scope["path"])
                await answer.reply(reply)
            else:  # it is filed all the same: what is said is where
                await answer.reply(await self._waiting.told(held, as_json=False))

    async def _check(self, asking: Asking, answer: Answering) -> None:
        with self._asking.taken_by(asking.principal.id):
            body = await self._body(asking.headers, answer)
            try:
                answer.watch()
                raw = RawRequest(CHAT.endpoint, body, asking.client_ip, None, 0)
                language = self._language(asking.scope)
                told = await self._pipeline.check(asking.principal, raw, language)
            finally:
                self._body_bytes -= len(body)
            self._metrics.exchange_ended("checked")
            await answer.whole(HTTPStatus.OK, _JSON, told)

    async def _keep_company(
        self,
        gathering: Gathering,
        dialect: Dialect,
        asking: Asking,
        answer: Answering,
        place: ExitStack,
    ) -> None:
        """A stream of comments until there is more to say; who waits for people takes a place of
        that kind.
        """

        def for_people() -> bool:
            place.close()
            return self._placed(place, asking.principal.id)

        language = self._language(asking.scope)
        said = self._meanwhile.stream(gathering, dialect, language=language, for_people=for_people)
        await self._relay(said, answer)

    def _placed(self, place: ExitStack, who: str) -> bool:
        """Take a place of those who wait for people, if there is one."""
        try:
            place.enter_context(self._waiters.taken_by(who))
        except (Overloaded, LimitReached):
            return False
        return True

    async def _ask(
        self, dialect: Dialect, asking: Asking, answer: Answering
    ) -> HoldView | Gathering | None:
        """Take the request along the line and write what comes back; what has to be waited for is
        returned.
        """
        body = await self._body(asking.headers, answer)
        try:
            raw = RawRequest(
                endpoint=dialect.endpoint,
                body=body,
                client_ip=asking.client_ip,
                idempotency_key=_idempotency_key(asking.headers.get(b"idempotency-key")),
                retry_count=_count(asking.headers.get(b"x-stainless-retry-count")),
            )
            answer.watch()
            reply = await self._pipeline.handle(asking.principal, raw)
        except asyncio.CancelledError:
            self._metrics.exchange_ended("cancelled")
            raise
        finally:
            self._body_bytes -= len(body)
        if isinstance(reply, Whole):
            self._metrics.exchange_ended("ok")
            body = dialect.told(reply)
            await answer.whole(reply.status, as_headers(reply.headers), body)
        elif isinstance(reply, Stream):
            dialect.telling(reply)
            await self._relay(reply, answer)
        elif isinstance(reply, Gathering):
            return reply
        else:
            self._metrics.exchange_ended("held")
            return reply
        return None

    async def _relay(self, stream: Stream, answer: Answering) -> None:
        try:
            await answer.stream(stream)
        finally:
            self._metrics.chunks_relayed(stream.chunks)
            self._metrics.exchange_ended(stream.ended)

    async def _result(self, asking: Asking, answer: Answering) -> None:
        answer.watch()
        hold_id = asking.scope["path"].split("/")[3]
        with self._waiters.taken_by(asking.principal.id):
            await answer.reply(await self._waiting.hop(hold_id, asking.principal))

    async def _retrieve(self, dialect: Dialect, asking: Asking, answer: Answering) -> None:
        answer.watch()
        result_id = asking.scope["path"].rsplit("/", 1)[1]
        with self._waiters.taken_by(asking.principal.id):
            if dialect is RESPONSES:
                query = dict(parse_qsl(asking.scope["query_string"].decode("latin-1")))
                told = await self._background.retrieve(result_id, asking.principal, query)
                await self._say(told, answer)
            else:
                told = await self._waiting.retrieve(result_id, asking.principal, dialect)
                await answer.reply(told)

    async def _cancel(self, asking: Asking, answer: Answering) -> None:
        answer.watch()
        result_id = asking.scope["path"].removeprefix(_RESPONSES).removesuffix(_CANCEL)
        with self._waiters.taken_by(asking.principal.id):
            await answer.reply(await self._background.cancel(result_id, asking.principal))

    async def _say(self, told: Reply | Stream, answer: Answering) -> None:
        if isinstance(told, Stream):
            await answer.stream(told)
        else:
            await answer.reply(told)

    async def _models(self, asking: Asking, answer: Answering) -> None:
        answer.watch()
        listed = await self._pipeline.models(asking.principal)
        await answer.whole(HTTPStatus.OK, _JSON, listed)

    async def _body(self, headers: Mapping[bytes, bytes], answer: Answering) -> bytes:
        """Read the body within its limits; its bytes count against the worker's total."""
        limits = self._limits
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limits.body_bytes_max:
            raise _too_large(limits.body_bytes_max)
        body = bytearray()  # not a list: a body sent byte by byte would cost forty times its size
        try:
            async with asyncio.timeout(limits.body_timeout_s):
                while await self._piece(body, answer):
                    pass
        except TimeoutError as error:
            self._body_bytes -= len(body)
            text = f"The request body did not arrive within {limits.body_timeout_s:g} s."
            raise TooSlow(text) from error
        except (SekishoError, asyncio.CancelledError):
            self._body_bytes -= len(body)
            raise
        return bytes(body)

    async def _piece(self, body: bytearray, answer: Answering) -> bool:
        """Add what has come to `body`; whether more follows."""
        message = await answer.receive()
        if message["type"] == "http.disconnect":
            answer.gone = True
            raise asyncio.CancelledError(CLIENT_GONE)
        piece = message.get("body", b"")
        body.extend(piece)
        self._body_bytes += len(piece)
        if len(body) > self._limits.body_bytes_max:
            raise _too_large(self._limits.body_bytes_max)
        if self._body_bytes > self._limits.body_bytes_total_max:
            text = "Too many large requests at once. Try again in a moment."
            raise Overloaded(text)
        return bool(message.get("more_body", False))


def _idempotency_key(value: bytes | None) -> str | None:
    if value is not None and len(value) > IDEMPOTENCY_CHARS_MAX:
        message = f"The Idempotency-Key is longer than {IDEMPOTENCY_CHARS_MAX} characters."
        raise BadRequest(message)
    return None if value is None else value.decode("latin-1")


def _count(value: bytes | None) -> int:
    return int(value) if value and value.isdigit() and len(value) <= RETRY_DIGITS_MAX else 0


def _too_large(body_bytes_max: int) -> TooLarge:
    return TooLarge(f"The body is larger than {body_bytes_max} bytes. Send less text at once.")


def _overloaded() -> Overloaded:
    return Overloaded("Outcomes cannot be recorded fast enough. Nothing was sent; try again soon.")


def _stopping() -> Unavailable:
    message = "This gateway is stopping or being replaced. Try again in a moment."
    return Unavailable(message, code="gateway_stopping")
