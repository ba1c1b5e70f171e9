from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator

import httpx
import pytest

from sekisho.cli.gate import Gate
from sekisho.cli.live_hints import LiveHints

LIMIT_S = 30.0


class Stream(httpx.SyncByteStream):
    """What the gateway says, and then nothing until it is let go."""

    def __init__(self, said: bytes, go: threading.Event) -> None:
        self._said = said
        self._go = go

    def __iter__(self) -> Iterator[bytes]:
        yield self._said
        self._go.wait(LIMIT_S)


class Gateway:
    """Answers each connection with the next of `says`; None is a refusal."""

    def __init__(self, *says: bytes | None) -> None:
        self._says = list(says)
        self.asked: list[str] = []
        self.go = threading.Event()
        self.gate = Gate("http://gateway", "k", httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.headers.get("last-event-id", ""))
        said = self._says.pop(0) if self._says else None
        if said is None:
            return httpx.Response(503, json={})
        return httpx.Response(200, stream=Stream(said, self.go))


def hinted(hints: LiveHints) -> bool:
    ready, _, _ = select.select([hints.descriptor], [], [], LIMIT_S)
    return bool(ready) and bool(os.read(hints.descriptor, 64))


def test_the_end_of_a_burst_is_a_hint() -> None:
    """Cards alone are none: the queue would be read while it is still being told."""
    gateway = Gateway(b"event: hold\ndata: {}\n\nid: 7\nevent: current\ndata: {}\n\n")
    with LiveHints(gateway.gate) as hints:
        assert hinted(hints)
    gateway.go.set()


def test_it_comes_back_with_the_last_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal as well as after an end."""
    monkeypatch.setattr("sekisho.cli.live_hints.AGAIN_S", 0.01)
    burst = b"id: 7\nevent: current\ndata: {}\n\n"
    gateway = Gateway(None, burst, burst)
    gateway.go.set()
    with LiveHints(gateway.gate) as hints:
        assert hinted(hints)
        while len(gateway.asked) < 4:
            hinted(hints) if len(gateway.asked) < 3 else threading.Event().wait(0.01)
    assert gateway.asked[:3] == ["", "", "7"]


def test_a_hint_after_the_end_goes_nowhere() -> None:
    """The descriptor may be another's by then."""
    gateway = Gateway(b"")
    with LiveHints(gateway.gate) as hints:
        pass
    hints._hint()
    gateway.go.set()
