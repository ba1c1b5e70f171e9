"""Break-glass in the ledger: for one person, some rules, a short time; reviewed by another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sekisho_audit.break_glass_rules import (
    HOUR_US,
    MINUTE_US,
    MINUTES_MAX,
    REVIEW_HOURS_MAX,
    RULES_MAX,
    STANDING_MAX,
    UNREVIEWED_MAX,
)
from sekisho_audit.carried import BadCarried, book_json, read_book
from sekisho_audit.standing import RuleBroken
from support.scribe import opened, state

ASKS, OTHER, AUDITOR = "p-1", "p-2", "p-auditor"
RULE = "default.content"
REVIEW = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
TERMS: dict[str, Any] = {"rules": [RULE], "minutes": 15, "review_hours": 24}


class Case:
    """Writes what openings are made of; each step can say something else than it should."""

    def __init__(self) -> None:
        self.scribe = opened()
        self.ts = 1

    def act(self, kind: str, actor: str | None, **data: Any) -> str:
        """Somebody does something about openings; the id of the event."""
        leaf = self.scribe.leaf(kind, **data)
        leaf.update(principal=None, actor=actor, ts=self.ts)
        self.scribe.take(leaf)
        return str(leaf["id"])

    def opening(self, by: str | None = ASKS, **terms: Any) -> str:
        return self.act("break_glass.opened", by, **{**TERMS, **terms})

    def use(self, opening: str, decision: str = "d-1", exchange: str = "x-1", **other: Any) -> None:
        """The opening is used for a decision to come."""
        data = {
            "opening": opening,
            "decision": decision,
            "backend": other.pop("backend", "local"),
            "number": other.pop("number", 1),
        }
        leaf = self.scribe.leaf("break_glass.used", exchange, **data)
        leaf.update(ts=self.ts, **other)
        self.scribe.take(leaf)

    def decided(self, decision: str = "d-1", exchange: str = "x-1", **said: Any) -> None:
        """Rules want people, at `stage`."""
        stage = said.pop("stage", "request")
        hold = {"stage": stage, "thresholds": REVIEW, "ttl_s": 60, "risk": 90, "no_grant": True}
        obligations = {"hold": {**hold, **said.pop("hold", {})}, **said.pop("asked", {})}
        if said.get("effect", "hold") != "hold":
            obligations.pop("hold")
        data: dict[str, Any] = {
            "stage": stage,
            "effect": "hold",
            "rules": [RULE],
            "obligations": obligations,
            **({"tool": "crm.read"} if stage == "tool_call" else {}),
            **said,
        }
        leaf = self.scribe.leaf("policy.decision", exchange, **data)
        leaf.update(id=decision, ts=self.ts)
        self.scribe.take(leaf)

    def intent(self, exchange: str = "x-1", backend: str = "local") -> str:
        data = {"session": "s-1", "backend": backend, "model": "m"}
        return str(self.scribe.write("backend.intent", exchange, **data)["id"])

    def released(self, intent: str, exchange: str = "x-1") -> None:
        self.scribe.write("backend.outcome", exchange, intent=intent, status="released")

    def end(self, opening: str, cause: str = "person", by: str | None = ASKS) -> None:
        self.act("break_glass.ended", by, opening=opening, cause=cause)

    def review(self, opening: str, by: str | None = AUDITOR, uses: int = 0, **more: Any) -> None:
        data = {"opening": opening, "verdict": "justified", "uses": uses, **more}
        self.act("break_glass.reviewed", by, **data)

    def halt(self, scope: str = "tool", name: str = "elsewhere") -> str:
        return self.act("halt.set", "p-operator", scope=scope, name=name)

    def refused(self, step: Any, *args: Any, **more: Any) -> str:
        """The code of the refusal; the book is as before."""
        before = state(self.scribe.book)
        with pytest.raises(RuleBroken) as caught:
            step(*args, **more)
        self.scribe.book.roll_back()
        assert state(self.scribe.book) == before
        return caught.value.code


@pytest.fixture
def case() -> Case:
    return Case()


def later(stage: str, rule: str = RULE, **more: Any) -> dict[str, Any]:
    return {"hold_later": [{"stage": stage, "thresholds": REVIEW, "rules": [rule], **more}]}


# -- requests


def test_a_held_request_leaves_once_by_a_use(case: Case) -> None:
    """Even one that no grant answers, at any risk; a second intent needs another use."""
    case.use(case.opening())
    case.decided()
    case.released(case.intent())

    assert case.refused(case.intent) == "unopened_intent"


def test_reviews_in_order_are_answered_at_once(case: Case) -> None:
    """Whoever would be asked first and second: nobody is there to answer in any order."""
    steps = [*REVIEW, {"reviewers": "legal", "approve": 1, "deny": 1, "step": 2}]
    case.use(case.opening())
    case.decided(hold={"thresholds": steps})

    case.released(case.intent())


def test_without_a_use_the_request_waits_for_people(case: Case) -> None:
    """An opening is nobody's approval by itself."""
    case.opening()
    case.decided()

    assert case.refused(case.intent) == "unapproved_intent"


