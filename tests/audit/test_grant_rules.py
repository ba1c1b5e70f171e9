"""Standing grants in the ledger: two agree, a use stands before what it answers, none too many."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sekisho_audit.carried import BadCarried, book_json, read_book
from sekisho_audit.grant_rules import (
    COUNT_MAX,
    HOUR_US,
    HOURS_MAX,
    PROPOSAL_US,
    RULES_MAX,
    STANDING_MAX,
    covers,
)
from sekisho_audit.standing import RuleBroken
from support.scribe import Scribe, opened, state

ONE, TWO, ASKS = "p-reviewer-1", "p-reviewer-2", "p-1"
TERMS: dict[str, Any] = {
    "rules": ["default.ladder"],
    "backend": "local",
    "count": 2,
    "hours": 1,
    "risk_below": 60,
    "counts_for": ["reviewer"],
}
TOOL = {**TERMS, "tool": "crm.read"}
REVIEW = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]


@pytest.fixture
def scribe() -> Scribe:
    return opened()


class Case:
    """Writes what grants are made of; each step can say something else than it should."""

    def __init__(self, scribe: Scribe) -> None:
        self.scribe = scribe
        self.ts = 1

    def act(self, kind: str, actor: str | None, meant: str | None = None, **data: Any) -> str:
        """Somebody does something about grants; the id of the event."""
        leaf = self.scribe.leaf(kind, **data)
        leaf.update(principal=meant, actor=actor, ts=self.ts)
        self.scribe.take(leaf)
        return str(leaf["id"])

    def granted(self, by: str = ONE, second: str = TWO, **terms: Any) -> str:
        """A grant for `ASKS` that two agreed to."""
        grant = self.act("grant.proposed", by, None if "group" in terms else ASKS, **terms)
        self.act("grant.confirmed", second, grant=grant, counts_for=["reviewer"])
        return grant

    def use(self, grant: str, decision: str, exchange: str = "x-1", **other: Any) -> None:
        """The grant is used for a decision to come."""
        number = other.pop("number", 1)
        data = {
            "grant": grant,
            "decision": decision,
            "backend": "local",
            "number": number,
            "remaining": 2 - number,
            **other.pop("data", {}),
        }
        leaf = self.scribe.leaf("grant.used", exchange, **data)
        leaf.update(ts=self.ts, **other)
        self.scribe.take(leaf)

    def decided(self, decision: str, exchange: str = "x-1", **said: Any) -> None:
        """Rules want people, at `stage`."""
        stage = said.pop("stage", "tool_call")
        hold = {"stage": stage, "thresholds": REVIEW, "ttl_s": 60, "risk": 50}
        data: dict[str, Any] = {
            "stage": stage,
            "effect": "hold",
            "rules": ["default.ladder"],
            "obligations": {"hold": {**hold, **said.pop("hold", {})}, **said.pop("asked", {})},
            **({"tool": "crm.read"} if stage == "tool_call" else {}),
            **said,
        }
        leaf = self.scribe.leaf("policy.decision", exchange, **data)
        leaf["id"] = decision
        self.scribe.take(leaf)

    def sent(self, exchange: str = "x-1", **obligations: Any) -> str:
        """Rules let a request go, and it went."""
        self.scribe.write(
            "policy.decision", exchange, stage="request", effect="allow", obligations=obligations
        )
        return self.intent(exchange)

    def intent(self, exchange: str = "x-1", backend: str = "local") -> str:
        """It is about to leave."""
        data = {"session": "s-1", "backend": backend, "model": "m"}
        return str(self.scribe.write("backend.intent", exchange, **data)["id"])

    def released(self, intent: str, exchange: str = "x-1") -> None:
        """The answer is given out."""
        self.scribe.write("backend.outcome", exchange, intent=intent, status="released")

    def refused(self, step: Any, *args: Any, **more: Any) -> str:
        """The code of the refusal; the book is as before."""
        before = state(self.scribe.book)
        with pytest.raises(RuleBroken) as caught:
            step(*args, **more)
        self.scribe.book.roll_back()
        assert state(self.scribe.book) == before
        return caught.value.code


@pytest.fixture
def case(scribe: Scribe) -> Case:
    return Case(scribe)


def test_a_granted_call_is_given_out(case: Case) -> None:
    """The use, the decision that it answers, the outcome; with a foreseen hold as well."""
    grant = case.granted(**TOOL)
    later = {"stage": "tool_call", "thresholds": REVIEW, "rules": ["default.ladder"]}
    intent = case.sent(hold_later=[later])

    case.use(grant, "d-1")
    case.decided("d-1")
    case.released(intent)


def test_without_a_use_the_call_waits_for_people(case: Case) -> None:
    """A grant that stands is nobody's approval: each use has to be there."""
    case.granted(**TOOL)
    intent = case.sent()
    case.decided("d-1")

    assert case.refused(case.released, intent) == "unapproved_release"


