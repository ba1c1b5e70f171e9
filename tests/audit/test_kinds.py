"""What the fields of an event may hold."""

from __future__ import annotations

import pytest

from sekisho_audit.kinds import (
    CHARGED,
    DOCUMENT,
    KINDS,
    PERSON,
    REASONS,
    RETAINED,
    TEXTS,
    THRESHOLDS,
    EventType,
    Field,
    Kind,
    one_of,
)

GOOD: dict[str, object] = {
    "text": "x" * 2_048,
    "number": -(2**53) + 1,
    "flag": False,
    "texts": ["", "x" * 2_048] * 32,
    "reasons": ({"code": "c", "rule": "r", "msg": "m"},) * 64,
    "observed": [{"mode": "observe", "effect": "deny", "code": "c", "rule": "r"}] * 64,
    "thresholds": [
        {"reviewers": "a", "approve": 1, "deny": 0},
        {"reviewers": "a", "approve": 1, "deny": 0, "step": 2},
        {"reviewers": "a", "approve": 1, "deny": 0, "relief": ["b"]},
    ],
    "charged": {"tokens": 0, "spend_micros": 2**53 - 1, "groups": ["a"]},
    "retained": [{"class": "input", "days": "keep", "keys": 0, "held": 0, "up_to": "2026-11-03"}],
    "document": {"a": [None, True, 1, {"b": "é"}]},
    "person": "staff-7",
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_takes_its_own_and_nothing_else(kind: Kind) -> None:
    """None and what is missing never fit: the check of an event relies on it."""
    assert kind.fits(GOOD[kind.name])
    for other in (None, 1.0, b"x", object(), float("nan")):
        assert not kind.fits(other)


@pytest.mark.parametrize(
    "value", [[None], ["x" * 2_049], [""] * 65, "x", {"a": "b"}, [["x"]]], ids=repr
)
def test_odd_texts_are_refused(value: object) -> None:
    """A short list of short texts."""
    assert not TEXTS.fits(value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        None,
        [{"reviewers": "a", "approve": 0, "deny": 1}],
        [{"reviewers": "a", "approve": 1}],
        [{"reviewers": "a", "approve": 1, "deny": 1, "more": 1}],
        [["a", 1, 1]],
        [{"reviewers": "a", "approve": 1, "deny": 1}] * 65,
    ],
)
def test_threshold_that_nobody_must_meet_is_refused(value: object) -> None:
    """A hold that needs no review, or says it unclearly, cannot be filed."""
    assert not THRESHOLDS.fits(value)


@pytest.mark.parametrize(
    "value",
    [[{"code": "c", "rule": "r"}], [{"code": "c", "rule": "r", "msg": 1}], ["c"], {}, [None] * 65],
)
def test_odd_reasons_are_refused(value: object) -> None:
    """Reasons are a short list of code, rule and message."""
    assert not REASONS.fits(value)


@pytest.mark.parametrize("value", [1, [], {"a": 1.5}, {"é": 1}, {"a": 2**53}])
def test_document_without_canonical_form_is_refused(value: object) -> None:
    """Free-form members are bound to what every JSON parser reads alike."""
    assert not DOCUMENT.fits(value)


@pytest.mark.parametrize(
    "value",
    [
        {"tokens": 1},
        {"tokens": -1, "spend_micros": 0},
        {"tokens": 0, "spend_micros": -1},
        {"tokens": 0, "spend_micros": 0, "user": "x"},
        {"tokens": 0, "spend_micros": 0, "groups": "x"},
    ],
)
def test_odd_charges_are_refused(value: object) -> None:
    """Nobody is charged less than nothing, or under a name that is not counted."""
    assert not CHARGED.fits(value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        [{"class": "input", "days": 0, "keys": 0, "held": 0}],
        [{"class": "input", "days": True, "keys": 0, "held": 0}],
        [{"class": "input", "days": "for ever", "keys": 0, "held": 0}],
        [{"class": "input", "days": 1, "keys": -1, "held": 0}],
        [{"class": "input", "days": 1, "keys": 0, "held": -1}],
        [{"class": "input", "days": 1, "keys": 0}],
        [{"class": "input", "days": 1, "keys": 0, "held": 0, "up_to": None}],
        [{"class": "input", "days": 1, "keys": 0, "held": 0, "more": 0}],
        [{"class": "input", "days": 1, "keys": 0, "held": 0}] * 65,
    ],
)
def test_odd_ceilings_are_refused(value: object) -> None:
    """No number of days means that it is kept for ever."""
    assert not RETAINED.fits(value)


@pytest.mark.parametrize("step", [1, 0, -2, True, "2", None, 2.0, 2**53])
def test_odd_steps_are_refused(step: object) -> None:
    """The first step is not written, so that one thing is written in one way."""
    asked = {"reviewers": "a", "approve": 1, "deny": 1}
    assert THRESHOLDS.fits([asked, {**asked, "step": 3}])
    assert not THRESHOLDS.fits([{**asked, "step": step}])


@pytest.mark.parametrize("relief", [[], "b", None, [1], [None], ["b"] * 65, {"b": 1}])
def test_odd_relief_is_refused(relief: object) -> None:
    """Where nobody relieves it is not written, so that one thing is written in one way."""
    asked = {"reviewers": "a", "approve": 1, "deny": 1}
    assert not THRESHOLDS.fits([{**asked, "relief": relief}])


def test_one_of_takes_its_words_only() -> None:
    """Neither a part of one nor a list of them."""
    kind = one_of("allow", "deny")
    assert [kind.fits(word) for word in ("allow", "deny", "al", "", ["allow"], None)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert kind.schema == {"enum": ["allow", "deny"]}
    assert kind.says == "`allow` `deny`"


def test_an_event_type_asks_what_its_fields_ask() -> None:
    """Required and optional apart, each by its kind."""
    event = EventType("When.", {"who": Field(PERSON, "Who.")}, {"list": Field(TEXTS, "A list.")})
    assert event.checks == {"who": PERSON.fits}
    assert event.optional_checks == {"list": TEXTS.fits}
    assert list(event.fields) == ["who", "list"]
