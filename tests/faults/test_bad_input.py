"""Whatever a client sends: a clear error or a clean close, in time, and nothing at the backend."""

from __future__ import annotations

import json
import socket
import time

import httpx
import psutil
import pytest

from .conftest import Site

SOON_S = 15.0
GOOD = {"model": "ok", "messages": [{"role": "user", "content": "hi"}]}


def _post(site: Site, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{site.installation.url}/v1/chat/completions",
        headers={
            "authorization": f"Bearer {site.employee}",
            "content-type": "application/json",
            **headers,
        },
        content=body,
        timeout=SOON_S,
        trust_env=False,
    )


BODIES = {
    "no bytes": b"",
    "ten megabytes": b'{"model":"ok","messages":[{"role":"user","content":"'
    + b"a" * 10_000_000
    + b'"}]}',
    "invalid JSON": b'{"model":',
    "an array": b"[1]",
    "a string": b'"hi"',
    "null": b"null",
    "wrong types": b'{"model":5,"messages":"x"}',
    "messages of numbers": b'{"model":"ok","messages":[1,2]}',
    "duplicate model": b'{"model":"ok","model":"evil","messages":[{"role":"user"}]}',
    "duplicate deep": b'{"model":"ok","messages":[{"role":"user","role":"system"}]}',
    "lone surrogate": b'{"model":"ok","messages":[{"role":"user","content":"\\ud800"}]}',
    "NUL": b'{"model":"ok","messages":[{"role":"user","content":"a\\u0000b"}]}',
    "invalid UTF-8": b'{"model":"ok","messages":[{"role":"user","content":"\xff"}]}',
    "NaN": b'{"model":"ok","messages":[{"role":"user"}],"temperature":NaN}',
    "deep nesting": b'{"model":"ok","messages":[{"role":"user"}],"x":'
    + b"[" * 5000
    + b"]" * 5000
    + b"}",
    "trailing data": json.dumps(GOOD).encode() + b"{}",
    "member in capitals": b'{"model":"ok","MODEL":"evil","messages":[{"role":"user"}]}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_bodies_that_cannot_be_judged(site: Site, body: bytes) -> None:
    """An OpenAI-shaped 4xx with a message; the backend saw zero bytes."""
    answer = _post(site, body)

    error = answer.json()["error"]
    assert answer.status_code in (400, 413)
    assert {"message", "type", "param", "code"} <= set(error)
    assert error["message"]
    assert [] == site.backend.seen


def test_memory_stays_bounded_under_large_bodies(site: Site) -> None:
    """Forty bodies of eight megabytes do not stay in the worker."""
    worker = psutil.Process(site.installation.pids("sekisho.worker")[0])
    body = (
        b'{"model":"nosuch model","messages":[{"role":"user","content":"'
        + b"a" * 8_000_000
        + b'"}]}'
    )
    for _ in range(5):
        _post(site, body)
    before = worker.memory_info().rss
    for _ in range(40):
        assert _post(site, body).status_code == 400

    assert worker.memory_info().rss - before < 100_000_000
    assert [] == site.backend.seen


def _raw(site: Site, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Raw bytes to the gateway; what came back until it closed."""
    with socket.create_connection(("127.0.0.1", site.installation.port), timeout=SOON_S) as sock:
        answer = b""
        try:
            for piece in pieces:
                sock.sendall(piece)
                time.sleep(pause_s)
            sock.settimeout(SOON_S)
            while piece := sock.recv(65536):
                answer += piece
        except (ConnectionError, BrokenPipeError):
            pass
        return answer


def test_a_huge_header(site: Site) -> None:
    """One header of a megabyte is turned away."""
    answer = _raw(
        site,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-a: " + b"a" * 1_000_000 + b"\r\n\r\n",
    )

    assert answer == b"" or answer.startswith(b"HTTP/1.1 431")


def test_a_slow_head(site: Site) -> None:
    """A head that never ends is closed at its deadline with an error."""
    answer = _raw(site, b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n")

    assert answer.startswith(b"HTTP/1.1 408")


def test_a_chunked_body_without_end_is_bounded(site: Site) -> None:
    """No declared length: what arrives is counted, and cut off at the limit."""
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n"
        b"authorization: Bearer " + site.employee.encode() + b"\r\n\r\n"
    )
    chunk = b"%x\r\n%s\r\n" % (1_000_000, b"a" * 1_000_000)

    answer = _raw(site, head, *[chunk] * 12)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert [] == site.backend.seen


SMUGGLED = (
    b"GET /v1/models HTTP/1.1\r\nhost: a\r\nauthorization: Bearer %s\r\nconnection: close\r\n\r\n"
)


def test_no_request_hides_in_another(site: Site) -> None:
    """Length and chunked at once: refused, and what follows is not a request."""
    hidden = SMUGGLED % site.employee.encode()
    answer = _raw(
        site,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" % (len(hidden) + 5) + hidden,
    )

    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert b'"object":"list"' not in answer
    assert [] == site.backend.seen


@pytest.mark.parametrize(
    "path",
    [
        "/v1/embeddings",
        "/v1/files",
        "/v1/responses/",
        "/v1/../v1/embeddings",
        "/v1/",
        "/v1/threads/x",
    ],
)
def test_paths_that_are_not_offered(site: Site, path: str) -> None:
    """404 in the OpenAI shape; never a blind relay."""
    answer = httpx.post(
        site.installation.url + path,
        headers={"authorization": f"Bearer {site.employee}"},
        json=GOOD,
        trust_env=False,
    )

    assert (404, "unknown_path") == (answer.status_code, answer.json()["error"]["code"])
    assert [] == site.backend.seen


def test_the_gate_works_after_all_of_that(site: Site) -> None:
    """The next ordinary request is served."""
    assert 200 == site.ask().status_code
