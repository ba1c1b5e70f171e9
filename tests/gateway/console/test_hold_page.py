from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from sekisho.console.hold_page import Masked, Seats, hold_page
from sekisho.model.decision import Threshold
from sekisho.model.hold import Hold, HoldState, HoldView, Justification, Review
from sekisho.model.principal import Principal, Role, Scope
from support.holds import REVIEWER, REVIEWER_2, STAFF, TWO_REVIEWS, person

NOW_US = 50_000_000
HOLD = Hold(
    id="hold_1",
    exchange="x",
    version=1,
    stage="request",
    principal="staff-7",
    person="staff-7",
    groups=(),
    roles=(),
    endpoint="chat.completions",
    model="m",
    backend="b",
    stream=False,
    revision="sha256:0",
    rules=("r",),
    reasons=("Because.",),
    thresholds=(Threshold("reviewer", 1, 1),),
    risk=10,
    created_us=0,
    expires_us=100_000_000,
    wait_until_us=0,
    binding="b" * 64,
    outgoing=b'{"messages":[{"role":"user","content":"hello"}]}',
    facts=b'{"content":{"entities":{},"labels":[]}}',
    received_event="e",
)
CALLS = {
    "choices": [
        {"message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}}
    ]
}


def view(
    state: HoldState = HoldState.PENDING, reviews: tuple[Review, ...] = (), **hold: Any
) -> HoldView:
    """A hold in this state with these members."""
    return HoldView(replace(HOLD, **hold), state, reviews)


def said(decision: str, reviewer: str = "reviewer-1", version: int = 1) -> Review:
    """A recorded answer."""
    return Review("r", "hold_1", version, reviewer, reviewer, decision, "", "b", 1, ("reviewer",))


def test_a_reviewer_may_decide_and_who_asked_may_withdraw() -> None:
    """Not the other way round."""
    theirs = hold_page(view(), REVIEWER, NOW_US)
    own = hold_page(view(), STAFF, NOW_US)

    assert (theirs.may_decide, theirs.may_approve, theirs.may_withdraw, theirs.own) == (
        *(True, True, False, False),
    )
    assert (own.may_decide, own.may_approve, own.may_withdraw, own.own) == (
        *(False, False, True, True),
    )
    assert (theirs.left_s, theirs.expires) == (50, 100)


IN_ORDER = (Threshold("reviewer", 1, 1, 2), Threshold("security", 1, 1))
OFFICER = person("staff-9", groups=("security",))


def at_step(who: str, step: int, group: str, decision: str = "approve") -> Review:
    """An answer at a step."""
    return replace(said(decision, who), id=who, step=step, counts_for=(group,))


def test_one_step_after_the_other() -> None:
    """Done, now, ahead: with who answered at it, and instead of one number for each group."""
    before = hold_page(view(thresholds=IN_ORDER), REVIEWER, NOW_US)
    first = at_step("staff-9", 1, "security")
    after = hold_page(view(reviews=(first,), thresholds=IN_ORDER), REVIEWER, NOW_US)

    assert [(one.number, one.standing) for one in before.steps] == [(1, "now"), (2, "ahead")]
    assert [(one.number, one.standing) for one in after.steps] == [(1, "done"), (2, "now")]
    assert after.steps[0].reviews == (first,)
    assert after.steps[0].seats == (Seats("security", 1, 1),)
    assert (before.seats, after.seats) == ((), ())
    assert hold_page(view(), REVIEWER, NOW_US).steps == ()


def test_whose_turn_it_is_not_is_told_so_and_offered_nothing() -> None:
    """Whoever is asked later, and whoever was asked before and did not answer."""
    waits = hold_page(view(thresholds=IN_ORDER), REVIEWER, NOW_US)
    assert (waits.may_decide, waits.may_approve, waits.others_turn) == (False, False, True)
    first = hold_page(view(thresholds=IN_ORDER), OFFICER, NOW_US)
    assert (first.may_decide, first.others_turn) == (True, False)
    reviews = (at_step("staff-8", 1, "security"),)
    late = hold_page(view(reviews=reviews, thresholds=IN_ORDER), OFFICER, NOW_US)
    assert (late.may_decide, late.others_turn) == (False, True)
    done = hold_page(
        view(reviews=reviews, thresholds=IN_ORDER), person("staff-8", groups=("security",)), NOW_US
    )
    assert (done.answered, done.others_turn) == ("approve", False)
    own = hold_page(view(thresholds=IN_ORDER), STAFF, NOW_US)
    assert own.others_turn is False


def test_what_ended_waits_for_nobody() -> None:
    """A denial is said at its step, and what was not asked then is not asked any more."""
    reviews = (at_step("staff-9", 1, "security", "deny"),)
    page = hold_page(view(HoldState.DENIED, reviews, thresholds=IN_ORDER), REVIEWER, NOW_US)
    assert [one.standing for one in page.steps] == ["denied", "ahead"]
    gone = hold_page(view(HoldState.EXPIRED, thresholds=IN_ORDER), REVIEWER, NOW_US)
    assert [one.standing for one in gone.steps] == ["ahead", "ahead"]
    assert not gone.others_turn


@pytest.mark.parametrize(
    "reader",
    [
        replace(REVIEWER, scopes=frozenset({Scope.SELF})),
        Principal("robot", frozenset({Role.REVIEWER}), frozenset(), owner="reviewer-9"),
        person("staff-7", Role.REVIEWER),
        replace(REVIEWER, stands_in_for=frozenset({"staff-7"})),
    ],
)
def test_who_may_not_answer_is_offered_nothing(reader: Principal) -> None:
    """Another key, a service account, who asked, and who stands in for them."""
    assert not hold_page(view(), reader, NOW_US).may_decide


@pytest.mark.parametrize("state", sorted(set(HoldState) - {HoldState.PENDING, HoldState.DECIDING}))
def test_what_ended_is_not_decided_again(state: HoldState) -> None:
    """Nor withdrawn."""
    assert not hold_page(view(state), REVIEWER, NOW_US).may_decide
    assert not hold_page(view(state), STAFF, NOW_US).may_withdraw


def test_a_version_is_answered_once_by_each() -> None:
    """An answer to the version before does not count."""
    both = view(reviews=(said("approve"),), thresholds=TWO_REVIEWS)
    assert hold_page(both, REVIEWER, NOW_US).answered == "approve"
    assert not hold_page(both, REVIEWER, NOW_US).may_decide
    assert hold_page(both, REVIEWER_2, NOW_US).may_decide
    assert hold_page(both, REVIEWER_2, NOW_US).seats == (Seats("reviewer", 1, 2),)

    newer = view(reviews=(said("approve"),), thresholds=TWO_REVIEWS, version=2)
    assert hold_page(newer, REVIEWER, NOW_US).may_decide
    assert hold_page(newer, REVIEWER, NOW_US).seats == (Seats("reviewer", 0, 2),)


def test_an_editor_does_not_approve_what_they_wrote() -> None:
    """What they only took something out of they may."""
    assert not hold_page(view(editor="reviewer-1"), REVIEWER, NOW_US).may_approve
    assert hold_page(view(editor="reviewer-1", narrowed=True), REVIEWER, NOW_US).may_approve
    assert hold_page(view(editor="reviewer-1"), REVIEWER_2, NOW_US).may_approve


def test_without_the_reason_that_rules_want_nothing_is_approved() -> None:
    """Who asked gives it, a service account does not."""
    waiting = view(justify=True)
    assert not hold_page(waiting, REVIEWER, NOW_US).may_approve
    assert hold_page(waiting, REVIEWER, NOW_US).may_decide
    assert hold_page(waiting, STAFF, NOW_US).may_justify
    robot = Principal("staff-7", frozenset(), frozenset(), owner="boss")
    assert not hold_page(waiting, robot, NOW_US).may_justify

    given = replace(waiting, justification=Justification("j", "hold_1", 1, "staff-7", "w", "b", 1))
    assert hold_page(given, REVIEWER, NOW_US).may_approve
    assert not hold_page(given, STAFF, NOW_US).may_justify


@pytest.mark.parametrize("stage", ["response", "tool_call"])
def test_a_held_answer_is_nowhere_in_the_page_of_who_asked(stage: str) -> None:
    """Nor what was changed in it, nor that something is hidden in it."""
    held = view(
        stage=stage,
        outgoing=orjson.dumps({"choices": [{"message": {"content": "secret\u202e"}}]}),
        before=b'{"old":"secret"}',
        editor="reviewer-1",
    )
    own = hold_page(held, STAFF, NOW_US)

    assert (own.bound, own.changes, own.hidden, own.may_edit) == (None, (), 0, False)
    assert hold_page(held, REVIEWER, NOW_US).changes
    released = replace(held, state=HoldState.READY)
    assert hold_page(released, STAFF, NOW_US).bound is not None


def test_calls_can_be_changed_by_who_may_decide() -> None:
    """And there are none in a request."""
    calls = {"stage": "tool_call", "outgoing": orjson.dumps(CALLS)}
    assert hold_page(view(**calls), REVIEWER, NOW_US).may_edit
    assert not hold_page(view(**calls), STAFF, NOW_US).may_edit
    assert not hold_page(view(), REVIEWER, NOW_US).may_edit


def test_hidden_characters_count_also_where_they_are_escaped() -> None:
    """JSON can write them so that the bytes are plain."""
    body = b'{"messages":[{"role":"user","content":"a\\u202eb p\\u0430y"}],"na\\u200bme":1}'
    page = hold_page(view(outgoing=body), REVIEWER, NOW_US)
    assert (page.hidden, page.mixed) == (2, 1)


def test_what_was_found_stands_beside_what_was_masked() -> None:
    """Of several documents the largest figure; labels once."""
    facts = [
        {"content": {"entities": {"email": 2, "iban": 1}, "labels": ["a", "b"]}},
        {"content": {"entities": {"email": 1}, "labels": ["b"]}},
    ]
    body = b'{"messages":[{"content":"[EMAIL] and [EMAIL]"}]}'
    page = hold_page(view(outgoing=body, facts=orjson.dumps(facts)), REVIEWER, NOW_US)

    assert page.masked == (Masked("email", 2, 2), Masked("iban", 1, 0))
    assert page.masks == {"email"}
    assert page.labels == ("a", "b")


@pytest.mark.parametrize(
    "facts", [b"", b"x", b"5", b'{"content":5}', b'[{"content":{"labels":1}}]']
)
def test_facts_of_an_odd_form_are_left_out(facts: bytes) -> None:
    """The page comes all the same."""
    page = hold_page(view(facts=facts), REVIEWER, NOW_US)
    assert (page.masked, page.labels) == ((), ())


def test_a_high_risk_wants_a_reason() -> None:
    """As the review itself does."""
    assert [hold_page(view(risk=r), REVIEWER, NOW_US).reason_needed for r in (39, 40)] == [
        *(False, True),
    ]


@pytest.mark.parametrize(
    ("hold", "told"),
    [
        ({}, "pending"),
        ({"justify": True}, "unjustified"),
        ({"background": True}, "pending"),
        ({"background": True, "thresholds": ()}, "alone"),
        ({"version": 2, "asked_anew": True}, "anew"),
        ({"state": HoldState.DENIED, "justify": True}, "denied"),
    ],
)
def test_who_asked_is_told_what_it_waits_for(hold: dict[str, Any], told: str) -> None:
    """People, their own reason, or nobody."""
    assert hold_page(view(**hold), STAFF, NOW_US).standing == told


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        (HoldState.PENDING, True),
        (HoldState.WITHDRAWN, True),
        (HoldState.EXPIRED, True),
        (HoldState.DECIDING, False),
        (HoldState.DENIED, False),
        (HoldState.READY, False),
    ],
)
def test_who_may_go_on_in_an_emergency_is_shown_how(state: HoldState, offered: bool) -> None:
    """Where nobody answered, and for one's own requests alone."""
    chief = person("staff-7", Role.BREAK_GLASS)
    other = person("reviewer-1", Role.REVIEWER, Role.BREAK_GLASS)

    assert hold_page(view(state), chief, NOW_US).emergency == offered
    for reader in (STAFF, other):
        assert not hold_page(view(state), reader, NOW_US).emergency
    assert not hold_page(view(state, rules=()), chief, NOW_US).emergency
    assert not hold_page(view(state, principal="robot-7"), chief, NOW_US).emergency
