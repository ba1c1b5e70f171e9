"""Keys, payloads, leaves: in this order, each on the disk before the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.errors import Poisoned
from sekisho_audit.ledger import Ledger
from support.ledgers import ORIGIN, open_ledger, received


def family(fd: int) -> str:
    """Which of the three an open file belongs to."""
    path = Path(f"/proc/self/fd/{fd}").readlink()
    return path.name if path.suffix == ".keys" else path.parent.name


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in order."""
    found: list[str] = []
    real: Callable[[int], None] = os.fdatasync

    def noted(fd: int) -> None:
        real(fd)
        found.append(family(fd))

    monkeypatch.setattr(os, "fdatasync", noted)
    return found


def test_a_leaf_names_only_what_is_on_the_disk(tmp_path: Path, synced: list[str]) -> None:
    """A new key is durable before what it seals, and that before the leaf which names it."""
    ledger = open_ledger(tmp_path)
    synced.clear()
    ledger.append_batch([received(uuid7())])
    assert synced == ["principals.keys", "payloads", "events"]
    synced.clear()
    ledger.append_batch([received(uuid7())])
    assert synced == ["payloads", "events"]
    ledger.close()


def test_all_waits_for_the_disk_are_told(tmp_path: Path, synced: list[str]) -> None:
    """Whoever shares the interpreter hears of each wait, and of its end, also of one that fails."""
    told: list[str] = []

    @contextmanager
    def syncing() -> Iterator[None]:
        told.append("begins")
        try:
            yield
        finally:
            told.append("ends")

    home = tmp_path / "data" / "ledger"
    ledger = Ledger.open(home, tmp_path / "keys", ORIGIN, syncing=syncing)
    told.clear()
    synced.clear()
    ledger.append_batch([received(uuid7())])
    assert (told, len(synced)) == (["begins", "ends"], 3)
    assert ledger.files.waited_s > 0
    (home / "events" / "000000000000.seg").unlink()
    with pytest.raises(Poisoned):
        ledger.append_batch([received(uuid7())])
    assert told == ["begins", "ends"] * 2
    ledger.close()
