"""What would happen to a text, told at a terminal and to scripts."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sekisho.cli import main

REASON = {"code": "label_held", "message": "It is labelled \u202ereview.", "rule": "default.holds"}
ALLOW: dict[str, Any] = {
    "object": "check",
    "exchange": "x1",
    "sent": False,
    "effect": "allow",
    "reasons": [],
    "backend": "house",
    "changed_by": ["redact", "max_tokens"],
    "masked": {"email": 2},
    "labelled": True,
    "kept": {"level": "redacted", "days": None},
    "hold": None,
    "answer": {"read_whole": False, "holds": []},
}
ASKED = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
HOLD = {**ALLOW, "effect": "hold", "reasons": [REASON]}
HOLD["hold"] = {"asked": ASKED, "ttl_s": 3_600, "office_time": False, "risk": 50}
KNOWN = [{**one, "lately": {"count": 8, "median_s": 700}} for one in ASKED]
PACED = {**HOLD, "hold": {"asked": KNOWN, "ttl_s": 3_600, "office_time": False, "risk": 50}}
HELD_LATER = [{"stage": "tool_call", **PACED["hold"]}]
LATER = {**ALLOW, "answer": {"read_whole": True, "holds": HELD_LATER}}
DENY = {**ALLOW, "effect": "deny", "reasons": [REASON], "backend": None, "masked": {}}


class Gateway:
    """Answers like `/v1/check` and keeps what it was asked."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = ALLOW
        self.asked: list[tuple[str, bytes]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Stay quiet."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                gateway.asked.append((self.path, body))
                raw = json.dumps(gateway.says).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Gateway]:
    """It runs, and the files `text` and `latin` lie here."""
    made = Gateway()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("hi")
    (tmp_path / "latin").write_bytes(b"\xe9")
    thread = Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SEKISHO_URL", made.url)
    monkeypatch.setenv("SEKISHO_KEY", "key-1")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_text_that_is_piped(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("数据\n".encode())))
    assert 0 == main(["check", "--model", "m"])

    [(path, body)] = gateway.asked
    assert "/v1/check" == path
    asked = {"model": "m", "messages": [{"role": "user", "content": "数据\n"}]}
    assert asked == json.loads(body)
    assert capsys.readouterr().out == (
        "It would be sent.\n"
        "  Masked before it leaves: email (2).\n"
        "  Changed before it leaves by: max_tokens.\n"
        "  The answer will say that a machine wrote it.\n"
        "  It would go to house.\n"
        "Nothing was sent.\n"
    )


@pytest.mark.parametrize(
    ("says", "status", "lines"),
    [
        (
            HOLD,
            3,
            ["People would be asked first:", "1 review by reviewer", "They have 60 minutes"],
        ),
        (PACED, 3, ["Half of the last 8 were answered within 12 min."]),
        (
            {**ALLOW, "justify": True},
            3,
            ["It would be sent once", "You would be asked for a reason first"],
        ),
        (
            LATER,
            0,
            ["comes all at once", "Tool calls in it would wait for people, who have 60 minutes:"],
        ),
        ({**HOLD, "answered_by": "grant"}, 0, ["in advance", "standing grant", "house"]),
        ({**HOLD, "answered_by": "break_glass"}, 0, ["It would be sent without people"]),
        (
            {**ALLOW, "drafts": {"max": 5, "open": 2, "refused": False}},
            0,
            ["It would be sent.", "Of 2 answers", "5 may be open"],
        ),
        (
            {**HOLD, "drafts": {"max": 2, "open": 2, "refused": True}, "answered_by": "grant"},
            4,
            ["until you have said", "Of 2 answers"],
        ),
        (DENY, 4, ["It would be refused:", "<U+202E>review. (rule default.holds)"]),
    ],
    ids=[
        *("hold", "hold with a pace", "justify", "answer held"),
        *("granted", "opened", "few drafts", "drafts", "deny"),
    ],
)
def test_what_people_or_rules_would_say(
    gateway: Gateway,
    capsys: pytest.CaptureFixture[str],
    says: dict[str, Any],
    status: int,
    lines: list[str],
) -> None:
    """The exit status tells scripts; what a rule says cannot drive the terminal."""
    gateway.says = says
    assert status == main(["check", "--model", "m", "text"])
    out = capsys.readouterr().out
    assert all(line in out for line in lines)
    assert out.endswith("Nothing was sent.\n")


def test_a_whole_request_goes_as_it_is(
    gateway: Gateway, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that is not sound: the gateway says what is wrong with it."""
    body = tmp_path / "body"
    body.write_bytes(b'{ "model":"m","model":"m" }')
    assert 0 == main(["check", "--body", str(body), "--json"])
    assert [("/v1/check", body.read_bytes())] == gateway.asked
    assert ALLOW == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "--model NAME"),
        (["--body", "nowhere"], "nowhere cannot be read: No such file"),
        (["--body", "b", "--model", "m"], "give neither"),
        (["--model", "m", "latin"], "not UTF-8"),
    ],
)
def test_wrong_words_are_told(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    assert 1 == main(["check", *words])
    assert why in capsys.readouterr().err
    assert not gateway.asked
