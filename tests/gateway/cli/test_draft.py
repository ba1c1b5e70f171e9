"""`sekisho draft` in a terminal: which answers are open, and what became of one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from sekisho.cli import draft, main

OPEN = {"id": "x-1", "model": "m\u202e", "status": "released", "draft": None, "draft_wanted": True}
PAGES = {
    "": {
        "data": [
            OPEN,
            {**OPEN, "id": "x-2", "draft": {"decision": "accepted"}},
            {**OPEN, "id": "x-3", "draft_wanted": False},
            {**OPEN, "id": "x-4", "status": "refused"},
        ],
        "has_more": True,
        "after": "7",
    },
    "7": {"data": [{**OPEN, "id": "x-5"}], "has_more": False, "after": None},
}


class Asked:
    """A gateway that has two pages of history and takes every word."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    def get(self, path: str, **query: str) -> Any:
        assert (path, query["limit"]) == ("/v1/exchanges", "100")
        return PAGES[query.get("after", "")]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        self.said.append((path, body))
        return {"decision": body["decision"]}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(draft, "connect", lambda _: asked)
    return asked


def test_which_are_open(gate: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    """On all pages, with nothing hidden in a name; none is said in words."""
    assert main(["draft"]) == 0
    assert capsys.readouterr().out == "x-1  m<U+202E>\nx-5  m<U+202E>\n"

    assert main(["draft", "--json"]) == 0
    assert "x-5" in capsys.readouterr().out


def test_none_is_open(
    monkeypatch: pytest.MonkeyPatch, gate: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PAGES, "", PAGES["7"] | {"data": []})
    assert main(["draft"]) == 0
    assert capsys.readouterr().out == "No answer of yours waits for a word.\n"


def test_what_became_of_one(
    gate: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of texts only hashes are told."""
    text = tmp_path / "letter"
    text.write_text("Dear Ms Li,")
    digest = hashlib.sha256(b"Dear Ms Li,").hexdigest()

    assert main(["draft", "x-1", "accepted", "--output", str(text)]) == 0
    assert main(["draft", "x-1", "edited", "--final", str(text), "--json"]) == 0

    path = "/v1/exchanges/x-1/acceptance"
    assert gate.said == [
        (path, {"decision": "accepted", "output_sha256": digest}),
        (path, {"decision": "edited", "final_sha256": digest}),
    ]
    assert capsys.readouterr().out.startswith("x-1: accepted\n{")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["x-1"], "Say what became of it"),
        (["x-1", "edited"], "--final FILE belongs to edited"),
        (["x-1", "accepted", "--final", "/nowhere"], "--final FILE belongs to edited"),
        (["x-1", "edited", "--final", "/nowhere"], "cannot be read"),
    ],
)
def test_what_cannot_be_meant(
    gate: Asked, capsys: pytest.CaptureFixture[str], words: list[str], why: str
) -> None:
    """One line says what is missing; nothing is sent."""
    assert main(["draft", *words]) == 1
    assert why in capsys.readouterr().err
    assert gate.said == []
