"""The counter for the published log: bounded, late when it must be, never in the writer's way."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sekisho_audit import log_desk as module
from sekisho_audit.checkpoint import open_note
from sekisho_audit.errors import Refused
from sekisho_audit.ledger import Ledger
from sekisho_audit.log_desk import LogDesk
from sekisho_audit.proof import Proof
from sekisho_audit.published import Published
from sekisho_audit.tree import verify_consistency
from support.ledgers import open_ledger, run_exchange


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = open_ledger(tmp_path)
    opened.open_session("s-1", 1)
    run_exchange(opened, "s-1")
    opened.write_checkpoint()
    return opened


@pytest.fixture
def published(tmp_path: Path, ledger: Ledger) -> Published:
    return Published(tmp_path / "tiles", ledger.directory, lambda: ledger.signed)


@pytest.fixture
async def desk(ledger: Ledger, published: Published) -> AsyncIterator[LogDesk]:
    made = LogDesk(published)
    made.start()
    yield made
    await made.stop()
    ledger.close()


async def checkpoint_of(desk: LogDesk, ledger: Ledger) -> bytes:
    """The checkpoint over all that is signed."""
    assert ledger.signed is not None
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(Refused):
                note = await desk.file("checkpoint")
                if open_note(note, ledger.key) == ledger.signed[0]:
                    return note
            await asyncio.sleep(0.01)


async def test_it_follows_and_answers(desk: LogDesk, ledger: Ledger) -> None:
    await checkpoint_of(desk, ledger)
    run_exchange(ledger, "s-1")
    ledger.write_checkpoint()
    await checkpoint_of(desk, ledger)
    assert len(await desk.file(f"tile/0/000.p/{ledger.size}")) == 32 * ledger.size
    proofs = await desk.proofs([0, ledger.size - 1])
    assert [Proof.parse(text).index for text in proofs] == [0, ledger.size - 1]


async def test_it_tells_what_is_shown_and_the_way_there(desk: LogDesk, ledger: Ledger) -> None:
    """For anchors: from any size to the checkpoint that is shown."""
    await checkpoint_of(desk, ledger)
    checkpoint, note = await desk.shown()
    assert open_note(note, ledger.key) == checkpoint
    root, path = await desk.since(2, checkpoint)
    verify_consistency(2, checkpoint.size, root, checkpoint.root, path)
    with pytest.raises(Refused):
        await desk.since(checkpoint.size + 1, checkpoint)


@pytest.mark.parametrize(
    "path", ["", "tile", "tile/", "vkey", "tile/0/001", "tile/../x", "x" * 999]
)
async def test_what_is_no_file_of_the_log(desk: LogDesk, ledger: Ledger, path: str) -> None:
    await checkpoint_of(desk, ledger)
    with pytest.raises(Refused) as caught:
        await desk.file(path)
    assert caught.value.code == "no_tile"


async def test_too_many_who_wait_are_turned_away(
    desk: LogDesk, ledger: Ledger, published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those who wait get their answer."""
    await checkpoint_of(desk, ledger)
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    go_on = threading.Event()
    proof = published.proof

    def slow(index: int) -> Proof:
        assert go_on.wait(20)
        return proof(index)

    monkeypatch.setattr(published, "proof", slow)
    waiting = [asyncio.create_task(desk.proofs([0])) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="too many"):
        await desk.proofs([0])
    go_on.set()
    assert len(await asyncio.gather(*waiting)) == 3
    assert await desk.proofs([0])


async def test_a_disk_that_fails_makes_it_late(
    desk: LogDesk,
    ledger: Ledger,
    published: Published,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It says so, tries again, and goes on."""
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    await checkpoint_of(desk, ledger)
    follow, failed = published.follow, 0

    def fails() -> bool:
        nonlocal failed
        failed += 1
        if failed < 4:
            raise OSError(28, "No space left on device")
        return follow()

    monkeypatch.setattr(published, "follow", fails)
    run_exchange(ledger, "s-1")
    ledger.write_checkpoint()
    await checkpoint_of(desk, ledger)
    assert failed >= 4
    assert "the tiles are late: [Errno 28]" in capsys.readouterr().err
