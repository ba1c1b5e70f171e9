"""Another version of what people approved: it asks for all of before and more, and only its
claimant makes it.
"""

from __future__ import annotations

import pytest

from sekisho.errors import Conflict
from sekisho.holding import anew
from sekisho.model.decision import Decision, Effect, HoldTerms, Obligations, Threshold
from sekisho.model.hold import HoldState
from sekisho.model.office import Office
from support.holds import ONE_REVIEW, TWO_REVIEWS, Desk

LAWYERS = HoldTerms("request", (Threshold("lawyers", 1, 1),), 60, 70)
SAYS = Decision(Effect.HOLD, (), "sha256:0101", Obligations(hold=LAWYERS))


async def test_a_version_asks_for_all_of_before_and_more(desk: Desk) -> None:
    """And has the revision that wanted it, the same bytes, and a time of its own."""
    view = await desk.file()
    more = anew.more_asked([SAYS], view.hold, 1)
    assert more is not None

    after = anew.next_version(view.hold, more, [SAYS], view.hold.expires_us, Office())

    assert {"lawyers", "reviewer"} == {one.reviewers for one in after.thresholds}
    assert (2, 70, "sha256:0101") == (after.version, after.risk, after.revision)
    assert view.hold.outgoing == after.outgoing
    assert after.expires_us > view.hold.expires_us


async def test_what_has_its_reviews_is_not_asked_anew(desk: Desk) -> None:
    view = await desk.file(thresholds=TWO_REVIEWS)
    again = Decision(
        Effect.HOLD, (), "r", Obligations(hold=HoldTerms("request", ONE_REVIEW, 60, 1))
    )

    assert anew.more_asked([again], view.hold, 2) is None


async def test_only_the_claimant_asks_anew(desk: Desk) -> None:
    """Not about what is pending, nor under another claim; and what it gave up sends nothing."""
    view = await desk.file()
    version = anew.next_version(view.hold, LAWYERS, [SAYS], await desk.store.now_us(), Office())
    with pytest.raises(Conflict):
        await anew.ask(desk.store, desk.ledger, view.hold, "w-1", version)
    await desk.approve(view)
    assert await desk.store.claim(view.hold.id, "w-1") is not None
    with pytest.raises(Conflict):
        await anew.ask(desk.store, desk.ledger, view.hold, "w-2", version)
    assert HoldState.DISPATCHING == await desk.store.state(view.hold.id)
