"""Holds: filed as policy asked, reviewed by others, approved by enough, used and delivered once."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.hold_rules import APPROVAL_LATE_US
from sekisho_audit.standing import RuleBroken
from support.scribe import Scribe, broken, decide, opened


@pytest.fixture
def scribe() -> Scribe:
    return opened()


EXPIRES_US = 1_000_000
TWO_GROUPS = [
    {"reviewers": "reviewer", "approve": 1, "deny": 1},
    {"reviewers": "security", "approve": 1, "deny": 1},
]
TWO_OF_ONE = [{"reviewers": "reviewer", "approve": 2, "deny": 2}]
NAMED = {"hold": "h", "version": 1, "binding": "b"}


class Held:
    """A hold of p-1, and what people say about it."""

    def __init__(self, scribe: Scribe, thresholds: list[dict[str, Any]], **more: Any) -> None:
        self.scribe = scribe
        decide(scribe, "x", "hold", hold={"stage": "request"})
        terms = {"stage": "request", "expires_us": EXPIRES_US, "backend": "local", **more}
        scribe.write("hold.filed", "x", **NAMED, thresholds=thresholds, **terms)
        self.reviews: list[str] = []

    def leaf(self, who: str, decision: str = "approve", **more: Any) -> dict[str, Any]:
        leaf = self.scribe.leaf("hold.review", "x", **NAMED, decision=decision, **more)
        return leaf | {"actor": who}

    def say(self, who: str, decision: str = "approve", **more: Any) -> None:
        leaf = self.leaf(who, decision, **more)
        self.scribe.take(leaf)
        self.reviews.append(leaf["id"])

    def refused(self, who: str, decision: str = "approve", **more: Any) -> str:
        with pytest.raises(RuleBroken) as caught:
            self.scribe.book.apply(self.leaf(who, decision, **more))
        return caught.value.code

    def settled(self, *reviews: str) -> dict[str, Any]:
        return {**NAMED, "state": "approved", "reviews": list(reviews or self.reviews)}

    def approve_at(self, ts: int) -> None:
        leaf = self.scribe.leaf("hold.settled", "x", **self.settled()) | {"ts": ts}
        self.scribe.book.apply(leaf)


def test_one_person_does_not_fill_two_thresholds(scribe: Scribe) -> None:
    """Two groups asked for are two people, also if one person is in both."""
    held = Held(scribe, TWO_GROUPS)
    held.say("p-2", counts_for=["reviewer", "security"])
    assert broken(scribe, "hold.settled", "x", **held.settled()) == "unreviewed_approval"
    held.say("p-3", counts_for=["security"])
    scribe.write("hold.settled", "x", **held.settled())


@pytest.mark.parametrize("cited", [True, False])
def test_enough_denials_stand_against_an_approval(scribe: Scribe, cited: bool) -> None:
    """Also if the settlement cites only those who approve."""
    held = Held(scribe, [{"reviewers": "reviewer", "approve": 1, "deny": 1}])
    held.say("p-2", "deny")
    held.say("p-3")
    told = held.reviews if cited else held.reviews[1:]
    assert broken(scribe, "hold.settled", "x", **held.settled(*told)) == "denied_approval"


def test_fewer_denials_than_asked_for_do_not(scribe: Scribe) -> None:
    """With two denials needed, one is outvoted."""
    held = Held(scribe, TWO_OF_ONE)
    held.say("p-2", "deny")
    held.say("p-3")
    held.say("p-4")
    scribe.write("hold.settled", "x", **held.settled())


def test_silence_never_approves(scribe: Scribe) -> None:
    """After its time a hold is not approved; what was decided in time may be written just after."""
    held = Held(scribe, [{"reviewers": "reviewer", "approve": 1, "deny": 1}])
    held.say("p-2")
    with pytest.raises(RuleBroken, match="time to approve"):
        held.approve_at(EXPIRES_US + APPROVAL_LATE_US + 1)
    held.approve_at(EXPIRES_US + APPROVAL_LATE_US)


def test_late_denial_is_taken(scribe: Scribe) -> None:
    """Only an approval can come too late: every other end lets nothing through."""
    held = Held(scribe, [{"reviewers": "reviewer", "approve": 1, "deny": 1}])
    settled = {**held.settled(), "state": "expired", "reviews": []}
    leaf = scribe.leaf("hold.settled", "x", **settled) | {"ts": EXPIRES_US * 1_000}
    scribe.book.apply(leaf)


def test_later_allow_does_not_free_a_held_exchange(scribe: Scribe) -> None:
    """What policy once wanted people to see is sent with their approval or not at all."""
    decide(scribe, "x", "hold", hold={"stage": "request"})
    decide(scribe, "x", "allow")
    assert broken(scribe, "backend.intent", "x", session="s-1") == "unapproved_intent"


def test_filed_hold_binds_its_exchange(scribe: Scribe) -> None:
    """Also when the decision that led to it said allow, or was forgotten."""
    decide(scribe, "x", "allow")
    terms = {"stage": "request", "expires_us": 9, "backend": "local", "thresholds": TWO_OF_ONE}
    scribe.write("hold.filed", "x", **NAMED, **terms)
    scribe.book.decided.clear()
    decide(scribe, "x", "allow")
    assert broken(scribe, "backend.intent", "x", session="s-1") == "unapproved_intent"


def test_approved_exchange_is_decided_again_and_sent(scribe: Scribe) -> None:
    """The line as the gateway walks it: hold, approval, allow, intent that names the hold."""
    held = Held(scribe, [{"reviewers": "reviewer", "approve": 1, "deny": 1}])
    held.say("p-2")
    scribe.write("hold.settled", "x", **held.settled())
    decide(scribe, "x", "allow")
    scribe.write("backend.intent", "x", session="s-1", backend="local", **NAMED)


def test_forgotten_holds_leave_nothing_behind(scribe: Scribe) -> None:
    """What is kept for a hold goes with it."""
    Held(scribe, TWO_OF_ONE)
    scribe.book.forget_holds(EXPIRES_US + 1)
    assert (scribe.book.holds, scribe.book.held) == ({}, {})


# -- delegates


@pytest.mark.parametrize(
    ("who", "seat"), [("p-1", "p-2"), ("p-2", "p-1"), ("p-9", "p-2"), ("p-2", "p-9")]
)
def test_nobody_reviews_through_a_delegate(scribe: Scribe, who: str, seat: str) -> None:
    """Neither speaker nor seat may be the requester p-1 or the person p-9 behind it."""
    held = Held(scribe, TWO_OF_ONE, person="p-9")
    assert held.refused(who, person=seat) == "self_review"


SHARED = {
    "the seat of the first": ("p-2", None),
    "the delegate in their own name": ("p-3", None),
    "another delegate in that seat": ("p-4", "p-2"),
    "the delegate in another seat": ("p-3", "p-4"),
    "the first as delegate of somebody": ("p-2", "p-4"),
    "somebody in the delegate's seat": ("p-4", "p-3"),
}


@pytest.mark.parametrize("story", SHARED)
def test_delegate_and_seat_are_one_human(scribe: Scribe, story: str) -> None:
    """After p-3 spoke in the seat of p-2, neither is heard again, under whatever name."""
    held = Held(scribe, TWO_OF_ONE)
    held.say("p-3", person="p-2")
    who, seat = SHARED[story]
    more = {} if seat is None else {"person": seat}
    assert held.refused(who, **more) == "second_review"
    assert broken(scribe, "hold.settled", "x", **held.settled()) == "unreviewed_approval"


def test_two_delegates_in_two_seats_are_two(scribe: Scribe) -> None:
    """Four people, two reviews, nobody in both."""
    held = Held(scribe, TWO_OF_ONE)
    held.say("p-3", person="p-2")
    held.say("p-5", person="p-4")
    scribe.write("hold.settled", "x", **held.settled())


# -- what policy asked for


def asked(scribe: Scribe, thresholds: Any, effect: str = "hold") -> None:
    decide(scribe, "x", effect, hold={"stage": "request", "thresholds": thresholds})


TERMS = {"stage": "request", "expires_us": EXPIRES_US, "backend": "local"}
ONE = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]


@pytest.mark.parametrize("filed", [ONE, TWO_OF_ONE, [*TWO_GROUPS, *ONE], TWO_GROUPS[::-1]])
def test_hold_asks_for_the_reviews_that_policy_asked_for(scribe: Scribe, filed: Any) -> None:
    """Neither fewer people nor others; a later allow does not free the filing."""
    asked(scribe, TWO_GROUPS)
    decide(scribe, "x", "allow")
    terms = {**NAMED, **TERMS, "thresholds": filed}
    assert broken(scribe, "hold.filed", "x", **terms) == "undecided_hold"
    scribe.write("hold.filed", "x", **{**terms, "thresholds": TWO_GROUPS})


def approved(scribe: Scribe) -> None:
    """A hold of two reviewers that both approved."""
    held = Held(scribe, TWO_OF_ONE)
    held.say("p-2")
    held.say("p-3")
    scribe.write("hold.settled", "x", **held.settled())


MORE = {
    "one more of them": [{"reviewers": "reviewer", "approve": 3, "deny": 1}],
    "another group": [{"reviewers": "security", "approve": 1, "deny": 1}],
    "nothing that reads": [{"reviewers": ["reviewer"], "approve": 1}],
    "no number": [{"reviewers": "reviewer", "approve": True}],
    "no list": "reviewer",
    "no object": ["reviewer"],
}


@pytest.mark.parametrize("story", MORE)
def test_approval_is_used_only_if_policy_wants_no_more(scribe: Scribe, story: str) -> None:
    """Asked again after the approval, policy may hold again, for what people have given."""
    approved(scribe)
    asked(scribe, MORE[story])
    use = {**NAMED, "session": "s-1", "backend": "local"}
    assert broken(scribe, "backend.intent", "x", **use) == "unapproved_intent"
    asked(scribe, ONE)
    scribe.write("backend.intent", "x", **use)


def test_only_an_approved_and_answered_hold_is_delivered(scribe: Scribe) -> None:
    """Nothing reaches a requester that people did not let pass, nor before its outcome."""
    held = Held(scribe, ONE)
    assert broken(scribe, "hold.delivered", "x", hold="h") == "unapproved_delivery"
    held.say("p-2")
    scribe.write("hold.settled", "x", **held.settled())
    assert broken(scribe, "hold.delivered", "x", hold="h") == "unapproved_delivery"
    sent = scribe.write("backend.intent", "x", session="s-1", backend="local", **NAMED)
    assert broken(scribe, "hold.delivered", "x", hold="h") == "unapproved_delivery"
    scribe.write("backend.outcome", "x", intent=sent["id"], status="failed")
    assert broken(scribe, "hold.delivered", "y", hold="h") == "unknown_hold"
    scribe.write("hold.delivered", "x", hold="h")


@pytest.mark.parametrize("state", ["denied", "expired", "withdrawn"])
def test_answer_of_a_refused_hold_is_not_delivered(scribe: Scribe, state: str) -> None:
    Held(scribe, ONE)
    scribe.write("hold.settled", "x", **{**NAMED, "state": state, "reviews": []})
    assert broken(scribe, "hold.delivered", "x", hold="h") == "unapproved_delivery"


def test_approval_is_of_one_principal_backend_and_bytes(scribe: Scribe) -> None:
    """Whoever changes any of them uses an approval that nobody gave."""
    approved(scribe)
    use = {**NAMED, "session": "s-1", "backend": "local"}
    for change in ({"version": 2}, {"binding": "c"}, {"backend": "other"}):
        assert broken(scribe, "backend.intent", "x", **{**use, **change}) == "unapproved_intent"
    decide(scribe, "y")
    assert broken(scribe, "backend.intent", "y", **use) == "unapproved_intent"
    for change in ({"principal": "p-2"}, {"pl": [{"name": "outgoing", "commit": "0"}]}):
        with pytest.raises(RuleBroken, match="exactly this exchange"):
            scribe.book.apply(scribe.leaf("backend.intent", "x", **use) | change)
    sent = scribe.write("backend.intent", "x", **use)
    scribe.write("backend.outcome", "x", intent=sent["id"], status="failed")
    assert broken(scribe, "backend.intent", "x", **use) == "duplicate_intent"


def test_hold_is_filed_again_in_a_higher_version_until_it_is_used(scribe: Scribe) -> None:
    """Reviews of the version before are void; a used hold, or one of others, stays as it is."""
    held = Held(scribe, ONE)
    held.say("p-2")
    terms = {**NAMED, **TERMS, "thresholds": ONE}
    assert broken(scribe, "hold.filed", "x", **terms) == "stale_hold"
    decide(scribe, "y", "hold", hold={"stage": "request"})
    assert broken(scribe, "hold.filed", "y", **{**terms, "version": 2}) == "hold_taken"
    scribe.write("hold.filed", "x", **{**terms, "version": 2})
    now = {**NAMED, "version": 2}
    assert held.refused("p-3") == "stale_review"
    settled = {**now, "state": "approved", "reviews": held.reviews}
    assert broken(scribe, "hold.settled", "x", **settled) == "unknown_review"
    said = scribe.leaf("hold.review", "x", **now, decision="approve") | {"actor": "p-2"}
    scribe.take(said)
    scribe.write("hold.settled", "x", **{**settled, "reviews": [said["id"]]})
    assert broken(scribe, "hold.settled", "x", **settled) == "hold_settled"
    scribe.write("backend.intent", "x", session="s-1", backend="local", **now)
    assert broken(scribe, "hold.filed", "x", **{**terms, "version": 3}) == "hold_taken"


REVIEWED = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
TERMS = {"stage": "request", "expires_us": EXPIRES_US, "backend": "local"}


def justify(scribe: Scribe, who: str = "p-1", **more: Any) -> None:
    """Somebody says why. Raises RuleBroken."""
    scribe.take(scribe.leaf("hold.justified", "x", **{**NAMED, **more}) | {"actor": who})


def unjustified(
    scribe: Scribe, thresholds: list[dict[str, Any]] | None = None, **more: Any
) -> Scribe:
    """A hold that waits for a reason; without thresholds for nothing else."""
    effect, hold = ("hold", {"hold": {"stage": "request"}}) if thresholds else ("allow", {})
    decide(scribe, "x", effect, justify=True, **hold)
    asked = {"thresholds": thresholds} if thresholds else {}
    scribe.write("hold.filed", "x", **NAMED, **TERMS, **asked, justify=True, **more)
    return scribe


def intent(scribe: Scribe, **named: Any) -> str | None:
    """Send it: None, or the code of the refusal."""
    leaf = scribe.leaf("backend.intent", "x", session="s-1", backend="local", **named)
    try:
        scribe.take(leaf)
    except RuleBroken as error:
        scribe.book.roll_back()
        return error.code
    return None


def refused_reason(scribe: Scribe, *who: str, **more: Any) -> str:
    with pytest.raises(RuleBroken) as caught:
        justify(scribe, *who, **more)
    scribe.book.roll_back()
    return caught.value.code


def test_what_wants_a_reason_is_sent_with_one(scribe: Scribe) -> None:
    """Given, settled, sent; nothing else was asked for."""
    unjustified(scribe)
    justify(scribe)
    scribe.write("hold.settled", "x", **NAMED, state="approved", reviews=[])
    assert intent(scribe, **NAMED) is None


@pytest.mark.parametrize("thresholds", [None, REVIEWED], ids=["alone", "with reviewers"])
def test_nothing_is_approved_or_sent_without_the_reason(
    scribe: Scribe, thresholds: list[dict[str, Any]] | None
) -> None:
    """Not by a settlement, not by a review, not around the hold."""
    unjustified(scribe, thresholds)
    settled = {**NAMED, "state": "approved", "reviews": []}
    assert broken(scribe, "hold.settled", "x", **settled) == "unjustified_approval"
    leaf = scribe.leaf("hold.review", "x", **NAMED, decision="approve") | {"actor": "p-2"}
    with pytest.raises(RuleBroken) as caught:
        scribe.book.apply(leaf)
    assert caught.value.code == "unjustified_review"
    assert intent(scribe, **NAMED) == "unapproved_intent"
    assert intent(scribe) == "unapproved_intent"


@pytest.mark.parametrize("asked", [True, "yes", 1, None])
def test_an_allow_that_wants_a_reason_lets_nothing_leave_by_itself(
    scribe: Scribe, asked: object
) -> None:
    """Whatever stands there but `false`; and a later word of policy takes it not back."""
    decide(scribe, "x", "allow", justify=asked)
    assert intent(scribe) == "unjustified_intent"
    decide(scribe, "x", "allow")
    assert intent(scribe) == "unjustified_intent"
    terms = {**NAMED, **TERMS, "thresholds": REVIEWED}
    assert broken(scribe, "hold.filed", "x", **terms) == "undecided_hold"


def test_a_decision_that_asks_for_none_needs_none(scribe: Scribe) -> None:
    decide(scribe, "x", "allow", justify=False)
    assert intent(scribe) is None


def test_rules_that_want_a_reason_of_an_approved_hold_stop_it(scribe: Scribe) -> None:
    """Reviewed without one, then policy asks for one: a review is none."""
    held = Held(scribe, REVIEWED)
    held.say("p-2")
    scribe.write("hold.settled", "x", **held.settled())
    decide(scribe, "x", "allow", justify=True)
    assert intent(scribe, **NAMED) == "unjustified_intent"


def test_the_reason_is_no_review(scribe: Scribe) -> None:
    """Where reviewers are asked, they are still missing; nor can it be cited as one."""
    unjustified(scribe, REVIEWED)
    justify(scribe)
    settled = {**NAMED, "state": "approved", "reviews": []}
    assert broken(scribe, "hold.settled", "x", **settled) == "unreviewed_approval"
    cited = {**settled, "reviews": [f"e-{scribe.index - 1}"]}
    assert broken(scribe, "hold.settled", "x", **cited) == "unknown_review"


def test_policy_that_held_it_is_not_satisfied_by_the_reason(scribe: Scribe) -> None:
    """A hold without reviewers cannot be filed where policy wanted some, nor used later."""
    decide(scribe, "x", "hold", justify=True, hold={"stage": "request"})
    terms = {**NAMED, **TERMS, "justify": True}
    assert broken(scribe, "hold.filed", "x", **terms) == "undecided_hold"


def test_rules_that_later_want_people_stop_it(scribe: Scribe) -> None:
    """The hold had none; whether the record tells which, or not."""
    unjustified(scribe)
    justify(scribe)
    scribe.write("hold.settled", "x", **NAMED, state="approved", reviews=[])
    decide(scribe, "x", "hold", hold={"stage": "request"})
    assert intent(scribe, **NAMED) == "unapproved_intent"
    decide(scribe, "x", "allow", justify=True)
    assert intent(scribe, **NAMED) == "unapproved_intent"


def test_a_hold_for_nothing_cannot_be_filed(scribe: Scribe) -> None:
    """Neither reviewers nor a reason: it would approve itself."""
    decide(scribe, "x", "allow")
    assert broken(scribe, "hold.filed", "x", **NAMED, **TERMS) == "undecided_hold"


@pytest.mark.parametrize("who", ["p-2", None])
def test_only_who_asked_can_say_why(scribe: Scribe, who: Any) -> None:
    unjustified(scribe)
    assert refused_reason(scribe, who) == "foreign_justification"


def test_an_owner_can_say_why(scribe: Scribe) -> None:
    """Whoever stands behind a service account."""
    unjustified(scribe, person="p-9")
    justify(scribe, "p-9")


def test_a_reason_is_given_once(scribe: Scribe) -> None:
    unjustified(scribe)
    justify(scribe)
    assert refused_reason(scribe) == "second_justification"


@pytest.mark.parametrize("other", [{"version": 2}, {"binding": "c"}, {"hold": "g"}])
def test_a_reason_is_for_this_hold_and_version(scribe: Scribe, other: dict[str, Any]) -> None:
    unjustified(scribe)
    wanted = "unknown_hold" if "hold" in other else "stale_review"
    assert refused_reason(scribe, **other) == wanted


def test_a_new_version_needs_a_new_reason(scribe: Scribe) -> None:
    """What was said of other bytes counts for nothing."""
    unjustified(scribe)
    justify(scribe)
    now = {**NAMED, "version": 2}
    scribe.write("hold.filed", "x", **now, **TERMS, justify=True)
    settled = {**now, "state": "approved", "reviews": []}
    assert broken(scribe, "hold.settled", "x", **settled) == "unjustified_approval"
    justify(scribe, version=2)


def test_a_reason_comes_before_the_end_and_is_asked_for(scribe: Scribe) -> None:
    held = Held(scribe, REVIEWED)
    assert refused_reason(scribe) == "unasked_justification"
    held.say("p-2", "deny")
    scribe.write("hold.settled", "x", **{**held.settled(), "state": "denied"})
    assert refused_reason(scribe) == "hold_settled"


def test_a_reason_does_not_make_an_approval_less_late(scribe: Scribe) -> None:
    unjustified(scribe)
    justify(scribe)
    settled = {**NAMED, "state": "approved", "reviews": []}
    late = scribe.leaf("hold.settled", "x", **settled) | {"ts": EXPIRES_US + APPROVAL_LATE_US + 1}
    with pytest.raises(RuleBroken, match="time to approve"):
        scribe.book.apply(late)


def in_background(scribe: Scribe, effect: str = "allow", **more: Any) -> dict[str, Any]:
    """What files a hold because its client does not wait, after policy's word."""
    terms = {"hold": {"stage": "request"}} if effect == "hold" else {}
    decide(scribe, "x", effect, **terms)
    return {**NAMED, **TERMS, "background": True, **more}


