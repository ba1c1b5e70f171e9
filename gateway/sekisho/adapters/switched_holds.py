"""The store of holds behind the kill switch: what is stopped is not approved, claimed or given out.

It stands in the store and not before its callers, so that no page, command or sweep can forget it.
What ends a hold is let through: a denial, the clock, a withdrawal. An approved hold that is stopped
stays approved, and goes on after the switch is lifted, if the approval is still good by then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from sekisho.adapters.redis_holds import KeysOf, RedisHoldStore
from sekisho.model.halts import Halts, Reach
from sekisho.model.hold import Hold, HoldLimits, Proposal, ProposalKind, StoredAnswer
from sekisho.ports import Taken

# What lets nothing go: it ends the hold, or takes an approval back to ask more people.
_ENDING = frozenset({ProposalKind.EXPIRE, ProposalKind.WITHDRAW, ProposalKind.ASK_ANEW})


class SwitchedHoldStore(RedisHoldStore):
    """As RedisHoldStore; `propose`, `claim` and `answer` raise Halted and HaltUnknown too."""

    def __init__(
        self,
        client: Redis,
        keys_of: KeysOf,
        limits: HoldLimits,
        reapply: Callable[[RedisHoldStore], Awaitable[None]],
        halts: Halts,
    ) -> None:
        super().__init__(client, keys_of, limits, reapply)
        self._halts = halts

    async def propose(self, proposal: Proposal, hold: Hold) -> Taken:
        """See HoldStore."""
        review = proposal.review
        denies = review is not None and review.decision == "deny"
        if proposal.kind not in _ENDING and not denies:
            await self._halts.check(Reach.of_hold(hold))
        return await super().propose(proposal, hold)

    async def answer(self, hold_id: str) -> StoredAnswer | None:
        """See HoldStore."""
        await self._halts.check(await self._reach(hold_id))
        return await super().answer(hold_id)

    async def claim(self, hold_id: str, worker: str) -> Hold | None:
        """See HoldStore. None for what is stopped: there is nothing to take now."""
        reach = await self._reach(hold_id)
        if self._halts.standing.hit(reach) is not None:
            return None
        await self._halts.check(reach)
        return await super().claim(hold_id, worker)

    async def _reach(self, hold_id: str) -> Reach:
        """What a hold has to do with; it need not be known while nothing is stopped."""
        view = await self.get(hold_id) if self._halts.standing.halts else None
        return Reach((), "", "") if view is None else Reach.of_hold(view.hold)
