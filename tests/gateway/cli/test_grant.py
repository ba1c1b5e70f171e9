"""`sekisho grant`: sends what was typed, and prints what others wrote without letting it act."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sekisho.cli import main
from support.cli_gateway import at_work

GRANT: dict[str, Any] = {
    "id": "g-1",
    "status": "proposed",
    "rules": ["default.ladder"],
    "principal": None,
    "group": "agents",
    "backend": "demo",
    "tool": "kb\u202e.read",
    "arguments": {"path": {"prefix": "/reports/\u202e"}},
    "other_arguments": "absent",
    "count": 5,
    "remaining": 4,
    "hours": 1,
    "risk_below": 60,
    "reviewers": ["reviewer"],
    "reason": "All of\nQ3.\u202e",
    "proposed_by": "reviewer-1",
    "confirmed_by": None,
    "until_us": 1_700_000_000_000_000,
}
PROPOSE = [
    *("grant", "propose", "--rule", "default.ladder", "--backend", "demo", "--count", "5"),
    *("--hours", "1", "--reason", "r"),
]


class Gateway:
    """Answers like `/v1/grants` and keeps what it was sent."""

    def __init__(self) -> None:
        self.grants = [GRANT]
        self.sent: list[tuple[str, Any]] = []

    def says(self, method: str, path: str, said: Any) -> object:
        if method == "GET":
            return {"data": self.grants}
        self.sent.append((path, said))
        return GRANT


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    one = Gateway()
    with at_work(one.says, monkeypatch):
        yield one


def test_a_proposal_is_sent_as_it_was_typed(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each argument by its sign; nothing that was not said."""
    words = [
        *(*PROPOSE, "--group", "agents", "--tool", "kb.read", "--reviewers", "legal"),
        *("--argument", "path^/reports/", "--argument", "mode=read=only"),
        *("--argument", "to~*@corp.example", "--other-arguments", "any"),
    ]
    assert main(words) == 0

    [(path, said)] = gateway.sent
    assert path == "/v1/grants"
    assert said == {
        "rules": ["default.ladder"],
        "group": "agents",
        "backend": "demo",
        "tool": "kb.read",
        "arguments": {
            "path": {"prefix": "/reports/"},
            "mode": {"equals": "read=only"},
            "to": {"glob": "*@corp.example"},
        },
        "other_arguments": "any",
        "count": 5,
        "hours": 1,
        "reviewers": ["legal"],
        "reason": "r",
    }
    assert "sekisho grant confirm g-1" in capsys.readouterr().out


@pytest.mark.parametrize("argument", ["path", "=x", ""])
def test_an_argument_that_is_none_is_not_sent(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    """It could be taken for less than was meant."""
    assert main([*PROPOSE, "--principal", "a", "--tool", "t", "--argument", argument]) == 1

    assert "NAME=TEXT" in capsys.readouterr().err
    assert not gateway.sent


@pytest.mark.parametrize("second", ["path^/b", "path=/a", "path~*"])
def test_an_argument_that_is_named_twice_is_not_sent(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], second: str
) -> None:
    """One of the two would be kept, and nobody would say which."""
    words = [*PROPOSE, "--principal", "a", "--tool", "t", "--argument", "path=/a"]

    assert main([*words, "--argument", second]) == 1
    assert "'path' twice" in capsys.readouterr().err
    assert not gateway.sent


def test_who_confirms_sees_what_they_agree_to(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours, reviewers, backend and reason; the time to confirm is not the time of the end."""
    gateway.grants = [GRANT, {**GRANT, "id": "g-2", "status": "standing"}]

    assert main(["grant", "list"]) == 0
    head, proposed, standing = capsys.readouterr().out.splitlines()
    end = "2023-11-14T22:13:20Z"
    assert "All of Q3.<U+202E>" in proposed
    for column, one, other in (
        ("hours", "1 ", "1 "),
        ("backend", "demo", "demo"),
        ("reviewers", "reviewer ", "reviewer "),
        ("until", "- ", end),
        ("confirm by", end, "- "),
    ):
        # The arguments have signs of one column each, so all lines stand below the head.
        place = head.index(f" {column}") + 1
        assert proposed[place:].startswith(one), column
        assert standing[place:].startswith(other), column


def test_the_list_drives_no_terminal(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a grant, with what it is for and how often; JSON stays JSON."""
    assert main(["grant", "list"]) == 0
    out = capsys.readouterr().out
    assert "kb<U+202E>.read" in out
    assert "group agents" in out
    assert "4 of 5" in out
    assert "\u202e" not in out
    assert main(["grant", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [GRANT]
    gateway.grants = []
    assert main(["grant", "list"]) == 0
    assert capsys.readouterr().out == "Nothing is granted that you may see.\n"


def test_one_confirms_and_one_ends_it(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """An id cannot lead to another path."""
    assert main(["grant", "confirm", "../g"]) == 0
    assert capsys.readouterr().out == "Stands until 2023-11-14T22:13:20Z: g-1\n"
    assert main(["grant", "revoke", "g-1", "--reason", "x"]) == 0
    assert capsys.readouterr().out == "Ended: g-1\n"
    assert gateway.sent == [
        ("/v1/grants/..%2Fg/confirm", None),
        ("/v1/grants/g-1/revoke", {"reason": "x"}),
    ]
