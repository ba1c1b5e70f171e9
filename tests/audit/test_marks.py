"""What an event can be found by."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho_audit import marks
from sekisho_audit.events import TYPES
from sekisho_audit.marks import marks_of, owner_of, texts_of, used_by
from sekisho_audit.query import FIELDS, STATES, STATUSES, parse
from support.searches import PEOPLE, decided, filed, leaf_of, outcome, received


def everybody(_pseudonym: str) -> bool:
    return True


def test_the_tables_name_members_and_fields_that_exist() -> None:
    """A member that no event has would never be found, nor would a field that cannot be asked."""
    for kind, members in marks._FIELDS.items():
        for member, field in members:
            assert member in TYPES[kind].required
            assert field in FIELDS
    for kind, (field, word) in marks._SAID.items():
        assert kind in TYPES
        assert word in {"state": STATES, "status": STATUSES}[field]


def test_the_words_that_queries_may_ask_for_are_those_that_events_may_say() -> None:
    """States and outcomes of the table of types, and what a type says by itself."""
    said = {word for _, word in marks._SAID.values()}
    for kind, member, words in (
        ("hold.settled", "state", STATES),
        ("backend.outcome", "status", STATUSES),
    ):
        fits = TYPES[kind].required[member].kind.fits
        assert all(fits(word) or word in said for word in words)


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("request.received", received("gpt-4", "chat"), {("model", "gpt-4"), ("endpoint", "chat")}),
        (
            "policy.decision",
            decided("deny", ["a"], "why"),
            {
                ("effect", "deny"),
                ("rule", "a"),
                ("reason", "why"),
                ("stage", "request"),
                ("revision", "sha256:0"),
            },
        ),
        (
            "hold.filed",
            filed(PEOPLE[2]),
            {
                ("state", "filed"),
                ("backend", "openai"),
                ("model", "gpt-4"),
                ("stage", "request"),
                ("revision", "sha256:1"),
                ("actor", PEOPLE[2]),
            },
        ),
        ("backend.outcome", outcome("failed"), {("status", "failed")}),
        (
            "exchange.refused",
            {"code": "denied", "status": 403, "stage": "request"},
            {("status", "refused"), ("code", "denied"), ("stage", "request")},
        ),
        (
            "hold.released",
            {"hold": "h", "version": 1, "binding": "b", "stage": "tool_call"},
            {("state", "released"), ("stage", "tool_call")},
        ),
        ("backend.outcome", outcome("held"), {("status", "held")}),
        ("hold.delivered", {"hold": "h"}, {("state", "delivered")}),
        ("exchange.cancelled", {"stage": "clear"}, {("status", "cancelled"), ("stage", "clear")}),
        ("audit.boot", {"boot": "b", "last": -1, "cut": 0}, set()),
        ("break_glass.used", {"opening": "o", "decision": "d", "backend": "b", "number": 1}, set()),
    ],
)
def test_a_leaf_says_its_type_its_people_and_its_words(
    kind: str, data: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    """No more and no less."""
    leaf = leaf_of(1, kind, data, actor=PEOPLE[1])
    always = {("type", kind), ("principal", PEOPLE[0]), ("actor", PEOPLE[1])}
    assert marks_of(leaf, everybody) == always | expected


def test_what_went_on_in_an_emergency_can_be_asked_for() -> None:
    """By its type, as the guide says: those who review it begin there."""
    [term] = parse("type:break_glass.used").terms

    assert (term.field, term.value) in marks_of(leaf_of(1, "break_glass.used", {}), everybody)


def test_forgotten_people_leave_no_mark() -> None:
    """Neither as principal, nor as who acted, nor in the data."""
    leaf = leaf_of(1, "hold.filed", filed(PEOPLE[2]), actor=PEOPLE[1])
    assert not {word for _, word in marks_of(leaf, lambda _: False)} & set(PEOPLE)


def test_a_long_word_is_cut_to_what_can_be_asked_for() -> None:
    """A client names its model."""
    leaf = leaf_of(1, "request.received", received("m" * 2_000))
    assert ("model", "m" * 512) in marks_of(leaf, everybody)


def test_a_row_belongs_to_whose_keys_seal_its_payloads() -> None:
    """The principal, else who acted, else nobody."""
    assert owner_of(leaf_of(1, "x", actor=PEOPLE[1])) == PEOPLE[0]
    assert owner_of(leaf_of(1, "x", principal=None, actor=PEOPLE[1])) == PEOPLE[1]
    assert owner_of(leaf_of(1, "x", principal=None)) is None


def test_texts_are_those_in_which_people_look_for_words() -> None:
    """An outgoing body that was not stored stands in the prompt; a prompt that was not is a gap."""
    leaf = leaf_of(1, "x", texts=("prompt", "input", "outgoing"), unstored=("answer",))
    kref = f"{PEOPLE[0]}/2026-11"
    assert list(texts_of(leaf)) == [("prompt", kref), ("outgoing", kref), ("answer", "")]
    assert list(texts_of(leaf_of(1, "x", unstored=("outgoing", "source")))) == []
    given = leaf_of(1, "hold.released", unstored=("answer",))
    assert list(texts_of(given)) == []  # it stands with the outcome


def test_an_outcome_says_what_it_cost() -> None:
    """Others say nothing, an intent that set something aside among them."""
    assert used_by(leaf_of(1, "backend.outcome", outcome(spend=5))) == (5, 10)
    assert used_by(leaf_of(1, "backend.outcome", outcome())) == (None, None)
    aside = {"charged": {"tokens": 1, "spend_micros": 1}}
    assert used_by(leaf_of(1, "backend.intent", aside)) == (None, None)
