"""Pages of other origins: shut out by default, let in by name.

A listed origin's page may call `/v1` with a key that it was given. It never gets the credentials of
the browser, so a stolen click is worth nothing, and no origin is ever allowed by a star. With no
origin listed this module is not in the way at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from sekisho.errors import Forbidden
from sekisho.web.answering import ASGIApp, Message, Receive, Scope, Send
from sekisho.web.problems import Headers, problem

PREFLIGHT_AGE_S = 600  # browsers keep it no longer than two hours anyway
HEADERS_MAX = 64  # named in one preflight; SDKs send about ten
METHODS = b"GET, POST"
_NAMES = frozenset({"authorization", "content-type", "x-api-key", "idempotency-key"})
_PREFIX = "x-stainless-"  # how OpenAI's SDKs describe themselves
_SHOWN = (b"x-request-id", b"retry-after", b"retry-after-ms", b"x-should-retry")
_SHOWN_PREFIXES = (b"x-ratelimit-", b"x-sekisho-")
_VARY = (b"vary", b"origin")


def with_cors(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """`app`, reachable for pages of `origins`; itself if there are none."""
    return Cors(app, origins) if origins else app


class Cors:
    """Answers preflights and marks answers, under `/v1/` only."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        said = dict(scope["headers"])
        origin = said.get(b"origin", b"")
        allowed = origin if origin in self._origins else None
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in said:
            asked = said.get(b"access-control-request-headers", b"").decode("latin-1")
            await _preflight(send, allowed, asked)
            return
        await self._app(scope, receive, _marking(send, allowed))


async def _preflight(send: Send, origin: bytes | None, asked: str) -> None:
    status: int
    body = b""
    headers: Headers
    if origin is None:
        message = "Pages of this origin may not call this gateway; see server.cors_origins."
        status, headers, body = problem(Forbidden(message, code="origin_not_allowed"))
    else:
        status = HTTPStatus.NO_CONTENT
        headers = [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-max-age", b"%d" % PREFLIGHT_AGE_S),
        ]
        names = _allowed(asked)
        if names:
            headers.append((b"access-control-allow-headers", ", ".join(names).encode()))
    headers.append((b"vary", b"origin, access-control-request-headers"))
    if body:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _allowed(asked: str) -> list[str]:
    names = [part.strip().lower() for part in asked.split(",", HEADERS_MAX)[:HEADERS_MAX]]
    return [name for name in names if name in _NAMES or _is_of_sdk(name)]


def _is_of_sdk(name: str) -> bool:
    """Letters and dashes only: what is allowed is repeated in our answer."""
    return name.startswith(_PREFIX) and name.isascii() and name.replace("-", "").isalnum()


def _marking(send: Send, origin: bytes | None) -> Send:
    """`send` that lets the page of `origin` read answers; caches must tell origins apart."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_marks(message, origin)]
        await send(message)

    return marked


def _marks(message: Message, origin: bytes | None) -> Headers:
    if origin is None:
        return [_VARY]
    names = [name.lower() for name, _ in message.get("headers", [])]
    shown = sorted({name for name in names if name in _SHOWN or name.startswith(_SHOWN_PREFIXES)})
    marks = [(b"access-control-allow-origin", origin), _VARY]
    if shown:
        marks.append((b"access-control-expose-headers", b", ".join(shown)))
    return marks
