"""Samples in the ledger: drawn once, judged by people who may, closed as the verdicts say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sekisho_audit import sample_rules
from sekisho_audit.carried import BadCarried, book_json, read_book
from sekisho_audit.sample_rules import DAY_US, outcome_of
from sekisho_audit.standing import RuleBroken
from support.scribe import decide, opened, state

ASKS, ONE, TWO, THREE = "p-1", "p-reviewer-1", "p-reviewer-2", "p-reviewer-3"
TERMS: dict[str, Any] = {
    "per_10000": 200,
    "per_10000_at_risk": 10_000,
    "risk_from": 40,
    "verdicts": 2,
    "keep_days": 7,
}
DRAWN: dict[str, Any] = {
    "per_10000": 200,
    "risk": 0,
    "backend": "local",
    "model": "m",
    "rules": ["rule.a"],
}


class Case:
    """Writes what samples are made of; each step can say something else than it should."""

    def __init__(self) -> None:
        self.scribe = opened()
        self.ts = 1

    def write(self, kind: str, exchange: str | None = "x-1", **other: Any) -> dict[str, Any]:
        """One leaf; members that are no data are given by name."""
        head = {name: other.pop(name) for name in ("actor", "principal") if name in other}
        leaf = {**self.scribe.leaf(kind, exchange, **other), "ts": self.ts, **head}
        self.scribe.take(leaf)
        return leaf

    def terms(self, **other: Any) -> str:
        return str(self.write("sample.terms", None, principal=None, **{**TERMS, **other})["id"])

    def answered(self, exchange: str = "x-1", status: str = "released") -> None:
        """A whole exchange that was allowed."""
        decide(self.scribe, exchange)
        sent = self.write("backend.intent", exchange, session="s-1", backend="local", model="m")
        self.write("backend.outcome", exchange, intent=sent["id"], status=status)

    def draw(self, terms: str, exchange: str = "x-1", **other: Any) -> str:
        return str(self.write("sample.drawn", exchange, terms=terms, **{**DRAWN, **other})["id"])

    def drawn(self, exchange: str = "x-1", **terms: Any) -> str:
        """An exchange that was drawn."""
        known = self.terms(**terms)
        self.answered(exchange)
        return self.draw(known, exchange)

    def judge(self, sample: str, actor: str, verdict: str = "fine") -> None:
        """Somebody is shown a sample and judges it."""
        self.show(sample, actor)
        self.say(sample, actor, verdict)

    def show(self, sample: str, actor: str) -> None:
        about = {"purpose": "review", "part": "sample", "sample": sample}
        self.write("record.read", actor=actor, **about)

    def say(self, sample: str, actor: str | None, verdict: str = "fine") -> None:
        said = {"sample": sample, "verdict": verdict, "counts_for": "reviewer"}
        self.write("sample.judged", actor=actor, **said)

    def turned_away(self, sample: str, actor: str, verdict: str = "fine") -> str:
        """The code of the refusal of somebody who was shown it."""
        self.show(sample, actor)
        return self.refused(self.say, sample, actor, verdict)

    def close(self, sample: str, outcome: str, by: str = "agreement", **other: Any) -> None:
        self.write("sample.closed", sample=sample, outcome=outcome, by=by, **other)

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


def test_two_who_agree_close_a_sample(case: Case) -> None:
    """Drawn after its outcome, shown, judged by two, closed as they say; and counted so."""
    sample = case.drawn()
    case.write("sample.kept", sample=sample, content="whole")
    case.judge(sample, ONE)
    case.judge(sample, TWO)
    case.close(sample, "fine")

    assert case.scribe.book.samples.standing == {}
    tally = case.scribe.book.samples.tallies["1970-01|rule|rule.a"]
    assert (tally.drawn, tally.judged, tally.concerns, tally.disputed) == (1, 1, 0, 0)


def test_a_third_decides_where_two_differ(case: Case) -> None:
    """With two of different opinions it is not closed; the third's word is the outcome."""
    sample = case.drawn()
    case.judge(sample, ONE, "fine")
    case.judge(sample, TWO, "concern")
    assert case.refused(case.close, sample, "concern", "agreement") == "bad_outcome"
    assert case.refused(case.close, sample, "unjudged", "nobody") == "early_close"
    case.judge(sample, THREE, "concern")
    assert case.refused(case.close, sample, "fine", "third") == "bad_outcome"
    case.close(sample, "concern", "third")

    tally = case.scribe.book.samples.tallies["1970-01|model|m"]
    assert (tally.concerns, tally.disputed, tally.unjudged) == (1, 1, 0)


