from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest

from sekisho import wiring
from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.backends.profile import UnknownProfile
from sekisho.config import Settings
from sekisho.errors import LedgerUnavailable, Overloaded
from sekisho.model import evidence
from sekisho.model.hold import HoldLimits
from sekisho.unsettled import EVENTS_MAX, Unsettled
from support.memory_ledger import MemoryLedger

ONE = {"id": "one", "base_url": "https://one.example/v1", "models": ["gpt-*"]}
TWO = {"id": "two", "base_url": "https://two.example/v1", "models": ["*"], "trust": "region"}


def _settings(**values: Any) -> Settings:
    return Settings.model_validate({"backends": [ONE, TWO], **values})


def test_every_limit_of_holds_can_be_set() -> None:
    """Each setting reaches the field it is named after, none is crossed with another."""
    values = {
        "hops_max": 3, "hop_wait_s": 4.0, "wait_total_s": 50.0, "ttl_s_max": 600, "lease_s": 7.0,
        "execution_expiry_s": 80, "keep_answer_s": 90, "retry_join_s": 11,
        "answer_bytes_max": 2**20, "hold_bytes_total_max": 2**21,
    }  # fmt: skip
    limits = wiring.hold_limits(_settings(holds=values))

    asked = dict(values)
    asked["total_bytes_max"] = asked.pop("hold_bytes_total_max")
    assert asked == {name: getattr(limits, name) for name in asked}
    unset = {field.name for field in fields(HoldLimits)} - set(asked)
    assert {"finish_s"} == unset


def test_the_first_backend_that_offers_a_model_serves_it() -> None:
    """The order is that of the configuration."""
    catalog = wiring.catalog(_settings())

    found = [catalog.backend_for(model) for model in ("gpt-x", "qwen")]
    assert ["one", "two"] == [backend.id for backend in found if backend]
    assert ["external", "region"] == [backend.trust for backend in found if backend]


def test_a_backends_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the variable it names; none named or none set is an empty key."""
    monkeypatch.setenv("ONE_KEY", "k1")
    monkeypatch.delenv("TWO_KEY", raising=False)
    settings = _settings(
        backends=[{**ONE, "api_key_env": "ONE_KEY"}, {**TWO, "api_key_env": "TWO_KEY"}]
    )

    found = wiring.endpoints(settings)
    assert ["k1", ""] == [found[name].api_key for name in ("one", "two")]
    assert "" == wiring.endpoints(_settings())["one"].api_key


def test_a_profile_that_does_not_exist_is_told_at_start() -> None:
    """With the names there are."""
    with pytest.raises(UnknownProfile, match="openai"):
        wiring.endpoints(_settings(backends=[{**ONE, "profile": "nobody"}]))


class _Auditd:
    """Only its status."""

    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    async def status(self) -> dict[str, Any]:
        return self._status


async def test_a_ledger_that_stopped_for_good_is_not_ready() -> None:
    """It answers, but writes nothing any more; the message says where to look."""
    await wiring.ledger_check(cast("AuditdLedger", _Auditd({"poisoned": False})))()
    with pytest.raises(LedgerUnavailable, match="recover"):
        await wiring.ledger_check(cast("AuditdLedger", _Auditd({"poisoned": True})))()


async def test_a_worker_that_can_promise_no_outcome_is_not_ready() -> None:
    """With its queue full, another exchange might stay without its end."""
    unsettled = Unsettled(MemoryLedger())
    await wiring.outcomes_check(unsettled)()
    for _ in range(EVENTS_MAX):
        unsettled.add(evidence.cancelled("x", "staff-7", "decide"))

    with pytest.raises(Overloaded):
        await wiring.outcomes_check(unsettled)()


async def test_a_worker_is_built_without_touching_the_world(tmp_path: Path) -> None:
    """No connection is made before `start`: parts that are down do not stop a worker's birth."""
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "pepper").write_bytes(b"p" * 32)
    settings = _settings(data_dir=tmp_path / "data", audit={"keys_dir": keys})

    worker = wiring.build(settings)
    worker.stop_admitting()

    assert not worker.app.admitting
    assert not (tmp_path / "data").exists()