def test_each_call_needs_a_use_of_its_own(case: Case) -> None:
    """One of two calls was granted: the answer waits, also by what the request foresaw."""
    grant = case.granted(**TOOL)
    later = {"stage": "tool_call", "thresholds": REVIEW, "rules": ["default.ladder"]}
    intent = case.sent(hold_later=[later])
    case.use(grant, "d-1")
    case.decided("d-1")
    case.scribe.write(
        "policy.decision", "x-1", stage="tool_call", effect="allow", obligations={}, tool="crm.read"
    )

    assert case.refused(case.released, intent) == "unapproved_release"


def test_the_next_answer_of_an_exchange_is_not_granted(case: Case) -> None:
    """A use is for one answer: asked again, the same call waits."""
    grant = case.granted(**TOOL)
    intent = case.sent()
    case.use(grant, "d-1")
    case.decided("d-1")
    case.released(intent)

    again = case.intent()
    case.decided("d-2")

    assert case.refused(case.released, again) == "unapproved_release"


def test_what_the_request_foresaw_by_another_rule_still_waits(case: Case) -> None:
    """The call is held by a rule of the grant, and was foreseen by one that is not in it."""
    grant = case.granted(**TOOL)
    later = {"stage": "tool_call", "thresholds": REVIEW, "rules": ["default.content"]}
    case.sent(hold_later=[later])
    case.use(grant, "d-1")

    assert case.refused(case.decided, "d-1") == "ungranted"


@pytest.mark.parametrize(
    "later",
    [
        {"stage": "tool_call", "thresholds": REVIEW},
        {"stage": "tool_call", "thresholds": REVIEW, "rules": []},
        {"stage": "tool_call", "thresholds": REVIEW, "rules": "default.ladder"},
        {
            "stage": "tool_call",
            "thresholds": REVIEW,
            "rules": ["default.ladder"],
            "no_grant": True,
        },
    ],
)
def test_what_does_not_say_who_foresaw_it_is_not_granted(case: Case, later: Any) -> None:
    """Nothing that cannot be read, or says no_grant, is let go on."""
    grant = case.granted(**TOOL)
    case.sent(hold_later=[later])
    case.use(grant, "d-1")

    assert case.refused(case.decided, "d-1") == "ungranted"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"effect": "deny"}, "ungranted"),
        ({"hold": {"no_grant": True}}, "ungranted"),
        ({"hold": {"risk": 60}}, "ungranted"),
        ({"hold": {"risk": "low"}}, "ungranted"),
        ({"hold": {"stage": "response"}}, "ungranted"),
        ({"hold": {"thresholds": None}}, "ungranted"),
        ({"hold": {"thresholds": [{}]}}, "ungranted"),
        (
            {"hold": {"thresholds": [*REVIEW, {**REVIEW[0], "step": 2}]}},
            "ungranted",
        ),
        ({"hold": {"thresholds": [{**REVIEW[0], "step": "2"}]}}, "ungranted"),
        (
            {"hold": {"thresholds": [{"reviewers": "legal", "approve": 1, "deny": 1}]}},
            "ungranted",
        ),
        (
            {"hold": {"thresholds": [{"reviewers": "reviewer", "approve": 3, "deny": 1}]}},
            "ungranted",
        ),
        ({"rules": ["default.ladder", "default.content"]}, "ungranted"),
        ({"rules": []}, "ungranted"),
        ({"asked": {"justify": True}}, "ungranted"),
        (
            {"asked": {"hold_later": [{"stage": "tool_call", "thresholds": REVIEW}]}},
            "ungranted",
        ),
        ({"tool": "crm.write"}, "foreign_grant"),
        ({"stage": "response"}, "foreign_grant"),
        ({"stage": "request"}, "foreign_grant"),
        ({"exchange": "x-2"}, "foreign_grant"),
    ],
)
def test_a_grant_answers_only_what_it_is_for(case: Case, said: Any, code: str) -> None:
    """Never a denial, another rule, tool, stage or exchange, more risk, or more people."""
    grant = case.granted(**TOOL)
    case.sent()
    case.use(grant, "d-1")

    assert case.refused(case.decided, "d-1", **said) == code


def test_two_reviews_of_one_group_are_what_two_persons_give(case: Case) -> None:
    """Both count, each once."""
    two = [{"reviewers": "reviewer", "approve": 2, "deny": 1}]
    grant = case.granted(**TOOL)
    intent = case.sent()
    case.use(grant, "d-1")
    case.decided("d-1", hold={"thresholds": two})
    case.released(intent)