def test_it_is_for_whoever_opened_it(case: Case) -> None:
    """Not for another person, and not for a service account of theirs, which has its own name."""
    opening = case.opening()

    assert case.refused(case.use, opening, principal=OTHER) == "foreign_opening"
    assert case.refused(case.use, opening, principal=None) == "foreign_opening"


def test_nothing_is_answered_after_its_time(case: Case) -> None:
    """The ledger's clock counts, to the microsecond."""
    opening = case.opening()
    case.ts = 1 + 15 * MINUTE_US
    case.use(opening)
    case.decided()
    case.ts += 1

    assert case.refused(case.use, opening, "d-2", "x-2", number=2) == "break_glass_over"


def test_a_use_is_not_repeated(case: Case) -> None:
    """Uses are numbered, so of two workers with the same number one has to look again."""
    opening = case.opening()
    case.use(opening)

    assert case.refused(case.use, opening, "d-2", number=1) == "stale_use"
    assert case.refused(case.use, opening, "d-2", number=3) == "stale_use"
    assert case.refused(case.use, opening, "d-1", number=2) == "second_use"


@pytest.mark.parametrize(
    "said",
    [
        {"effect": "deny"},
        {"asked": {"justify": True}},
        {"asked": {"justify": "no"}},
        {"hold": {"thresholds": []}},
        {"rules": [RULE, "team.money"]},
        {"rules": []},
        {"hold": {"no_break_glass": True}},
        {"hold": {"no_break_glass": "false"}},
        {"hold": {"stage": "response"}},
        {"hold": {"thresholds": "reviewer"}},
        {"effect": "allow"},
        {
            "asked": {"hold_later": [{"stage": "request", "thresholds": REVIEW}]},
            "stage": "response",
        },
    ],
)
def test_only_a_hold_of_its_rules_is_answered(case: Case, said: dict[str, Any]) -> None:
    """No denial, no reason that is asked for, no other rule, nothing that does not read."""
    case.use(case.opening())

    assert case.refused(case.decided, **said) == "unopened"


def test_a_use_is_for_the_exchange_that_it_names(case: Case) -> None:
    """What was let go for one question is nothing to another."""
    case.use(case.opening())

    assert case.refused(case.decided, exchange="x-2") == "foreign_opening"


def test_it_leaves_to_the_backend_of_the_use(case: Case) -> None:
    """Another backend is another matter."""
    case.use(case.opening(), backend="local")
    case.decided()

    assert case.refused(case.intent, backend="cloud") == "unopened_intent"


def test_what_ended_meanwhile_does_not_leave(case: Case) -> None:
    """Between use and intent lies a moment, in which somebody may have pulled the switch."""
    opening = case.opening()
    case.use(opening)
    case.decided()
    case.end(opening, "operator", "p-operator")

    assert case.refused(case.intent) == "break_glass_over"


# -- answers


def foreseen(case: Case, *stages: str, ts: int = 1, **of: Any) -> str:
    """A request that foresees holds, sent."""
    told = {"hold_later": [*(later(one, **of)["hold_later"][0] for one in stages)]}
    data = {"stage": "request", "effect": "allow", "obligations": told}
    leaf = case.scribe.leaf("policy.decision", "x-1", **data)
    case.scribe.take({**leaf, "ts": ts})
    return case.intent()


