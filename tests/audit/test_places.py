"""One event or payload is found on the disk, also in old segments, and checked when found."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from sekisho_audit.places import event_at, events_of, payload_of, payloads_of
from sekisho_audit.scan import EVENTS, PAYLOADS, BrokenSegment, frames, segments
from support.ledgers import open_ledger, run_exchange


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger of several small segments."""
    opened = open_ledger(tmp_path, segment_bytes=1_024)
    opened.open_session("s-1", 1)
    for _ in range(12):
        run_exchange(opened, "s-1")
    opened.close()
    assert len(segments(opened.directory, EVENTS)) > 2
    assert len(segments(opened.directory, PAYLOADS)) > 1
    return opened.directory


def test_every_event_is_found_by_its_index(ledger: Path) -> None:
    """And no other."""
    every = [orjson.loads(f.body) for s in segments(ledger, EVENTS) for f in frames(s, EVENTS)]
    assert every == [event_at(ledger, index) for index in range(len(every))]
    for index in (-1, len(every)):
        with pytest.raises(LookupError):
            event_at(ledger, index)


@pytest.mark.parametrize("written_us", [0, 2**62])
def test_every_payload_is_found_by_its_hash(ledger: Path, written_us: int) -> None:
    """Also where the files' times say nothing, as after a copy."""
    for segment in segments(ledger, PAYLOADS):
        for frame in frames(segment, PAYLOADS):
            assert frame.body == payload_of(ledger, frame.digest.hex(), written_us)
    with pytest.raises(LookupError):
        payload_of(ledger, "00" * 32, written_us)


def test_what_is_being_written_is_passed_over(ledger: Path) -> None:
    """A frame that is not whole yet is not looked into."""
    last = segments(ledger, EVENTS)[-1]
    count = last.first + len(list(frames(last, EVENTS)))
    with last.path.open("ab") as file:
        file.write((1_000).to_bytes(4, "big") + b"x" * 50)
    with pytest.raises(LookupError):
        event_at(ledger, count)


def test_a_changed_byte_is_told(ledger: Path) -> None:
    """What is found must fit its hash."""
    first = segments(ledger, EVENTS)[0]
    [frame, *_] = frames(first, EVENTS)
    with first.path.open("r+b") as file:
        file.seek(frame.offset + 40)
        file.write(b"\xff")
    with pytest.raises(BrokenSegment):
        event_at(ledger, 0)
    with first.path.open("r+b") as file:
        file.seek(frame.offset)
        file.write(b"\xff" * 4)
    with pytest.raises(BrokenSegment, match="impossible"):
        event_at(ledger, 0)


def test_all_events_of_exchanges_are_found(ledger: Path) -> None:
    """Wherever they stand, in order; none that is not durable yet."""
    every = [orjson.loads(f.body) for s in segments(ledger, EVENTS) for f in frames(s, EVENTS)]
    named = list(dict.fromkeys(leaf["exchange"] for leaf in every if leaf["exchange"]))
    wanted = {named[0], named[-1]}
    expected = [leaf for leaf in every if leaf["exchange"] in wanted]
    assert events_of(ledger, wanted, len(every)) == expected
    assert events_of(ledger, wanted, expected[-1]["n"]) == expected[:-1]
    assert events_of(ledger, [], len(every)) == []


def test_many_payloads_are_found_in_one_pass(ledger: Path) -> None:
    """Those that are there; the others do not come."""
    every = {
        f.digest.hex(): f.body for s in segments(ledger, PAYLOADS) for f in frames(s, PAYLOADS)
    }
    assert dict(payloads_of(ledger, [*every, "00" * 32], 0)) == every
    assert list(payloads_of(ledger, [], 0)) == []
