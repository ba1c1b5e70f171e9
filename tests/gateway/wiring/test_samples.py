"""The parts of review after the fact as settings say, started and stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from sekisho.config import Settings
from sekisho.model.samples import Standing, Terms
from sekisho.ports import Ledger
from sekisho.wiring.samples import build_samples
from support.holds import SystemClock
from support.memory_ledger import MemoryLedger

ONE = {"id": "one", "base_url": "https://one.example/v1", "models": ["gpt-*"]}


class Book(MemoryLedger):
    """A ledger with nothing drawn in it."""

    async def samples(self) -> Standing:
        return Standing()


def settings(folder: Path, **samples: Any) -> Settings:
    return Settings.model_validate(
        {
            "backends": [ONE],
            "data_dir": folder / "data",
            "audit": {"keys_dir": folder / "keys"},
            "samples": samples,
        }
    )


async def test_terms_are_those_of_the_settings(tmp_path: Path) -> None:
    """Started, they are on record; stopped, nothing runs any more and no store was needed."""
    book = Book()
    chosen = settings(tmp_path, per_10000=200, per_10000_at_risk=1_000, verdicts=1, keep_days=3)
    parts = build_samples(chosen, cast("Ledger", book), book, SystemClock())
    await parts.sampling.agree()
    parts.start()
    await parts.stop()

    [told] = book.events
    assert told.data == {
        "per_10000": 200,
        "per_10000_at_risk": 1_000,
        "risk_from": 40,
        "verdicts": 1,
        "keep_days": 3,
    }
    assert parts.desk.reviewers == "reviewer"


async def test_it_is_off_unless_somebody_wants_it(tmp_path: Path) -> None:
    """Nothing is drawn, and the ledger has nothing of it."""
    book = Book()
    parts = build_samples(settings(tmp_path), cast("Ledger", book), book, SystemClock())
    await parts.sampling.agree()
    await parts.stop()

    assert book.events == []
    assert not Terms().on


@pytest.mark.parametrize(
    "wrong", [{"per_10000": 10_001}, {"verdicts": 3}, {"keep_days": 0}, {"reviewers": ""}]
)
def test_settings_have_bounds(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="samples"):
        settings(tmp_path, **wrong)
