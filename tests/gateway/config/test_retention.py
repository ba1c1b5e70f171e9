"""Ceilings in the settings: as auditd takes them, and nothing that could be misread."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekisho.config import Settings
from sekisho.config.load import ConfigError, parse
from sekisho.config.retention import DAYS_MAX, DAYS_MIN, LEAVES_DAYS_MIN, RetentionSettings
from sekisho_audit import retention

BACKEND = '[[backends]]\nid = "local"\nbase_url = "http://127.0.0.1:1/v1"\nmodels = ["*"]\n'


def settings(text: str, environ: dict[str, str] | None = None) -> Settings:
    return parse((text + BACKEND).encode(), "x.toml", Path("/nowhere"), environ or {})


def faults(text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as error:
        settings(text, environ)
    return error.value.faults


def test_defaults_and_bounds_are_those_of_auditd() -> None:
    """Two programs read them; neither lets through what the other refuses."""
    assert retention.parse(RetentionSettings().argument()) == retention.Retention()
    assert (DAYS_MIN, DAYS_MAX) == (retention.DAYS_MIN, retention.DAYS_MAX)
    assert LEAVES_DAYS_MIN == retention.LEAVES_DAYS_MIN


def test_ceilings_come_from_the_file_and_the_environment() -> None:
    """Numbers of days, or the word that something is kept."""
    text = '[audit.retention]\ncontent_days = 30\nreason_days = "keep"\n'
    found = settings(text, {"SEKISHO_AUDIT__RETENTION__QUERY_DAYS": "90"})
    said = retention.parse(found.audit.retention.argument())
    assert dict(said.days) == {"content": 30, "input": 180, "reason": None, "query": 90}


@pytest.mark.parametrize(
    "value", ["0", "1", "-30", "36501", '""', '"forever"', "true", "30.5", "[]"]
)
def test_what_could_mean_for_ever_is_a_fault(value: str) -> None:
    """One sentence each, with what is allowed."""
    [fault] = faults(f"[audit.retention]\ncontent_days = {value}\n")
    assert fault == (
        'audit.retention.content_days: must be 2 to 36500 days, or "keep" if it is to be kept '
        "for good"
    )


def test_a_mistyped_ceiling_is_a_fault() -> None:
    """Otherwise it would silently be the default."""
    [fault] = faults("[audit.retention]\ncontents_days = 30\n")
    assert fault == (
        "audit.retention.contents_days: there is no such setting; did you mean content_days?"
    )
    [fault] = faults("", {"SEKISHO_AUDIT__RETENTION__CONTENT_DAY": "30"})
    assert "did you mean SEKISHO_AUDIT__RETENTION__CONTENT_DAYS?" in fault
    [fault] = faults("[audit.retention]\nleaves_days = 183\n")
    assert fault.startswith("audit.retention.leaves_days: must be greater than or equal to 184")
