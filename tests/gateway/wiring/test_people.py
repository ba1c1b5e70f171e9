from __future__ import annotations

from typing import Any

import pytest

from sekisho.config import Settings
from sekisho.wiring.people import client_secrets

ONE = {"id": "one", "base_url": "https://one.example/v1", "models": ["gpt-*"]}


def _issuer(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "url": f"https://{name}.example", "audience": "gate", **more}


def test_an_issuers_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the variable it names; a public client has none, a variable that is not set is empty."""
    monkeypatch.setenv("ONE_SECRET", "s1")
    monkeypatch.delenv("TWO_SECRET", raising=False)
    issuers = [
        _issuer("one", client_secret_env="ONE_SECRET"),
        _issuer("two", client_secret_env="TWO_SECRET"),
        _issuer("public"),
    ]
    settings = Settings.model_validate({"backends": [ONE], "issuers": issuers})
    assert {"one": "s1", "two": ""} == client_secrets(settings)
