"""An answer that is read whole before anybody sees it, for a client that asked for a stream.

Without us that client would have had a first byte long ago, and proxies on the way give up a
connection that stays silent. So whoever reads such an answer is waited for only so long; from then
on the client is kept company, and what ended it is told when it has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from sekisho.model.hold import HoldView
from sekisho.releasing.replies import Whole

Ended = Whole | HoldView
"""What an answer that is read whole becomes: itself, or the hold that keeps it for people."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """One that takes long. `headers` are what can be said of it before it is there."""

    headers: Mapping[str, str]
    task: asyncio.Task[Ended]

    async def has_ended(self, within_s: float) -> bool:
        """Whether it has, or does in this time."""
        return bool((await asyncio.wait({self.task}, timeout=within_s))[0])

    async def close(self, cause: str) -> None:
        """Nobody waits for it any more: if it has not ended, it ends now, its outcome given."""
        await _cancel(self.task, cause)


async def within(
    going: Coroutine[Any, Any, Ended], patience_s: float, headers: Mapping[str, str]
) -> Ended | Gathering:
    """What `going` comes to, or in which way it goes on after `patience_s`. Raises as it does.

    Cancelled meanwhile, it is over before the caller is.
    """
    gathering = Gathering(headers, asyncio.create_task(going))
    try:
        if not await gathering.has_ended(patience_s):
            return gathering
    except asyncio.CancelledError as gone:
        await _cancel(gathering.task, *gone.args)
        raise
    return gathering.task.result()


async def _cancel(task: asyncio.Task[Ended], *cause: str) -> None:
    task.cancel(*cause)
    await asyncio.gather(task, return_exceptions=True)
