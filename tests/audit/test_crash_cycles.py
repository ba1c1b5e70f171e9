"""SIGKILL under load, again and again: dense, sound, one outcome each, no promise broken.

SEKISHO_CRASH_CYCLES says how often: 200 in `make test`, 10,000 in `make soak`, a new ledger for
each 200. auditd is killed at any moment after its start, so also while it recovers.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sekisho.adapters import auditd_socket
from sekisho.adapters.auditd_ledger import AuditdLedger, LedgerLimits
from sekisho.errors import LedgerRefused, LedgerUnavailable
from sekisho.model.ids import uuid7
from sekisho_audit.events import Event
from sekisho_audit.report import Report, Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, frames, segments
from sekisho_audit.seal import unseal
from sekisho_audit.verify import verify
from support.forked_auditd import ForkedAuditd
from support.ledgers import ORIGIN, decision, intent, open_ledger, outcome, received

CYCLES = int(os.environ.get("SEKISHO_CRASH_CYCLES", "200"))
CYCLES_OF_A_LEDGER = 200
CLIENTS = 3
CALLERS = 4
PRINCIPAL_EVERY = 5
KILLED_EARLY = 0.3  # of all cycles: while it starts and recovers
EARLY_S = 0.1
LOADED_S = 0.08
THINKING_S = 0.02  # of a caller: a ledger that grows fast takes long to start
RECONNECTED_WITHIN_S = 0.02

pytestmark = [pytest.mark.long, pytest.mark.timeout(600 + 2 * CYCLES)]


@dataclass
class Promises:
    """All that callers were told."""

    places: dict[str, tuple[int, str]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    stop: bool = False
    callers: int = 0


async def _append(client: AuditdLedger, promises: Promises, events: list[Event]) -> None:
    places = await client.append(events)
    for event, place in zip(events, places, strict=True):
        promises.places[event.id] = (place.index, place.leaf)


async def _caller(client: AuditdLedger, promises: Promises) -> None:
    """One exchange after the other; a failed append ends that exchange."""
    promises.callers += 1
    me, number = promises.callers, 0
    while not promises.stop:
        number += 1
        exchange, text = uuid7(), f"question {number} of caller {me}"
        asked = received(exchange, text.encode(), f"staff-{me}-{number // PRINCIPAL_EVERY}")
        sent = intent(exchange, client.session)
        try:
            await _append(client, promises, [asked, decision(exchange), sent])
            promises.texts[asked.id] = text
            promises.sent.add(sent.id)
            await _append(client, promises, [outcome(sent)])
            await asyncio.sleep(random.uniform(0, THINKING_S))  # noqa: S311 - no secret
        except (LedgerUnavailable, LedgerRefused):
            await asyncio.sleep(0.01)


async def _cycles(auditd: ForkedAuditd, count: int) -> int:
    """Start and kill; how often it was ready before it was killed."""
    ready = 0
    for _ in range(count):
        await auditd.start()
        if random.random() < KILLED_EARLY:  # noqa: S311 - no secret
            await asyncio.sleep(random.uniform(0, EARLY_S))  # noqa: S311 - as above
        else:
            await auditd.ready()
            ready += 1
            await asyncio.sleep(random.uniform(0, LOADED_S))  # noqa: S311 - as above
        status = await auditd.end(signal.SIGKILL)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    return ready


async def _live(home: Path, cycles: int) -> tuple[Promises, int]:
    """A ledger in its cycles, and a clean stop at the end."""
    ledger, path = home / "data" / "ledger", str(home / "a.sock")
    promises = Promises()
    async with ForkedAuditd.loaded(
        *("--ledger", str(ledger), "--keys", str(home / "keys"), "--socket", path),
        *("--origin", ORIGIN, "--segment-bytes", "100000", "--session-grace-s", "0.2"),
    ) as auditd:
        clients = [AuditdLedger(path, limits=LedgerLimits(down_max_s=20)) for _ in range(CLIENTS)]
        await auditd.start()
        await auditd.ready()
        await asyncio.gather(*(client.start() for client in clients))
        callers = [
            asyncio.create_task(_caller(client, promises))
            for client in clients
            for _ in range(CALLERS)
        ]
        await auditd.end(signal.SIGKILL)
        ready = await _cycles(auditd, cycles)
        promises.stop = True
        await auditd.start()
        await auditd.ready()
        await asyncio.gather(*callers)
        await asyncio.gather(*(client.close() for client in clients))
        assert await auditd.end(signal.SIGTERM) == 0
    return promises, ready


def _check(home: Path, promises: Promises) -> Report:
    """Every promise is kept, every content opens, every intent has its one outcome."""
    ledger = home / "data" / "ledger"
    report = verify(ledger)
    assert (report.verdict, report.open_intents, report.unsigned_events) == (
        Verdict.SOUND,
        0,
        0,
    ), report.faults
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for segment in segments(ledger, EVENTS):
        for frame in frames(segment, EVENTS):
            leaf = json.loads(frame.body)
            found[leaf["id"]] = (leaf, frame.digest.hex())
    for event, place in promises.places.items():
        leaf, digest = found[event]
        assert (leaf["n"], digest) == place
    outcomes = [
        leaf["data"]["intent"] for leaf, _ in found.values() if leaf["type"] == "backend.outcome"
    ]
    assert len(outcomes) == len(set(outcomes)) == report.types["backend.intent"]
    assert promises.sent <= set(outcomes)
    _check_texts(home, promises, {event: leaf for event, (leaf, _) in found.items()})
    return report


def _check_texts(home: Path, promises: Promises, leaves: dict[str, dict[str, Any]]) -> None:
    bodies = {
        frame.digest.hex(): frame.body
        for segment in segments(home / "data" / "ledger", PAYLOADS)
        for frame in frames(segment, PAYLOADS)
    }
    ledger = open_ledger(home)
    for event, text in promises.texts.items():
        [entry] = leaves[event]["pl"]
        secret = ledger.secret_of(*entry["kref"].split("/", 1))
        assert secret is not None
        assert unseal(secret, event, entry["name"], bodies[entry["ct"]]) == text.encode()
    ledger.close()


async def test_killed_at_any_moment_nothing_promised_is_lost(
    memory_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What callers were told is there, with its content, however often auditd was killed."""
    monkeypatch.setattr(auditd_socket, "_BACKOFF_MAX_S", RECONNECTED_WITHIN_S)
    done = promised = 0
    while done < CYCLES:
        cycles = min(CYCLES_OF_A_LEDGER, CYCLES - done)
        home = memory_path / "home"
        promises, ready = await _live(home, cycles)
        report = _check(home, promises)
        assert cycles / 2 < ready < report.types["audit.boot"] <= cycles + 2
        assert len(promises.places) > cycles
        done, promised = done + cycles, promised + len(promises.places)
        if CYCLES > CYCLES_OF_A_LEDGER:
            with capsys.disabled():
                sys.stdout.write(f"\n{done} of {CYCLES} cycles, {promised} promises kept ")
                sys.stdout.flush()
        shutil.rmtree(home)
