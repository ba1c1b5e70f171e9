"""Waits until a hold has an outcome, or the caller's time is over.

The state is read again each second, with or without a hint: a lost wake-up costs latency, never an
answer. A waiter holds no connection to the store while it waits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from sekisho.errors import NotFound
from sekisho.model.hold import WAITING, HoldState, HoldView
from sekisho.ports import HoldStore

REREAD_S = 1.0
_SPREAD = 0.2  # waiters that came together do not read together for ever


async def wait(
    hold_id: str,
    store: HoldStore,
    wait_s: float,
    on_approved: Callable[[str], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> HoldView:
    """The hold when nobody needs to be waited for any more, or as it is after `wait_s`.

    `on_approved` is told once when the hold is found approved, so that it can be sent without
    waiting for the sweep. What an operator `stopped` is not waited for. Raises NotFound if there
    is no such hold, HoldStoreUnavailable if it cannot be read.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    told = False
    while True:
        state = await store.state(hold_id)
        if state == HoldState.APPROVED and on_approved is not None and not told:
            told = True
            on_approved(hold_id)
        left_s = until_s - loop.time()
        if state is None or state not in WAITING or left_s <= 0 or stopped():
            break
        pause_s = REREAD_S * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - not a secret
        await store.woken(hold_id, min(pause_s, left_s))
    view = await store.get(hold_id)
    if view is None:
        raise NotFound("There is no such hold, or it has been removed since.")
    return view
