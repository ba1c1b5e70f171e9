from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sekisho.cli import main


@pytest.fixture
def place(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, ...]:
    """The option that names an installation where staff-7 has a key."""
    option = ("--config", str(config))
    assert main(["key", "create", *option, "--principal", "staff-7", "--roles", "employee"]) == 0
    capsys.readouterr()
    return option


def grant(
    capsys: pytest.CaptureFixture[str], place: tuple[str, ...], *words: str
) -> dict[str, Any]:
    assert main(["principal", "grant", "staff-7", "--json", *place, *words]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    return dict(row)


def test_grant_sets_exactly_what_is_given(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not named stays; an empty list takes all away."""
    row = grant(capsys, place, "--roles", "reviewer", "--groups", "legal,sales")
    assert (row["roles"], row["groups"]) == (["reviewer"], ["legal", "sales"])
    row = grant(capsys, place, "--groups", "")
    assert (row["roles"], row["groups"]) == (["reviewer"], [])


def test_a_principal_is_shut_out_and_let_in(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are one command."""
    assert grant(capsys, place, "--disable")["disabled"] is True
    assert grant(capsys, place, "--enable")["disabled"] is False


def test_the_list_is_a_table(place: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """People read names and words."""
    assert main(["principal", "list", *place]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["id", "kind", "owner", "disabled"]
    assert row.split()[:4] == ["staff-7", "person", "-", "no"]


def test_a_forbidden_combination_is_refused(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Separation of duties holds at the command line too, and nothing changes."""
    words = ("grant", "staff-7", *place, "--roles", "auditor,policy_activator")
    assert main(["principal", *words]) == 1
    assert "different people" in capsys.readouterr().err
    assert grant(capsys, place, "--groups", "x")["roles"] == ["employee"]


def test_an_unknown_principal_is_said(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`grant` makes nobody; the message names the way to find out who there is."""
    assert main(["principal", "grant", "staff-8", *place, "--roles", "employee"]) == 1
    assert "principal list" in capsys.readouterr().err
