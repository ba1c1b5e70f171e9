"""Recorded decisions for tests: real rules, a real auditd, an officer who reads their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.model import evidence
from sekisho.model.ids import uuid7
from sekisho.stages.decide import carried_out
from sekisho_audit.events import Event
from support.ledgers import Auditd
from support.rules import document

_CALL: dict[str, Any] = {
    "stage": "tool_call",
    "tool": {"name": "search", "arguments": {"for": "x"}, "whole": True},
    "request__tools": ["search"],
}
DOCUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"content__labels": ["secret"]},
    {"request__model": "no-such-model"},
    {"principal__id": "staff-8", "principal__groups": ["sales"]},
    {"request__tools": ["search"], "request__max_tokens": 100_000},
    {"content__entities": {"credential": 1}},
    _CALL,
    {**_CALL, "request__tools": []},
    {"stage": "response", "content__labels": ["secret"]},
)
"""What is asked, as changes of the ordinary request."""


async def decided(
    directory: Path, changes: Sequence[dict[str, Any]] = DOCUMENTS
) -> list[tuple[Event, bytes]]:
    """Events of decisions by the rules in `directory`, with the inputs they saw."""
    engine = EmbeddedOPA(directory, deadline_ms=5_000)
    await engine.start()
    made = []
    for change in changes:
        exchange = uuid7()
        asked = document(**change, exchange=exchange)
        seen = orjson.dumps(asked)
        answer = carried_out(await engine.decide(asked), asked)
        who = asked["principal"]["id"]
        made.append((evidence.decided(exchange, who, asked["stage"], answer, seen), seen))
    await engine.close()
    return made


async def auditd_in(folder: Path) -> Auditd:
    """A running auditd where the settings of an installation in `folder` expect it."""
    auditd = Auditd(folder)
    run = folder / "data" / "run"
    run.mkdir(mode=0o700, parents=True)
    auditd.socket = str(run / "auditd.sock")
    await auditd.start()
    return auditd


async def append(auditd: Auditd, events: Sequence[Event]) -> None:
    """Put events on record."""
    ledger = AuditdLedger(auditd.socket)
    await ledger.start()
    await ledger.append(events)
    await ledger.close()


def disclosed(made: Sequence[tuple[Event, bytes]]) -> bytes:
    """The lines of `sekisho-audit disclose --json` about them."""
    lines = (
        {
            "name": "input",
            "type": "policy.decision",
            "index": number,
            "exchange": event.exchange,
            "ts": 0,
            "content": seen.decode(),
        }
        for number, (event, seen) in enumerate(made)
    )
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)
