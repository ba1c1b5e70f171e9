"""Frames on the socket: any cut gives the same messages, hostile lengths give none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho_audit.events import Event, Payload
from sekisho_audit.wire import (
    BLOBS_MAX,
    FRAME_BYTES_MAX,
    Malformed,
    Splitter,
    check_socket_path,
    encode,
    pack_events,
    unpack_events,
)

BODY = b"body " * 20
EVENT = Event("id", "a.type", "x", "p", {"n": 1}, "a", (Payload("one", BODY, BODY),))


@given(st.lists(st.lists(st.binary(max_size=40), max_size=4), max_size=5), st.data())
def test_any_cut_gives_the_same_messages(blobs: list[list[bytes]], data: st.DataObject) -> None:
    """Messages do not depend on where the kernel cuts the stream."""
    stream = b"".join(encode({"req": place}, item) for place, item in enumerate(blobs))
    splitter, found, rest = Splitter(), [], stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += splitter.feed(rest[:size])
        rest = rest[size:]
    assert [(message["req"], parts) for message, parts in found] == list(enumerate(blobs))
    assert splitter.buffered == 0


def test_events_cross_the_socket() -> None:
    """What is unpacked is what was packed."""
    packed, blobs = pack_events([EVENT])
    [(message, received)] = Splitter().feed(encode({"events": packed}, blobs))
    assert unpack_events(message["events"], received) == [EVENT]


def test_one_object_crosses_once() -> None:
    """A body that several payloads name is sent a single time."""
    twice = Event("id2", "a.type", None, None, {}, None, (Payload("two", BODY),))
    _, blobs = pack_events([EVENT, twice])
    assert blobs == [BODY]


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">II", FRAME_BYTES_MAX + 1, 2),
        struct.pack(">II", 3, 0) + b"abc",
        struct.pack(">II", 6, 3) + b"{}",
        struct.pack(">II", 7, 2) + b"{}x",
        struct.pack(">II", 5, 1) + b"{",
        struct.pack(">II", 5, 1) + b"1",
        encode({"blobs": "x"}),
        encode({"blobs": [-1]}),
        encode({"blobs": [True]}),
        encode({"blobs": [5]}),
        encode({"blobs": [0] * 65}),
    ],
)
def test_malformed_frame_is_refused(frame: bytes) -> None:
    """Lengths that do not fit their frame, or no object inside: refused."""
    with pytest.raises(Malformed):
        Splitter().feed(frame)


def test_too_large_message_is_not_sent() -> None:
    """The sender learns it, not the receiver."""
    with pytest.raises(Malformed, match="too large"):
        encode({}, [bytes(FRAME_BYTES_MAX)])


GOOD = {"id": "i", "type": "t", "data": {}}


@pytest.mark.parametrize(
    "packed",
    [
        None,
        [],
        [GOOD] * 65,
        [{**GOOD, "id": 1}],
        [{**GOOD, "data": []}],
        [{**GOOD, "exchange": 1}],
        [{**GOOD, "principal": {}}],
        [{**GOOD, "actor": False}],
        [{**GOOD, "pl": {}}],
        [{**GOOD, "pl": [["n", 0]]}],
        [{**GOOD, "pl": [["n", 1, None]]}],
        [{**GOOD, "pl": [["n", -1, None]]}],
        [{**GOOD, "pl": [["n", 0, -1]]}],
        [{**GOOD, "pl": [["n", True, None]]}],
        [{**GOOD, "pl": [[1, 0, None]]}],
    ],
)
def test_odd_events_are_refused(packed: object) -> None:
    """Every field has its type before anything else looks at it."""
    with pytest.raises(Malformed):
        unpack_events(packed, [b"blob"])


def test_socket_path_has_a_limit() -> None:
    """A path the kernel would cut is refused with advice."""
    check_socket_path("/" + "x" * 99)
    with pytest.raises(Malformed, match="shorter"):
        check_socket_path("/" + "x" * 100)


def test_what_the_other_end_would_refuse_is_not_sent() -> None:
    """The sender hears of it, instead of losing its connection."""
    assert encode({}, [b""] * BLOBS_MAX)
    with pytest.raises(Malformed):
        encode({}, [b""] * (BLOBS_MAX + 1))