def test_what_policy_allowed_may_wait_for_nobody(scribe: Scribe) -> None:
    """Filed, approved by itself, sent once."""
    scribe.write("hold.filed", "x", **in_background(scribe))
    scribe.write("hold.settled", "x", **NAMED, state="approved", reviews=[])
    assert intent(scribe, **NAMED) is None
    assert intent(scribe, **NAMED) == "duplicate_intent"


def test_what_policy_held_is_not_approved_by_itself(scribe: Scribe) -> None:
    """Whatever the hold says of its client."""
    assert broken(scribe, "hold.filed", "x", **in_background(scribe, "hold")) == "undecided_hold"


def test_a_hold_with_reviewers_needs_them_in_the_background_too(scribe: Scribe) -> None:
    """A client that does not wait changes nothing about who answers."""
    scribe.write("hold.filed", "x", **in_background(scribe, "hold", thresholds=REVIEWED))
    settled = {**NAMED, "state": "approved", "reviews": []}
    assert broken(scribe, "hold.settled", "x", **settled) == "unreviewed_approval"


def test_what_policy_wants_seen_later_is_not_sent_without_reviews(scribe: Scribe) -> None:
    """Asked again when it leaves, a newer word counts."""
    scribe.write("hold.filed", "x", **in_background(scribe))
    scribe.write("hold.settled", "x", **NAMED, state="approved", reviews=[])
    decide(scribe, "x", "hold", hold={"stage": "request"})
    assert intent(scribe, **NAMED) == "unapproved_intent"


