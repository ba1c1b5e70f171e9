"""record: the intent to send exactly these bytes becomes durable; if it cannot, nothing leaves.

What was received, what policy decided and the intent are one batch and one wait for the disk.
"""

from __future__ import annotations

from sekisho.clearance import Clearance, Recorded
from sekisho.errors import LedgerUnavailable
from sekisho.model import evidence
from sekisho.ports import Ledger


async def record(
    clearance: Clearance, ledger: Ledger, *, session: str, attempt: int = 1
) -> Recorded:
    """Append the events and return the proof. Raises LedgerUnavailable.

    An event id that the ledger has seen before is not an intent of ours: refused as well.
    """
    outgoing = clearance.outgoing
    intent = evidence.intent(outgoing, session, attempt, clearance.approval)
    before = outgoing.before if attempt == 1 else ()
    places = await ledger.append([*before, intent])
    place = places[-1]
    if place.duplicate:
        message = "The ledger already holds this intent; nothing was sent. Send the request again."
        raise LedgerUnavailable(message)
    return Recorded(clearance, intent=intent.id, index=place.index)
