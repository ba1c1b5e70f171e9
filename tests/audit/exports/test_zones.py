"""Time zones by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sekisho_audit.exports.zones import NoZone, zone_named


def test_a_zone_has_its_rules() -> None:
    zone = zone_named("Asia/Shanghai")
    assert datetime(2026, 11, 28, tzinfo=zone.rules).utcoffset() == timedelta(hours=8)


def test_without_a_name_it_is_that_of_the_machine(tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert zone_named(None, link).name == "Asia/Tokyo"
    assert zone_named(None, tmp_path / "nothing").rules is UTC


@pytest.mark.parametrize("name", ["Asia/Nowhere", "../../etc/passwd", "", "\x00"])
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(NoZone, match="Asia/Tokyo"):
        zone_named(name)