def test_no_third_is_heard_where_two_agree(case: Case) -> None:
    """A verdict more than are needed is refused, also before somebody closed the sample."""
    sample = case.drawn()
    case.judge(sample, ONE)
    case.judge(sample, TWO)

    assert case.turned_away(sample, THREE, "concern") == "sample_over"


def test_one_is_enough_where_the_terms_say_so(case: Case) -> None:
    sample = case.drawn(verdicts=1)
    assert case.refused(case.close, sample, "fine") == "bad_outcome"
    case.judge(sample, ONE, "concern")
    case.close(sample, "concern")


@pytest.mark.parametrize(
    ("said", "needed", "outcome"),
    [
        ([], 1, None),
        (["fine"], 1, ("fine", "agreement")),
        (["fine"], 2, None),
        (["concern", "concern"], 2, ("concern", "agreement")),
        (["concern", "fine"], 2, None),
        (["concern", "fine", "fine"], 2, ("fine", "third")),
    ],
)
def test_what_verdicts_come_to(
    said: list[str], needed: int, outcome: tuple[str, str] | None
) -> None:
    assert outcome_of(said, needed) == outcome


def test_nobody_judges_their_own(case: Case) -> None:
    """Neither who asked nor who stands behind a service account."""
    terms = case.terms()
    case.answered()
    sample = case.draw(terms, person="p-owner")

    assert case.turned_away(sample, ASKS) == "self_review"
    assert case.turned_away(sample, "p-owner") == "self_review"
    assert case.refused(case.say, sample, None) == "unseen_verdict"


def test_nobody_judges_twice_or_unseen(case: Case) -> None:
    """One verdict a person, and none without the record that they were shown the sample."""
    sample = case.drawn()
    case.judge(sample, ONE)

    assert case.turned_away(sample, ONE, "concern") == "second_review"
    assert case.refused(case.say, sample, TWO) == "unseen_verdict"


def held(case: Case, exchange: str = "x-1") -> None:
    """A request that ONE approved and TWO denied, with an owner behind it, and its answer."""
    asked = [{"reviewers": "reviewer", "approve": 1, "deny": 2}]
    hold = {"stage": "request", "thresholds": asked}
    decide(case.scribe, exchange, "hold", hold=hold)
    about = {"hold": "h-1", "version": 1, "binding": "b"}
    terms = {"thresholds": asked, "expires_us": 10, "risk": 50, "backend": "local", "model": "m"}
    case.write("hold.filed", exchange, **about, stage="request", **terms, person="p-owner")
    case.write("hold.review", exchange, actor=TWO, **about, decision="deny")
    said = case.write("hold.review", exchange, actor=ONE, **about, decision="approve")
    case.write("hold.settled", exchange, **about, state="approved", reviews=[said["id"]])
    sent = {"session": "s-1", "backend": "local", "model": "m", **about}
    intent = case.write("backend.intent", exchange, **sent)
    case.write("backend.outcome", exchange, intent=intent["id"], status="released")


def test_who_approved_its_hold_does_not_judge_it(case: Case) -> None:
    """Who let it pass cannot say afterwards that it was right; who denied it may judge. The owner
    is known from the hold, also where the draw does not name them.
    """
    terms = case.terms()
    held(case)
    sample = case.draw(terms, per_10000=10_000, risk=50)

    assert case.turned_away(sample, ONE) == "self_review"
    assert case.turned_away(sample, "p-owner") == "self_review"
    case.judge(sample, TWO)


def test_who_agreed_to_a_grant_does_not_judge_what_it_let_pass(case: Case) -> None:
    """A grant is their approval in advance."""
    terms = case.terms()
    about = {"rules": ["rule.a"], "backend": "local", "count": 2, "hours": 1, "risk_below": 60}
    grant = case.write("grant.proposed", None, actor=ONE, **about, counts_for=["reviewer"])["id"]
    said = {"grant": grant, "counts_for": ["reviewer"]}
    case.write("grant.confirmed", None, actor=TWO, principal=None, **said)
    use = {"grant": grant, "decision": "d-1", "backend": "local", "number": 1, "remaining": 1}
    case.write("grant.used", **use)
    asked = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
    hold = {"stage": "request", "thresholds": asked, "ttl_s": 60, "risk": 50}
    decided = {"effect": "hold", "rules": ["rule.a"], "obligations": {"hold": hold}}
    leaf = case.scribe.leaf("policy.decision", "x-1", stage="request", **decided)
    case.scribe.take({**leaf, "id": "d-1"})
    sent = case.write("backend.intent", session="s-1", backend="local", model="m")
    case.write("backend.outcome", intent=sent["id"], status="released")
    sample = case.draw(terms)

    assert case.turned_away(sample, ONE) == "self_review"
    assert case.turned_away(sample, TWO) == "self_review"
    case.judge(sample, THREE)
    assert case.scribe.book.samples.passed == {}


