"""What the fast reading takes, the exact one takes with the same value; the ordinary is fast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from sekisho.model.ids import uuid7
from sekisho_audit.canon import INT_MAX, NotCanonical, decode, encode
from sekisho_audit.errors import Refused
from sekisho_audit.events import TYPES, BadEvent, Event
from sekisho_audit.form import check_leaf
from sekisho_audit.keyring import Keyring
from sekisho_audit.kinds import DOCUMENT
from sekisho_audit.leaves import LeafBuilder
from sekisho_audit.plain import PlainLeaves
from sekisho_audit.scan import EVENTS, frames, segments
from support import random_events
from support.ledgers import ORIGIN, decision, intent, outcome, received, small_ledger

NINE_QUADRILLION = 9 * 10**15


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> LeafBuilder:
    keyring = Keyring(tmp_path_factory.mktemp("keys") / "principals.keys", bytes(32))
    return LeafBuilder(ORIGIN, uuid7(), keyring, lambda: 42)


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    ledger: Path = small_ledger(tmp_path_factory.mktemp("p"))
    return [frame.body for part in segments(ledger, EVENTS) for frame in frames(part, EVENTS)]


def exactly(body: bytes, index: int) -> Any:
    """What the exact reading says, None if it refuses."""
    try:
        leaf = decode(body)
        check_leaf(leaf, index, ORIGIN)
    except (NotCanonical, BadEvent):
        return None
    return leaf


def agrees(body: bytes, index: int) -> bool:
    """Whether the fast reading took it; never what the exact one does not."""
    plain = PlainLeaves(ORIGIN).read(body, index)
    if plain is None:
        return False
    found = exactly(body, index)
    assert found is not None, body
    assert encode(plain) == body == encode(found)
    return True


@settings(max_examples=200, deadline=None)
@given(event=random_events.events())
def test_any_event_is_read_alike(builder: LeafBuilder, event: Event) -> None:
    try:
        body = builder.build(event, 7).body
    except Refused:
        return
    note("plain" if agrees(body, 7) else "exact")


def made_plain(value: Any) -> Any:
    """The same value without what patterns leave alone: odd characters, numbers of 16 digits."""
    if isinstance(value, str):
        return "".join(one for one in value if " " <= one <= "~" and one not in '"\\')
    if isinstance(value, dict):
        return {key: made_plain(item) for key, item in value.items()}
    if type(value) is int:
        return value % NINE_QUADRILLION
    return [made_plain(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", sorted(TYPES))
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_each_type_has_a_pattern_for_plain_values(
    builder: LeafBuilder, kind: str, data: st.DataObject
) -> None:
    event = replace(data.draw(random_events.events(kind)), principal="staff-7")
    fields = TYPES[kind].fields
    told = {
        name: {} if fields[name].kind is DOCUMENT else made_plain(value)
        for name, value in event.data.items()
    }
    try:
        body = builder.build(replace(event, data=told), 7).body
    except Refused:
        return
    assert agrees(body, 7)


def test_an_ordinary_exchange_is_read_fast(builder: LeafBuilder) -> None:
    exchange = uuid7()
    sent = intent(exchange, "s-1")
    for event in (received(exchange), decision(exchange), sent, outcome(sent)):
        assert agrees(builder.build(event, 3).body, 3), event.type


def test_all_of_an_ordinary_ledger_is_read_alike_and_much_of_it_fast(bodies: list[bytes]) -> None:
    fast = sum(agrees(body, index) for index, body in enumerate(bodies))
    assert fast * 2 > len(bodies)


def test_another_place_or_another_ledger_is_left_to_the_exact_reading(bodies: list[bytes]) -> None:
    assert PlainLeaves(ORIGIN).read(bodies[1], 1)
    assert PlainLeaves(ORIGIN).read(bodies[1], 2) is None
    assert PlainLeaves("elsewhere").read(bodies[1], 1) is None
    assert PlainLeaves(ORIGIN.replace(".", "x")).read(bodies[1], 1) is None


PIECES = [b'"', b",", b"{", b"}", b"[", b"]", b":", b"0", b"-", b".", b"e", b" ", b"\\", b"null"]
PIECES += [b"true", b'"a":1,', b",,", b"\x7f", "é".encode(), b"\xff", b"\n", b"\\u0041", b""]


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_what_was_changed_is_never_read_fast_alone(
    bodies: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(bodies) - 1))
    body = bodies[index]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        piece = data.draw(st.one_of(st.sampled_from(PIECES), st.binary(min_size=1, max_size=3)))
        body = body[:start] + piece + body[start + data.draw(st.integers(0, 4)) :]
    agrees(body, index)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_members_that_moved_are_never_read_fast_alone(
    bodies: list[bytes], data: st.DataObject
) -> None:
    """Pieces between commas are dropped, doubled, put elsewhere: still JSON, another value."""
    index = data.draw(st.integers(0, len(bodies) - 1))
    members = bodies[index].split(b",")
    one = data.draw(st.integers(0, len(members) - 1))
    other = data.draw(st.integers(0, len(members)))
    moved = members.pop(one) if data.draw(st.booleans()) else members[one]
    if data.draw(st.booleans()):
        members.insert(other, moved)
    agrees(b",".join(members), index)


def asked(builder: LeafBuilder, obligations: bytes) -> bytes:
    """A decision with these bytes as its obligations."""
    body = builder.build(decision(uuid7()), 5).body
    assert body.count(b'"obligations":{}') == 1
    return body.replace(b'"obligations":{}', b'"obligations":' + obligations)


@pytest.mark.parametrize(
    ("obligations", "fast"),
    [
        (b'{"log_level":"full"}', True),
        (b'{"log_level":"full","max_tokens":10}', True),
        (b'{"max_tokens":10,"log_level":"full"}', False),
        (b'{"max_tokens":10,"max_tokens":10}', False),
        (b'{"max_tokens":10,"max_tokens":11}', False),
        (b'{"a":":"}', False),
        (b'{"a":1,}', False),
        (b'{"a":-0}', False),
        (b'{"a":01}', False),
        (b'{"a":1.0}', False),
        (b'{"a":1e3}', False),
        (b'{"a":%d}' % (NINE_QUADRILLION - 1), True),
        (b'{"a":%d}' % NINE_QUADRILLION, False),
        (b'{"a":%d}' % (INT_MAX + 1), False),
        (b'{"a":{"b":1}}', False),
        (b'{"a":"\xc3\xa9"}', False),
        (b'{"a":"\x7f"}', False),
        (b'{"a":"\\n"}', False),
        (b'{"a": 1}', False),
    ],
)
def test_documents(builder: LeafBuilder, obligations: bytes, *, fast: bool) -> None:
    assert agrees(asked(builder, obligations), 5) == fast


def test_a_payload_has_a_cipher_where_it_has_a_text(builder: LeafBuilder) -> None:
    body = builder.build(received(uuid7()), 4).body
    assert agrees(body, 4)
    assert not agrees(body.replace(b'"alg":"hkdf-sha256+aes-256-gcm",', b""), 4)


def test_a_leaf_that_is_too_long_is_left_to_the_exact_reading(builder: LeafBuilder) -> None:
    text = b'["' + b'","'.join([b"x" * 2_000] * 40) + b'"]'
    body = builder.build(decision(uuid7()), 5).body
    assert body.count(b'"rules":["sekisho.default"]') == 1
    assert not agrees(body.replace(b'"rules":["sekisho.default"]', b'"rules":' + text), 5)
