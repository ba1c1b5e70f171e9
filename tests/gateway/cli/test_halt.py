"""`sekisho halt`: says what it did, and what of it is not sure yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sekisho.cli import main
from support.cli_gateway import at_work

HALT: dict[str, Any] = {
    "id": "h-1",
    "scope": "model",
    "name": "gpt\u202e-4",
    "reason": "There is a leak.",
    "by": "operator-1",
    "set_us": 1_700_000_000_000_000,
    "ledger": "l",
    "recorded": True,
    "proposed": None,
}
PROPOSED = {**HALT, "proposed": {"id": "p-1", "by": "operator-2", "at_us": 1}}


class Gateway:
    """Answers like `/v1/admin/halt` and keeps what it was sent."""

    def __init__(self) -> None:
        self.halts = [HALT]
        self.sure = True
        self.sent: list[tuple[str, str, Any]] = []

    def says(self, method: str, path: str, said: Any) -> object:
        if method == "GET":
            return {"data": self.halts}
        self.sent.append((method, path, said))
        if method == "PUT":
            return {**HALT, "recorded": self.sure, "everywhere": self.sure}
        return PROPOSED if path.endswith("lift") else {"id": "h-1"}


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    one = Gateway()
    with at_work(one.says, monkeypatch):
        yield one


def test_setting_says_what_is_stopped(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """And sends what was typed; names cannot drive the terminal."""
    assert main(["halt", "set", "model", "gpt-4", "--reason", "leak"]) == 0

    said = {"scope": "model", "name": "gpt-4", "reason": "leak"}
    assert gateway.sent == [("PUT", "/v1/admin/halt", said)]
    out, err = capsys.readouterr()
    assert out == "Stopped: model gpt<U+202E>-4 (h-1)\n"
    assert err == ""


def test_what_is_not_sure_is_said(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Not recorded yet, not everywhere yet: the operator must know both; JSON stays JSON."""
    gateway.sure = False

    assert main(["halt", "set", "all", "--reason", "leak", "--json"]) == 0

    out, err = capsys.readouterr()
    assert json.loads(out)["recorded"] is False
    assert "Not in the ledger yet" in err
    assert "Not in Valkey yet" in err


def test_the_list_tells_who_wants_what(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a switch."""
    gateway.halts = [PROPOSED]
    assert main(["halt", "list"]) == 0
    out = capsys.readouterr().out
    assert "operator-2" in out
    assert "gpt<U+202E>-4" in out
    gateway.halts = []
    assert main(["halt", "list"]) == 0
    assert capsys.readouterr().out == "Nothing is stopped.\n"
    assert main(["halt", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_lifting_takes_two_steps(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """The second names what the first proposed; without a proposal it says so."""
    assert main(["halt", "lift", "h-1", "--reason", "over"]) == 0
    assert "sekisho halt confirm h-1" in capsys.readouterr().out
    assert main(["halt", "confirm", "h-1"]) == 1
    assert "Nobody has proposed" in capsys.readouterr().err
    gateway.halts = [PROPOSED]

    assert main(["halt", "confirm", "h-1"]) == 0

    assert capsys.readouterr().out == "Lifted: h-1\n"
    assert gateway.sent[-1] == ("POST", "/v1/admin/halt/h-1/confirm", {"proposed": "p-1"})
