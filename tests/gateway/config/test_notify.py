"""Channels in the settings: each kind has what it needs and nothing that means nothing to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sekisho.config import load
from sekisho.config.load import ConfigError, parse
from sekisho.config.notify import ChannelSettings, NotifySettings

SLACK = {"name": "desk", "kind": "slack", "url_env": "DESK_URL", "groups": ["reviewer"]}
HOOK = {"name": "own", "kind": "webhook", "url_env": "OWN_URL", "secret_env": "OWN_KEY"}
MAIL = {
    "name": "mail",
    "kind": "smtp",
    "host": "mail.example.org",
    "sender": "gate@example.org",
    "to": ["desk@example.org"],
}

WRONG: dict[str, dict[str, Any]] = {
    "needs url_env": {"name": "desk", "kind": "slack"},
    "needs secret_env": {"name": "own", "kind": "webhook", "url_env": "OWN_URL"},
    "needs sender": {"name": "mail", "kind": "smtp", "host": "h", "to": ["a@example.org"]},
    "has no secret_env": {**SLACK, "secret_env": "X"},
    "has no secret_before_env": {**SLACK, "secret_before_env": "X"},
    "has no host": {**SLACK, "host": "h"},
    "has no url_env": {**MAIL, "url_env": "X"},
    "belong together": {**MAIL, "username": "sekisho"},
    "whole path": {**SLACK, "ca_file": "ca.pem"},
    "kind": {**SLACK, "kind": "pager"},
    "language": {**SLACK, "language": "de"},
    "name": {**SLACK, "name": "De Sk"},
    "url_env": {**SLACK, "url_env": "https://hooks.example/secret"},
    "sender": {**MAIL, "sender": "gate@example.org\r\nBcc: x@example.org"},
    "to": {**MAIL, "to": ["a@example.org, b@example.org"]},
    "host": {**MAIL, "host": "mail example"},
    "per_minute_max": {**SLACK, "per_minute_max": 0},
    "username": {**MAIL, "username": "a\nb", "secret_env": "X"},
}


@pytest.mark.parametrize("about", [SLACK, HOOK, MAIL], ids=["slack", "webhook", "smtp"])
def test_what_a_kind_needs_is_enough(about: dict[str, Any]) -> None:
    """No more has to be said."""
    assert ChannelSettings(**about).language == "en"


@pytest.mark.parametrize("fault", WRONG)
def test_what_does_not_fit_is_a_fault_at_start(fault: str) -> None:
    """Named, so that nobody finds out when a message should have come."""
    with pytest.raises(ValidationError, match=fault):
        ChannelSettings(**WRONG[fault])


@pytest.mark.parametrize(("tls", "port"), [(None, 587), ("starttls", 587), ("implicit", 465)])
def test_the_port_of_mail_follows_from_how_tls_begins(tls: str | None, port: int) -> None:
    """Unless it is said."""
    assert ChannelSettings(**MAIL, tls=tls).smtp_port == port  # type: ignore[arg-type]
    assert ChannelSettings(**MAIL, tls=tls, port=2525).smtp_port == 2525  # type: ignore[arg-type]


def test_a_name_is_given_once() -> None:
    """Rules, metrics and events say it."""
    with pytest.raises(ValidationError, match=r"two .* have the name 'desk'"):
        NotifySettings(channels=[SLACK, {**MAIL, "name": "desk"}])  # type: ignore[arg-type]
    assert NotifySettings(channels=[SLACK]).channel("desk")  # type: ignore[arg-type]
    assert NotifySettings().channel("desk") is None


def test_the_variables_of_a_channel_are_those_it_names() -> None:
    """What doctor looks for."""
    assert ChannelSettings(**HOOK, secret_before_env="OLD").variables == (
        *("OWN_URL", "OWN_KEY", "OLD"),
    )


HEAD = '[[backends]]\nid = "a"\nbase_url = "https://a.example/v1"\nmodels = ["*"]\n'


def test_channels_stand_in_the_file_as_tables(tmp_path: Path) -> None:
    """And faults in them are told with their place; nothing of the environment makes a channel."""
    file = tmp_path / "sekisho.toml"
    channel = '[[notify.channels]]\nname = "desk"\nkind = "slack"\nurl_env = "DESK_URL"\n'
    file.write_text(f"{HEAD}[notify]\ngive_up_s = 60\n{channel}")
    settings = load(file, {"SEKISHO_NOTIFY__DEADLINE_S": "3"}).notify
    assert (settings.give_up_s, settings.deadline_s, len(settings.channels)) == (60, 3, 1)
    with pytest.raises(ConfigError, match=r"notify.channels\[1\].nam: there is no such setting"):
        parse(f'{HEAD}[[notify.channels]]\nnam = "x"\n'.encode(), "f", tmp_path, {})
    with pytest.raises(ConfigError, match="no such setting"):
        load(file, {"SEKISHO_NOTIFY__CHANNELS__NAME": "x"})
