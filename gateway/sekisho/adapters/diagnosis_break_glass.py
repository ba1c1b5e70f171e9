"""What `sekisho doctor` says of break-glass: what is open, and what nobody reviewed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from sekisho.adapters.auditd_ledger import AuditdLedger
from sekisho.adapters.finding import Finding
from sekisho.config import Settings
from sekisho.errors import SekishoError
from sekisho.model.break_glass import Opening

_SHOW = "sekisho break-glass show {}; an operator ends it: sekisho break-glass end {}"
_REVIEW = "a reviewer or auditor: sekisho break-glass review {} --verdict … --reason …"


def openings(settings: Settings, ask_s: float) -> Iterator[Finding]:
    """One finding an opening. Nothing where auditd cannot be asked: others say so."""
    found = _asked(settings, ask_s)
    if found is None:
        return
    now_us = time.time_ns() // 1000
    for one in found:
        yield _finding(one, now_us)
    if not found:
        yield Finding("break-glass", ok=True, said="nothing is open, and nothing waits for review")


def _finding(opening: Opening, now_us: int) -> Finding:
    about = f"{opening.id} of {opening.person or 'nobody known'}, {opening.used} uses"
    if opening.open_at(now_us):
        mend = _SHOW.format(opening.id, opening.id)
        return Finding("break-glass", ok=False, said=f"open: {about}", mend=mend)
    mend = _REVIEW.format(opening.id)
    overdue = opening.overdue_at(now_us)
    said = f"{'not reviewed in time' if overdue else 'waits for review'}: {about}"
    return Finding("break-glass", ok=not overdue, said=said, mend=mend)


def _asked(settings: Settings, ask_s: float) -> Sequence[Opening] | None:
    if not settings.auditd_socket.exists():
        return None
    try:
        return asyncio.run(_told(settings, ask_s))
    except (SekishoError, OSError):
        return None


async def _told(settings: Settings, ask_s: float) -> Sequence[Opening]:
    ledger = AuditdLedger(str(settings.auditd_socket))
    try:
        await ledger.start(ask_s)
        return await ledger.openings()
    finally:
        await ledger.close()
