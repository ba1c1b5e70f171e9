"""Couriers have their secrets from the environment; what is missing is named and never quoted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters.couriers import channels, couriers, faults
from sekisho.config.notify import NotifySettings
from sekisho.model.notification import Channel
from support.chat_site import KEY, KEY_BEFORE
from support.holds import SystemClock

SLACK = {"name": "desk", "kind": "slack", "url_env": "DESK_URL", "groups": ["reviewer"]}
HOOK = {
    "name": "own",
    "kind": "webhook",
    "url_env": "OWN_URL",
    "secret_env": "OWN_KEY",
    "secret_before_env": "OWN_KEY_BEFORE",
}
ROBOT = {"name": "ding", "kind": "dingtalk", "url_env": "DING_URL", "secret_env": "DING_SECRET"}
MAIL = {
    "name": "mail",
    "kind": "smtp",
    "host": "mail.example.org",
    "tls": "implicit",
    "sender": "gate@example.org",
    "to": ["desk@example.org"],
    "username": "gate",
    "secret_env": "MAIL_PASSWORD",
}
ENVIRON = {
    "DESK_URL": "https://hooks.example/canary-url",
    "OWN_URL": "https://own.example/x",
    "OWN_KEY": KEY,
    "OWN_KEY_BEFORE": KEY_BEFORE,
    "DING_URL": "https://oapi.example/robot/send?access_token=canary-token",
    "DING_SECRET": "SECcanary",
    "MAIL_PASSWORD": "canary-password",
}


def settings(*every: dict[str, Any], **more: Any) -> NotifySettings:
    return NotifySettings(channels=every, **more)


def test_a_channel_with_all_it_needs_has_a_courier() -> None:
    """One each, and none of them shows what it knows."""
    every = settings(SLACK, HOOK, ROBOT, MAIL)
    assert list(faults(every, ENVIRON)) == []
    made = couriers(every, ENVIRON, SystemClock(), "https://gate.example")
    assert sorted(made) == ["desk", "ding", "mail", "own"]
    assert "canary" not in repr([vars(one) for one in made.values()])


@pytest.mark.parametrize("name", sorted(ENVIRON))
def test_a_variable_that_is_not_set_costs_its_channel_alone(name: str) -> None:
    """The others go on; the fault names the variable."""
    environ = {key: value for key, value in ENVIRON.items() if key != name}
    every = settings(SLACK, HOOK, ROBOT, MAIL)
    [(_, said)] = faults(every, environ)
    assert said == f"{name} is not set"
    assert len(couriers(every, environ, SystemClock(), "u")) == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"DESK_URL": "http://chat.example/canary"}, "the address in DESK_URL must begin"),
        ({"OWN_KEY": "whsec_canary"}, "OWN_KEY is not whsec_"),
        ({"OWN_KEY_BEFORE": "canary"}, "OWN_KEY_BEFORE is not whsec_"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_not_quoted(
    changed: dict[str, str], said: str
) -> None:
    """What stands there may be a secret of something else."""
    [(_, told)] = faults(settings(SLACK, HOOK), {**ENVIRON, **changed})
    assert told.startswith(said)
    assert "canary" not in told


def test_a_host_may_be_named_for_http(tmp_path: Path) -> None:
    """By an operator, in the file; a CA file must be there."""
    environ = {"DESK_URL": "http://chat.example/x"}
    assert not list(faults(settings(SLACK, http_hosts=["chat.example"]), environ))
    missing = {**SLACK, "ca_file": tmp_path / "none.pem"}
    [(_, said)] = faults(settings(missing), ENVIRON)
    assert said.endswith("is not there")


def test_whom_a_channel_reaches_is_taken_over() -> None:
    """As the line uses it."""
    assert channels(settings(SLACK)) == (Channel("desk", frozenset({"reviewer"})),)
