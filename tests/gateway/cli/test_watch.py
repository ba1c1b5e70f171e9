"""`sekisho hold watch` in a real pseudo-terminal, against a gateway that is scripted."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sekisho.cli.watch import hold_lines, left, queue_lines
from support.pty_session import Session

HOSTILE = 'pay \x1b]0;owned\x07\x1b[2J\u202e\u200b {"a": 1}'
BINDING = "ab" * 32
ESCAPES = re.compile(rb"\x1b\[H|\x1b\[2J|\x1b\[\?1049[hl]|\x1b\[\?25[hl]")


def a_hold(name: str = "hold-1", text: str = "send it", **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "status": "pending",
        "stage": "request",
        "version": 3,
        "principal": "staff-7",
        "model": "gpt-x",
        "backend": "openai",
        "rules": ["review_words"],
        "reasons": ["A person looks at this first."],
        "risk": 20,
        "expires_at": int(time.time()) + 1000,
        "binding": BINDING,
        "may_review": True,
        "claimed_by": None,
        "approve_from": None,
        "outgoing": {"bytes": len(text.encode()), "text": text, "base64": None, "withheld": False},
        **changes,
    }


class Gateway:
    """Answers like `/v1/approvals` and keeps what it was told."""

    def __init__(self) -> None:
        self.holds = [a_hold()]
        self.told: list[tuple[str, str, Any]] = []
        self.refuses: dict[str, Any] | None = None
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                """Stay quiet."""

            def do_GET(self) -> None:
                if self.path.endswith("/events"):
                    self._answer(404, {})
                elif "?" in self.path:
                    self._answer(200, {"data": gateway.holds})
                else:
                    self._answer(200, gateway.one(self.path))

            def do_DELETE(self) -> None:
                gateway.told.append(("DELETE", self.path, None))
                self.send_response(204)
                self.end_headers()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                said = json.loads(body) if body else None
                gateway.told.append(("POST", self.path, said))
                self._answer(*gateway.answer(self.path, said))

            def _answer(self, status: int, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.env = {
            "SEKISHO_URL": f"http://127.0.0.1:{self.server.server_port}",
            "SEKISHO_KEY": "sk-sekisho-x",
        }

    def answer(self, path: str, said: Any) -> tuple[int, dict[str, Any]]:
        """What became of what was posted there."""
        hold = self.one(path)
        if path.endswith("/edits"):
            return 200, {**hold, "version": 4, "binding": "cd" * 32}
        if not path.endswith("/reviews"):
            return 200, {}
        if self.refuses:
            return 403, {"error": self.refuses}
        self.holds = [one for one in self.holds if one["id"] != hold["id"]]
        status = {"approve": "approved", "deny": "denied"}[said["decision"]]
        return 200, {**hold, "status": status, "warning": "Slower, please."}

    def one(self, path: str) -> dict[str, Any]:
        """The hold a path is about."""
        return next(hold for hold in self.holds if f"/{hold['id']}" in path)

    def reviews(self) -> list[Any]:
        """What was decided."""
        return [said for _, path, said in self.told if path.endswith("/reviews")]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    one = Gateway()
    thread = Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield one
    one.server.shutdown()
    thread.join()
    one.server.server_close()


def watching(gateway: Gateway, **more: Any) -> Session:
    env = {**gateway.env, **more.pop("env", {})}
    return Session("hold", "watch", env=env, **more)


def test_two_keys_decide_a_plain_hold(gateway: Gateway) -> None:
    """Open, approve: with the binding and version that were shown. The terminal is as before."""
    with watching(gateway) as at:
        at.until("risk  20")
        at.press("1")
        screen = at.until(BINDING)
        assert "send it" in screen
        assert "A person looks at this first." in screen
        at.press("a")
        at.until("Hold hold-1 is now approved. Slower, please.")
        at.until("Nothing waits for you.")
        at.press("q")
        assert at.ends() == 0
        assert at.modes() == at.before
    (said,) = gateway.reviews()
    assert said == {"decision": "approve", "reason": "", "binding": BINDING, "version": 3}
    assert ("POST", "/v1/approvals/hold-1/claim", None) in gateway.told
    assert ("DELETE", "/v1/approvals/hold-1/claim", None) in gateway.told


def test_a_denial_wants_a_reason_in_any_script(gateway: Gateway) -> None:
    """It can be corrected, pasted into, and left."""
    with watching(gateway) as at:
        at.until("risk  20")
        at.press("\r")
        at.until(BINDING)
        at.press("d")
        at.until("Reason to deny")
        at.press("\x1b")
        at.until("a: approve")
        at.press("d")
        at.until("Reason to deny")
        at.type("nox")
        at.press("\x7f")
        at.press(" 工资\n表")
        at.until("no 工资 表")
        at.press("\r")
        at.until("is now denied")
    assert [said["reason"] for said in gateway.reviews()] == ["no 工资 表"]


def test_risk_wants_a_reason_and_what_the_gateway_refuses_is_told(gateway: Gateway) -> None:
    """The hold stays open in front of the reviewer."""
    gateway.holds = [a_hold(risk=40, approve_from=int(time.time()) + 100)]
    gateway.refuses = {"message": "Read it; in 3 s you can approve it.", "code": "too_soon"}
    with watching(gateway) as at:
        at.until("risk  40")
        at.press("1")
        at.until("to approve in")
        at.press("a")
        at.until("Reason to approve")
        at.type("ok")
        at.press("\r")
        at.until("Read it; in 3 s you can approve it. (too_soon)")
        assert "send it" in at.screen()
    assert len(gateway.reviews()) == 1


def test_what_is_held_does_not_drive_the_terminal(gateway: Gateway) -> None:
    """Not from the prompt, not from a name; hidden characters are spelled out, all is there."""
    gateway.holds = [a_hold(text=HOSTILE, principal="x\x1b[31m", rules=["r\x07"])]
    with watching(gateway) as at:
        at.until("x<U+001B>[31m")
        at.press("1")
        screen = at.until(BINDING)
        at.press("q")
        at.until("1 to review")
        at.press("q")
        at.ends()
    for written in ("pay <U+001B>]0;owned<U+0007><U+001B>[2J<U+202E><U+200B>", '{"a": 1}'):
        assert written in screen
    rest = ESCAPES.sub(b"", at.drawn)
    assert b"\x1b" not in rest
    assert b"\x07" not in rest


def test_nothing_is_approved_before_its_end_was_shown(gateway: Gateway) -> None:
    """What does not fit a page has more; every line of it can be reached."""
    gateway.holds = [a_hold(text="\n".join(f"line {n}." for n in range(60)))]
    with watching(gateway, rows=20) as at:
        at.until("risk  20")
        at.press("1")
        at.until("lines 1-17 of")
        at.press("a")
        at.until("There is more below.")
        shown = at.screen()
        for _ in range(4):
            at.press(" ")
            time.sleep(0.3)
            at.until("lines")
            shown += at.screen()
        at.until("line 59.")
        at.press("b")
        at.until("line 40.")
        at.press("a")
        at.until("is now approved")
    assert all(f"line {n}." in shown + at.drawn.decode() for n in range(60))


def test_keys_that_were_no_answer_are_none(gateway: Gateway) -> None:
    """Pasted text, and what was typed before the hold stood there."""
    with watching(gateway) as at:
        at.until("risk  20")
        at.press("1aaaa")
        time.sleep(1.5)
        at.until("1 to review")
        at.press("1")
        at.until(BINDING)
        at.press("aa\raa")
        time.sleep(1.5)
        at.until(BINDING)
        at.press("q")
        at.until("1 to review")
        at.press("q")
        assert at.ends() == 0
    assert gateway.reviews() == []


def test_the_queue_is_walked_and_skipped(gateway: Gateway) -> None:
    """Down and up, in order; what another looks at says so; a skipped one leads to the next."""
    gateway.holds = [a_hold(f"hold-{n}", claimed_by="reviewer-2") for n in range(3)]
    with watching(gateway) as at:
        at.until("(reviewer-2 looks at it)")
        at.press("j")
        at.until(">2")
        at.press("\x1b[A")
        at.until(">1")
        at.press("1")
        assert "left, reviewer-2 looks at it" in at.until(BINDING)
        at.press("s")
        at.until(">2")
        at.process.send_signal(signal.SIGINT)
        assert at.ends() == 130
        assert at.modes() == at.before
    assert gateway.reviews() == []


def test_calls_are_changed_in_ones_own_editor(gateway: Gateway, tmp_path: Path) -> None:
    """What comes back is sent with the binding of what was shown; the new version is shown."""
    call = {"id": "c", "type": "function", "function": {"name": "pay", "arguments": '{"eur": 9}'}}
    answer = {"choices": [{"message": {"role": "assistant", "tool_calls": [call]}}]}
    gateway.holds = [a_hold(text=json.dumps(answer), stage="tool_call") | {"open_step": 2}]
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/9/7/" "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    with watching(gateway, env={"EDITOR": str(editor)}) as at:
        at.until("risk  20")
        at.press("1")
        at.until(BINDING)
        at.press("e")
        at.until("cd" * 32)
        at.press("q")
        at.until("1 to review")
    (said,) = [said for _, path, said in gateway.told if path.endswith("/edits")]
    assert said == {
        "binding": BINDING,
        "version": 3,
        "step": 2,
        "calls": [{"place": 0, "arguments": '{"eur": 7}'}],
    }


def test_a_gateway_that_went_away_is_said(gateway: Gateway) -> None:
    """And the queue stands there until it is back."""
    with watching(gateway) as at:
        at.until("risk  20")
        gateway.holds = [{"broken": True}]
        gateway.server.shutdown()
        gateway.server.server_close()
        at.until("does not answer")
        at.press("q")
        assert at.ends() == 0


def test_without_a_terminal_it_says_what_to_use(gateway: Gateway) -> None:
    """A script gets a sentence and no escapes."""
    done = subprocess.run(
        [sys.executable, "-m", "sekisho.cli", "hold", "watch"],
        env={**gateway.env, "PATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "hold list" in done.stderr, done.stdout) == (1, True, "")


def test_lines_fit_the_terminal() -> None:
    """However many holds, however small the window; the chosen one is among them."""
    holds = [a_hold(f"hold-{n}", principal="p" * 90) for n in range(50)]
    lines = queue_lines(holds, 40, "", (60, 12))
    assert len(lines) <= 12
    assert [line for line in lines if line.startswith(">")]
    assert all(len(line) <= 60 for line in lines[2:])
    assert hold_lines(holds[0], ["x"], 3, 9, "")[0].endswith("lines 4-4 of 9")


@pytest.mark.parametrize(
    ("seconds", "said"), [(-5, "over"), (59.5, "0m 59s"), (3700.5, "1h 1m"), (90000.5, "1d 1h")]
)
def test_time_left_is_said_in_two_units(seconds: float, said: str) -> None:
    """As much as matters."""
    assert left(time.time() + seconds) == said  # type: ignore[arg-type]
