"""Holds, cards, reviews and proposals as bytes: exact there and back, strict otherwise."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.holding import record
from sekisho.model.decision import Threshold
from sekisho.model.hold import (
    Hold,
    HoldState,
    Justification,
    Proposal,
    ProposalKind,
    Review,
)

WORDS = st.text(max_size=20)
TIMES = st.integers(min_value=0, max_value=2**52)
HOLDS = st.builds(
    Hold,
    **dict.fromkeys(("id", "exchange", "stage", "principal", "person", "endpoint"), WORDS),
    **dict.fromkeys(("model", "backend", "revision", "binding", "received_event"), WORDS),
    **{name: st.lists(WORDS, max_size=3).map(tuple) for name in ("groups", "roles", "rules")},
    reasons=st.lists(WORDS, max_size=3).map(tuple),
    version=st.integers(1, 9),
    stream=st.booleans(),
    risk=st.integers(0, 100),
    thresholds=st.lists(
        st.builds(Threshold, WORDS, *[st.integers(1, 9)] * 3, st.lists(WORDS).map(tuple)),
        max_size=3,
    ).map(tuple),
    created_us=TIMES,
    expires_us=TIMES,
    wait_until_us=TIMES,
    outgoing=st.binary(max_size=200),
    facts=st.binary(max_size=50),
    log_level=WORDS,
    path=WORDS,
    justify=st.booleans(),
    relief_us=TIMES,
    before=st.binary(max_size=50),
)
REVIEW = Review("r-1", "hold_1", 1, "reviewer-1", "reviewer-1", "approve", "ok", "b", 5, ("x",))


@given(HOLDS)
def test_a_hold_comes_back_exactly(hold: Hold) -> None:
    """Every field and every byte of the outgoing body survives, newlines and NULs included."""
    assert record.decode(record.encode(hold)) == hold


@given(HOLDS)
def test_a_hold_that_nobody_edited_is_written_as_ever(hold: Hold) -> None:
    """Workers of an older build read it, and their records are read here."""
    header = record.encode(replace(hold, before=b"")).split(b"\n")[1]
    assert not [name for name in orjson.loads(header) if name.startswith("before")]


@given(HOLDS, st.data())
def test_a_cut_record_is_refused(hold: Hold, data: st.DataObject) -> None:
    """A record cut anywhere, or with bytes added, is never read as a hold."""
    whole = record.encode(hold)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (whole[:cut], whole + b"x"):
        with pytest.raises(ValueError, match=r"hold record|not JSON"):
            record.decode(damaged)


@given(HOLDS)
def test_a_card_shows_no_content(hold: Hold) -> None:
    """A card carries the hold's terms and sizes, and neither body nor facts nor reasons."""
    card = record.decode_card(record.encode_card(hold), "deciding")
    assert (card.id, card.state) == (hold.id, HoldState.DECIDING)
    assert card.outgoing_bytes == len(hold.outgoing)
    assert (card.thresholds, card.person) == (hold.thresholds, hold.person)
    assert set(orjson.loads(record.encode_card(hold))).isdisjoint({"outgoing", "facts", "reasons"})


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1"},
        {"version": True},
        {"stream": 1},
        {"rules": "x"},
        {"rules": [1]},
        {"thresholds": [{"reviewers": "r", "approve": "1", "deny": 1}]},
        {"unknown": 1},
        {"model": None},
        {"outgoing_bytes": -1},
    ],
)
def test_a_mistyped_member_is_refused(change: dict[str, object]) -> None:
    """A member of another type, an unknown one, or a length that does not fit is an error."""
    hold = _hold()
    magic, header, content = record.encode(hold).split(b"\n", 2)
    altered = orjson.dumps({**orjson.loads(header), **change})
    with pytest.raises(ValueError, match=r"expected|unknown|length"):
        record.decode(b"\n".join((magic, altered, content)))


def test_a_missing_member_is_refused() -> None:
    """No field has a silent default when it is read, but one that holds did not always have."""
    magic, header, content = record.encode(_hold()).split(b"\n", 2)
    members = orjson.loads(header)
    later = {"justify", "editor", "narrowed", "background", "notify", "writers", "asked_anew"}
    later |= {"seed", "seeded_by", "office_s"}
    for name in members.keys() - later:
        less = orjson.dumps({key: value for key, value in members.items() if key != name})
        with pytest.raises(ValueError, match=r"lacks|expected"):
            record.decode(b"\n".join((magic, less, content)))


def test_what_few_holds_have_is_told_of_those_alone() -> None:
    """A worker of before reads all others: an edit at the first step, and what nobody let go on."""
    plain, rare = _hold(), replace(_hold(), opening="o-1", edit_step=2)
    assert b"opening" not in record.encode(plain)
    assert record.decode(record.encode(rare)) == rare


def test_a_hold_of_before_there_were_justifications_asks_for_none() -> None:
    magic, header, content = record.encode(_hold()).split(b"\n", 2)
    members = orjson.loads(header)
    del members["justify"]
    old = record.decode(b"\n".join((magic, orjson.dumps(members), content)))
    assert old == replace(_hold(), justify=False)
    card = orjson.loads(record.encode_card(_hold()))
    del card["justify"]
    assert record.decode_card(orjson.dumps(card), "pending").justify is False


def test_a_justification_comes_back_exactly() -> None:
    """By itself and on its way; anything else is refused."""
    said = Justification("j-1", "hold_1", 1, "staff-7", "for the audit", "b", 5)
    assert record.decode_justification(record.encode_justification(said)) == said
    proposal = Proposal(
        "p-1", "hold_1", 1, ProposalKind.JUSTIFY, "b", "staff-7", "log", justification=said
    )
    assert record.decode_proposal(record.encode_proposal(proposal), 0) == proposal
    for bad in (b"[]", b"{}", record.encode_justification(said)[:-1] + b',"x":1}'):
        with pytest.raises(ValueError, match=r"justification|expected"):
            record.decode_justification(bad)


def test_a_review_comes_back_exactly() -> None:
    """With its reason and what it counts for."""
    assert record.decode_review(record.encode_review(REVIEW)) == REVIEW
    with pytest.raises(ValueError, match="review"):
        record.decode_review(b'{"counts_for":[],"id":"x"}')


def test_a_proposal_comes_back_with_the_time_it_was_taken() -> None:
    """The store's time replaces the proposer's."""
    proposal = Proposal("p-1", "hold_1", 1, ProposalKind.REVIEW, "b", "reviewer-1", "log", REVIEW)
    content = record.encode_proposal(proposal)
    assert record.decode_proposal(content, 7) == replace(proposal, at_us=7)
    expiry = replace(proposal, kind=ProposalKind.EXPIRE, review=None)
    assert record.decode_proposal(record.encode_proposal(expiry), 0) == expiry
    with pytest.raises(ValueError, match="proposal"):
        record.decode_proposal(b'{"kind":"review"}', 0)
    with pytest.raises(ValueError, match="vote"):
        record.decode_proposal(content.replace(b'"review",', b'"vote",', 1), 0)


def _hold() -> Hold:
    return Hold(
        id="hold_1",
        exchange="e-1",
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
        revision="r",
        rules=("x",),
        reasons=(),
        thresholds=(Threshold("reviewer", 1, 1),),
        risk=1,
        created_us=1,
        expires_us=2,
        wait_until_us=3,
        binding="",
        outgoing=b"{\n}",
        facts=b"{}",
        received_event="",
    )
