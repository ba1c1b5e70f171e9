"""What the doctor says of break-glass."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from sekisho.adapters import diagnosis_break_glass
from sekisho.adapters.diagnosis_break_glass import openings
from sekisho.adapters.finding import Finding
from sekisho.config import Settings
from support.break_glass import CHIEF, MINUTE_US, open_plant
from support.revisions import Rules, settings_in
from support.switchboards import running_auditd


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path, Rules(tmp_path / "rules").write())


async def told(settings: Settings) -> list[Finding]:
    """The findings; the doctor has no loop of its own here."""
    return await asyncio.to_thread(lambda: list(openings(settings, 5.0)))


def test_nothing_is_said_where_nobody_can_be_asked(settings: Settings) -> None:
    """Other findings tell what is down."""
    assert list(openings(settings, 1.0)) == []
    settings.auditd_socket.parent.mkdir(parents=True)
    settings.auditd_socket.touch()
    assert list(openings(settings, 0.2)) == []


async def test_what_is_open_or_overdue_is_wrong(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do; what waits for its review in time is only told."""
    socket = settings.auditd_socket
    socket.parent.mkdir(parents=True)
    with running_auditd(settings.data_dir.parent, socket) as path:
        [sound] = await told(settings)
        assert (sound.ok, sound.said) == (True, "nothing is open, and nothing waits for review")
        plant = await open_plant(path)
        made = await plant.opened()

        [found] = await told(settings)
        assert not found.ok
        assert found.said == f"open: {made.id} of chief-1, 0 uses"
        assert "sekisho break-glass end" in found.mend

        await plant.desk.end(CHIEF, made.id)
        [found] = await told(settings)
        assert found.ok
        assert found.said.startswith("waits for review: ")
        assert "sekisho break-glass review" in found.mend

        later_ns = time.time_ns() + 25 * 60 * MINUTE_US * 1000
        monkeypatch.setattr(diagnosis_break_glass.time, "time_ns", lambda: later_ns)
        [found] = await told(settings)
        assert not found.ok
        assert found.said.startswith("not reviewed in time: ")
        await plant.ledger.close()