def test_a_granted_request_leaves_once(case: Case) -> None:
    """To the backend of the grant, and no second time under the same use."""
    grant = case.granted(**TERMS)
    case.use(grant, "d-1")
    case.decided("d-1", stage="request")

    assert case.refused(case.intent, backend="cloud") == "ungranted_intent"
    case.released(case.intent())
    assert case.refused(case.intent) == "ungranted_intent"


def test_a_held_request_without_a_use_does_not_leave(case: Case) -> None:
    """As before there were grants."""
    case.granted(**TERMS)
    case.decided("d-1", stage="request")

    assert case.refused(case.intent) == "unapproved_intent"


def test_an_earlier_hold_of_the_exchange_stays(case: Case) -> None:
    """Rules once wanted people without a grant: a later use does not take that back."""
    grant = case.granted(**TERMS)
    case.decided("d-0", stage="request")
    case.use(grant, "d-1")
    case.decided("d-1", stage="request")

    assert case.refused(case.intent) == "unapproved_intent"


def test_there_is_no_use_beyond_the_count(case: Case) -> None:
    """However it is numbered; a number is given once, so two at a time are not both written."""
    grant = case.granted(**TOOL)
    case.use(grant, "d-1")
    assert case.refused(case.use, grant, "d-2") == "stale_use"
    assert case.refused(case.use, grant, "d-2", number=3) == "stale_use"
    assert case.refused(case.use, grant, "d-2", number=2, data={"remaining": 7}) == "stale_use"
    assert case.refused(case.use, grant, "d-1", number=2) == "second_use"

    case.use(grant, "d-2", number=2)

    assert case.refused(case.use, grant, "d-3", number=3) == "grant_used_up"


def test_there_is_no_use_after_the_end(case: Case) -> None:
    """By the clock of the writer, from the confirmation on."""
    grant = case.granted(**TOOL)
    case.ts = 1 + HOUR_US
    case.use(grant, "d-1")
    case.ts += 1

    assert case.refused(case.use, grant, "d-2", number=2) == "grant_over"


def test_there_is_no_use_before_the_confirmation(case: Case) -> None:
    grant = case.act("grant.proposed", ONE, ASKS, **TOOL)

    assert case.refused(case.use, grant, "d-1") == "unconfirmed_grant"
    assert case.refused(case.use, "e-77", "d-1") == "unknown_grant"


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"principal": "p-2"}, "foreign_grant"),
        ({"data": {"backend": "cloud"}}, "foreign_grant"),
        ({"data": {"person": ONE}}, "self_grant"),
        ({"data": {"person": TWO}}, "self_grant"),
    ],
)
def test_only_who_it_is_for_uses_it(case: Case, other: Any, code: str) -> None:
    """Nobody else, nowhere else, and no robot of whoever agreed."""
    grant = case.granted(**TOOL)

    assert case.refused(case.use, grant, "d-1", **other) == code


@pytest.mark.parametrize("person", [ONE, TWO])
def test_who_agreed_to_a_grant_for_a_group_uses_it_not(case: Case, person: str) -> None:
    """Whatever groups they come into afterwards."""
    grant = case.granted(**TOOL, group="agents")

    assert case.refused(case.use, grant, "d-1", principal=person) == "self_grant"
    case.use(grant, "d-1", principal="p-anybody")


def test_two_persons_agree_and_neither_for_themselves(case: Case) -> None:
    """Who proposed does not confirm, and who it is for does neither."""
    assert case.refused(case.act, "grant.proposed", ASKS, ASKS, **TOOL) == "self_grant"
    assert case.refused(case.act, "grant.proposed", None, ASKS, **TOOL) == "self_grant"
    grant = case.act("grant.proposed", ONE, ASKS, **TOOL)
    said = {"grant": grant, "counts_for": ["reviewer"]}

    assert case.refused(case.act, "grant.confirmed", ONE, **said) == "self_confirmation"
    assert case.refused(case.act, "grant.confirmed", ASKS, **said) == "self_grant"
    nobody = {**said, "counts_for": []}
    assert case.refused(case.act, "grant.confirmed", TWO, **nobody) == "bad_grant"
    case.act("grant.confirmed", TWO, **said)
    assert case.refused(case.act, "grant.confirmed", "p-3", **said) == "grant_confirmed"


def test_a_proposal_of_yesterday_is_not_confirmed(case: Case) -> None:
    """Nobody remembers what it was about."""
    grant = case.act("grant.proposed", ONE, ASKS, **TOOL)
    case.ts += PROPOSAL_US + 1

    said = {"grant": grant, "counts_for": ["reviewer"]}
    assert case.refused(case.act, "grant.confirmed", TWO, **said) == "grant_over"


