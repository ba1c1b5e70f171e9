"""Asking the index of a running auditd as an auditor, and what is on record of that."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sekisho_audit.canon import decode
from sekisho_audit.scan import EVENTS, frames, segments
from support.sockets import LIMIT_S, Client

AUDITOR = "auditor-1@ledger.example"


def searches(ledger: Path) -> list[dict[str, Any]]:
    """The records of searches that are on the disk."""
    leaves = (
        decode(frame.body)
        for segment in segments(ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    )
    return [leaf for leaf in leaves if leaf["type"] == "audit.search"]


async def ask(client: Client, message: dict[str, Any]) -> dict[str, Any]:
    """An answer from an index that is ready."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            answer = await client.ask({"actor": AUDITOR, **message})
            assert answer is not None
            if answer[0].get("error") != "busy":
                return answer[0]
