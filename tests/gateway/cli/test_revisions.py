from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sekisho.cli.stock import desk_of
from sekisho.config import load
from support.policy_house import House
from support.revisions import ACTIVATOR, AUTHOR, DENY_ALL, empty_report, replay


@pytest.fixture
def house(config: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(config, monkeypatch)


def test_two_persons_change_the_rules(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """Draft, list, show, activate, roll back: before `serve`, with two keys."""
    directory = house.rules.write(packs__team__closed=DENY_ALL)
    assert house.run(AUTHOR.id, "draft", str(directory), "--json") == 0
    revision = json.loads(capsys.readouterr().out)["revision"]
    assert house.run(ACTIVATOR.id, "activate", revision) == 1
    assert "policy diff --against" in capsys.readouterr().err
    replay(desk_of(load(house.config)), AUTHOR, revision)

    assert house.run(ACTIVATOR.id, "activate", revision[7:19]) == 0
    assert "is in force, in place of" in capsys.readouterr().out
    assert house.run(AUTHOR.id, "list") == 0
    out = capsys.readouterr().out
    assert revision[:19] in out
    assert "active" in out
    assert house.run(AUTHOR.id, "show", revision[:19]) == 0
    assert "packs/team/closed.rego" in capsys.readouterr().out
    assert house.run(ACTIVATOR.id, "rollback", "--json") == 0
    assert json.loads(capsys.readouterr().out)["previous"] == revision


def test_an_activator_sees_how_much_a_report_looked_at(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later report over one decision takes the place of one over a week, and must show it."""
    assert house.run(AUTHOR.id, "draft", str(house.rules.write(packs__team__closed=DENY_ALL))) == 0
    desk = desk_of(load(house.config))
    revision = desk.listed(AUTHOR)[0].revision
    made = empty_report(revision.revision, desk.active().revision, revision.contents)
    seen = {**made.summary, "decisions": 1, "left_out": 4000, "since_us": 1_700_000_000_000_000}
    desk.record_replay(AUTHOR, revision.revision, replace(made, summary=seen))
    capsys.readouterr()
    for verb in ("show", "activate"):
        assert house.run(ACTIVATOR.id, verb, revision.revision) == 0
        told = capsys.readouterr().out
        assert "1 decisions since 2023-11-14T22:13:20Z" in told
        assert "4000 older LEFT OUT" in told


def test_who_it_is_is_asked(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong key, none, or one of somebody else changes nothing."""
    directory = str(house.rules.write())
    for key, said in (("", "key is needed"), ("sk-sekisho-nobody", "not known")):
        assert house.run(key, "draft", directory) == 1
        assert said in capsys.readouterr().err
    assert house.run(ACTIVATOR.id, "draft", directory) == 1
    assert "policy_author" in capsys.readouterr().err
    assert house.run(AUTHOR.id, "rollback") == 1
    assert house.run(AUTHOR.id, "list") == 0
    assert "No revision" in capsys.readouterr().out
