"""record: the intent to send exactly these bytes becomes durable; if it cannot, nothing leaves.

What was received, what policy decided and the intent are one batch and one wait for the disk. When
the answer of the ledger is lost, the intent may stand there all the same: its outcome (`failed`,
never sent) is then given for later, so that no intent stays open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from sekisho.clearance import Clearance, Recorded
from sekisho.errors import LedgerUnavailable
from sekisho.model import evidence
from sekisho.ports import Ledger
from sekisho_audit.events import Event
from sekisho_audit.receipt import Receipt


async def record(
    clearance: Clearance,
    ledger: Ledger,
    *,
    session: str,
    later: Callable[[Event], None],
    charged: Mapping[str, Any],
    attempt: int = 1,
) -> Recorded:
    """Append the events and return the proof. Raises LedgerUnavailable or LedgerRefused.

    `session` names this worker to auditd, `later` takes events to be written when it can be, and
    `charged` is what was set aside for this attempt.
    """
    outgoing = clearance.outgoing
    intent = evidence.intent(outgoing, session, attempt, clearance.approval, charged=charged)
    before = outgoing.before if attempt == 1 else ()
    try:
        places = await ledger.append([*before, intent])
    except (LedgerUnavailable, asyncio.CancelledError):
        later(evidence.outcome(outgoing, intent.id, "failed", None, {"cause": "never_sent"}))
        raise
    place = places[-1]
    receipt = Receipt(place.index, bytes.fromhex(place.leaf), place.note.encode())
    return Recorded(clearance, intent=intent.id, index=place.index, receipt=receipt.header())