def let_go(case: Case, exchange: str = "x-1") -> str:
    """An exchange that break-glass let go on, answered; the opening."""
    about = {"rules": ["rule.a"], "minutes": 15, "review_hours": 24}
    opening = case.write("break_glass.opened", None, actor=ASKS, principal=None, **about)["id"]
    use = {"opening": opening, "decision": f"d-{exchange}", "backend": "local", "number": 1}
    case.write("break_glass.used", exchange, **use)
    asked = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]
    hold = {"stage": "request", "thresholds": asked, "ttl_s": 60, "risk": 50}
    decided = {"effect": "hold", "rules": ["rule.a"], "obligations": {"hold": hold}}
    leaf = case.scribe.leaf("policy.decision", exchange, stage="request", **decided)
    case.scribe.take({**leaf, "id": f"d-{exchange}"})
    sent = case.write("backend.intent", exchange, session="s-1", backend="local", model="m")
    case.write("backend.outcome", exchange, intent=sent["id"], status="released")
    return str(opening)


@pytest.mark.parametrize("share", [0, 200])
def test_what_break_glass_let_go_is_drawn_whatever_the_share(case: Case, share: int) -> None:
    """All of it and by that opening: by the share of the terms, or by another one, it is not."""
    terms = case.terms(per_10000=share, per_10000_at_risk=share)
    opening = let_go(case)
    whole = {"per_10000": 10_000, "risk": 50}
    for wrong in ({}, {"opening": "e-other"}, {"opening": opening, "per_10000": share}):
        assert case.refused(case.draw, terms, **{**whole, **wrong}) == "bad_draw"
    sample = case.draw(terms, **whole, opening=opening)

    assert case.turned_away(sample, ASKS) == "self_review"
    case.judge(sample, ONE)
    assert case.scribe.book.samples.opened == {}


def test_what_break_glass_let_go_waits_for_terms(case: Case) -> None:
    """Terms that are told afterwards are early enough; what nobody let go on stays undrawn."""
    case.answered("x-2")
    opening = let_go(case)
    told = json.loads(json.dumps(book_json(case.scribe.book)))
    assert read(told).samples.opened == {"x-1": opening}
    terms = case.terms(per_10000=0, per_10000_at_risk=0)

    claimed = {"per_10000": 10_000, "opening": opening}
    assert case.refused(case.draw, terms, "x-2", **claimed) == "ungiven_draw"
    case.draw(terms, **claimed)


def test_nothing_else_is_drawn_as_if_it_were_let_go(case: Case) -> None:
    """No opening is named where none answered anything."""
    terms = case.terms()
    case.answered()

    assert case.refused(case.draw, terms, opening="e-1", per_10000=10_000) == "bad_draw"


def test_an_exchange_is_drawn_once_and_after_its_answer(case: Case) -> None:
    """Not before anything was given out, not again, and not for somebody else."""
    terms = case.terms()
    decide(case.scribe, "x-1")
    assert case.refused(case.draw, terms) == "ungiven_draw"
    case.answered("x-2")
    assert case.refused(case.draw, terms, "x-2", principal="p-other") == "foreign_draw"
    case.draw(terms, "x-2")
    assert case.refused(case.draw, terms, "x-2") == "ungiven_draw"


@pytest.mark.parametrize("status", ["cancelled", "stopped", "failed", "unknown"])
def test_whoever_hung_up_is_drawn_as_well(case: Case, status: str) -> None:
    terms = case.terms()
    case.answered(status=status)

    case.draw(terms)


def test_a_draw_is_on_the_terms_that_it_names(case: Case) -> None:
    """The share is that of the terms, at that risk; nothing is drawn where none is."""
    assert case.refused(case.draw, "e-none") == "unknown_terms"
    terms, off = case.terms(), case.terms(per_10000=0)
    case.answered()

    assert case.refused(case.draw, terms, per_10000=10_000) == "bad_draw"
    assert case.refused(case.draw, terms, risk=40) == "bad_draw"
    assert case.refused(case.draw, off, per_10000=0) == "bad_draw"
    case.draw(terms, per_10000=10_000, risk=40)


@pytest.mark.parametrize(
    "wrong",
    [
        {"per_10000": 10_001},
        {"per_10000_at_risk": -1},
        {"risk_from": 101},
        {"verdicts": 0},
        {"verdicts": 3},
        {"keep_days": 0},
        {"keep_days": 93},
    ],
)
def test_terms_have_bounds(case: Case, wrong: dict[str, int]) -> None:
    assert case.refused(case.terms, **wrong) == "bad_terms"


