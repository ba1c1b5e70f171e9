from __future__ import annotations

import json
from typing import Any

from sekisho.cli.hold_text import bound_text, expires

BINDING = "ab" * 32


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
        "outgoing": {"bytes": 2, "text": "hi", "base64": None, "withheld": False},
        **changes,
    }


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    """No rendering stands in for what would leave."""
    outgoing = {"bytes": 2, "text": None, "base64": "//4="}
    assert "(not text; base64) //4=" in bound_text(a_hold(outgoing=outgoing))


def test_reviewers_read_why_with_hidden_characters_spelled_out() -> None:
    """And that it was not said yet; of other holds there is no such line."""
    assert "asked for" not in bound_text(a_hold())
    assert "(not given yet)" in bound_text(a_hold(justify=True, justification=None))
    said = {"person": "staff-7", "reason": "for \u202eyltcaxe\x1b[2J", "at": 0}
    shown = bound_text(a_hold(justify=True, justification=said))
    assert "staff-7" in shown
    assert not {"\u202e", "\x1b"} & set(shown)


def test_an_answer_that_is_withheld_from_who_asked_is_said_to_be() -> None:
    """Not shown as empty."""
    outgoing = {"bytes": 9, "text": None, "base64": None, "withheld": True}
    assert "not shown to who asked" in bound_text(a_hold(stage="response", outgoing=outgoing))


def test_calls_are_numbered_as_an_edit_names_them() -> None:
    """With their names and arguments, hidden characters spelled out."""
    calls = [{"function": {"name": f"f{n}\u202e", "arguments": '{"a": 1}'}} for n in range(2)]
    text = json.dumps({"choices": [{"message": {"tool_calls": calls}}]})
    outgoing = {"bytes": 9, "text": text, "base64": None, "withheld": False}
    shown = bound_text(a_hold(stage="tool_call", outgoing=outgoing))
    assert "call 0    f0<U+202E>" in shown
    assert "call 1    f1<U+202E>" in shown


def test_the_end_of_a_hold_is_told_in_utc() -> None:
    """To the second."""
    assert expires({"expires_at": 1_700_000_000}) == "2023-11-14T22:13:20Z"
