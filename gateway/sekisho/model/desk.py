"""A port: what reviewers do at the moment, who was shown what, who looks at what, how fast.

It is live state beside the holds and no evidence: the ledger has who was shown a hold and what was
decided. If it is lost, approvals of some risk wait until the hold was read again, and the counts of
the hour begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sekisho.model.care import Care, Claim, Rate
from sekisho.model.hold import Hold, Review


class ReviewDesk(Protocol):
    """Shared by all workers and replicas (Redis or Valkey), by the store's own clock.

    All methods but `claims` raise HoldStoreUnavailable within 2 s; what was asked may then have
    happened, and may be asked again.
    """

    @property
    def care(self) -> Care:
        """What is asked of reviewers."""
        ...

    async def shown(self, hold: Hold, reader: str) -> int:
        """`reader` is shown this version now; when they first were, in microseconds."""
        ...

    async def admit(self, review: Review, hold: Hold, decision_id: str) -> None:
        """Count a decision that is about to be made; the same one again counts once.

        Raises TooHasty (`not_shown`, `too_soon`, `approvals_paused`) for an approval that has to
        wait. A denial never has to.
        """
        ...

    async def rate(self, reviewer: str) -> Rate:
        """How fast this person decides."""
        ...

    async def claim(self, hold_id: str, reviewer: str) -> Claim:
        """Take the hold for a while, unless somebody else has it: then theirs comes back."""
        ...

    async def leave(self, hold_id: str, reviewer: str) -> None:
        """Give it back. What somebody else has is left alone."""
        ...

    async def claims(self, hold_ids: Sequence[str]) -> Mapping[str, Claim]:
        """Who has which of these. Advice: never raises, and what cannot be read is not there."""
        ...
