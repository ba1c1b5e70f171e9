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
from sekisho_audit.kinds import KINDS, NUMBER

GOOD = {"session": "s-1", "pid": 7}


def test_every_type_says_when_it_is_written() -> None:
    """The table is documentation: one sentence each, and reserved types exist."""
    assert all(known.when.endswith(".") for known in TYPES.values())
    assert RESERVED <= TYPES.keys()


def test_every_field_and_payload_says_what_it_means() -> None:
    """In a sentence, and numbers with what they count; nothing else has a unit."""
    fields = [
        (f"{kind} {name}", known)
        for kind, event in TYPES.items()
        for name, known in event.fields.items()
    ]
    assert not [where for where, known in fields if not known.means.endswith(".")]
    assert not [where for where, known in fields if bool(known.unit) != (known.kind is NUMBER)]
    assert all(text for known in TYPES.values() for text in known.payloads.values())
    assert all(text for known in TYPES.values() for text in known.optional_payloads.values())


def test_no_field_is_required_and_optional() -> None:
    """Which of the two it is would depend on who reads the table."""
    for kind, known in TYPES.items():
        assert not known.required.keys() & known.optional.keys(), kind
        assert not known.payloads.keys() & known.optional_payloads.keys(), kind


def test_a_kind_with_a_name_is_known_by_it() -> None:
    """The file of schemas and the reference keep kinds by name."""
    used = {known.kind for event in TYPES.values() for known in event.fields.values()}
    assert {kind for kind in used if kind.name} == set(KINDS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_fields_that_name_persons_are_known() -> None:
    """Whoever adds a principal id to an event must mark it, or it would reach the ledger."""
    named = {kind: fields for kind, fields in PERSONS.items() if fields}
    assert named == {
        "hold.filed": ("person", "editor"),
        "hold.seeded": ("person",),
        "hold.review": ("person",),
        "grant.used": ("person",),
        "break_glass.reviewed": ("person",),
        "sample.drawn": ("person",),
        "policy.drafted": ("signer",),
        "audit.disclosed": ("second",),
        "audit.export": ("second",),
        "legal_hold.set": ("person", "second"),
        "legal_hold.released": ("second",),
        "audit.pruned": ("second",),
        "erasure.begun": ("person", "second"),
        "retention.begun": ("second",),
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


def test_the_message_tells_missing_from_wrong() -> None:
    """Whoever reads it need not guess."""
    with pytest.raises(BadEvent, match="'pid' is missing"):
        check_data("session.opened", {"session": "s-1"})
    with pytest.raises(BadEvent, match="'pid' is not what it must be"):
        check_data("session.opened", {**GOOD, "pid": None})


@pytest.mark.parametrize("names", [[], ["answer"], ["outgoing", "outgoing"], ["outgoing", "Bad"]])
def test_payload_names_are_checked(names: list[str]) -> None:
    """What must be there is there, once, and every name is a plain word."""
    with pytest.raises(BadEvent):
        check_payload_names("backend.intent", names)


def test_too_many_payloads_are_refused() -> None:
    """An event carries a handful of payloads."""
    names = ["outgoing", *(f"p{'x' * number}" for number in range(8))]
    with pytest.raises(BadEvent):
        check_payload_names("backend.intent", names)


@pytest.mark.parametrize("kind", ["", "request", "REQUEST.RECEIVED", "x" * 1_000])
def test_unknown_type_is_refused(kind: str) -> None:
    """Only types of the table are written."""
    with pytest.raises(BadEvent, match="unknown event type"):
        check_data(kind, {})
