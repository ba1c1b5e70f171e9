"""Several holds at once: nothing becomes possible that one by one is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sekisho.errors import BadRequest
from sekisho.holding.bulk import AT_ONCE_MAX, Asked, Done, review_all
from sekisho.model.care import RISK_OF_CARE, Care
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldView
from sekisho.model.principal import Principal, Role
from support.holds import LIMITS, REVIEWER, STAFF, Desk, open_desk, person
from support.memory_ledger import MemoryLedger
from support.valkey import Valkey

DEPUTY_OF_STAFF = replace(
    person("deputy-1", Role.REVIEWER), stands_in_for=frozenset({STAFF.id}), lent=frozenset()
)


def asked(views: Sequence[HoldView]) -> list[Asked]:
    return [Asked(view.hold.id, view.hold.binding, view.hold.version) for view in views]


async def answer(
    desk: Desk, what: Sequence[Asked], decision: str = "approve", who: Principal = REVIEWER
) -> list[Done]:
    return await review_all(
        desk.store, desk.ledger, who, what, decision=decision, reason="looked at"
    )


def said(done: Sequence[Done]) -> list[str]:
    return [
        one.view.state.value if one.view else one.error.code
        for one in done
        if one.view or one.error
    ]


async def test_each_is_told_what_became_of_it(desk: Desk) -> None:
    """Approved, decided before, changed, not there: one result each, in the order asked."""
    views = [await desk.file(f"text {n}") for n in range(4)]
    await desk.review(views[1], REVIEWER, "deny")
    what = asked(views)
    what[2] = replace(what[2], binding="0" * 64)
    what.insert(3, Asked("hold_" + "0" * 32, "0" * 64))

    done = await answer(desk, what)

    expected = ["approved", "already_decided", "binding_mismatch", "not_found", "approved"]
    assert said(done) == expected
    assert [one.hold for one in done] == [one.hold for one in what]


@pytest.mark.parametrize("risk", [RISK_OF_CARE, 100])
async def test_risk_is_approved_one_by_one(desk: Desk, ledger: MemoryLedger, risk: int) -> None:
    """One risky hold among low ones refuses all of them, and nothing was decided."""
    views = [await desk.file("low", risk=RISK_OF_CARE - 1), await desk.file("high", risk=risk)]
    before = ledger.types()

    with pytest.raises(BadRequest, match="one by one") as raised:
        await answer(desk, asked(views))
    assert raised.value.code == "bulk_refused"
    assert ledger.types() == before
    assert said(await answer(desk, asked(views), "deny")) == ["denied", "denied"]


async def test_only_what_is_alike_is_approved_together(desk: Desk) -> None:
    """Another stage is another question; a denial may be given to both."""
    views = [await desk.file("one"), await desk.file("two", stage="response")]

    with pytest.raises(BadRequest, match="one rule and one stage"):
        await answer(desk, asked(views))
    assert said(await answer(desk, asked(views), "deny")) == ["denied", "denied"]


async def test_as_many_as_can_have_been_looked_at(desk: Desk) -> None:
    """Not more than a screen, not none, and none twice."""
    view = await desk.file()
    one = asked([view])[0]
    for what in (
        [],
        [one, one],
        [Asked(f"hold_{n:032x}", "0" * 64) for n in range(AT_ONCE_MAX + 1)],
    ):
        for decision in ("approve", "deny"):
            with pytest.raises(BadRequest):
                await answer(desk, what, decision)
    with pytest.raises(BadRequest, match="approve or deny"):
        await answer(desk, [one], "maybe")


@pytest.mark.parametrize("who", [person("staff-7", Role.REVIEWER), DEPUTY_OF_STAFF])
async def test_nobody_approves_their_own_among_others(desk: Desk, who: Principal) -> None:
    """Nor as a delegate of who asked; each is judged as it would be alone."""
    views = [await desk.file("mine"), await desk.file("not mine", principal=person("staff-9"))]

    assert said(await answer(desk, asked(views), who=who)) == ["self_approval", "approved"]


async def test_who_is_not_asked_approves_nothing(desk: Desk) -> None:
    """It is as if the hold was not there."""
    view = await desk.file(thresholds=(Threshold("security", 1, 1),))
    assert said(await answer(desk, asked([view]))) == ["not_found"]


async def test_many_at_once_count_as_many(valkey: Valkey, ledger: MemoryLedger) -> None:
    """The pace of a reviewer is not gone around by asking for all together."""
    care = Care(dwell_s=0, decisions_warn=1, decisions_max=2)
    desk = open_desk(valkey.url, ledger, replace(LIMITS, care=care))
    views = [await desk.file(f"text {n}") for n in range(3)]

    done = await answer(desk, asked(views))

    assert said(done) == ["approved", "approved", "approvals_paused"]
    await desk.close()


@pytest.mark.parametrize("fault", ["lose_before", "lose_after"])
async def test_a_part_that_is_down_ends_the_rest(
    desk: Desk, ledger: MemoryLedger, fault: str
) -> None:
    """Which is told of each; asking for all again finishes what was begun, once."""
    views = [await desk.file(f"text {n}") for n in range(3)]
    setattr(ledger, fault, 1)

    down = await answer(desk, asked(views))
    assert said(down) == ["audit_unavailable"] * 3
    again = await answer(desk, asked(views))
    assert said(again) == ["approved"] * 3
    assert ledger.types().count("hold.review") == 3
