"""`sekisho notify`: a test message goes where it should, loudly and on record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.cli import main
from sekisho.config import load
from support.chat_site import KEY, TOKEN, ChatSite, chat_site
from support.raw_reading import leaves

CHANNELS = """
[[notify.channels]]
name = "desk"
kind = "wecom"
url_env = "DESK_URL"
groups = ["reviewer"]
language = "zh"

[[notify.channels]]
name = "own"
kind = "webhook"
url_env = "OWN_URL"
secret_env = "OWN_KEY"
"""


@pytest.fixture
def site() -> Iterator[ChatSite]:
    with chat_site() as one:
        yield one


@pytest.fixture
def place(config: Path, site: ChatSite, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """An installation with two channels."""
    config.write_text(config.read_text() + CHANNELS)
    monkeypatch.setenv("DESK_URL", site.address("wecom"))
    monkeypatch.setenv("OWN_URL", site.address("webhook"))
    monkeypatch.setenv("OWN_KEY", KEY)
    return ("--config", str(config))


def recorded(config: Path) -> list[dict[str, str]]:
    ledger = load(config).ledger_dir
    return [
        {"id": leaf["id"], **leaf["data"], "actor": leaf["actor"]}
        for leaf in (leaves(ledger) if ledger.exists() else [])
        if leaf["type"] == "notification.tested"
    ]


def test_a_test_says_that_it_is_one_and_is_on_record(
    place: tuple[str, str], site: ChatSite, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the channel's language, with no link; the record names the channel and who."""
    assert main(["notify", "test", "desk", *place]) == 0
    [told] = site.of("wecom")
    assert "\u6d4b\u8bd5" in told.text
    assert told.links == []
    [event] = recorded(config)
    assert event["channel"] == "desk"
    assert event["actor"].startswith("p-")
    assert event["id"] in capsys.readouterr().out


def test_a_program_gets_the_id_that_is_on_record(
    place: tuple[str, str], site: ChatSite, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So both ends can be put side by side."""
    assert main(["notify", "test", "own", "--json", *place]) == 0
    said = json.loads(capsys.readouterr().out)
    [told] = site.of("webhook")
    assert told.id == said["notification"] == recorded(config)[0]["id"]
    assert told.raw["moment"] == "test"


@pytest.mark.parametrize(
    ("trouble", "said"), [("busy", "rate_limited"), ("500", "status_500"), ("drop", "no_answer")]
)
def test_a_test_that_fails_says_why_and_is_on_record_too(
    place: tuple[str, str],
    site: ChatSite,
    capsys: pytest.CaptureFixture[str],
    trouble: str,
    said: str,
) -> None:
    """It may have been told all the same; the address is in no output."""
    site.ahead["wecom"] = [trouble]
    assert main(["notify", "test", "desk", *place]) == 1
    out = capsys.readouterr()
    assert said in out.err
    assert TOKEN not in out.err + out.out
    assert len(recorded(Path(place[1]))) == 1


def test_what_cannot_be_tried_is_not_on_record(
    place: tuple[str, str],
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No such channel, or no address: nothing was sent."""
    assert main(["notify", "test", "nope", *place]) == 1
    assert "no channel 'nope'" in capsys.readouterr().err
    monkeypatch.delenv("DESK_URL")
    assert main(["notify", "test", "desk", *place]) == 1
    assert "DESK_URL is not set" in capsys.readouterr().err
    assert recorded(config) == []


def test_the_list_says_which_can_be_used(
    place: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For people and for programs, without an address."""
    monkeypatch.delenv("OWN_KEY")
    assert main(["notify", "list", "--json", *place]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["state"]) for row in rows] == [
        ("desk", "ready"),
        ("own", "OWN_KEY is not set"),
    ]
    assert main(["notify", "list", *place]) == 0
    out = capsys.readouterr().out
    assert "desk" in out
    assert TOKEN not in out