def held_answer(case: Case, opening: str, *stages: str) -> str:
    """Each stage that the request foresaw is decided with a use of its own."""
    intent = foreseen(case, *stages)
    for number, stage in enumerate(stages, 1):
        case.use(opening, f"d-{stage}", number=number)
        case.decided(f"d-{stage}", stage=stage)
    return intent


@pytest.mark.parametrize(
    "stages", [("tool_call",), ("response",), ("tool_call", "response")], ids="+".join
)
def test_a_held_answer_is_given_out(case: Case, stages: tuple[str, ...]) -> None:
    """Calls and whole answers, each by a use, whether foreseen by the request or not."""
    case.released(held_answer(case, case.opening(), *stages))


def test_each_held_stage_of_an_answer_needs_a_use(case: Case) -> None:
    """A use for the call is none for the answer."""
    intent = held_answer(case, case.opening(), "tool_call")
    case.decided("d-9", stage="response")

    assert case.refused(case.released, intent) == "unapproved_release"


def test_a_call_that_foresees_a_held_answer_is_answered_with_it(case: Case) -> None:
    """What holds the answer may be told at a call already."""
    opening = case.opening()
    intent = held_answer(case, opening, "tool_call")
    case.use(opening, "d-8", number=2)
    case.decided("d-8", stage="tool_call", asked=later("response"))
    assert case.refused(case.released, intent) == "unapproved_release"

    case.use(opening, "d-9", number=3)
    case.decided("d-9", stage="response", effect="allow")
    case.released(intent)


@pytest.mark.parametrize("stage", ["tool_call", "response"])
@pytest.mark.parametrize(
    "of", [{"rule": "team.money"}, {"no_break_glass": True}, {"rules": []}, {"thresholds": ()}]
)
def test_what_foresaw_the_hold_must_be_open_too(case: Case, stage: str, of: dict[str, Any]) -> None:
    """A rule that spoke about the request holds the answer, even if it is silent by then."""
    opening = case.opening()
    foreseen(case, stage, **of)
    case.use(opening)

    assert case.refused(case.decided, stage=stage, effect="allow") == "unopened"


def test_what_was_foreseen_before_it_was_open_waits_for_people(case: Case) -> None:
    """The ledger keeps the rules behind a foreseen hold only for whom something is open."""
    foreseen(case, "response")
    case.use(case.opening())

    assert case.refused(case.decided, stage="response") == "unopened"


@pytest.mark.parametrize("by", [OTHER, ASKS])
def test_nothing_is_foreseen_under_what_is_open_for_others_or_over(case: Case, by: str) -> None:
    """Open for whoever asks, at that moment: else people answer what it foresaw."""
    case.opening(by)
    if by == ASKS:
        case.ts += 15 * MINUTE_US + 1
    foreseen(case, "response", ts=case.ts)
    case.use(case.opening())

    assert case.refused(case.decided, stage="response", effect="allow") == "unopened"


def test_a_denied_answer_is_denied_whoever_foresaw_it(case: Case) -> None:
    """Its rules are open, and the answer is not for them any more."""
    opening = case.opening()
    foreseen(case, "response")
    case.use(opening)

    assert case.refused(case.decided, stage="response", effect="deny") == "unopened"


def test_rules_of_now_do_not_stand_for_those_of_before(case: Case) -> None:
    """Both hold it, and both must be open."""
    opening = case.opening()
    foreseen(case, "response", rule="team.money")
    case.use(opening)

    assert case.refused(case.decided, stage="response") == "unopened"


@pytest.mark.parametrize("early", [True, False], ids=["before it was open", "by another rule"])
def test_what_was_foreseen_once_stays_foreseen(case: Case, *, early: bool) -> None:
    """A later word of policy does not take back that people were to answer."""
    opening = "" if early else case.opening()
    foreseen(case, "response", rule=RULE if early else "team.money")
    opening = opening or case.opening()
    foreseen(case, "response")
    case.use(opening)

    assert case.refused(case.decided, stage="response") == "unopened"


def test_the_last_word_about_an_answer_counts(case: Case) -> None:
    """Asked again after it was let go on, policy holds it, and nothing answers that."""
    intent = held_answer(case, case.opening(), "response")
    case.decided("d-9", stage="response", effect="allow")

    assert case.refused(case.released, intent) == "unapproved_release"


