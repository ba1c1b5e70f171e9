"""The published schemas say what the tables say: nothing the ledger takes is refused by them, and
nothing they take is refused by the ledger, but for what JSON Schema cannot say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.model.ids import uuid7
from sekisho_audit.canon import INT_MAX, NotCanonical, decode, encode
from sekisho_audit.errors import Refused
from sekisho_audit.events import PERSONS, TYPES, BadEvent, Event, check_data
from sekisho_audit.form import _PSEUDONYM, _matches, check_leaf
from sekisho_audit.keyring import Keyring
from sekisho_audit.kinds import KINDS, PERSON, PSEUDONYM, SCHEMAS_ID, Kind
from sekisho_audit.leaves import LeafBuilder
from sekisho_audit.scan import EVENTS, frames, segments
from sekisho_audit.schemas import document
from support import random_events
from support.ledgers import ORIGIN, HeldExchange, outcome, small_ledger

DOCUMENT = document()
ANY = jsonschema_rs.Draft202012Validator(DOCUMENT)
REGISTRY = jsonschema_rs.Registry([(SCHEMAS_ID, DOCUMENT)])
BY_TYPE = {
    kind: jsonschema_rs.Draft202012Validator(
        {"$ref": f"urn:sekisho:event:{kind}:1"}, registry=REGISTRY
    )
    for kind in TYPES
}
SOMEBODY = f"p-{'0' * 16}"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> LeafBuilder:
    keyring = Keyring(tmp_path_factory.mktemp("keys") / "principals.keys", bytes(32))
    return LeafBuilder(ORIGIN, uuid7(), keyring, lambda: 42)


def _verifies(leaf: Any) -> bool:
    """Whether the verifier takes it as the leaf of its place."""
    if not isinstance(leaf, dict):
        return False
    try:
        index, origin = leaf.get("n"), leaf.get("log")
        if type(index) is not int or index < 0 or not isinstance(origin, str) or not origin:
            return False  # no place in any ledger
        check_leaf(decode(encode(leaf)), index, origin)
    except (BadEvent, NotCanonical):
        return False
    return True


def _leaf(builder: LeafBuilder, event: Event) -> dict[str, Any] | None:
    try:
        body = builder.build(event, 7).body
    except Refused as refused:
        if refused.code != "leaf_too_large":
            raise
        return None
    return json.loads(body)  # type: ignore[no-any-return]


def test_the_document_is_a_schema() -> None:
    """Of the dialect that it names."""
    assert jsonschema_rs.meta.is_valid(dict(DOCUMENT))


def test_every_type_has_a_schema_of_its_own_name_and_version() -> None:
    """It can be asked for by its id, and takes no other type."""
    defs: Mapping[str, Any] = DOCUMENT["$defs"]
    assert {kind: defs[kind]["$id"] for kind in TYPES} == {
        kind: f"urn:sekisho:event:{kind}:1" for kind in TYPES
    }
    assert [one["$ref"] for one in DOCUMENT["oneOf"]] == [
        f"urn:sekisho:event:{kind}:1" for kind in sorted(TYPES)
    ]


def _nested(levels: int) -> dict[str, Any]:
    return {"in": _nested(levels - 1)} if levels > 1 else {}


EDGES: list[Any] = [
    *(None, True, False, 0, 1, -1, INT_MAX, INT_MAX + 1, -INT_MAX, -INT_MAX - 1, 2**70),
    *("", "é" * 2_048, "é" * 2_049, "\U0001f980" * 2_048, "p-0123456789abcdef"),
    *([], [""], [1], [None], [[]], [{}], ["x" * 2_048] * 64, [""] * 65, ["x" * 2_049]),
    *({}, {"": 1}, {"\x7f": 1}, {"\x80": 1}, {"a": {"é": 1}}, {"a": ["x" * 3_000]}),
    *({"a": None}, {"a": True}, {"a": INT_MAX}, {"a": -INT_MAX}, {"a": INT_MAX + 1}),
    *({"a": -INT_MAX - 1}, _nested(10), _nested(11), {"a": [_nested(8)]}, {"a": [_nested(9)]}),
    *([{"code": "", "rule": "", "msg": text}] for text in ("", 1, "x" * 2_049)),
    *([{"code": "", "rule": "", "msg": ""}] * count for count in (64, 65)),
    *([{"code": "", "rule": ""}], [{"code": "", "rule": "", "msg": "", "more": ""}]),
    *([{"reviewers": "", "approve": n, "deny": 0}] for n in (0, 1, INT_MAX, INT_MAX + 1, True)),
    *([{"reviewers": "", "approve": 1, "deny": n}] for n in (-1, -INT_MAX, -INT_MAX - 1, "")),
    *([{"reviewers": "", "approve": 1, "deny": 1}] * count for count in (64, 65)),
    *([{"reviewers": "", "approve": 1}], [{"reviewers": 1, "approve": 1, "deny": 1}]),
    *({"tokens": n, "spend_micros": 0} for n in (-1, 0, INT_MAX, INT_MAX + 1, False)),
    *({"tokens": 0, "spend_micros": n} for n in (-1, 0, INT_MAX, INT_MAX + 1, None)),
    *({"tokens": 0, "spend_micros": 0, "groups": names} for names in ([], [""] * 65, "", [1])),
    *({"tokens": 0, "spend_micros": 0, "prices": text} for text in ("", "x" * 2_049, 1)),
    *({"tokens": 0, "spend_micros": 0, name: ""} for name in ("assistant", "user")),
    *({"tokens": 0}, {"spend_micros": 0}),
    *(
        [{"class": "", "days": days, "keys": 0, "held": 0}] * count
        for days in (0, 1, "keep", "for ever", INT_MAX, INT_MAX + 1, None)
        for count in (1, 64, 65)
    ),
    *([{"class": "", "days": 1, "keys": n, "held": 0, "up_to": ""}] for n in (-1, 0, INT_MAX + 1)),
    *([{"class": "", "days": 1, "keys": 0, "held": 0, name: None}] for name in ("up_to", "more")),
]


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not PERSON], ids=lambda kind: kind.name)
def test_check_and_schema_of_a_kind_agree_at_every_edge(kind: Kind) -> None:
    """One step this side is taken by both, one step that side by neither."""
    schema = jsonschema_rs.Draft202012Validator(kind.schema, registry=REGISTRY)
    fits = [kind.fits(value) for value in EDGES]
    assert [schema.is_valid(value) for value in EDGES] == fits
    assert any(fits)
    assert not all(fits)


@pytest.mark.parametrize("kind", sorted(TYPES))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_exchange_and_actor_are_needed_where_the_table_says_so(
    kind: str, data: st.DataObject
) -> None:
    """Elsewhere they may be null."""
    known = TYPES[kind]
    good = data.draw(random_events.datas(known))
    leaf = _around(kind, good | {name: SOMEBODY for name in PERSONS[kind] if name in good})
    assert BY_TYPE[kind].is_valid({**leaf, "exchange": uuid7(), "actor": SOMEBODY})
    assert BY_TYPE[kind].is_valid({**leaf, "exchange": None}) is not known.exchange
    assert BY_TYPE[kind].is_valid({**leaf, "actor": None}) is not known.actor


@settings(max_examples=300, deadline=None)
@given(event=random_events.events())
def test_every_leaf_that_the_writer_builds_fits_the_schema_of_its_type(
    builder: LeafBuilder, event: Event
) -> None:
    """And that of no other type; the verifier takes it too."""
    leaf = _leaf(builder, event)
    if leaf is None:
        return
    assert BY_TYPE[event.type].is_valid(leaf)
    assert ANY.is_valid(leaf)
    assert [kind for kind, schema in BY_TYPE.items() if schema.is_valid(leaf)] == [event.type]
    assert _verifies(leaf)


@settings(max_examples=1_000, deadline=None)
@given(data=st.data())
def test_schema_and_table_agree_on_data_that_is_nearly_right(
    builder: LeafBuilder, data: st.DataObject
) -> None:
    """In both directions, for every type: what one takes the other takes."""
    kind = data.draw(st.sampled_from(sorted(TYPES)))
    good = data.draw(random_events.datas(TYPES[kind]))
    good |= {name: SOMEBODY for name in PERSONS[kind] if name in good}
    odd = data.draw(random_events.nearly(good))
    try:
        check_data(kind, odd if isinstance(odd, dict) else {"": None})
        taken = all(_matches(_PSEUDONYM, odd[name]) for name in PERSONS[kind] if name in odd)
    except BadEvent:
        taken = False
    note(f"taken: {taken}")
    assert BY_TYPE[kind].is_valid(_around(kind, odd)) is taken


def _around(kind: str, data: Any) -> dict[str, Any]:
    """A leaf in which only `data` may be wrong."""
    known = TYPES[kind]
    return {
        "v": 1,
        "id": uuid7(),
        "log": ORIGIN,
        "n": 0,
        "boot": uuid7(),
        "ts": 0,
        "type": kind,
        "exchange": uuid7() if known.exchange else None,
        "principal": None,
        "actor": SOMEBODY if known.actor else None,
        "data": data,
        "pl": [
            {"name": name, "len": 1, "commit": "0" * 64, "kref": f"{SOMEBODY}/2026-11"}
            for name in known.payloads
        ],
    }


@settings(max_examples=1_000, deadline=None)
@given(data=st.data())
def test_the_verifier_takes_what_the_schema_takes_and_nothing_else(
    builder: LeafBuilder, data: st.DataObject
) -> None:
    """One change anywhere in a leaf; names of payloads, which JSON Schema cannot count, apart."""
    leaf = _leaf(builder, data.draw(random_events.events()))
    if leaf is None:
        return
    odd = data.draw(random_events.nearly(leaf))
    taken = ANY.is_valid(odd)
    note(f"taken: {taken}")
    if not taken:
        assert not _verifies(odd)
    elif len({entry["name"] for entry in odd["pl"]}) == len(odd["pl"]):
        assert _verifies(odd)


def test_every_leaf_of_a_real_ledger_fits(tmp_path: Path) -> None:
    """Among them those that the ledger writes itself."""
    ledger = small_ledger(tmp_path)
    leaves = [
        decode(frame.body)
        for segment in segments(ledger, EVENTS)
        for frame in frames(segment, EVENTS)
    ]
    assert {"audit.boot", "session.opened", "session.closed", "audit.shutdown"} <= {
        leaf["type"] for leaf in leaves
    }
    assert [leaf for leaf in leaves if not BY_TYPE[leaf["type"]].is_valid(leaf)] == []


def _held(builder: LeafBuilder) -> dict[str, Any]:
    built = _leaf(builder, HeldExchange().filing()[2])
    assert built is not None
    return built


WRONG: dict[str, dict[str, Any]] = {
    "another version": {"v": 2},
    "no uuid": {"id": "x"},
    "upper case": {"id": uuid7().upper()},
    "a newline behind": {"boot": uuid7() + "\n"},
    "a negative index": {"n": -1},
    "no exchange": {"exchange": None},
    "an exchange without a date": {"exchange": "5f0c9b1e-0000-4000-8000-000000000000"},
    "a name for a principal": {"principal": "staff-7@ledger.example"},
    "an actor who is nobody": {"actor": ""},
    "one more member": {"tenant": "x"},
    "no payloads": {"pl": []},
    "another type": {"type": "hold.review"},
    "no type": {"type": "hold"},
}


@pytest.mark.parametrize("story", WRONG)
def test_a_wrong_envelope_is_refused(builder: LeafBuilder, story: str) -> None:
    """Each member by itself."""
    leaf = _held(builder)
    assert ANY.is_valid(leaf)
    assert not ANY.is_valid({**leaf, **WRONG[story]})


@pytest.mark.parametrize("name", list(_around("audit.boot", {})))
def test_every_member_of_the_envelope_is_needed(builder: LeafBuilder, name: str) -> None:
    """Null says that there is none; what is left out says nothing."""
    leaf = _held(builder)
    del leaf[name]
    assert not ANY.is_valid(leaf)


ODD_PAYLOADS: dict[str, dict[str, Any]] = {
    "stored how": {"ct": "0" * 64},
    "stored where": {"alg": "hkdf-sha256+aes-256-gcm"},
    "a name with blanks": {"name": "Out going"},
    "less than nothing": {"len": -1},
    "a key of a name": {"kref": "staff-7/2026-11"},
    "no commitment": {"commit": ""},
    "the content itself": {"exact": "x"},
}


@pytest.mark.parametrize("story", ODD_PAYLOADS)
def test_an_odd_payload_is_refused(builder: LeafBuilder, story: str) -> None:
    """What is committed to and what is stored, nothing else."""
    leaf = _held(builder)
    hold, outgoing = leaf["pl"]
    assert set(hold) - set(outgoing) == {"ct", "alg"}
    assert not ANY.is_valid({**leaf, "pl": [hold, {**outgoing, **ODD_PAYLOADS[story]}]})
    assert not ANY.is_valid({**leaf, "pl": [hold, outgoing, *[{**hold, "name": "x"}] * 7]})


def test_what_json_schema_cannot_say(builder: LeafBuilder) -> None:
    """It takes these; the ledger does not. `schemas.UNSAID` tells readers so."""
    sent = HeldExchange().intent("s-1")
    leaf = _leaf(builder, outcome(sent))
    assert leaf is not None
    floating = {**leaf, "data": {**leaf["data"], "bytes": 7.0}}
    twice = {**leaf, "pl": leaf["pl"] * 2}
    for odd in (floating, twice):
        assert ANY.is_valid(odd)
        assert not _verifies(odd)


def test_the_schemas_know_pseudonyms_as_the_verifier_does() -> None:
    """The verifier keeps its own patterns, since it trusts no writer."""
    assert _PSEUDONYM.pattern == PSEUDONYM
