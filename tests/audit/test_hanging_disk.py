"""A disk whose sync does not return: a real auditd, refused callers, bounded memory, nothing lost.

SEKISHO_HANG_S says how long it hangs at least: as long as it takes to ask in `make test`, 60 s in
`make soak`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from sekisho.adapters.auditd_ledger import AuditdLedger, LedgerLimits
from sekisho.errors import LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.events import Event
from sekisho_audit.report import Verdict
from sekisho_audit.verify import verify
from sekisho_audit.writer import WriterLimits
from support.hang import hanging_disk
from support.ledgers import Auditd, received

HANG_S = float(os.environ.get("SEKISHO_HANG_S", "0"))
DEADLINE_S = 1.0
BODY = bytes(4 * 1024 * 1024)
# What it needs beside its queue: Python, its libraries, one message of each connection.
BESIDE_BYTES = 160 * 1024 * 1024

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture
async def auditd(memory_path: Path) -> AsyncIterator[Auditd]:
    running = Auditd(memory_path)
    await running.start()
    yield running
    await running.end()


@pytest.fixture
async def client(auditd: Auditd) -> AsyncIterator[AuditdLedger]:
    ledger = AuditdLedger(auditd.socket, limits=LedgerLimits(append_deadline_s=DEADLINE_S))
    await ledger.start()
    yield ledger
    await ledger.close()


async def refusals(client: AuditdLedger, events: list[Event]) -> list[str]:
    """Append each by itself, all at once; what their callers are told."""
    answers = await asyncio.gather(
        *(client.append([event]) for event in events), return_exceptions=True
    )
    assert all(isinstance(answer, LedgerUnavailable) for answer in answers), answers
    return [str(answer) for answer in answers]


async def worked_off(client: AuditdLedger) -> None:
    """Wait until what was queued is written: until an append is answered in time."""
    event = received(uuid7())
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(LedgerUnavailable):
                await client.append([event])
                return


async def test_callers_are_refused_while_the_disk_hangs_and_nothing_is_lost(
    auditd: Auditd, client: AuditdLedger
) -> None:
    """Refused while it hangs; what was promised before is there, what was refused may be, once."""
    before = received(uuid7())
    [promised] = await client.append([before])
    late = [received(uuid7()) for _ in range(20)]
    with hanging_disk(auditd.process.pid):
        assert len(await refusals(client, late)) == 20
        await asyncio.sleep(HANG_S)
        await refusals(client, [received(uuid7())])
        assert auditd.process.returncode is None
    await worked_off(client)
    places = [(await client.append([event]))[0] for event in [before, *late]]
    assert places[0].index == promised.index
    assert len({place.index for place in places}) == 21
    await client.close()
    assert (await auditd.end())[0] == 0
    report = verify(auditd.ledger)
    assert report.verdict is Verdict.SOUND
    assert report.types["request.received"] in {22, 23}


async def test_queue_of_a_hanging_disk_is_bounded(auditd: Auditd, client: AuditdLedger) -> None:
    """More than the queue holds is refused at once, and memory stays within what the queue may."""
    await client.append([received(uuid7())])
    queue_bytes = WriterLimits().queue_bytes_max
    with hanging_disk(auditd.process.pid):
        await refusals(client, [received(uuid7())])
        told: list[str] = []
        for _ in range(2 * queue_bytes // len(BODY) // 8):
            told += await refusals(client, [received(uuid7(), BODY) for _ in range(8)])
        memory = psutil.Process(auditd.process.pid).memory_info().rss
    assert any("(busy" in text for text in told), set(told)
    assert memory < queue_bytes + BESIDE_BYTES
    await worked_off(client)
    await client.close()
    assert (await auditd.end())[0] == 0
    assert verify(auditd.ledger).verdict is Verdict.SOUND
