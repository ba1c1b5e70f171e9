from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sekisho.cli import main
from support.cli_gateway import at_work

BINDING = "ab" * 32
HELD = '{"messages": [{"content": "send \u202eit\u200b"}]}'


def a_hold(**changes: Any) -> dict[str, Any]:
    return {
        "id": "hold-1",
        "status": "pending",
        "stage": "request",
        "version": 3,
        "principal": "staff-7",
        "model": "gpt-x",
        "backend": "openai",
        "rules": ["review_words"],
        "reasons": ["A person looks at this first."],
        "risk": 20,
        "expires_at": 1_700_000_000,
        "binding": BINDING,
        "outgoing": {"bytes": len(HELD.encode()), "text": HELD, "base64": None, "withheld": False},
        **changes,
    }


class Gateway:
    """Answers like `/v1/approvals` and keeps what it was sent."""

    def __init__(self) -> None:
        self.hold = a_hold()
        self.sent: list[tuple[str, Any]] = []
        self.asked: list[str] = []

    def says(self, method: str, path: str, said: Any) -> object:
        if method == "GET":
            self.asked.append(path)
            listed = path.startswith("/v1/approvals?status=open")
            return {"data": [self.hold]} if listed else self.hold
        self.sent.append((path, said))
        status = "withdrawn" if said is None else f"{said.get('decision', 'approve')}d"
        return {**self.hold, "status": status}


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    one = Gateway()
    with at_work(one.says, monkeypatch):
        yield one


def at_terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return typed

    monkeypatch.setattr("sys.stdin", Terminal())


def test_the_queue_is_a_table(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a hold, without content; an empty queue is said in words."""
    assert main(["hold", "list"]) == 0
    text = capsys.readouterr().out
    assert "hold-1" in text
    assert "2023-11-14T22:13:20Z" in text
    assert main(["hold", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == "hold-1"


def test_what_is_bound_is_shown_with_nothing_hidden(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Direction marks and zero-width characters are spelled out; the bytes are all there."""
    assert main(["hold", "show", "hold-1"]) == 0
    text = capsys.readouterr().out
    assert '{"messages": [{"content": "send <U+202E>it<U+200B>"}]}' in text
    assert BINDING in text
    assert "A person looks at this first." in text


def test_a_confirmed_approval_sends_the_binding_that_was_shown(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reviewer sees it, types yes, and the same binding and version go back."""
    at_terminal(monkeypatch, "yes\n")
    assert main(["hold", "approve", "hold-1", "--reason", "no names"]) == 0
    shown = capsys.readouterr()
    assert "<U+202E>" in shown.err
    assert shown.out == "Hold hold-1 is now approved.\n"
    body = {"decision": "approve", "reason": "no names", "binding": BINDING, "version": 3}
    assert gateway.sent == [("/v1/approvals/hold-1/reviews", body)]


@pytest.mark.parametrize("typed", ["", "\n", "no\n", "yes please\n"])
def test_anything_but_yes_decides_nothing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    """Enter, a closed terminal and a half answer leave the hold as it is."""
    at_terminal(monkeypatch, typed)
    assert main(["hold", "approve", "hold-1"]) == 1
    assert gateway.sent == []


def test_without_a_terminal_yes_must_be_said(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script does not approve by accident."""
    with open("/dev/null") as nothing:  # noqa: PTH123 - a stream that is no terminal
        monkeypatch.setattr("sys.stdin", nothing)
        assert main(["hold", "approve", "hold-1"]) == 1
        assert "--yes" in capsys.readouterr().err
        assert gateway.sent == []
        assert main(["hold", "approve", "hold-1", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "approved"


def test_denying_needs_a_reason(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """The requester reads it; the parser insists."""
    with pytest.raises(SystemExit):
        main(["hold", "deny", "hold-1"])
    assert main(["hold", "deny", "hold-1", "--reason", "has names"]) == 0
    ((path, body),) = gateway.sent
    assert path == "/v1/approvals/hold-1/reviews"
    assert (body["decision"], body["binding"]) == ("deny", BINDING)


def test_the_requester_withdraws(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """One's own request can be taken back."""
    assert main(["hold", "withdraw", "hold-1"]) == 0
    assert gateway.sent == [("/v1/approvals/hold-1/withdraw", None)]
    assert "withdrawn" in capsys.readouterr().out


def test_an_id_cannot_lead_elsewhere(gateway: Gateway) -> None:
    """What is typed as an id stays one segment of the path."""
    assert main(["hold", "withdraw", "../admin/keys?x=1"]) == 0
    assert gateway.sent[0][0] == "/v1/approvals/..%2Fadmin%2Fkeys%3Fx%3D1/withdraw"


def test_saying_why(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason goes to the gateway as it was written; without one nothing is asked."""
    assert main(["hold", "justify", "hold-1", "--reason", "for the audit"]) == 0
    assert gateway.sent == [("/v1/approvals/hold-1/justification", {"reason": "for the audit"})]
    assert "Hold hold-1 is now approved." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["hold", "justify", "hold-1"])


CALL = {"function": {"name": "a\u202e", "arguments": "{}"}}
CALLING = json.dumps({"choices": [{"message": {"tool_calls": [CALL]}}]})


def test_an_edit_goes_with_what_was_shown(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """Calls by their places; the hold as it is then is shown, its calls numbered."""
    outgoing = {"bytes": 1, "text": CALLING, "base64": None, "withheld": False}
    gateway.hold = a_hold(stage="tool_call", outgoing=outgoing, version=3)

    assert 0 == main(["hold", "edit", "hold_1", "--set", '0={"a": 1}', "--drop", "2"])

    path, said = gateway.sent[-1]
    assert "/v1/approvals/hold_1/edits" == path
    assert (gateway.hold["binding"], 3) == (said["binding"], said["version"])
    assert said.get("step") == gateway.hold.get("open_step")
    assert [{"place": 2, "drop": True}, {"place": 0, "arguments": '{"a": 1}'}] == said["calls"]
    out = capsys.readouterr().out
    assert "call 0    a<U+202E> {}" in out
    assert "would be given to who asked" in out


@pytest.mark.parametrize("words", [[], ["--set", "x=1"], ["--set", "0"]])
def test_an_edit_that_says_nothing_is_refused(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """With an example, and nothing is sent."""
    assert 0 != main(["hold", "edit", "hold_1", *words])
    assert "PLACE=JSON" in capsys.readouterr().err
    assert not gateway.sent


def test_what_waits_for_others_is_listed_on_demand(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gateway is asked for it; a column says which step is open where there are several."""
    asked = [{"reviewers": "a", "step": 1}, {"reviewers": "b", "step": 2}]
    gateway.hold |= {"thresholds": asked, "open_step": 2}
    assert main(["hold", "list", "--turn", "any"]) == 0
    text = capsys.readouterr().out
    assert "2 of 1, 2" in text
    assert gateway.asked[-1].endswith("turn=any")
