"""A clock that tests set, and ledgers that live by it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sekisho.model.ids import uuid7
from sekisho_audit.ledger import Ledger
from support.ledgers import ORIGIN


class Clock:
    """Microseconds since 1970, UTC; stands until it is set."""

    def __init__(self, day: str) -> None:
        self.us = 0
        self.set(day)

    def __call__(self) -> int:
        return self.us

    def set(self, day: str) -> None:
        """Noon of a day, or a moment: `2026-11-30`, `2026-11-30T23:59:59`."""
        text = day if "T" in day else f"{day}T12:00:00"
        self.us = round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)

    def exchange(self) -> str:
        """An exchange that begins now."""
        return uuid7(self.us // 1000)


def ledger_at(home: Path, clock: Clock) -> Ledger:
    """The ledger in `home`, which takes the time from `clock`."""
    return Ledger.open(home / "data" / "ledger", home / "keys", ORIGIN, now_us=clock)
