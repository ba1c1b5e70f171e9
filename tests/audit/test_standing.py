"""What the book remembers of decisions and holds."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit.standing import Decided, Filed, commit_of, hold_asked, requesters, reviewer
from sekisho_audit.thresholds import covered

ASKED = [{"reviewers": "reviewer", "approve": 1, "deny": 1}]


def decision(effect: str, **hold: Any) -> dict[str, Any]:
    obligations = {"hold": hold} if hold else {}
    return {"effect": effect, "obligations": obligations, "revision": f"r-{effect}"}


def test_what_was_once_held_stays_held() -> None:
    """The last effect and revision count, and so do the reviews that were asked for last."""
    first = Decided.after(None, decision("hold", thresholds=ASKED), held=True)
    then = Decided.after(first, decision("allow"), held=False)
    assert then == Decided("allow", must_hold=True, revision="r-allow", thresholds=ASKED)
    other = [{**ASKED[0], "approve": 2}]
    last = Decided.after(then, decision("hold", thresholds=other), held=True)
    assert last == Decided("hold", must_hold=True, revision="r-hold", thresholds=other)


def test_hold_of_another_stage_asks_nothing_here() -> None:
    """Its terms belong to that stage."""
    known = Decided.after(None, decision("hold", stage="response", thresholds=ASKED), held=False)
    assert known == Decided("hold", must_hold=False, revision="r-hold", thresholds=None)


@pytest.mark.parametrize("odd", [None, 1, "hold", [], True])
def test_odd_terms_are_none(odd: object) -> None:
    """An obligation is any document; what is no object tells no terms."""
    assert hold_asked({"obligations": {"hold": odd}}) == {}


@pytest.mark.parametrize("odd", [5, True, "reviewer", {"reviewers": "reviewer"}])
def test_reviews_that_do_not_read_are_those_of_no_hold(odd: object) -> None:
    """They were asked for, so nothing may pass as if none had been; and nothing falls over them."""
    known = Decided.after(None, decision("hold", thresholds=odd), held=True)
    assert known.thresholds is not None
    assert list(known.thresholds) != ASKED
    assert not covered(known.thresholds, ASKED)


def test_hold_is_kept_until_its_time_is_over_or_longer() -> None:
    """Whichever is later: its time, or when it was settled."""
    leaf = {"data": {"expires_us": 10}}
    filed = Filed("h", leaf)
    assert (filed.touched_us(), filed.approved) == (10, False)
    settled = Filed("h", leaf, settled={"ts": 12, "data": {"state": "approved"}})
    assert (settled.touched_us(), settled.approved) == (12, True)
    early = Filed("h", leaf, settled={"ts": 9, "data": {"state": "denied"}})
    assert (early.touched_us(), early.approved) == (10, False)


def test_people_of_a_leaf() -> None:
    """Who asked, and who reviewed: the person in whose seat it was, if another spoke."""
    assert requesters({"principal": "p-1", "data": {"person": "p-9"}}) == {"p-1", "p-9"}
    assert requesters({"principal": None, "data": {}}) == frozenset()
    assert reviewer({"actor": "p-2", "data": {"person": "p-3"}}) == "p-3"
    assert reviewer({"actor": "p-2", "data": {}}) == "p-2"


def test_commitment_is_found_by_name() -> None:
    leaf = {"pl": [{"name": "hold", "commit": "aa"}, {"name": "outgoing", "commit": "bb"}]}
    assert commit_of(leaf, "outgoing") == "bb"
    assert commit_of(leaf, "prompt") is None