def test_a_call_let_go_on_does_not_answer_for_the_answer(case: Case) -> None:
    """What one call foresaw of the answer waits, whatever answers the next call."""
    opening = case.opening()
    intent = foreseen(case, "tool_call")
    for number, asked in ((1, later("response")), (2, {})):
        case.use(opening, f"d-{number}", number=number)
        case.decided(f"d-{number}", stage="tool_call", asked=asked)

    assert case.refused(case.released, intent) == "unapproved_release"


def test_rules_that_are_not_told_apart_open_nothing_later(case: Case) -> None:
    """A request held for its answer by some rules, which a record mixes with others."""
    opening = case.opening()
    terms = {"stage": "response", "thresholds": REVIEW, "ttl_s": 60, "risk": 1}
    case.decided("d-0", rules=["team.money"], hold=terms, asked=later("response"))
    case.intent()
    case.use(opening)

    assert case.refused(case.decided, stage="response") == "unopened"


def test_a_decision_is_answered_once(case: Case) -> None:
    """By a grant or by an opening, not by both."""
    grant = case.act(
        "grant.proposed", "p-one", rules=[RULE], backend="local", count=1, hours=1, risk_below=99,
        counts_for=["reviewer"], group="sales",
    )  # fmt: skip
    case.act("grant.confirmed", "p-two", grant=grant, counts_for=["reviewer"])
    data = {"grant": grant, "decision": "d-1", "backend": "local", "number": 1, "remaining": 0}
    case.scribe.write("grant.used", "x-1", **data)
    case.use(case.opening())

    assert case.refused(case.decided, hold={"no_grant": False}) == "second_use"


def test_the_next_answer_may_be_let_go_on_too(case: Case) -> None:
    """What the request foresaw is known for each attempt, with its rules."""
    opening = case.opening()
    case.released(held_answer(case, opening, "response"))
    second = case.intent()
    case.use(opening, "d-9", number=2)
    case.decided("d-9", stage="response", effect="allow")

    case.released(second)


def test_another_answer_needs_uses_of_its_own(case: Case) -> None:
    """What stands about the answer of one intent is nothing to that of the next."""
    opening = case.opening()
    case.released(held_answer(case, opening, "response"))
    second = case.intent()

    assert case.refused(case.released, second) == "unapproved_release"


# -- opening


@pytest.mark.parametrize(
    "terms",
    [
        {"rules": []},
        {"rules": ["r"] * (RULES_MAX + 1)},
        {"minutes": 0},
        {"minutes": MINUTES_MAX + 1},
        {"review_hours": 0},
        {"review_hours": REVIEW_HOURS_MAX + 1},
        {"by": None},
    ],
)
def test_an_opening_has_bounds(case: Case, terms: dict[str, Any]) -> None:
    """Whatever a gateway's settings say."""
    assert case.refused(case.opening, **terms) == "bad_opening"


def test_one_person_has_one_open(case: Case) -> None:
    """Others have theirs, and after its time the same person may open again."""
    case.opening()

    assert case.refused(case.opening) == "break_glass_open"
    case.opening(OTHER)
    case.ts += 15 * MINUTE_US + 1
    case.opening()


def test_nothing_is_opened_while_an_earlier_one_waits_too_long(case: Case) -> None:
    """So reviewing is no courtesy: a day after its end the person has to have been reviewed."""
    first = case.opening()
    case.ts = 1 + 15 * MINUTE_US + 24 * HOUR_US + 1

    assert case.refused(case.opening) == "break_glass_unreviewed"
    case.opening(OTHER)
    case.review(first)
    case.opening()


def test_ending_it_early_brings_its_review_forward(case: Case) -> None:
    """The time of review counts from its end."""
    first = case.opening()
    case.end(first)
    case.ts = 1 + 24 * HOUR_US + 1

    assert case.refused(case.opening) == "break_glass_unreviewed"


def test_few_openings_of_a_person_wait_for_review(case: Case) -> None:
    """One after the other would be a door that is always open."""
    for _ in range(UNREVIEWED_MAX):
        case.end(case.opening())

    assert case.refused(case.opening) == "break_glass_unreviewed"


