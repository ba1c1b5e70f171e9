from __future__ import annotations

import argparse
import json
from pathlib import Path

import httpx
import pytest

from sekisho.cli.gate import Gate, GateFailed
from sekisho.cli.hold_seed import TEXT_BYTES_MAX, add_options, plant, told

ARGUMENTS = "--principal staff-990 --model m --backend b --rule r.a --message Look --ttl 60"


def options(*more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    add_options(parser)
    return parser.parse_args([*ARGUMENTS.split(), *more])


def test_the_text_of_a_file_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With everything else that reviewers see; the id comes back, with nothing hidden in it."""
    sent: list[dict[str, object]] = []

    def answered(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(201, json={"id": "hold_1\u202e"})

    text = tmp_path / "text"
    text.write_text("所有工资")
    plant(Gate("http://gateway", "k", httpx.MockTransport(answered)), options("--text", str(text)))
    assert sent[0] == {
        "principal": "staff-990",
        "text": "所有工资",
        "model": "m",
        "backend": "b",
        "rule": "r.a",
        "message": "Look",
        "ttl_s": 60,
    }
    assert "hold_1<U+202E>." in capsys.readouterr().out


def test_what_was_named_is_sent_and_nothing_else(tmp_path: Path) -> None:
    """The rest is left to the gateway, which has the holds that it should look like."""
    sent: list[dict[str, object]] = []

    def answered(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(201, json={"id": "hold_1"})

    text = tmp_path / "text"
    text.write_text("x")
    named = ["--deny", "2", "--no-office-time", "--redact", "email", "--redact", "name"]
    named += ["--also", "r.b", "Look twice"]
    more = [*named, "--risk", "0", "--text"]
    plant(Gate("http://gateway", "k", httpx.MockTransport(answered)), options(*more, str(text)))
    assert {name: sent[0].get(name) for name in ("deny", "office_time", "redact", "risk")} == {
        "deny": 2,
        "office_time": False,
        "redact": ["email", "name"],
        "risk": 0,
    }
    assert sent[0]["also"] == [{"rule": "r.b", "message": "Look twice"}]
    assert not {"approve", "reviewers"} & sent[0].keys()


@pytest.mark.parametrize("content", [b"\xff", b"x" * (TEXT_BYTES_MAX + 1), None])
def test_a_text_that_cannot_be_sent(tmp_path: Path, content: bytes | None) -> None:
    """No text, too long, or no file: said before anything is asked."""
    text = tmp_path / "text"
    if content is not None:
        text.write_bytes(content)
    with pytest.raises(GateFailed):
        plant(Gate("http://127.0.0.1:9", "k"), options("--text", str(text)))


def test_what_a_reviewer_is_told() -> None:
    """Nothing of an ordinary hold; of a test item what it was, its words made visible."""
    assert told({"test_item": None}) == told({}) == ""
    said = told({"test_item": {"rule": "r\u200b", "caught": False}})
    assert said.endswith("for r<U+200B>. It was missed.")
    assert told({"test_item": {"rule": "r", "caught": True}}).endswith("It was caught.")
