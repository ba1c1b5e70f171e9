"""forward: send exactly the recorded bytes to the one backend they were recorded for."""

from __future__ import annotations

from sekisho.clearance import Recorded
from sekisho.ports import Backend, BackendReply


async def forward(recorded: Recorded, backend: Backend) -> BackendReply:
    """Send once. Raises BackendFailed or BackendTimedOut; the caller records the outcome."""
    outgoing = recorded.clearance.outgoing
    return await backend.send(
        outgoing.backend,
        outgoing.path,
        outgoing.body,
        {"accept": "text/event-stream" if outgoing.stream else "application/json"},
    )
