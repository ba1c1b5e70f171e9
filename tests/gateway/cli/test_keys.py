from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.api_keys import key_id
from sekisho.cli import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["key", *words]) == 0
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], config: Path, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        run(capsys, "list", "--json", "--config", str(config), *words)
    )
    return rows


def test_a_key_is_printed_once_and_only_once(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`create` prints the plaintext alone, so that scripts can take it; `list` never has it."""
    place = ("--config", str(config))
    out = run(capsys, "create", *place, "--principal", "staff-7", "--roles", "employee")
    (plaintext,) = out.splitlines()
    assert key_id(plaintext)
    for words in (("list", *place), ("list", "--json", *place)):
        assert plaintext.split("-")[3] not in run(capsys, *words)


def test_as_json_it_says_whose_and_until_when(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key for a limited time says when it ends."""
    words = ("--principal", "staff-7", "--days", "30", "--json", "--config", str(config))
    made = json.loads(run(capsys, "create", *words))
    (row,) = listed(capsys, config)
    assert made["principal"] == row["principal"] == "staff-7"
    assert made["expires"] == row["expires"]
    assert row["state"] == "live"


def test_a_revoked_key_is_listed_as_such(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It stays in the list: its events still name it."""
    place = ("--config", str(config))
    run(capsys, "create", *place, "--principal", "staff-7")
    (row,) = listed(capsys, config)
    assert "is revoked" in run(capsys, "revoke", *place, row["id"])
    assert listed(capsys, config)[0]["state"] == "revoked"
    again = json.loads(run(capsys, "revoke", "--json", *place, row["id"]))
    assert again["revoked"] == listed(capsys, config)[0]["revoked"]


def test_keys_of_one_principal(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The list can be narrowed; a service account is made with its owner."""
    place = ("--config", str(config))
    run(capsys, "create", *place, "--principal", "staff-7")
    run(capsys, "create", *place, "--principal", "bot", "--owner", "staff-7")
    assert [row["principal"] for row in listed(capsys, config, "--principal", "bot")] == ["bot"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--principal", "Staff-7"), "Capitals are refused"),
        (("--principal", "staff-7", "--roles", "boss"), "There is no role boss"),
        (("--principal", "staff-7", "--roles", "operator,auditor"), "cannot be"),
        (("--principal", "bot", "--owner", "nobody"), "must be a person"),
        (("--principal", "staff-7", "--days", "0"), "would have expired"),
    ],
)
def test_what_cannot_be_made_is_said_and_not_made(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    """One line on standard error, status 1, and neither key nor principal is left behind."""
    assert main(["key", "create", "--config", str(config), *words]) == 1
    assert said in capsys.readouterr().err
    assert listed(capsys, config) == []
    assert main(["principal", "list", "--json", "--config", str(config)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_key_can_be_narrowed_and_handed_on(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scopes and models are listed; the key that takes over has the same."""
    place = ("--config", str(config))
    words = ("--principal", "staff-7", "--scopes", "ask,self", "--models", "gpt-*")
    run(capsys, "create", *place, *words)
    (old,) = listed(capsys, config)
    assert (old["scopes"], old["models"]) == (["ask", "self"], ["gpt-*"])
    made = json.loads(run(capsys, "rotate", *place, old["id"], "--overlap-hours", "1", "--json"))
    both = listed(capsys, config)
    assert made["replaces"] == old["id"]
    assert {row["id"]: row["expires"] for row in both}[old["id"]] == made["old_expires"]
    assert [row["scopes"] for row in both] == [["ask", "self"]] * 2
    plain = run(capsys, "rotate", *place, key_id(made["key"]) or "").strip()
    assert key_id(plain)


def test_a_scope_that_does_not_exist_makes_no_key(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip must not make a key that opens everything."""
    words = ("create", "--config", str(config), "--principal", "staff-7", "--scopes", "aks")
    assert main(["key", *words]) == 1
    assert "Scopes are" in capsys.readouterr().err
    assert listed(capsys, config) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--days", "3651"), "at most 3650 days"),
        (("--days", "1000000"), "at most 3650 days"),
        (("--scopes", "scim,ask"), "Make two keys"),
    ],
)
def test_terms_out_of_bounds_make_no_key(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    """The bound is told instead of what the ledger cannot count."""
    place = ("--config", str(config))
    assert main(["key", "create", *place, "--principal", "staff-7", *words]) == 1
    assert said in capsys.readouterr().err
    assert listed(capsys, config) == []


@pytest.mark.parametrize("hours", ["-1", "721", "1000000000"])
def test_an_overlap_has_bounds(
    config: Path, capsys: pytest.CaptureFixture[str], hours: str
) -> None:
    """A key cannot have ended before it was rotated, nor work on beside the other for months."""
    place = ("--config", str(config))
    run(capsys, "create", *place, "--principal", "staff-7")
    (row,) = listed(capsys, config)
    assert main(["key", "rotate", row["id"], *place, f"--overlap-hours={hours}"]) == 1
    assert "0 to 720 hours" in capsys.readouterr().err
    assert listed(capsys, config) == [row]


def test_a_key_is_rotated_once(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time its own end would be the overlap's; the key that took over is named."""
    place = ("--config", str(config))
    run(capsys, "create", *place, "--principal", "staff-7")
    (old,) = listed(capsys, config)
    new = key_id(run(capsys, "rotate", *place, old["id"]).strip()) or ""
    assert main(["key", "rotate", *place, old["id"]]) == 1
    assert f"{new} takes over from it" in capsys.readouterr().err
    ends = {row["id"]: row["expires"] for row in listed(capsys, config)}
    assert ends[new] is None
    assert key_id(run(capsys, "rotate", *place, new).strip())


def test_revoking_again_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no error, but nothing happened either."""
    place = ("--config", str(config))
    run(capsys, "create", *place, "--principal", "staff-7")
    (row,) = listed(capsys, config)
    run(capsys, "revoke", *place, row["id"])
    assert "was revoked already, at 2" in run(capsys, "revoke", *place, row["id"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), ["has no role"]),
        (("--roles", "employee"), ["is in no group"]),
        (("--roles", "employee", "--groups", "sales"), []),
        (("--roles", "reviewer"), []),
        (("--scopes", "scim"), []),
    ],
)
def test_a_key_that_opens_nothing_yet_comes_with_a_warning(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: list[str]
) -> None:
    """On standard error, so that scripts still take the key; it names what mends it."""
    assert main(["key", "create", "--config", str(config), "--principal", "staff-7", *words]) == 0
    out, err = capsys.readouterr()
    assert key_id(out.strip())
    assert len(err.splitlines()) == len(said)
    assert all(text in err and "sekisho principal grant staff-7" in err for text in said)


def test_the_help_says_what_a_pattern_is(capsys: pytest.CaptureFixture[str]) -> None:
    """With an example that can be copied."""
    with pytest.raises(SystemExit):
        main(["key", "create", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "* is any text and ? one character, wherever they stand" in said
    assert "'gpt-4*,*-mini'" in said
