"""`sekisho sample`: sends what was typed, and prints what others wrote without letting it act."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from sekisho.cli import main

SAMPLE: dict[str, Any] = {
    "id": "s-1",
    "principal": "staff-7",
    "model": "gpt\u202e-x",
    "backend": "demo",
    "rules": ["rule.a"],
    "risk": 0,
    "opening": None,
    "drawn_us": 1_700_000_000_000_000,
    "until_us": 1_700_600_000_000_000,
    "mine": None,
    "verdicts": [],
}
SHOWN = {
    **SAMPLE,
    "opening": "o-1",
    "content": "cut",
    "request": None,
    "answer": {"bytes": 5, "text": "a\u202e\x1b[31mb", "base64": None},
}


class Gateway:
    """Answers like `/v1/samples` and keeps what it was sent."""

    def __init__(self) -> None:
        self.samples = [SAMPLE]
        self.judged: dict[str, Any] = {"id": "s-1", "verdict": "fine", "outcome": None, "by": None}
        self.figures: list[dict[str, Any]] = []
        self.sent: list[tuple[str, Any]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Stay quiet."""

            def do_GET(self) -> None:
                if self.path.endswith("/figures"):
                    self._answer({"data": gateway.figures})
                elif self.path == "/v1/samples":
                    self._answer({"data": gateway.samples})
                else:
                    self._answer(SHOWN)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                gateway.sent.append((self.path, json.loads(body)))
                self._answer(gateway.judged)

            def _answer(self, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    made = Gateway()
    monkeypatch.setenv("SEKISHO_URL", f"http://127.0.0.1:{made.server.server_port}")
    monkeypatch.setenv("SEKISHO_KEY", "k")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_what_waits_is_listed(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that would turn the line around are spelled out; and that nothing waits is said."""
    assert main(["sample", "list"]) == 0
    shown = capsys.readouterr().out
    assert "s-1" in shown
    assert "\u202e" not in shown
    gateway.samples = []
    main(["sample", "list"])
    assert capsys.readouterr().out == "Nothing waits for you.\n"


def test_what_is_shown_does_not_act(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """What a model wrote drives no terminal; what is not there any more is said."""
    assert main(["sample", "show", "s-1"]) == 0
    shown = capsys.readouterr().out

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "the request is not there any more" in shown
    assert "answer, 5 bytes" in shown
    assert gateway.sent == []


def test_a_verdict_is_sent(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """With its reason; it says whether somebody else is asked."""
    assert main(["sample", "judge", "s-1", "concern", "--reason", "a name"]) == 0
    assert gateway.sent == [("/v1/samples/s-1/verdict", {"verdict": "concern", "reason": "a name"})]
    assert "Somebody else is asked" in capsys.readouterr().out
    gateway.judged = {"id": "s-1", "verdict": "fine", "outcome": "concern", "by": "third"}
    main(["sample", "judge", "s-1", "fine"])
    assert "Closed as concern: a third person decided." in capsys.readouterr().out


def test_figures_are_a_table(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a month and model or rule; also as a document."""
    main(["sample", "figures"])
    assert capsys.readouterr().out == "Nothing was drawn.\n"
    counts = {"drawn": 3, "judged": 2, "concerns": 1, "disputed": 1, "unjudged": 0}
    gateway.figures = [{"month": "2026-11", "kind": "model", "name": "gpt-x", **counts}]
    main(["sample", "figures"])
    assert "2026-11" in capsys.readouterr().out
    main(["sample", "figures", "--json"])
    assert json.loads(capsys.readouterr().out) == gateway.figures
