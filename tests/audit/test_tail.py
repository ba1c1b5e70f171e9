"""Following a ledger on the disk: every leaf once, each payload with its leaf."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from sekisho_audit.ledger import Ledger
from sekisho_audit.scan import EVENTS, HEAD_BYTES, PAYLOADS, BrokenSegment, held_from
from sekisho_audit.seal import stored_hash
from sekisho_audit.store import frame
from sekisho_audit.tail import Cursor, PayloadCursor, PayloadTail, Tail
from support.ledgers import open_ledger, run_exchange
from support.old_ledgers import Clock, after_days, live, open_at, prune


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Of several segments of both families."""
    opened = open_ledger(tmp_path, segment_bytes=1_024)
    opened.open_session("s-1", 1)
    for _ in range(12):
        run_exchange(opened, "s-1")
    yield opened
    opened.close()


def wanted(ledger: Ledger) -> list[str]:
    """The hashes of all stored payloads, in the order of the leaves."""
    tail = Tail(ledger.directory, Cursor())
    read = tail.take(ledger.size, 10_000)
    tail.close()
    return [entry["ct"] for one in read for entry in one.leaf["pl"] if "ct" in entry]


def test_reading_on_from_a_cursor_is_reading_at_once(ledger: Ledger) -> None:
    """A step of any size, with a new reader each: the same leaves in the same order."""
    whole = Tail(ledger.directory, Cursor())
    every = [one.digest for one in whole.take(ledger.size, 10_000)]
    whole.close()
    found: list[bytes] = []
    cursor = Cursor()
    while True:
        tail = Tail(ledger.directory, Cursor(*astuple(cursor)))
        step = tail.take(ledger.size, 5)
        tail.close()
        cursor = tail.cursor
        found += [one.digest for one in step]
        assert cursor.fits(ledger.directory)
        if not step:
            break
    assert found == every
    assert len(found) == ledger.size


def test_tail_says_when_durable_events_are_missing(ledger: Ledger) -> None:
    """A segment that ends before the ledger does is the ledger's trouble, said as such."""
    run_exchange(ledger, "s-1")
    tail = Tail(ledger.directory, Cursor())
    with pytest.raises((BrokenSegment, OSError)):
        tail.take(ledger.size + 1, 1_000)
    tail.close()


def test_a_cursor_of_another_ledger_does_not_fit(ledger: Ledger, tmp_path: Path) -> None:
    """Told by the last leaf that was read."""
    other = open_ledger(tmp_path / "other")
    tail = Tail(ledger.directory, Cursor())
    tail.take(ledger.size, 3)
    tail.close()
    assert not tail.cursor.fits(other.directory)
    other.close()


def test_each_payload_is_found_in_its_turn(ledger: Ledger) -> None:
    """Over segments, with a new reader each time, and when some are passed over."""
    digests = wanted(ledger)
    assert len(list((ledger.directory / "payloads").iterdir())) > 2
    cursor = PayloadCursor()
    for digest in digests[1::3]:
        tail = PayloadTail(ledger.directory, PayloadCursor(*astuple(cursor)))
        assert stored_hash(tail.find(digest)) == digest
        tail.close()
        cursor = tail.cursor


def test_what_is_behind_or_nowhere_is_not_found(ledger: Ledger) -> None:
    """It is said, and not looked for in the wrong place for ever."""
    digests = wanted(ledger)
    tail = PayloadTail(ledger.directory, PayloadCursor())
    tail.find(digests[2])
    with pytest.raises(BrokenSegment, match="is not there"):
        tail.find(digests[0])
    tail.close()


def test_payloads_of_nobody_are_passed(tmp_path: Path) -> None:
    """A batch that was killed between its payloads and its events leaves them behind."""
    ledger = open_ledger(tmp_path)
    writer = ledger.files._payloads
    writer.write([frame(bytes.fromhex(stored_hash(b"nobody's")), b"nobody's")])
    writer.sync()
    ledger.open_session("s-1", 1)
    run_exchange(ledger, "s-1")
    [first, *_] = wanted(ledger)
    tail = PayloadTail(ledger.directory, PayloadCursor())
    assert stored_hash(tail.find(first)) == first
    tail.close()
    ledger.close()


def test_a_changed_payload_is_told(ledger: Ledger) -> None:
    """A flipped bit in what is stored does not pass as content."""
    [first, *_] = wanted(ledger)
    path = ledger.directory / "payloads" / "000000000000.seg"
    body = bytearray(path.read_bytes())
    body[len(PAYLOADS.header(0)) + HEAD_BYTES + 5] ^= 1
    path.write_bytes(body)
    tail = PayloadTail(ledger.directory, PayloadCursor())
    with pytest.raises(BrokenSegment, match="does not fit its hash"):
        tail.find(first)
    tail.close()


@pytest.mark.parametrize("read", [0, 1, 40, 300])
def test_reading_on_where_leaves_were_pruned(memory_path: Path, read: int) -> None:
    """From a place that is gone one begins with what is held; from one that is held, one goes on.
    Payloads are found from there on, wherever the reader of payloads had stopped.
    """
    clock = Clock()
    ledger = open_at(memory_path, clock)
    live(ledger, clock, 220)
    tail = Tail(ledger.directory, Cursor())
    tail.take(ledger.size, read)
    cursor = tail.cursor
    tail.close()
    prune(ledger, clock, after_days(700))
    first = held_from(ledger.directory, EVENTS)
    assert 40 < first < ledger.size - 300
    assert held_from(ledger.directory, PAYLOADS) > 0
    assert cursor.fits(ledger.directory) is (read == 0 or read > first)
    fresh = Tail(ledger.directory, cursor if cursor.fits(ledger.directory) else Cursor())
    rest = fresh.take(ledger.size, 10_000)
    fresh.close()
    assert [one.leaf["n"] for one in rest] == list(range(max(first, read), ledger.size))
    payloads = PayloadTail(ledger.directory, PayloadCursor(1, 0, 700))
    for one in rest:
        for entry in one.leaf["pl"]:
            if "ct" in entry:
                assert stored_hash(payloads.find(entry["ct"])) == entry["ct"]
    payloads.close()
    ledger.close()
