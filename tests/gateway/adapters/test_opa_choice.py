"""Which engine the settings build."""

from __future__ import annotations

import pytest

from sekisho.adapters import opa_choice
from sekisho.adapters.opa_choice import EngineMissing, rules_engine
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.adapters.opa_server import ServerOPA
from sekisho.config import PolicySettings

SERVER = {"engine": "server", "url": "http://127.0.0.1:8181"}


def test_each_engine_by_its_name() -> None:
    """Nothing is started or asked."""
    assert isinstance(rules_engine(PolicySettings(), {}), EmbeddedOPA)
    assert isinstance(rules_engine(PolicySettings(**SERVER), {}), ServerOPA)


def test_the_settings_reach_the_channel() -> None:
    """Token from the environment, TLS from files."""
    policy = PolicySettings(
        engine="server",
        url="https://opa.example:9999",
        token_env="OPA_TOKEN",
        tls_certificate="c.pem",
        tls_key="c.key",
        deadline_ms=70,
    )
    engine = rules_engine(policy, {"OPA_TOKEN": "t-1"})
    assert isinstance(engine, ServerOPA)
    channel = engine._channel
    assert "https://opa.example:9999/v1" == channel.root_url
    assert {"Authorization": "Bearer t-1"} == channel.headers
    assert (policy.tls_certificate, policy.tls_key) == channel._place.client_pair
    assert (0, 0.07) == (channel.retries, channel.timeout)


def test_a_token_that_is_not_there() -> None:
    """Asking without it would only be refused."""
    policy = PolicySettings(**SERVER, token_env="OPA_TOKEN")
    for environ in ({}, {"OPA_TOKEN": ""}):
        with pytest.raises(EngineMissing, match="OPA_TOKEN, which is not set"):
            rules_engine(policy, environ)


def test_without_the_extra_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command that installs it is told, and no other engine takes its place."""
    monkeypatch.setattr(opa_choice, "_CLIENT", "no_such_package")
    with pytest.raises(EngineMissing, match=r"pip install \"sekisho\[opa-server\]\""):
        rules_engine(PolicySettings(**SERVER), {})