def test_few_openings_stand_at_all(case: Case) -> None:
    """What waits is bounded, whoever opened it."""
    for number in range(STANDING_MAX):
        case.opening(f"p-9{number}")

    assert case.refused(case.opening) == "break_glass_unreviewed"


# -- the end


@pytest.mark.parametrize("scope", ["all", "team", "backend", "model", "tool"])
def test_any_switch_ends_every_opening(case: Case, scope: str) -> None:
    """Whoever pulled it saw something that whoever opened did not know of."""
    opening = case.opening()
    case.halt(scope, "" if scope == "all" else "elsewhere")

    assert case.refused(case.use, opening) == "break_glass_over"
    if scope != "all":
        case.opening()  # knowing of the switch, which still stops what it stops


def test_nothing_is_opened_while_everything_is_stopped(case: Case) -> None:
    """The switch for everything beats an emergency."""
    case.halt("all", "")

    assert case.refused(case.opening) == "halted_opening"


@pytest.mark.parametrize(
    ("cause", "by"),
    [
        ("person", OTHER),
        ("person", None),
        ("operator", ASKS),
        ("operator", None),
        ("halted", ASKS),
        ("person_gone", OTHER),
    ],
)
def test_an_end_says_truly_whose_it_is(case: Case, cause: str, by: str | None) -> None:
    """Nobody ends it in another's name."""
    assert case.refused(case.end, case.opening(), cause, by) == "bad_ending"


def test_what_ended_is_not_ended_again(case: Case) -> None:
    """Nor used."""
    opening = case.opening()
    case.end(opening)

    assert case.refused(case.end, opening) == "break_glass_over"
    assert case.refused(case.use, opening) == "break_glass_over"


# -- review


def test_nobody_reviews_themselves(case: Case) -> None:
    """Not under their name, not in whose place somebody stands, not nobody."""
    opening = case.opening()
    case.end(opening)

    for by, more in ((ASKS, {}), (AUDITOR, {"person": ASKS}), (None, {})):
        assert case.refused(case.review, opening, by, **more) == "self_review"


def test_what_is_open_is_not_reviewed(case: Case) -> None:
    """The uses after the review would be nobody's."""
    assert case.refused(case.review, case.opening()) == "break_glass_open"


def test_a_review_answers_for_every_use(case: Case) -> None:
    """Whoever looked at fewer than there are did not look."""
    opening = case.opening()
    case.use(opening)
    case.decided()
    case.end(opening)

    assert case.refused(case.review, opening, uses=0) == "stale_review"
    case.review(opening, uses=1)
    assert case.refused(case.review, opening, uses=1) == "unknown_opening"
    assert case.refused(case.intent) == "break_glass_over"


# -- pruning


def test_openings_outlive_a_cut(case: Case) -> None:
    """Read back, the book refuses and takes what it did before."""
    opening = case.opening()
    intent = held_answer(case, opening, "response")
    case.use(opening, "d-2", "x-2", number=2)
    case.decided("d-2", "x-2")
    case.use(opening, "d-3", "x-3", number=3)
    case.end(case.opening(OTHER), by=OTHER)
    told = json.loads(json.dumps(book_json(case.scribe.book)))
    read = _read(told)
    assert book_json(read) == told

    case.scribe.book = read
    case.released(intent)
    case.intent("x-2")


def test_an_answer_that_waits_for_its_decision_outlives_a_cut(case: Case) -> None:
    """A forged state is told from a true one."""
    case.opening()
    told = book_json(case.scribe.book)
    told["break_glass"]["standing"][0]["used"] = "none"

    with pytest.raises(BadCarried):
        _read(told)


def test_a_ledger_without_openings_carries_what_it_always_did(case: Case) -> None:
    """States that old ledgers name stay what they are, foreseen holds included."""
    foreseen(case, "response")
    told = book_json(case.scribe.book)

    assert "break_glass" not in told
    assert "behind" not in dict(told["answers"])["x-1"]


def _read(told: Any) -> Any:
    """Leaves made by hand have not the form of real ones, which another test is about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sekisho_audit.carried.check_leaf", lambda *_: None)
        return read_book(told, "ledger.example/test", None)
