"""Settings of identity: what would let strangers name themselves is a fault at start."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from sekisho.config import IdentitySettings, IssuerSettings, Settings

ISSUER = {"id": "corp", "url": "https://id.example", "audience": "gate"}
ONE = {"id": "one", "base_url": "https://one.example/v1", "models": ["gpt-*"]}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"user_header": "x-user"}, "trusted_peers"),
        ({"assertion_header": "x-token"}, "trusted_peers"),
        ({"certificate_header": "x-cert"}, "trusted_peers"),
        ({"trusted_peers": ["10.0.0.1"], "groups_header": "x-groups"}, "user_header"),
    ],
)
def test_headers_are_believed_from_named_peers_only(values: dict[str, Any], word: str) -> None:
    """Otherwise everyone could name themselves."""
    with pytest.raises(ValidationError, match=word):
        IdentitySettings.model_validate(values)
    IdentitySettings(trusted_peers=("10.0.0.1",), user_header="x-user", groups_header="x-groups")


@pytest.mark.parametrize(
    "change",
    [
        {"url": "http://id.example"},
        {"algorithms": ["HS256"]},
        {"algorithms": ["none"]},
        {"algorithms": []},
        {"roles": {"staff": ["root"]}},
        {"audience": ""},
    ],
)
def test_an_issuer_that_would_prove_nothing_is_refused(change: dict[str, Any]) -> None:
    """Keys fetched in clear, symmetric signatures, no audience, roles there are not."""
    with pytest.raises(ValidationError):
        IssuerSettings.model_validate({**ISSUER, **change})


def test_an_issuer_on_this_machine_may_do_without_https() -> None:
    """For a first try and for tests."""
    assert IssuerSettings.model_validate({**ISSUER, "url": "http://127.0.0.1:9"})


@pytest.mark.parametrize("change", [{"id": "other"}, {"url": "https://other.example"}])
def test_no_two_issuers_are_one(change: dict[str, str]) -> None:
    """Neither by name nor by address: the last would silently win."""
    issuers = [ISSUER, {**ISSUER, **change}]
    with pytest.raises(ValidationError, match="two"):
        Settings.model_validate({"backends": [ONE], "issuers": issuers})
