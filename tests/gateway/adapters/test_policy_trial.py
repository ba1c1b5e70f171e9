"""A comparison in a process of its own: what it finds, and what it cannot do to a worker."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from unittest import mock

import pytest

from sekisho.adapters import policy_trial
from sekisho.adapters.policy_trial import Trials
from sekisho.errors import BadRequest, Overloaded, PolicyRejected, PolicyUnavailable
from support.replays import decided, disclosed
from support.revisions import DENY_ALL
from support.rules import SHIPPED, bundle

_RULE = """package packs.team.endless

deny contains {"code": "endless", "msg": "Endless."} if {
	%s
}
"""
ENDLESS = (
    _RULE
    % """some a in numbers.range(1, 20000)
	some b in numbers.range(1, 20000)
	a + b == -1"""
)
HOG = _RULE % 'count([sprintf("%d", [i]) | some i in numbers.range(1, 40000000)]) == 1'

_NO_END = """count([1 |
		some a in numbers.range(1, 20000)
		some b in numbers.range(1, 20000)
		a + b == -1
	]) == 1"""
RED = "package packs.team.red_test\n\ntest_red if {\n\tfalse\n}\n"


@pytest.fixture
async def lines() -> bytes:
    """What an officer disclosed of some decisions."""
    return disclosed(await decided(SHIPPED))


def test_what_would_change(lines: bytes, tmp_path: Path) -> None:
    """The same report as the command makes; of a fault in a line or a bundle, its place."""
    closed = bundle(tmp_path, packs__team__closed=DENY_ALL)
    found = Trials().compare(SHIPPED, closed, lines)
    assert found["report"]["decisions"] == lines.count(b"\n")
    assert found["report"]["rules"]["team.closed"]["denied"] > 0
    assert found["base"] != found["revision"]
    with pytest.raises(BadRequest, match="inputs:1: no line"):
        Trials().compare(SHIPPED, closed, b"{}\n" + lines)
    (closed / "packs/team/closed.rego").write_text("package packs.team.closed\n\nx := {")
    with pytest.raises(PolicyRejected, match=r"closed\.rego:"):
        Trials().compare(SHIPPED, closed, lines)


def test_the_newest_inputs_only(
    lines: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound the older ones are left out, and the report says so."""
    monkeypatch.setattr(policy_trial, "INPUTS_MAX", 2)
    said = policy_trial._tried(SHIPPED, SHIPPED, lines)
    assert said["report"]["decisions"] == 2
    assert said["report"]["left_out"] == lines.count(b"\n") - 2


@pytest.mark.parametrize("source", [ENDLESS, HOG])
def test_rules_without_an_end_cost_only_whoever_asks(
    lines: bytes, tmp_path: Path, source: str
) -> None:
    """They are refused within the limits, the child is gone, and the next comparison goes."""
    endless = bundle(tmp_path, packs__team__endless=source)
    trials = Trials(limit_s=4)
    with pytest.raises((PolicyUnavailable, PolicyRejected)):
        trials.compare(SHIPPED, endless, lines)
    assert not _children()
    assert trials.compare(SHIPPED, SHIPPED, lines.splitlines(keepends=True)[0])["report"]


def test_time_over_is_told(lines: bytes) -> None:
    """Whoever waits hears why after the limit."""
    with pytest.raises(PolicyUnavailable, match="did not get through") as caught:
        Trials(limit_s=0.05).compare(SHIPPED, SHIPPED, lines)
    assert caught.value.cause == "late"
    assert not _children()


def test_a_child_that_dies_is_no_report(lines: bytes, tmp_path: Path) -> None:
    """An interpreter that cannot even begin, as with no memory left."""
    broken = mock.patch.object(policy_trial.sys, "executable", "/bin/false")
    with broken, pytest.raises(PolicyUnavailable) as caught:
        Trials().compare(SHIPPED, SHIPPED, lines)
    assert caught.value.cause == "broken"


def test_one_at_a_time(lines: bytes) -> None:
    """A second one waits a little, is refused then and told when to come again."""
    trials = Trials(wait_s=0.1)
    with trials._running, pytest.raises(Overloaded, match="Another trial"):
        trials.compare(SHIPPED, SHIPPED, lines)
    assert trials.compare(SHIPPED, SHIPPED, lines)["report"]["decisions"]


def test_check_and_tests_say_what_the_commands_say(tmp_path: Path) -> None:
    """Sound rules have no faults and green tests, others each fault and each red test."""
    trials = Trials()
    rules = bundle(tmp_path, packs__team__closed=DENY_ALL, packs__team__red_test=RED)
    assert trials.check(rules) == []
    report = trials.test(rules)
    assert [one.name for one in report.results if not one.passed] == ["test_red"]
    assert not report.passed
    assert 0 < report.coverage_percent <= 100
    (rules / "packs/team/closed.rego").write_text("package packs.team.closed\n\nx := {")
    assert "packs/team/closed.rego:3:" in trials.check(rules)[0]
    assert "packs/team/closed.rego:3:" in trials.test(rules).faults[0]


@pytest.mark.parametrize("source", [ENDLESS, HOG])
def test_what_does_not_end_is_no_sound_draft(tmp_path: Path, source: str) -> None:
    """The smoke decisions of a check meet it in a child, which is gone afterwards."""
    endless = bundle(tmp_path, packs__team__endless=source)
    try:
        faults = Trials(limit_s=4).check(endless)
    except PolicyUnavailable as error:
        faults = [error.message]
    assert faults
    assert not _children()


def test_a_test_that_does_not_end_is_not_green(tmp_path: Path) -> None:
    """And the fault says what to look for."""
    rules = bundle(tmp_path, packs__team__endless_test=RED.replace("false", _NO_END))
    report = Trials(limit_s=4).test(rules)
    assert not report.passed
    assert "does not end" in report.faults[0]
    assert not _children()


def test_a_file_that_ends_its_reader_ends_a_child(tmp_path: Path) -> None:
    """Brackets as deep as no reader of YAML goes: it dies, and not in the worker."""
    deep = bundle(tmp_path)
    with (deep / "data.yaml").open("a") as file:
        file.write("more: " + "[" * 1_000_000 + "]" * 1_000_000)
    with pytest.raises(PolicyUnavailable) as caught:
        Trials().check(deep)
    assert caught.value.cause == "broken"


def test_no_secret_of_the_worker_goes_along(lines: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of backends stand in the environment of a worker; the child gets none of them."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with mock.patch.object(policy_trial.subprocess, "run") as run:
        run.return_value.returncode = 1
        run.return_value.stdout = b""
        with pytest.raises(PolicyUnavailable):
            Trials().compare(SHIPPED, SHIPPED, lines)
    given = run.call_args.kwargs["env"]
    assert "OPENAI_API_KEY" not in given
    assert given["PATH"] == os.environ["PATH"]


def _children() -> list[str]:
    """Processes of this test that run a comparison."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline")
            if command.exists() and b"policy_trial" in command.read_bytes():
                found.append(child)
    assert threading.active_count() > 0
    return found
