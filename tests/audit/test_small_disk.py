"""A disk that is really full, has no inodes left, or is read-only: a real auditd on a real tmpfs.

Callers are refused, auditd ends with 74 and says what to do, and when there is room again it starts
and has everything that was promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.errors import LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.auditd import EXIT_IO
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.verify import verify
from support.ledgers import Auditd, received
from support.small_disk import SmallDisk, small_disk

SEGMENT_BYTES = 20_000
BODY = bytes(2_000)
EVENTS_MAX = 2_000  # more than the small disk can take


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", request.param) as mounted:
        yield mounted


class OnDisk(Auditd):
    """auditd whose ledger lies on the small disk; keys, socket and what is derived do not."""

    def __init__(self, tmp_path: Path, disk: SmallDisk) -> None:
        index = tmp_path / "index"
        super().__init__(
            tmp_path,
            *("--ledger", str(disk.path / "ledger"), "--disk-free-min-bytes", "0"),
            *("--segment-bytes", str(SEGMENT_BYTES)),
            *("--history", str(index / "history.db"), "--tiles", str(index / "tiles")),
        )
        self.disk = disk

    @property
    def ledger(self) -> Path:
        return self.disk.path / "ledger"


async def until_full(auditd: Auditd) -> dict[str, tuple[int, str]]:
    """Append until it is refused; what was promised."""
    client = AuditdLedger(auditd.socket)
    await client.start()
    promised: dict[str, tuple[int, str]] = {}
    with contextlib.suppress(LedgerUnavailable):
        while len(promised) < EVENTS_MAX:
            event = received(uuid7(), BODY, f"staff-{len(promised) % 7}")
            [place] = await client.append([event])
            promised[event.id] = (place.index, place.leaf)
    assert len(promised) < EVENTS_MAX
    async with asyncio.timeout(20):
        await auditd.process.wait()
    await client.close()
    return promised


def fill(path: Path) -> None:
    """Write a file until nothing more fits."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4_096)):
            pass
    assert path.stat().st_size < 1_000_000


def check(ledger: Path, promised: dict[str, tuple[int, str]]) -> None:
    report = verify(ledger)
    assert (report.verdict, report.unsigned_events) == (Verdict.SOUND, 0), report.faults
    found = {
        json.loads(frame.body)["id"]: (index, frame.digest.hex())
        for index, frame in enumerate(
            frame for segment in segments(ledger, EVENTS) for frame in frames(segment, EVENTS)
        )
    }
    assert promised
    assert {event: found.get(event) for event in promised} == promised


@pytest.mark.parametrize("disk", ["size=1m", "size=8m,nr_inodes=24"], indirect=True)
async def test_full_disk_ends_writing_and_loses_nothing(tmp_path: Path, disk: SmallDisk) -> None:
    """No room for bytes, or for one more file: refused, explained, and whole after some room."""
    auditd = OnDisk(tmp_path, disk)
    await auditd.start()
    promised = await until_full(auditd)
    code, said = await auditd.end()
    assert code == EXIT_IO
    assert "What to do" in said
    assert "No space left" in said or "the disk is full (short write" in said
    assert verify(auditd.ledger).verdict is not Verdict.TAMPERED
    disk.remount("size=16m,nr_inodes=1000")
    await auditd.start()
    assert (await auditd.end())[0] == 0
    check(auditd.ledger, promised)


@pytest.mark.parametrize("disk", ["size=1m"], indirect=True)
async def test_start_on_the_still_full_disk_is_explained(tmp_path: Path, disk: SmallDisk) -> None:
    """Started again too early it ends the same way, as often as it is tried."""
    auditd = OnDisk(tmp_path, disk)
    await auditd.start()
    promised = await until_full(auditd)
    await auditd.end()
    filler = disk.path / "filler"
    fill(filler)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="What to do"):
            await auditd.start()
        assert auditd.process.returncode == EXIT_IO
    filler.unlink()
    disk.remount("size=4m")
    await auditd.start()
    await auditd.end()
    check(auditd.ledger, promised)


@pytest.mark.parametrize("disk", ["size=4m"], indirect=True)
async def test_read_only_disk_is_explained(tmp_path: Path, disk: SmallDisk) -> None:
    """A disk that the kernel made read-only after errors can still be verified, not written."""
    auditd = OnDisk(tmp_path, disk)
    await auditd.start()
    client = AuditdLedger(auditd.socket)
    await client.start()
    event = received(uuid7(), BODY)
    [place] = await client.append([event])
    await client.close()
    await auditd.end()
    disk.remount("ro")
    assert verify(auditd.ledger).verdict is Verdict.SOUND
    with pytest.raises(RuntimeError, match="What to do"):
        await auditd.start()
    assert auditd.process.returncode == EXIT_IO
    disk.remount("rw")
    await auditd.start()
    await auditd.end()
    check(auditd.ledger, {event.id: (place.index, place.leaf)})