SEEDED = {**NAMED, "stage": "request", "expires_us": EXPIRES_US, "person": "p-9", "rule": "r.a"}


def seeded(scribe: Scribe, **more: Any) -> dict[str, Any]:
    """A test item that p-9 made up in the name of p-1, not written yet."""
    asked = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
    return scribe.leaf("hold.seeded", "x", **{**SEEDED, "thresholds": asked, **more}) | {
        "actor": more.get("person", "p-9")
    }


def refused(scribe: Scribe, leaf: dict[str, Any]) -> str:
    with pytest.raises(RuleBroken) as caught:
        scribe.book.apply(leaf)
    return caught.value.code


def said(scribe: Scribe, who: str, decision: str = "approve") -> dict[str, Any]:
    leaf = scribe.leaf("hold.review", "x", **NAMED, decision=decision)
    return leaf | {"actor": who}


def test_a_test_item_is_answered_and_never_approved(scribe: Scribe) -> None:
    """Denied or taken back, as others are; an approval of it stands in no sound ledger."""
    scribe.take(seeded(scribe))
    review = said(scribe, "p-2")
    scribe.take(review)
    ended = {**NAMED, "reviews": [review["id"]]}
    assert broken(scribe, "hold.settled", "x", **ended, state="approved") == "seeded_approval"
    scribe.write("hold.settled", "x", **ended, state="withdrawn")


