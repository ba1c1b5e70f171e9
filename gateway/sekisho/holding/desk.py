"""A reviewer says which hold they are looking at, so that two do not read the same one.

A claim is advice with an end: it is shown to all who may review the hold, decides nothing and is
asked for by nothing. It is no evidence either, so it is not in the ledger.
"""

from __future__ import annotations

from sekisho.errors import Conflict
from sekisho.holding.review import check_asked, check_duties, find
from sekisho.model.care import Claim
from sekisho.model.hold import HoldState
from sekisho.model.principal import Principal
from sekisho.ports import HoldStore

_OPEN = frozenset({HoldState.PENDING, HoldState.DECIDING})


async def claim(store: HoldStore, reviewer: Principal, hold_id: str) -> Claim:
    """Say that one looks at an open hold, for all who may review it to see.

    Raises NotFound, Forbidden, Conflict (`claimed`, `already_decided`, `not_your_turn`), or
    Unavailable.
    """
    view = await find(store, reviewer, hold_id)
    check_duties(reviewer, view)
    if view.state not in _OPEN:
        raise Conflict("This hold has been decided already.", code="already_decided")
    taken = await store.desk.claim(hold_id, reviewer.id)
    if taken.reviewer != reviewer.id:
        message = (
            f"{taken.reviewer} is looking at this hold. You may decide it all the same; "
            "or take another."
        )
        raise Conflict(message, code="claimed")
    return taken


async def leave(store: HoldStore, reviewer: Principal, hold_id: str) -> None:
    """Give a claim back; without one nothing happens. Raises NotFound, Forbidden, Unavailable."""
    view = await find(store, reviewer, hold_id)
    check_asked(reviewer, view)
    await store.desk.leave(hold_id, reviewer.id)
