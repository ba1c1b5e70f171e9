"""Section [policy]: which engine, and what a server needs."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sekisho.config import PolicySettings, load
from sekisho.config.policy import zone_of

HERE = "http://127.0.0.1:8181"


def refused(match: str, **values: Any) -> None:
    with pytest.raises(ValidationError, match=match):
        PolicySettings(**values)


def test_the_shipped_pack_and_the_embedded_engine() -> None:
    """Without a setting."""
    settings = PolicySettings()
    assert "embedded" == settings.engine
    assert (settings.bundle / "data.yaml").is_file()


def test_a_server() -> None:
    """Near in clear text, elsewhere over TLS."""
    assert HERE == PolicySettings(engine="server", url=HERE).url
    far = PolicySettings(
        engine="server",
        url="https://opa.example:8181/",
        token_env="OPA_TOKEN",
        tls_ca="ca.pem",
        tls_certificate="c.pem",
        tls_key="c.key",
    )
    assert "https://opa.example:8181" == far.url


def test_a_server_without_a_place_is_refused() -> None:
    """No engine is used in place of another."""
    refused("needs url", engine="server")
    refused('url: only for engine = "server"', url=HERE)
    refused("token_env: only for", token_env="X")
    refused("embedded", engine="opa")


def test_decisions_cross_the_network_encrypted() -> None:
    """Whoever is in between would be the policy."""
    refused("https://", engine="server", url="http://opa.example:8181")
    refused("https://", engine="server", url="http://127.0.0.1.example:8181")
    assert PolicySettings(engine="server", url="http://[::1]:8181")


def test_a_url_with_more_than_a_place_is_refused() -> None:
    """The path is OPA's, and a token has its own setting."""
    refused("leave the path out", engine="server", url=f"{HERE}/v1/data")
    refused("must not carry", engine="server", url="http://user:pw@127.0.0.1:8181")


def test_half_a_pair_is_refused() -> None:
    """A certificate without its key is no certificate; and neither is for plain http."""
    far = {"engine": "server", "url": "https://opa.example"}
    refused("belong together", **far, tls_certificate="c.pem")
    refused("belong together", **far, tls_key="c.key")
    refused("https://", engine="server", url=HERE, tls_ca="ca.pem")


def test_paths_are_taken_from_the_file(tmp_path: Path) -> None:
    """Not from where the command happens to be run."""
    file = tmp_path / "sekisho.toml"
    file.write_text(
        'data_dir = "data"\n[policy]\nengine = "server"\nurl = "https://opa.example"\n'
        'tls_ca = "ca.pem"\ntls_certificate = "c.pem"\ntls_key = "c.key"\n'
        '[[backends]]\nid = "a"\nbase_url = "https://a.example/v1"\nmodels = ["*"]\n'
    )
    policy = load(file, {}).policy
    assert [tmp_path / name for name in ("ca.pem", "c.pem", "c.key")] == [
        policy.tls_ca, policy.tls_certificate, policy.tls_key,
    ]  # fmt: skip


def test_where_and_when_people_work() -> None:
    """A zone this machine does not know, or hours that never begin, are told at the start."""
    assert "Asia/Shanghai" == PolicySettings(time_zone="Asia/Shanghai").time_zone
    assert UTC == zone_of("UTC")
    refused("no time zone", time_zone="Mars/Base")
    refused("no time zone", time_zone="../etc/passwd")
    refused("no time zone", time_zone="")
    refused("must be before", office_opens_h=19)
    refused("office_days", office_days=["monday"])
    refused("language", language="de")