def test_silence_is_on_record_when_the_time_is_over(case: Case) -> None:
    """Not closed before, not judged after; then it is unjudged, and nothing else."""
    sample = case.drawn()
    case.judge(sample, ONE)
    case.ts = 1 + 7 * DAY_US
    assert case.refused(case.close, sample, "unjudged", "nobody") == "early_close"
    case.ts += 1
    assert case.turned_away(sample, TWO) == "sample_over"
    assert case.refused(case.close, sample, "fine") == "bad_outcome"
    case.close(sample, "unjudged", "nobody")

    assert case.scribe.book.samples.tallies["1970-01|model|m"].unjudged == 1
    assert case.refused(case.close, sample, "unjudged", "nobody") == "unknown_sample"


def test_what_is_said_of_a_sample_is_of_its_exchange(case: Case) -> None:
    """Nothing is said of a sample in another exchange, and of its content once."""
    sample = case.drawn()
    case.answered("x-2")
    wrong = {"exchange": "x-2", "sample": sample, "content": "none"}
    assert case.refused(case.write, "sample.kept", **wrong) == "unknown_sample"
    case.write("sample.kept", sample=sample, content="none")
    again = {"sample": sample, "content": "whole"}
    assert case.refused(case.write, "sample.kept", **again) == "second_content"


def test_an_erased_person_has_no_samples(case: Case) -> None:
    """They end with the keys; nobody is asked about what nobody can read."""
    sample = case.drawn()
    case.scribe.book.officers.duties["p-officer"] = ("erase",)
    leaf = case.scribe.leaf("erasure.begun", None, person=ASKS)
    case.scribe.take({**leaf, "actor": "p-officer"})

    assert case.refused(case.close, sample, "unjudged", "nobody") == "erased_name"
    assert case.scribe.book.samples.standing == {}


def test_without_terms_nothing_is_remembered(case: Case) -> None:
    """Where nothing was ever drawn an answer costs the book nothing."""
    case.answered()

    assert case.scribe.book.samples.given == {}
    assert "samples" not in book_json(case.scribe.book)


def test_at_most_so_many_stand(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more the oldest are forgotten, however often a request was refused in between."""
    monkeypatch.setattr(sample_rules, "STANDING_MAX", 3)
    monkeypatch.setattr(sample_rules, "FORGOTTEN", 1)
    terms = case.terms()
    made = []
    for number in range(5):
        case.answered(f"x-{number}")
        made.append(case.draw(terms, f"x-{number}"))
        case.refused(case.draw, terms, f"x-{number}")

    assert sorted(case.scribe.book.samples.standing) == sorted(made[-3:])


def test_samples_outlive_a_pruning(case: Case) -> None:
    """What stands, was shown and judged goes through JSON and back; what does not read is not."""
    sample = case.drawn()
    case.answered("x-2")
    case.write("sample.kept", sample=sample, content="cut")
    case.judge(sample, ONE, "concern")
    told = json.loads(json.dumps(book_json(case.scribe.book)))

    again = read(told)

    assert json.loads(json.dumps(book_json(again))) == told
    assert again.samples.standing == case.scribe.book.samples.standing
    assert again.samples.given == case.scribe.book.samples.given
    assert again.samples.given["x-2"].principal == ASKS
    for wrong in ({"needed": "2"}, {"barred": ASKS}, {"verdicts": None}):
        bad = json.loads(json.dumps(told))
        bad["samples"]["standing"][0] |= wrong
        with pytest.raises(BadCarried):
            read(bad)


@pytest.mark.parametrize(
    ("status", "more", "out"),
    [
        ("released", {}, True),
        ("unknown", {}, True),
        ("cancelled", {"chunks": 1}, True),
        ("cancelled", {"chunks": 0}, False),
        ("stopped", {}, False),
        ("failed", {"bytes": 5}, False),
    ],
)
def test_what_went_out_is_told_from_what_may_have(
    case: Case, status: str, more: dict[str, int], *, out: bool
) -> None:
    """What was given out, or nobody knows, has to be drawn if the key says so; of the rest a draw
    is taken, since a stop may come behind the first words.
    """
    case.terms()
    decide(case.scribe, "x-1")
    sent = case.write("backend.intent", "x-1", session="s-1", backend="local", model="m")
    case.write("backend.outcome", "x-1", intent=sent["id"], status=status, **more)

    assert case.scribe.book.samples.given["x-1"].out is out


def read(told: Any) -> Any:
    """Leaves made by hand have not the form of real ones, which another test is about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sekisho_audit.carried.check_leaf", lambda *_: None)
        return read_book(told, "ledger.example/test", None)