@pytest.mark.parametrize("who", ["p-9", "p-1"])
def test_who_made_a_test_item_up_does_not_answer_it(scribe: Scribe, who: str) -> None:
    """Nor does whom it names."""
    scribe.take(seeded(scribe))
    assert refused(scribe, said(scribe, who)) == "self_review"


def test_no_intent_uses_a_test_item(scribe: Scribe) -> None:
    """Not before it is over nor after, not by its hold nor beside it."""
    scribe.take(seeded(scribe))
    decide(scribe, "x")
    sent = {"session": "s-1", "backend": "local", "attempt": 1}
    assert broken(scribe, "backend.intent", "x", **sent, **NAMED) == "seeded_intent"
    assert broken(scribe, "backend.intent", "x", **sent) == "unapproved_intent"
    review = said(scribe, "p-2")
    scribe.take(review)
    scribe.write("hold.settled", "x", **NAMED, reviews=[review["id"]], state="withdrawn")
    assert broken(scribe, "backend.intent", "x", **sent, **NAMED) == "seeded_intent"


def test_a_test_item_is_no_version_of_a_request(scribe: Scribe) -> None:
    """Neither becomes the other, under whatever version; and there is one of an exchange."""
    Held(scribe, TWO_OF_ONE)
    assert refused(scribe, seeded(scribe)) == "hold_taken"
    assert refused(scribe, seeded(scribe, hold="h2")) == "hold_taken"
    other = opened()
    other.take(seeded(other))
    decide(other, "x", "hold", hold={"stage": "request"})
    filed = {**NAMED, "version": 2, "stage": "request", "expires_us": EXPIRES_US}
    assert broken(other, "hold.filed", "x", **filed, thresholds=TWO_OF_ONE) == "hold_taken"


@pytest.mark.parametrize(
    ("changed", "code"), [({"version": 2}, "stale_hold"), ({"person": "p-1"}, "self_review")]
)
def test_a_test_item_is_new_and_names_who_made_it_up(
    scribe: Scribe, changed: dict[str, Any], code: str
) -> None:
    """One version, and another than whom it names."""
    assert refused(scribe, seeded(scribe, **changed)) == code


def test_somebody_else_is_not_named_for_a_test_item(scribe: Scribe) -> None:
    """Who acts is who made it up."""
    assert refused(scribe, seeded(scribe) | {"actor": "p-8"}) == "self_review"
