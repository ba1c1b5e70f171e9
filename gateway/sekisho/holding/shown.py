"""Who was shown a hold: recorded before it is shown, so that the requester can see it later.

Reviewers look again and again while they think, and pages poll. One record for each reader, hold,
version and hour is enough: the event's id is made from these with the exchange's key, and the
ledger keeps one event of an id. Nobody is recorded for looking at what they asked themselves; an
owner who looks at what their service account asked is.
"""

from __future__ import annotations

from sekisho.holding.refused import HOUR_US
from sekisho.holding.review import is_own
from sekisho.model import evidence
from sekisho.model.hold import Hold
from sekisho.model.principal import Principal
from sekisho.ports import HoldStore, Ledger

PART = "outgoing"


async def note_shown(
    store: HoldStore, ledger: Ledger, reader: Principal, hold: Hold, now_us: int
) -> int | None:
    """Record that `reader` is shown the outgoing bytes of `hold`. Call it before showing them: from
    here on runs the time that an approval of some risk needs (model/care.py).

    The moment from which this reader may approve it, in microseconds, or None if at once.
    Raises LedgerUnavailable, LedgerRefused or HoldStoreUnavailable: then they must not be shown.
    """
    if reader.id == hold.principal:
        return None
    purpose = "own" if is_own(reader, hold) else "review"
    keys = await ledger.exchange_keys(hold.principal, hold.exchange)
    hour = str(now_us // HOUR_US)
    event_id = evidence.keyed_id(
        keys.commit, "shown", reader.id, hold.id, str(hold.version), purpose, hour
    )
    event = evidence.read(
        hold.exchange,
        hold.principal,
        reader.id,
        purpose=purpose,
        part=PART,
        hold=hold.id,
        event_id=event_id,
    )
    await ledger.append([event])
    first_us = await store.desk.shown(hold, reader.id)
    dwell_us = store.desk.care.dwell_us(hold.risk, hold.outgoing)
    return first_us + dwell_us if dwell_us else None
