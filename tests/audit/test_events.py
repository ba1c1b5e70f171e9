"""The one table of what may be written."""

from __future__ import annotations

import pytest

from sekisho_audit.events import (
    PERSONS,
    RESERVED,
    TYPES,
    BadEvent,
    check_data,
    check_payload_names,
)

GOOD = {"session": "s-1", "pid": 7}


def test_every_type_says_when_it_is_written() -> None:
    """The table is documentation: one sentence each, and reserved types exist."""
    assert all(known.when.endswith(".") for known in TYPES.values())
    assert RESERVED <= TYPES.keys()


def test_fields_that_name_persons_are_known() -> None:
    """Whoever adds a principal id to an event must mark it, or it would reach the ledger."""
    named = {kind: fields for kind, fields in PERSONS.items() if fields}
    assert named == {
        "hold.filed": ("person",),
        "hold.review": ("person",),
        "delegation.changed": ("delegate",),
        "principal.changed": ("owner",),
    }


def test_good_data_passes() -> None:
    """All required fields of the right kind."""
    assert check_data("session.opened", GOOD) is TYPES["session.opened"]


BAD = {
    "missing": {"session": "s-1"},
    "unknown": {**GOOD, "user": "x"},
    "text for number": {**GOOD, "pid": "7"},
    "flag for number": {**GOOD, "pid": True},
    "float": {**GOOD, "pid": 7.0},
    "null": {**GOOD, "session": None},
    "list for text": {**GOOD, "session": ["s-1"]},
    "too long": {**GOOD, "session": "s" * 5_000},
    "too large": {**GOOD, "pid": 2**53},
}


@pytest.mark.parametrize("story", BAD)
def test_bad_data_is_refused(story: str) -> None:
    """Unknown, missing or wrong: refused, and the message names the type."""
    with pytest.raises(BadEvent, match=r"session\.opened"):
        check_data("session.opened", BAD[story])


BAD_THRESHOLDS: list[object] = [
    [],
    None,
    [{"reviewers": "a", "approve": 0, "deny": 1}],
    [{"reviewers": "a", "approve": 1}],
    [{"reviewers": "a", "approve": 1, "deny": 1, "more": 1}],
    [["a", 1, 1]],
    [{"reviewers": "a", "approve": 1, "deny": 1}] * 65,
]


@pytest.mark.parametrize("value", BAD_THRESHOLDS)
def test_threshold_that_nobody_must_meet_is_refused(value: object) -> None:
    """A hold that needs no review, or says it unclearly, cannot be filed."""
    assert not TYPES["hold.filed"].required["thresholds"](value)


@pytest.mark.parametrize(
    "value",
    [[{"code": "c", "rule": "r"}], [{"code": "c", "rule": "r", "msg": 1}], ["c"], {}, [None] * 65],
)
def test_odd_reasons_are_refused(value: object) -> None:
    """Reasons are a short list of code, rule and message."""
    assert not TYPES["policy.decision"].required["reasons"](value)


@pytest.mark.parametrize("value", [1, [], {"a": 1.5}, {"é": 1}, {"a": 2**53}])
def test_document_without_canonical_form_is_refused(value: object) -> None:
    """Free-form members are bound to what every JSON parser reads alike."""
    assert not TYPES["policy.decision"].required["obligations"](value)


@pytest.mark.parametrize("names", [[], ["answer"], ["outgoing", "outgoing"], ["outgoing", "Bad"]])
def test_payload_names_are_checked(names: list[str]) -> None:
    """What must be there is there, once, and every name is a plain word."""
    with pytest.raises(BadEvent):
        check_payload_names("backend.intent", TYPES["backend.intent"], names)


def test_too_many_payloads_are_refused() -> None:
    """An event carries a handful of payloads."""
    names = ["outgoing", *(f"p{'x' * number}" for number in range(8))]
    with pytest.raises(BadEvent):
        check_payload_names("backend.intent", TYPES["backend.intent"], names)


@pytest.mark.parametrize("kind", ["", "request", "REQUEST.RECEIVED", "x" * 1_000])
def test_unknown_type_is_refused(kind: str) -> None:
    """Only types of the table are written."""
    with pytest.raises(BadEvent, match="unknown event type"):
        check_data(kind, {})
