from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sekisho import wiring
from sekisho.config import Settings

ONE = {"id": "one", "base_url": "https://one.example/v1", "models": ["gpt-*"]}
CORP = {"id": "corp", "url": "https://id.example", "audience": "gate", "client_id": "sekisho"}


def _settings(folder: Path, **values: Any) -> Settings:
    keys = folder / "keys"
    keys.mkdir()
    (keys / "pepper").write_bytes(b"p" * 32)
    return Settings.model_validate(
        {"backends": [ONE], "data_dir": folder / "data", "audit": {"keys_dir": keys}, **values}
    )


async def test_a_worker_is_built_without_touching_the_world(tmp_path: Path) -> None:
    """No connection is made before `start`: parts that are down do not stop a worker's birth."""
    worker = wiring.build(_settings(tmp_path))
    worker.stop_admitting()

    assert not worker.app.admitting
    assert not (tmp_path / "data").exists()
    await worker.people.close()


async def test_issuers_are_asked_only_when_somebody_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An issuer that is down does not keep those with keys out."""
    monkeypatch.setenv("CORP_SECRET", "s1")
    corp = {**CORP, "client_secret_env": "CORP_SECRET"}
    worker = wiring.build(_settings(tmp_path, issuers=[corp]))

    assert ("corp",) == tuple(worker.people.sign_in.login.issuers)
    assert ["corp"] == [one.settings.id for one in worker.people.issuers]
    await worker.people.close()


def test_wall_time_is_in_microseconds() -> None:
    """As everywhere."""
    before_us = time.time_ns() // 1000
    assert before_us <= wiring.SystemClock().now_us() <= time.time_ns() // 1000