@pytest.mark.parametrize(
    "terms",
    [
        {"count": 0},
        {"count": COUNT_MAX + 1},
        {"hours": 0},
        {"hours": HOURS_MAX + 1},
        {"rules": []},
        {"rules": ["r"] * (RULES_MAX + 1)},
        {"risk_below": 101},
        {"risk_below": -1},
        {"counts_for": []},
        {"group": "agents"},
    ],
)
def test_a_grant_has_bounds(case: Case, terms: dict[str, Any]) -> None:
    """Whatever the settings of a gateway say; and it is for one person or one group."""
    assert case.refused(case.act, "grant.proposed", ONE, ASKS, **{**TOOL, **terms}) == "bad_grant"


def test_a_grant_for_nobody_is_none(case: Case) -> None:
    assert case.refused(case.act, "grant.proposed", ONE, None, **TOOL) == "bad_grant"


def test_only_so_many_stand(case: Case) -> None:
    """What is over makes room."""
    for _ in range(STANDING_MAX):
        case.act("grant.proposed", ONE, ASKS, **TOOL)
    assert case.refused(case.act, "grant.proposed", ONE, ASKS, **TOOL) == "too_many_grants"

    case.ts += PROPOSAL_US + 1
    case.act("grant.proposed", ONE, ASKS, **TOOL)

    assert len(case.scribe.book.grants.standing) == 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [("grant.revoked", {}), ("grant.ended", {"cause": "halted"})],
)
def test_one_person_ends_it_at_once(case: Case, kind: str, data: dict[str, str]) -> None:
    """Then it is nobody's any more, also as a proposal."""
    grant = case.granted(**TOOL)
    case.act(kind, TWO, grant=grant, **data)

    assert case.refused(case.use, grant, "d-1") == "unknown_grant"
    assert case.refused(case.act, kind, TWO, grant=grant, **data) == "unknown_grant"


@pytest.mark.parametrize(
    ("scope", "name", "ends"),
    [
        ("all", "", True),
        ("backend", "loc*", True),
        ("backend", "cloud", False),
        ("tool", "CRM.read", True),
        ("tool", "crm.write", False),
        ("model", "any-model", True),
        ("team", "sales", True),
    ],
)
def test_the_kill_switch_ends_what_it_stops(case: Case, scope: str, name: str, ends: bool) -> None:
    """For good: lifting it brings no grant back."""
    grant = case.granted(**TOOL)
    halt = case.act("halt.set", "p-operator-1", scope=scope, name=name)
    proposed = case.act("halt.lift_proposed", "p-operator-1", halt=halt)
    case.act("halt.lifted", "p-operator-2", halt=halt, proposed=proposed)

    if ends:
        assert case.refused(case.use, grant, "d-1") == "grant_over"
    else:
        case.use(grant, "d-1")


def test_a_proposal_that_was_stopped_is_not_confirmed(case: Case) -> None:
    grant = case.act("grant.proposed", ONE, ASKS, **TOOL)
    case.act("halt.set", "p-operator-1", scope="all", name="")

    said = {"grant": grant, "counts_for": ["reviewer"]}
    assert case.refused(case.act, "grant.confirmed", TWO, **said) == "grant_over"


def test_a_switch_for_another_team_leaves_a_team_its_grant() -> None:
    """A tool's switch does not end a grant for requests, which names no tool."""
    assert not covers("team", "sales", TERMS, None, "agents")
    assert covers("team", "AGENTS", TERMS, None, "agents")
    assert not covers("tool", "*", TERMS, None, "agents")


def test_grants_outlive_a_pruning(case: Case) -> None:
    """The state goes through JSON and back, in the middle of everything."""
    used, fresh = case.granted(**TOOL), case.granted(**TERMS)
    case.act("grant.proposed", ONE, None, **TERMS, group="agents")
    later = {"stage": "tool_call", "thresholds": REVIEW, "rules": ["default.ladder"]}
    case.sent(hold_later=[later])
    case.use(used, "d-1")
    case.decided("d-1")
    case.use(used, "d-2", number=2)
    case.use(fresh, "d-3", "x-3")
    case.decided("d-3", "x-3", stage="request")

    told = json.loads(json.dumps(book_json(case.scribe.book)))
    again = _read(case.scribe, told)

    assert json.loads(json.dumps(book_json(again))) == told
    assert state(again)[-3:] == state(case.scribe.book)[-3:]
    assert again.answers["x-1"].granted
    assert again.answers["x-1"].ruled == ("default.ladder",)


def test_a_state_that_is_none_is_not_read(case: Case) -> None:
    """An attacker wrote it."""
    case.granted(**TOOL)
    told = json.loads(json.dumps(book_json(case.scribe.book)))
    told["grants"]["standing"][0]["used"] = "none"

    with pytest.raises(BadCarried):
        _read(case.scribe, told)


def _read(scribe: Scribe, told: Any) -> Any:
    """Leaves made by hand have not the form of real ones, which another test is about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sekisho_audit.carried.check_leaf", lambda *_: None)
        return read_book(told, "ledger.example/test", None)
