"""Bytes that are not an ordinary HTTP request get an error or a closed connection, in time."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from sekisho.web.http_guard import guarded

HEAD_BYTES_MAX = 4096
HEAD_TIMEOUT_S = 0.4


class Application:
    """Counts what reaches it and echoes the body's size."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: dict, receive, send) -> None:  # type: ignore[no-untyped-def, type-arg]
        self.paths.append(scope["path"])
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
async def served() -> AsyncIterator[tuple[Application, int]]:
    """The application behind the guarded protocol, and its port."""
    application = Application()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        http=guarded(HEAD_BYTES_MAX, HEAD_TIMEOUT_S, 1000),
        ws="none",
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield application, listener.getsockname()[1]
    server.should_exit = True
    await running


async def _talk(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send pieces and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def _error(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)["error"]["code"]


async def test_an_ordinary_request_passes(served: tuple[Application, int]) -> None:
    """The guard is not seen by those who behave."""
    application, port = served

    answer = await _talk(
        port, b"POST /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc"
    )

    assert b"\r\n3\r\n" in answer
    assert ["/x"] == application.paths


async def test_a_huge_header_is_turned_away(served: tuple[Application, int]) -> None:
    """Memory for a head is bounded, whether it comes at once or piece by piece."""
    application, port = served
    huge = b"x: " + b"a" * (HEAD_BYTES_MAX * 4)

    at_once = await _talk(port, b"GET / HTTP/1.1\r\nhost: a\r\n" + huge + b"\r\n\r\n")
    in_pieces = await _talk(
        port, b"GET / HTTP/1.1\r\nhost: a\r\nx: ", *[b"a" * 1000] * 20, pause_s=0.001
    )

    assert (431, "request_too_large") == _error(at_once)
    assert in_pieces == b"" or (431, "request_too_large") == _error(in_pieces)
    assert [] == application.paths


async def test_a_huge_path_is_turned_away(served: tuple[Application, int]) -> None:
    """The request line counts as well."""
    application, port = served

    answer = await _talk(port, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: a\r\n\r\n")

    assert 431 == _error(answer)[0]
    assert [] == application.paths


async def test_a_slow_head_is_turned_away(served: tuple[Application, int]) -> None:
    """A head that trickles is cut off at its deadline, not when it pleases to end."""
    application, port = served

    answer = await _talk(port, b"GET / HTTP/1.1\r\nhost: a\r\nx: 1")

    assert (408, "request_timeout") == _error(answer)
    assert [] == application.paths


async def test_a_silent_connection_is_closed(served: tuple[Application, int]) -> None:
    """Who connects and says nothing does not keep a place."""
    _, port = served

    assert b"" == await _talk(port)


SMUGGLING = {
    "length and chunked": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n"
    b"content-length: 5\r\n\r\nabcde",
    "length with a sign": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +4\r\n\r\nabcd",
    "space before the colon": b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length : 4\r\n\r\nabcd",
    "folded header": b"GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n",
    "bare line feed in the head": b"GET / HTTP/1.1\nhost: a\n\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nhost: a\x00b\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "chunk size overflow": b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    b"fffffffffffffffff\r\nx\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_what_proxies_read_differently_is_refused(
    served: tuple[Application, int], sent: bytes
) -> None:
    """No second request is ever found inside an ambiguous first one."""
    application, port = served

    answer = await _talk(port, sent)

    assert "/smuggled" not in application.paths
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


async def test_a_guarded_server_goes_on(served: tuple[Application, int]) -> None:
    """After all of that, the next client is served."""
    application, port = served
    for sent in SMUGGLING.values():
        await _talk(port, sent)

    answer = await _talk(port, b"GET /after HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200")
    assert "/after" in application.paths
