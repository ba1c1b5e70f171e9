"""Who looks at which hold: advice that binds nobody."""

from __future__ import annotations

import pytest

from sekisho.errors import Conflict, Forbidden, NotFound
from sekisho.holding.desk import claim, leave
from sekisho.model.hold import HoldState
from sekisho.model.principal import Role
from support.holds import REVIEWER, REVIEWER_2, STAFF, STRANGER, Desk, person


async def test_one_looks_and_the_other_is_told(desk: Desk) -> None:
    """Who came second may decide all the same."""
    view = await desk.file()
    mine = await claim(desk.store, REVIEWER, view.hold.id)
    assert (mine.hold, mine.reviewer) == (view.hold.id, REVIEWER.id)
    with pytest.raises(Conflict, match="reviewer-1 is looking at this hold") as raised:
        await claim(desk.store, REVIEWER_2, view.hold.id)
    assert raised.value.code == "claimed"

    assert (await desk.approve(view, REVIEWER_2)).state is HoldState.APPROVED


async def test_a_claim_given_back_is_free(desk: Desk) -> None:
    """By whoever has it only."""
    view = await desk.file()
    await claim(desk.store, REVIEWER, view.hold.id)
    await leave(desk.store, REVIEWER_2, view.hold.id)
    with pytest.raises(Conflict):
        await claim(desk.store, REVIEWER_2, view.hold.id)
    await leave(desk.store, REVIEWER, view.hold.id)

    assert (await claim(desk.store, REVIEWER_2, view.hold.id)).reviewer == REVIEWER_2.id


async def test_only_reviewers_of_a_hold_claim_it(desk: Desk) -> None:
    """Whoever asked does not, whatever else they are, and a stranger learns nothing."""
    view = await desk.file()
    for who, error in (
        (STAFF, Forbidden),
        (person("staff-7", Role.REVIEWER), Forbidden),
        (STRANGER, NotFound),
    ):
        with pytest.raises(error):
            await claim(desk.store, who, view.hold.id)
        with pytest.raises(error):
            await leave(desk.store, who, view.hold.id)
    assert await desk.store.desk.claims([view.hold.id]) == {}


async def test_what_is_decided_is_not_claimed(desk: Desk) -> None:
    """There is nothing left to look at."""
    view = await desk.file()
    await desk.approve(view)
    with pytest.raises(Conflict) as raised:
        await claim(desk.store, REVIEWER_2, view.hold.id)
    assert raised.value.code == "already_decided"
