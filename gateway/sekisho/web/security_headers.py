"""What every answer tells a browser, whoever wrote the answer.

`constant` goes into the server itself, so that no answer can lack it and it costs nothing; `Sealed`
stands around pages and control routes and adds what a page may say differently. An answer of ours
loads nothing, is shown in no frame and stays in no cache unless its page says otherwise.
"""

from __future__ import annotations

from sekisho.web.answering import ASGIApp, Message, Receive, Scope, Send

HSTS_S = 365 * 86_400
_CONSTANT = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
)
_HSTS = "strict-transport-security"
_UNLESS_SET = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
_OF_THE_SERVER = frozenset({*(name.encode() for name, _ in _CONSTANT), _HSTS.encode(), b"server"})


def constant(*, https: bool) -> list[tuple[str, str]]:
    """Headers of every answer, for uvicorn's `headers`. `https`: people reach us by it alone."""
    headers = list(_CONSTANT)
    if https:
        headers.append((_HSTS, f"max-age={HSTS_S}"))
    return headers


class Sealed:
    """An ASGI application with the rest of the headers; what the server says it does not repeat."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _complete(message.get("headers", []))
            await send(message)

        await self._app(scope, receive, sealed)


def _complete(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() not in _OF_THE_SERVER]
    names = {name.lower() for name, _ in kept}
    return kept + [(name, value) for name, value in _UNLESS_SET if name not in names]
