from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import pytest

from sekisho.backends.profile import UnknownProfile
from sekisho.config import Settings
from sekisho.model.care import Care
from sekisho.model.hold import HoldLimits
from sekisho.wiring import bounds

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
        "share_max": 12, "share_bytes_max": 2**22,
    }  # fmt: skip
    limits = bounds.hold_limits(_settings(holds=values))

    asked = dict(values)
    asked["total_bytes_max"] = asked.pop("hold_bytes_total_max")
    assert asked == {name: getattr(limits, name) for name in asked}
    unset = {field.name for field in fields(HoldLimits)} - set(asked)
    assert {"finish_s", "care"} == unset


def test_what_is_asked_of_reviewers_can_be_set() -> None:
    """Every field of it has a setting, and the defaults are the same in both places."""
    values = {
        "dwell_s": 1.5, "words_per_s": 7, "dwell_s_max": 20.0, "decisions_warn": 4,
        "decisions_max": 5, "pause_s": 6.0, "claim_s": 30.0, "people_min": 8,
    }  # fmt: skip

    assert asdict(bounds.hold_limits(_settings(reviews=values)).care) == values
    assert bounds.hold_limits(_settings()).care == Care()


def test_the_first_backend_that_offers_a_model_serves_it() -> None:
    """The order is that of the configuration."""
    catalog = bounds.catalog(_settings())

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

    found = bounds.endpoints(settings)
    assert ["k1", ""] == [found[name].api_key for name in ("one", "two")]
    assert "" == bounds.endpoints(_settings())["one"].api_key


def test_a_profile_that_does_not_exist_is_told_at_start() -> None:
    """With the names there are."""
    with pytest.raises(UnknownProfile, match="openai"):
        bounds.endpoints(_settings(backends=[{**ONE, "profile": "nobody"}]))


def test_every_limit_of_leases_can_be_set() -> None:
    """A dead worker's leases are forgotten only after auditd has closed what it left open."""
    limits = {"lease_share": 7, "lease_s": 3.0, "answer_tokens": 99}
    terms = bounds.lease_terms(_settings(limits=limits, audit={"session_grace_s": 30}))

    assert (7, 3.0, 99) == (terms.lease_share, terms.lease_s, terms.answer_tokens)
    assert terms.forget_s > 30


def test_every_limit_of_the_data_path_can_be_set() -> None:
    """None is crossed with another."""
    values = {
        "body_bytes_max": 2048, "body_bytes_total_max": 4096, "body_timeout_s": 3.0,
        "inflight_max": 4, "waiting_max": 5, "per_principal_max": 6, "write_timeout_s": 7.0,
    }  # fmt: skip
    limits = bounds.web_limits(_settings(server=values))
    assert values == {name: getattr(limits, name) for name in values}


def test_the_office_is_where_the_settings_say() -> None:
    """Days, hours and zone each reach the field they are meant for."""
    made = bounds.office(
        _settings(
            policy={
                "time_zone": "Asia/Tokyo",
                "office_days": ["sat"],
                "office_opens_h": 9,
                "office_closes_h": 12,
            }
        )
    )
    saturday_9_in_tokyo_us = 1_764_374_400_000_000  # 2025-11-29 00:00 UTC
    assert made.facts(saturday_9_in_tokyo_us) == {
        "time_ns": saturday_9_in_tokyo_us * 1000,
        "office_hours": True,
        "weekday": "sat",
        "hour": 9,
        "content_days": 180,
    }
    assert "zh" == bounds.web_limits(_settings(policy={"language": "zh"})).language
