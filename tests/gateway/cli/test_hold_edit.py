from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from sekisho.cli.gate import GateFailed
from sekisho.cli.hold_edit import edited

CALLS = [
    {"id": f"c{n}", "type": "function", "function": {"name": f"f{n}", "arguments": said}}
    for n, said in enumerate(['{"a": 1}', '{"b": "\\u202e\\u001b[2J"}'])
]


def a_hold(stage: str = "tool_call", calls: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "tool_calls": CALLS if calls is None else calls}
    text = json.dumps({"choices": [{"message": message}]})
    return {"stage": stage, "outgoing": {"text": text}}


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that is told what to do with the file by what is written into it."""
    program = tmp_path / "an editor"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"'{program}' -x")
    return program


def does(editor: Path, line: str) -> None:
    editor.write_text(f"#!/bin/sh\n{line}\n")


def test_what_is_left_alone_is_no_change(editor: Path) -> None:
    """The calls come back as they were given."""
    assert edited(a_hold()) == []


def test_changed_arguments_and_dropped_calls(editor: Path) -> None:
    """By their places; what was not touched is not named."""
    does(editor, """printf '[{"place": 1, "name": "f1", "arguments": {"b": "字"}}]' > "$2" """)
    assert edited(a_hold()) == [
        {"place": 0, "drop": True},
        {"place": 1, "arguments": '{"b": "字"}'},
    ]


def test_what_the_editor_gets_is_inert_and_its_own(editor: Path, tmp_path: Path) -> None:
    """Plain ASCII, readable by nobody else, and gone afterwards."""
    seen = tmp_path / "seen"
    does(
        editor,
        f'cat "$2" > "{seen}"; stat -c %a "$(dirname "$2")" >> "{seen}"; echo "$2" >> "{seen}"',
    )
    edited(a_hold())
    said = seen.read_text()
    assert said.isascii()
    assert "\x1b" not in said
    *_, mode, path = said.split()
    assert mode == "700"
    assert not Path(path).exists()


@pytest.mark.parametrize(
    "left",
    [
        "",
        "{}",
        "[1]",
        '[{"place": 7, "name": "f0", "arguments": {}}]',
        '[{"place": 0, "name": "other", "arguments": {}}]',
        '[{"place": 0, "name": "f0"}]',
        '[{"place": 0, "name": "f0", "arguments": {}}, {"place": 0, "name": "f0", "arguments": 1}]',
    ],
)
def test_what_is_not_the_list_of_calls_changes_nothing(editor: Path, left: str) -> None:
    """It is said what to leave as it is."""
    does(editor, f"printf '%s' '{left}' > \"$2\"")
    with pytest.raises(GateFailed, match="not the list of calls"):
        edited(a_hold())


def test_an_editor_that_fails_changes_nothing(
    editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one that is not there."""
    does(editor, "exit 3")
    with pytest.raises(GateFailed, match="ended with 3"):
        edited(a_hold())
    monkeypatch.setenv("EDITOR", "/nowhere/at-all")
    with pytest.raises(GateFailed, match="cannot be started"):
        edited(a_hold())


@pytest.mark.parametrize("hold", [a_hold("request"), a_hold(calls=[])])
def test_only_calls_of_an_answer_are_edited(hold: dict[str, Any]) -> None:
    """Everything else is approved or denied as it is."""
    with pytest.raises(GateFailed, match="no tool call"):
        edited(hold)
