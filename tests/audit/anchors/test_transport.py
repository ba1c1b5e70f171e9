"""One request to a server that may be slow, large, gone, or somebody else."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sekisho_audit.anchors.port import AnchorFailed
from sekisho_audit.anchors.transport import ANSWER_BYTES_MAX, Answer, Site

Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that treats one connection as told; its URL."""
    doors: list[socket.socket] = []

    def start(treat: Callable[[socket.socket], None]) -> str:
        door = socket.create_server(("127.0.0.1", 0))
        doors.append(door)

        def run() -> None:
            taken, _ = door.accept()
            with taken:
                try:
                    whole_request(taken)
                    treat(taken)
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{door.getsockname()[1]}/p/"

    yield start
    for door in doors:
        door.close()


def whole_request(taken: socket.socket) -> bytes:
    """Headers and body, which `http.client` sends apart: what is left unread resets the answer."""
    with taken.makefile("rb") as reader:
        head = b""
        while (line := reader.readline()).strip():
            head += line
        length = re.search(rb"Content-Length: (\d+)", head)
        return head + b"\r\n" + reader.read(int(length[1]) if length else 0)


def answering(raw: bytes) -> Callable[[socket.socket], None]:
    return lambda taken: taken.sendall(raw)


def test_an_answer_comes_back(serve: Serve) -> None:
    url = serve(answering(b"HTTP/1.1 409 X\r\nContent-Type: Text/A; b=c\r\n\r\n7\n"))
    answer = Site(url, 5).ask("POST", "/x", b"body", "text/plain")
    assert answer == Answer(409, "text/a", b"7\n")
    assert answer.text() == "7\n"


def test_what_is_asked_is_one_plain_request(serve: Serve) -> None:
    """Path under the prefix, length, type, no cookie and no credential."""
    door = socket.create_server(("127.0.0.1", 0))
    said: list[bytes] = []

    def run() -> None:
        taken, _ = door.accept()
        with taken:
            said.append(whole_request(taken))
            taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    Site(f"http://127.0.0.1:{door.getsockname()[1]}/p", 5).ask("POST", "/x", b"body", "a/b")
    thread.join(5)
    door.close()
    head = said[0].partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert head[0] == "POST /p/x HTTP/1.1"
    assert {line.partition(":")[0] for line in head[1:]} == {
        "Host", "User-Agent", "Accept", "Connection", "Content-Type", "Content-Length",
        "Accept-Encoding",
    }  # fmt: skip


def test_a_redirect_is_not_followed(serve: Serve) -> None:
    url = serve(answering(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\n\r\n"))
    assert Site(url, 5).ask("GET", "/x").status == 302


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (ANSWER_BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"not http",
        b"",
    ],
)
def test_what_is_too_long_too_short_or_no_http_fails(serve: Serve, raw: bytes) -> None:
    with pytest.raises(AnchorFailed):
        Site(serve(answering(raw)), 5).ask("GET", "/x")


def test_a_server_that_trickles_is_cut(serve: Serve) -> None:
    """Each byte comes in time, all of them never: one deadline for the whole answer."""
    trickled = threading.Event()

    def trickle(taken: socket.socket) -> None:
        taken.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not trickled.wait(0.02):
            taken.sendall(b"x")

    try:
        with pytest.raises(AnchorFailed) as caught:
            Site(serve(trickle), 0.3).ask("GET", "/x")
    finally:
        trickled.set()
    assert caught.value.cause == "unreachable"


def test_a_server_that_says_nothing_is_left(serve: Serve) -> None:
    with pytest.raises(AnchorFailed, match=r"127\.0\.0\.1"):
        Site(serve(lambda _taken: time.sleep(1)), 0.2).ask("GET", "/x")


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(AnchorFailed) as caught:
        Site(f"http://127.0.0.1:{port}", 1).ask("GET", "/x")
    assert caught.value.cause == "unreachable"


def test_an_answer_that_is_no_text_is_bad() -> None:
    with pytest.raises(AnchorFailed, match="UTF-8"):
        Answer(200, "", b"\xff").text()


@pytest.mark.parametrize(
    "url",
    [
        "", "w.example", "ftp://w.example", "http://", "https://u:p@w.example/",
        "https://w.example/?x=1", "https://w.example/#x", "http://w.example:99999/",
    ],
)  # fmt: skip
def test_only_plain_urls_are_taken(url: str) -> None:
    """A password in a URL would stand in the process list."""
    with pytest.raises(ValueError):
        Site(url, 5)


def test_who_can_be_believed(tmp_path: Path) -> None:
    """Over TLS, or without leaving the machine."""
    assert Site("https://w.example", 5).authentic
    assert Site("http://127.0.0.1:80", 5).authentic
    assert not Site("http://w.example", 5).authentic
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(OSError):
        Site("https://w.example", 5, tmp_path / "ca.pem")
