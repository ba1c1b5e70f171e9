"""Keeps the answer of a hold that was sent, although the store may be away for a while.

The prompt has gone out once and is never sent again, so an answer that cannot be kept is lost. As
long as the lease may still be ours we try again; `finish` is idempotent for the same claim.
"""

from __future__ import annotations

import asyncio

from sekisho.errors import Unavailable
from sekisho.model.hold import StoredAnswer
from sekisho.ports import HoldStore

PAUSE_S = 0.25


async def keep(
    store: HoldStore, hold_id: str, worker: str, answer: StoredAnswer, within_s: float
) -> bool:
    """Finish the claim of `worker` with `answer`. False: the claim was lost, nothing is kept.

    Raises the last Unavailable if the store was away for all of `within_s`.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while True:
        try:
            return await store.finish(hold_id, worker, answer)
        except Unavailable:
            if loop.time() + PAUSE_S >= until_s:
                raise
        await asyncio.sleep(PAUSE_S)
