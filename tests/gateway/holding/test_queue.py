"""The order in which reviewers work, and who sees what of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.errors import BadRequest
from sekisho.holding import queue
from sekisho.holding.queue import Wanted, meets, ordered, page, urgency
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldCard
from sekisho.model.principal import Scope
from support.holds import REVIEWER, STAFF, STRANGER, Desk, person

SECOND_US = 1_000_000


@pytest.fixture
async def card(desk: Desk) -> HoldCard:
    await desk.file()
    (one,) = await desk.store.list_open(9)
    return one


def with_left(card: HoldCard, name: str, left_s: int, risk: int) -> HoldCard:
    return replace(card, id=name, risk=risk, expires_us=left_s * SECOND_US)


async def test_time_left_is_weighed_with_risk(card: HoldCard) -> None:
    """The rule of docs/howto/review.md: risk 100 stands where a fifth of the time left would."""
    cards = [
        with_left(card, "calm", 100, 0),
        with_left(card, "risky", 499, 100),
        with_left(card, "half", 301, 50),
        with_left(card, "late", -1, 0),
        with_left(card, "later", -5, 100),
    ]

    names = [one.id for one in ordered(cards, 0)]
    assert names == ["later", "late", "risky", "calm", "half"]
    assert urgency(cards[1], 0) == 499 * SECOND_US // 5


async def test_equal_ones_go_by_age(card: HoldCard) -> None:
    """Ids sort by the time they were given."""
    cards = [with_left(card, name, 10, 0) for name in ("b", "c", "a")]
    assert [one.id for one in ordered(cards, 0)] == ["a", "b", "c"]


async def test_a_queue_is_narrowed_by_stage_rule_and_whose(card: HoldCard) -> None:
    """All that was asked for has to fit."""
    assert meets(card, REVIEWER, Wanted())
    assert meets(card, REVIEWER, Wanted("request", "sekisho.hold.salary", mine=False))
    assert not meets(card, REVIEWER, Wanted("response"))
    assert not meets(card, REVIEWER, Wanted(rule="sekisho.hold"))
    assert not meets(card, REVIEWER, Wanted(mine=True))
    assert meets(card, STAFF, Wanted(mine=True))


async def test_pages_hold_each_open_hold_once(desk: Desk) -> None:
    """In one order, although time goes on between the pages and others are decided."""
    views = [await desk.file(f"text {n}", risk=n * 9) for n in range(7)]
    seen: list[str] = []
    after = ""
    while True:
        part = await page(desk.store, REVIEWER, Wanted(), after=after, limit=2)
        seen += [card.id for card in part.cards]
        if len(seen) == 2:
            # The hold at which the cursor stands is decided: the next page begins behind it.
            gone = next(view for view in views if view.hold.id == seen[1])
            await desk.review(gone, REVIEWER, "deny")
        after = part.after
        if not after:
            break

    assert seen == [view.hold.id for view in reversed(views)]


@pytest.mark.parametrize("after", ["x", "1.2.hold_", "1.2.3", "1.2.hold_" + "0" * 32 + "\n"])
async def test_a_cursor_of_ones_own_making_is_refused(desk: Desk, after: str) -> None:
    """It is said what was wrong."""
    with pytest.raises(BadRequest) as raised:
        await page(desk.store, REVIEWER, Wanted(), after=after, limit=2)
    assert raised.value.code == "bad_cursor"


async def test_nobody_sees_what_is_not_theirs(desk: Desk) -> None:
    """Reviewers what they may decide, everybody else their own; a scope takes away."""
    await desk.file()
    secret = (Threshold("security", 1, 1),)
    other = await desk.file("other", principal=STRANGER, thresholds=secret)
    officer = person("officer-1", groups=("security",))

    def listed(cards: list[HoldCard]) -> set[str]:
        return {card.principal for card in cards}

    assert listed(await queue.seen_cards(desk.store, REVIEWER)) == {STAFF.id}
    assert listed(await queue.seen_cards(desk.store, officer)) == {STRANGER.id}
    assert listed(await queue.seen_cards(desk.store, STRANGER)) == {other.hold.principal}
    narrow = replace(REVIEWER, scopes=frozenset({Scope.SELF}))
    assert await queue.seen_cards(desk.store, narrow) == []


async def test_by_default_a_queue_has_what_waits_for_the_reader(desk: Desk) -> None:
    """What waits for others first is there on demand; one's own always."""
    asked = (Threshold("security", 1, 1), Threshold("reviewer", 1, 1, 2))
    view = await desk.file(thresholds=asked)
    for who, usual in ((REVIEWER, 0), (person("o", groups=("security",)), 1), (STAFF, 1)):
        found = await page(desk.store, who, Wanted(), limit=9)
        every = await page(desk.store, who, Wanted(any_turn=True), limit=9)
        assert (len(found.cards), len(every.cards)) == (usual, 1)
    await desk.approve(view, person("o", groups=("security",)))
    assert len((await page(desk.store, REVIEWER, Wanted(), limit=9)).cards) == 1
    late = await page(desk.store, person("p", groups=("security",)), Wanted(), limit=9)
    assert late.cards == []
