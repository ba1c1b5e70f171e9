"""Whom a hold has to be told to by now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sekisho.holding.moments import Outstanding, Schedule, outstanding
from sekisho.holding.outbox import Changed
from sekisho.model.decision import Threshold
from sekisho.model.hold import HoldCard, HoldState
from sekisho.model.notification import Channel

S = 1_000_000
BEGAN_US = 1_795_000_000 * S
CARD = HoldCard(
    id="hold_1",
    state=HoldState.PENDING,
    exchange="e",
    version=1,
    stage="tool_call",
    principal="staff-7",
    person="staff-7",
    endpoint="chat.completions",
    model="canary-model",
    backend="demo",
    stream=False,
    revision="sha256:00",
    rules=("packs.finance.payments",),
    thresholds=(Threshold("reviewer", 1, 1), Threshold("legal", 1, 1)),
    risk=60,
    created_us=BEGAN_US,
    expires_us=BEGAN_US + 1000 * S,
    outgoing_bytes=9,
    groups=("sales",),
)
DESK = Channel("desk", groups=frozenset({"reviewer"}))
LEGAL = Channel("legal", groups=frozenset({"legal", "reviewer"}))
OTHER = Channel("other", groups=frozenset({"finance"}))
LEADS = Channel("leads", escalation_of=frozenset({"reviewer"}))
SALES = Channel("sales", requesters=frozenset({"sales"}))
EVERY = (DESK, LEGAL, OTHER, LEADS, SALES)


def at(seconds: float, told: set[str] | None = None, card: HoldCard = CARD) -> Outstanding:
    changed = Changed(card, frozenset(told or set()))
    return outstanding(changed, EVERY, Schedule(), BEGAN_US + int(seconds * S))


def said(found: Outstanding) -> list[tuple[str, str]]:
    return [(one.moment.value, one.channel) for one in found.notifications]


def test_reviewers_are_told_at_once_and_once() -> None:
    """Each channel of a group that is asked, however many of its groups are; nobody else."""
    first = at(0)
    assert said(first) == [("filed", "desk"), ("filed", "legal")]
    assert first.again_us == BEGAN_US + 500 * S
    assert said(at(1, set(first.told))) == []


HEAD = Channel("head", groups=frozenset({"head"}))


def test_who_relieves_them_is_told_when_it_is_time() -> None:
    """At the moment that the hold is bound to, with the next group; or when a later step opens."""
    first = Threshold("reviewer", 1, 1, relief=("head",))
    card = replace(CARD, thresholds=(first,), relief_us=BEGAN_US + 600 * S)
    every = (*EVERY, HEAD)

    def told(seconds: float, marks: set[str], of: HoldCard = card) -> list[tuple[str, str]]:
        changed = Changed(of, frozenset(marks))
        return said(outstanding(changed, every, Schedule(), BEGAN_US + int(seconds * S)))

    assert told(599, {"filed-1", "reminder"}) == []
    assert told(600, {"filed-1", "reminder"}) == [("escalation", "leads"), ("escalation", "head")]
    later = replace(card, thresholds=(first, replace(first, step=2)), open_step=2)
    marks = {"filed-1", "reminder", "escalation"}
    assert told(599, marks, later) == [("filed", "desk"), ("filed", "legal")]
    assert ("filed", "head") in told(601, marks, later)


def test_what_is_asked_anew_is_told_of_like_another_hold() -> None:
    """It has a time of its own: reminder, escalation and end are told again, as other messages."""
    told = {"filed-1", "reminder", "escalation", "settled"}
    anew = replace(CARD, version=2, asked_anew=True)
    first = at(0, told, anew)
    assert said(first) == [("filed", "desk"), ("filed", "legal")]
    half = at(500, set(first.told), anew)
    assert said(half) == [("reminder", "desk"), ("reminder", "legal")]
    late = at(750, set(half.told), anew)
    assert said(late) == [("escalation", "leads")]
    over = replace(anew, state=HoldState.EXPIRED)
    end = at(1000, set(late.told), over)
    assert [(one.moment.value, one.state) for one in end.notifications] == [("settled", "expired")]
    assert said(at(1001, set(end.told), over)) == []
    before = at(500, {"filed-1"})
    assert {one.id for one in before.notifications}.isdisjoint(one.id for one in half.notifications)


def test_reviewers_are_reminded_at_half_time_and_the_next_group_told_later() -> None:
    """And then nothing more comes by itself."""
    half = at(500, {"filed-1"})
    assert said(half) == [("reminder", "desk"), ("reminder", "legal")]
    assert half.again_us == BEGAN_US + 750 * S
    late = at(750, set(half.told))
    assert said(late) == [("escalation", "leads")]
    assert late.again_us is None
    assert said(at(900, set(late.told))) == []


def test_what_was_missed_is_said_in_one_word() -> None:
    """Nobody could look until now: reviewers get one message, the next group theirs."""
    assert said(at(800)) == [("filed", "desk"), ("filed", "legal"), ("escalation", "leads")]
    assert said(at(801, set(at(800).told))) == []


def test_a_new_version_is_told_again_and_its_reminders_are_not() -> None:
    """Reviews given before count for nothing, so reviewers have to know."""
    told = {"filed-1", "reminder"}
    again = at(600, told, replace(CARD, version=2))
    assert said(again) == [("filed", "desk"), ("filed", "legal")]
    first, second = at(0), at(0, card=replace(CARD, version=2))
    assert {one.id for one in first.notifications}.isdisjoint(
        one.id for one in second.notifications
    )


def test_nobody_is_told_before_whoever_asked_has_said_why() -> None:
    """Reviewers could do nothing; without reviewers there is nobody to tell at all."""
    waits = replace(CARD, justify=True)
    assert said(at(0, card=waits)) == []
    assert at(0, card=waits).told == frozenset()
    assert said(at(1, card=replace(waits, justified=True)))
    assert said(at(600, card=replace(waits, thresholds=()))) == []


IN_ORDER = replace(CARD, thresholds=(Threshold("legal", 1, 1, 2), Threshold("finance", 1, 1)))
SECOND = replace(IN_ORDER, open_step=2)


def test_reviewers_are_told_when_their_step_opens() -> None:
    """Once, and not before; those of the step before hear nothing of it."""
    first = at(0, card=IN_ORDER)
    assert said(first) == [("filed", "other")]
    assert said(at(1, set(first.told), IN_ORDER)) == []
    second = at(2, set(first.told), SECOND)
    assert said(second) == [("filed", "legal")]
    assert said(at(3, set(second.told), SECOND)) == []
    ids = [one.id for one in (*first.notifications, *second.notifications)]
    assert len(set(ids)) == 2


def test_a_step_of_a_new_version_opens_again() -> None:
    """An edit voids all steps, so each is told anew."""
    told = set(at(0, set(at(0, card=IN_ORDER).told), SECOND).told)
    again = at(1, told, replace(IN_ORDER, version=2))
    assert said(again) == [("filed", "other")]
    assert said(at(2, set(again.told), replace(SECOND, version=2))) == [("filed", "legal")]


def test_whose_turn_it_is_is_reminded() -> None:
    """Also where that step opened before half of the time was over."""
    told = set(at(1, set(at(0, card=IN_ORDER).told), SECOND).told)
    assert said(at(500, told, SECOND)) == [("reminder", "legal")]


def test_a_step_that_opens_late_is_told_in_one_word() -> None:
    """It needs no reminder in the same moment."""
    told = set(at(0, card=IN_ORDER).told)
    late = at(600, told, SECOND)
    assert said(late) == [("filed", "legal")]
    assert said(at(601, set(late.told), SECOND)) == []


def test_channels_that_rules_named_hear_of_a_hold_once() -> None:
    """Not of each of its steps, but of its end."""
    named = replace(IN_ORDER, notify=("desk",))
    first = at(0, card=named)
    assert said(first) == [("filed", "desk"), ("filed", "other")]
    assert said(at(1, set(first.told), replace(named, open_step=2))) == [("filed", "legal")]


def test_an_order_without_a_first_step_is_told_from_its_lowest() -> None:
    """Rules may leave numbers out."""
    odd = replace(IN_ORDER, thresholds=(Threshold("legal", 1, 1, 3),), open_step=3)
    assert said(at(0, card=odd)) == [("filed", "legal")]
    assert at(0, card=odd).told == {"filed-1"}


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ("approved", "approved"),
        ("dispatching", "approved"),
        ("ready", "approved"),
        ("delivered", "approved"),
        ("denied", "denied"),
        ("expired", "expired"),
        ("withdrawn", "withdrawn"),
        ("failed", "failed"),
        ("unknown", "unknown"),
    ],
)
def test_whoever_asked_is_told_how_it_ended(state: str, word: str) -> None:
    """Once, over a channel of their group; reviewers who were never told are not told now."""
    ended = at(10, set(), replace(CARD, state=HoldState(state)))
    assert said(ended) == [("settled", "sales")]
    assert (ended.notifications[0].state, ended.again_us) == (word, None)
    assert said(at(11, set(ended.told), replace(CARD, state=HoldState.READY))) == []


def test_channels_that_rules_named_are_told_like_reviewers_and_how_it_ended() -> None:
    """Whatever their groups are."""
    named = replace(CARD, notify=("other",))
    assert ("filed", "other") in said(at(0, card=named))
    ended = replace(named, state=HoldState.DENIED)
    assert said(at(0, card=ended)) == [("settled", "other"), ("settled", "sales")]


def test_a_decision_on_its_way_is_still_open() -> None:
    """Also then reviewers are told: more of them may be needed."""
    assert said(at(0, card=replace(CARD, state=HoldState.DECIDING)))


def test_ids_are_the_same_whenever_they_are_made() -> None:
    """So a store that lost what was told sends doubles that receivers know."""
    assert [one.id for one in at(0).notifications] == [one.id for one in at(9).notifications]
    assert len({one.id for one in (*at(0).notifications, *at(800).notifications)}) == 3


def test_a_notification_holds_neither_person_nor_model() -> None:
    """Only what it takes to decide whether to look."""
    assert "staff-7" not in repr(at(0))
    assert "canary" not in repr(at(0))


def test_the_parts_of_its_time_can_be_set() -> None:
    """In percent."""
    found = outstanding(Changed(CARD), EVERY, Schedule(10, 20), BEGAN_US)
    assert found.again_us == BEGAN_US + 100 * S


def test_in_office_time_people_are_reminded_in_office_hours() -> None:
    """Eight hours from a Friday at 17:00: half of them is over on Monday at 10."""
    friday_us = 1_764_349_200_000_000  # 2025-11-28 17:00 UTC; the office is open from 8 to 19
    hour_us = 3600 * S
    ends_us = friday_us + (61 + 2 + 6) * hour_us
    card = replace(CARD, created_us=friday_us, expires_us=ends_us, office_s=8 * 3600)
    schedule = Schedule()

    assert friday_us + (63 + 2) * hour_us == schedule.at_us(card, 50)
    assert friday_us + (63 + 4) * hour_us == schedule.at_us(card, 75)
    assert ends_us == schedule.at_us(card, 100)
    found = outstanding(Changed(card), EVERY, schedule, friday_us + 40 * hour_us)
    assert [("filed", "desk"), ("filed", "legal")] == said(found)
    assert friday_us + (63 + 2) * hour_us == found.again_us
