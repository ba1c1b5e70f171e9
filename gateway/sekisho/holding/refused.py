"""Who tried to get around a review: recorded before they are told no.

What is refused changes nothing, so it would leave no trace, and nobody would see who tries doors.
One record for each person, hold, act, code and hour is enough: the event's id is made from these
with the exchange's key, and the ledger keeps one event of an id, so trying again fills no disk.
An id that is nobody's hold leaves nothing to record it with.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sekisho.errors import Conflict, Forbidden, NotFound
from sekisho.holding import names
from sekisho.model import evidence
from sekisho.model.principal import Principal
from sekisho.ports import HoldStore, Ledger

HOUR_US = 3_600 * 1_000_000
_BUSY = "busy"  # another decision was under way: nobody did anything wrong


@asynccontextmanager
async def refusals_noted(
    store: HoldStore, ledger: Ledger, actor: Principal, hold_id: str, act: str
) -> AsyncIterator[None]:
    """Record that `actor` was refused `act` (read, review, edit, justify, withdraw), if they are.

    Raises what was raised within; Unavailable instead where that cannot be recorded.
    """
    try:
        yield
    except (Forbidden, NotFound, Conflict) as error:
        if error.code != _BUSY:
            await _note(store, ledger, actor, hold_id, act=act, code=error.code)
        raise


async def _note(
    store: HoldStore, ledger: Ledger, actor: Principal, hold_id: str, *, act: str, code: str
) -> None:
    view = await store.get(hold_id) if names.is_hold_id(hold_id) else None
    if view is None:
        return
    hold = view.hold
    keys = await ledger.exchange_keys(hold.principal, hold.exchange)
    hour = str(await store.now_us() // HOUR_US)
    event_id = evidence.keyed_id(keys.commit, "refused", actor.id, hold.id, act, code, hour)
    event = evidence.hold_refused(
        hold.exchange, hold.principal, actor.id, hold=hold.id, act=act, code=code, event_id=event_id
    )
    await ledger.append([event])
