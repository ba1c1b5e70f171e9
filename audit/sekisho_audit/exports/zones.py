"""The time zone that a report tells beside UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LINK = Path("/etc/localtime")
_DATABASE = "zoneinfo/"


class NoZone(ValueError):
    """Not the name of a time zone that this machine knows."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A time zone and its name."""

    name: str
    rules: tzinfo


def zone_named(name: str | None, link: Path = _LINK) -> Zone:
    """The zone with a name (`Asia/Tokyo`); without one, that of this machine. Raises NoZone."""
    if name is None:
        try:
            name = str(link.readlink()).rpartition(_DATABASE)[2] or "UTC"
        except OSError:
            name = "UTC"
    if name == "UTC":
        return Zone(name, UTC)
    try:
        return Zone(name, ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise NoZone(
            f"{name[:80]!r} is no time zone of this machine; write one as Asia/Tokyo"
        ) from error
