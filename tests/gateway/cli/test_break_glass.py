"""`sekisho break-glass`: sends what was typed; what others wrote is printed and does not act."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sekisho.cli import main
from support.cli_gateway import at_work

OPENING: dict[str, Any] = {
    "id": "o-1",
    "status": "open",
    "person": "chief-1",
    "rules": ["default.content"],
    "reason": "Down\u202e.",
    "minutes": 5,
    "opened_us": 1_700_000_000_000_000,
    "until_us": 1_700_000_300_000_000,
    "review_by_us": 1_700_086_700_000_000,
    "uses": 3,
    "ended": "",
}


class Gateway:
    """Answers like `/v1/admin/break-glass` and keeps what it was sent."""

    def __init__(self) -> None:
        self.openings = [OPENING]
        self.sent: list[tuple[str, Any]] = []

    def says(self, method: str, path: str, said: Any) -> object:
        if method == "GET":
            return {"data": self.openings}
        self.sent.append((path, said))
        return OPENING


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    one = Gateway()
    with at_work(one.says, monkeypatch):
        yield one


PATH = "/v1/admin/break-glass"


def test_what_is_typed_is_sent(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb to its address; an id is one part of a path, whatever is in it."""
    opened = ["break-glass", "open", "--rule", "a.b", "--rule", "a.c", "--reason", "Down."]
    review = ["--verdict", "not_justified", "--reason", "No."]

    assert main(opened) == 0
    assert main([*opened, "--minutes", "5"]) == 0
    assert main(["break-glass", "end", "o/1"]) == 0
    assert main(["break-glass", "review", "o-1", *review]) == 0

    said = {"rules": ["a.b", "a.c"], "reason": "Down."}
    assert gateway.sent == [
        (PATH, said),
        (PATH, {**said, "minutes": 5}),
        (f"{PATH}/o%2F1/end", None),
        (f"{PATH}/o-1/review", {"verdict": "not_justified", "reason": "No."}),
    ]
    assert "Open until 2023-11-14" in capsys.readouterr().out


def test_what_is_open_is_listed(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """And that nothing is, in words."""
    assert main(["break-glass", "list"]) == 0
    assert "chief-1" in capsys.readouterr().out
    gateway.openings = []
    assert main(["break-glass", "list"]) == 0
    assert capsys.readouterr().out == "Nothing is open, and nothing waits for review.\n"


def test_one_is_shown_with_its_reason(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """What turns text is written out; one that is not there is said not to be."""
    assert main(["break-glass", "show", "o-1"]) == 0
    out = capsys.readouterr().out
    assert "\u202e" not in out
    assert "type:break_glass.used" in out
    assert main(["break-glass", "show", "o-2"]) != 0
    assert "o-2" in capsys.readouterr().err


def test_each_verb_prints_a_document(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs."""
    for verb in (
        ["list"],
        ["show", "o-1"],
        ["end", "o-1"],
        ["open", "--rule", "a", "--reason", "r"],
        ["review", "o-1", "--verdict", "justified", "--reason", "r"],
    ):
        assert main(["break-glass", *verb, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found[0] if isinstance(found, list) else found)["id"] == "o-1"
    assert gateway.sent
