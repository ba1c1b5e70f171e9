"""`sekisho policy eval`: files and pipes in, JSON and readable lines out."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from sekisho.cli import main, policy_eval
from support.rules import answer, bundle, call, document


def recorded(folder: Path, **changes: Any) -> str:
    """A policy input as the ledger keeps it, in a file."""
    path = folder / "input.json"
    path.write_bytes(orjson.dumps(document(**changes)))
    return str(path)


def test_a_decision_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Effect, reasons, obligations, revision and timing; status 0 whatever the effect is."""
    asked = recorded(tmp_path, content__labels=["secret"])
    assert main(["policy", "eval", "--input", asked]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["effect"] == "deny"
    assert [one["code"] for one in told["reasons"]] == ["label_denied"]
    assert told["obligations"] == {"log_level": "redacted"}
    assert told["revision"].startswith("sha256:")
    assert told["took_us"] > 0
    assert told["load_ms"] > 0
    assert told["unsupported"] == []
    assert "answer" not in told


def test_from_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --input the document is read from standard input."""
    pipe = io.TextIOWrapper(io.BytesIO(orjson.dumps(document())))
    monkeypatch.setattr(sys, "stdin", pipe)
    assert main(["policy", "eval"]) == 0
    assert json.loads(capsys.readouterr().out)["effect"] == "allow"


def test_a_line_that_an_officer_disclosed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same decision as from the input itself; what was erased is said to be."""
    content = orjson.dumps(document(content__labels=["secret"])).decode()
    line = {"name": "input", "type": "policy.decision", "index": 1, "content": content}
    path = tmp_path / "line.json"
    path.write_bytes(orjson.dumps(line))
    assert main(["policy", "eval", "--input", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["effect"], told["input_faults"]) == ("deny", [])
    path.write_bytes(orjson.dumps({**line, "content": None}))
    assert main(["policy", "eval", "--input", str(path)]) == 1
    assert "erased" in capsys.readouterr().err


def test_why_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rule, file:line, values, and where the others gave up; hidden characters are spelled out."""
    asked = recorded(tmp_path, content__labels=["secret"], request__model="m\u202e\x1b[2J")
    assert main(["policy", "eval", "--explain", "--input", asked]) == 0

    out = capsys.readouterr().out
    assert '"effect": "deny"' in out
    assert "packs.default.content.deny  packs/default/content.rego:" in out
    assert '    label = "secret"\n' in out
    assert "not met, line" in out
    assert "m<U+202E>" in out
    assert "\u202e" not in out
    assert "\x1b" not in out


def test_why_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document with everything."""
    assert main(["policy", "eval", "--explain", "--json", "--input", recorded(tmp_path)]) == 0

    told = json.loads(capsys.readouterr().out)["explanation"]
    assert "Model allowed" in {one["title"] for one in told["fired"]}
    assert {"rule", "file", "line", "title", "at", "condition"} == told["missed"][0].keys()


def test_an_answer_outside_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is shown as it came: that is what the admin looks for."""
    source = (
        'package packs.team.x\n\nobligation contains {"notify": [name |\n'
        '\tsome n in numbers.range(1, 300)\n\tname := sprintf("%d", [n])\n]}\n'
    )
    made = bundle(tmp_path, packs__team__x=source)
    assert main(["policy", "eval", str(made), "--input", recorded(tmp_path)]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [one["code"] for one in told["reasons"]] == ["policy_malformed"]
    assert len(told["answer"]["obligations"]["notify"]) == 300


def test_an_obligation_that_cannot_be_carried_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rules allow; that the gateway would refuse is told beside it."""
    source = 'package packs.team.x\n\nobligation contains {"route": "trust:house"}\n'
    made = bundle(tmp_path, packs__team__x=source)
    assert main(["policy", "eval", str(made), "--input", recorded(tmp_path)]) == 0

    told = json.loads(capsys.readouterr().out)
    assert ("allow", ["route"]) == (told["effect"], told["unsupported"])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1, "a": 2}', b"\xff", b"1"])
def test_what_is_no_input(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, status 1."""
    (tmp_path / "bad.json").write_bytes(content)
    assert main(["policy", "eval", "--input", str(tmp_path / "bad.json")]) == 1
    assert main(["policy", "eval", "--input", str(tmp_path / "none.json")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 2


def test_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not read whole first."""
    monkeypatch.setattr(policy_eval, "INPUT_BYTES_MAX", 10)
    assert main(["policy", "eval", "--input", recorded(tmp_path)]) == 1
    assert "more than 10 bytes" in capsys.readouterr().err


def test_long_values_are_cut_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of a thousand tools does not fill the terminal."""
    asked = recorded(tmp_path, request__hosted=[f"tool-{n}" for n in range(999)])
    assert main(["policy", "eval", "--explain", "--input", asked]) == 0
    lines = capsys.readouterr().out.split("\nfired:\n")[1].splitlines()
    assert max(map(len, lines)) < 200


def test_members_that_are_missing_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, so that the JSON stays JSON."""
    path = tmp_path / "old.json"
    path.write_bytes(orjson.dumps({**document(), "approval": None}))
    assert main(["policy", "eval", "--input", str(path)]) == 0
    told = capsys.readouterr()
    assert "input.approval" in told.err
    assert json.loads(told.out)["input_faults"]


@pytest.mark.parametrize("stage", ["tool_call", "response"])
def test_an_input_of_a_later_stage(
    stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is decided, told and explained like one of a request; `tool` belongs to tool calls."""
    source = (
        "# METADATA\n# title: X\npackage packs.team.x\n\n# METADATA\n# title: Looked at\n"
        f'hold contains {{"code": "look", "msg": "Look.", "stage": "{stage}"}}\n'
    )
    made = bundle(tmp_path, packs__team__x=source)
    asked = call() if stage == "tool_call" else answer()
    path = tmp_path / "later.json"
    path.write_bytes(orjson.dumps(asked))
    assert main(["policy", "eval", str(made), "--input", str(path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert ("hold", [], []) == (told["effect"], told["unsupported"], told["input_faults"])
    assert stage == told["obligations"]["hold"]["stage"]
    assert main(["policy", "eval", str(made), "--input", str(path), "--explain"]) == 0
    assert "Looked at" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [call(tool=None), answer(tool=call()["tool"])])
def test_a_tool_at_the_wrong_stage(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gateway never asks so, and rules would be silent about it."""
    path = tmp_path / "input.json"
    path.write_bytes(orjson.dumps(asked))
    assert main(["policy", "eval", "--input", str(path)]) == 0
    (fault,) = json.loads(capsys.readouterr().out)["input_faults"]
    assert "tool is there at stage tool_call, and only there" in fault
