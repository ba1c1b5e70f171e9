"""What a crash or a power cut leaves at the end of each file that grows, at every byte.

The last batch (new keys, then payloads, then events, each synced before the next) was not
acknowledged: its files end anywhere in it, or their last bytes are zeros or noise. Whatever was
acknowledged before is there afterwards and opens; the next start works by itself or refuses,
changes nothing and says what to do.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sekisho.model.ids import uuid7
from sekisho_audit.errors import Unusable
from sekisho_audit.events import Appended, Event
from sekisho_audit.ledger import Ledger
from sekisho_audit.report import Verdict
from sekisho_audit.scan import EVENTS, PAYLOADS, frames, segments
from sekisho_audit.seal import unseal
from sekisho_audit.verify import verify
from support.ledgers import open_ledger, received

STEP = 1 if os.environ.get("SEKISHO_STRIKES") == "all" else 7
FIRST = "000000000000.seg"
# Their order is that in which a batch is written.
FILES = ("keys/principals.keys", f"data/ledger/payloads/{FIRST}", f"data/ledger/events/{FIRST}")
KEPT = b"what was acknowledged"
PRINCIPAL = "staff-7@ledger.example"

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_800)]


@dataclass
class Crash:
    """A ledger killed while it wrote its last batch: the files before and after that batch."""

    start: Path
    kept: Event
    place: Appended
    before: dict[str, bytes]
    after: dict[str, bytes]

    def home(self, name: str, tail: bytes) -> Path:
        """A home in which the last batch came as far as `name`, whose end is `tail`."""
        home = self.start.with_name("home")
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.start, home)
        reached = FILES.index(name)
        for place, file in enumerate(FILES):
            if place != reached:
                body = (self.after if place < reached else self.before)[file]
                (home / file).write_bytes(body)
        (home / name).write_bytes(self.before[name] + tail)
        return home

    def last(self, name: str) -> bytes:
        """What the last batch wrote to a file."""
        return self.after[name].removeprefix(self.before[name])


@pytest.fixture
def crash(memory_path: Path) -> Crash:
    start = memory_path / "start"
    ledger = open_ledger(start)
    kept = received(uuid7(), KEPT, PRINCIPAL)
    [place] = ledger.append_batch([kept])
    before = {name: (start / name).read_bytes() for name in FILES}
    ledger.append_batch([received(uuid7(), b"x", "newcomer-1")])
    after = {name: (start / name).read_bytes() for name in FILES}
    abandon(ledger)
    return Crash(start, kept, place, before, after)


def abandon(ledger: Ledger) -> None:
    """Let go of the files as a killed process does."""
    ledger.files.close()
    ledger._keyring.close()
    ledger._lock.release()


def wrong(crash: Crash, home: Path) -> str | None:
    """What is wrong after the next start, if anything; raises Unusable if it refuses."""
    directory = home / "data" / "ledger"
    if verify(directory).verdict is Verdict.TAMPERED:
        return "a torn end looks like tampering"
    ledger = open_ledger(home)
    [found] = ledger.append_batch([crash.kept])
    if (found.index, found.leaf, found.duplicate) != (crash.place.index, crash.place.leaf, True):
        return "what was acknowledged is not there"
    if content(ledger, crash.kept) != KEPT:
        return "its content does not open"
    ledger.append_batch([received(uuid7(), b"y", "newcomer-2")])
    ledger.close()
    report = verify(directory)
    if report.verdict is not Verdict.SOUND:
        return f"not sound: {report.faults}"
    return None


def content(ledger: Ledger, event: Event) -> bytes:
    [segment] = segments(ledger.directory, PAYLOADS)
    bodies = {frame.digest.hex(): frame.body for frame in frames(segment, PAYLOADS)}
    leaf, _ = ledger._stored(ledger._state.recent.find(event.id) or 0)
    [entry] = leaf["pl"]
    secret = ledger.secret_of(*entry["kref"].split("/", 1)) or b""
    return unseal(secret, event.id, entry["name"], bodies[entry["ct"]])


NOISE = random.Random(7).randbytes(4_096)  # noqa: S311 - the same in every run
FILLS: dict[str, Callable[[int], bytes]] = {
    "torn": lambda _size: b"",
    "zeros": bytes,
    "noise": lambda size: NOISE[:size],
}


def tails(last: bytes, fill: Callable[[int], bytes], step: int) -> Iterator[tuple[int, bytes]]:
    """Ends of a file: the first bytes of what was to be written, and the rest filled."""
    for kept in range(0, len(last), step):
        yield kept, last[:kept] + fill(len(last) - kept)


@pytest.mark.parametrize("name", FILES)
def test_file_torn_at_every_byte(crash: Crash, name: str) -> None:
    """A write of which only the beginning came to the disk is cut, wherever it ends."""
    ends = tails(crash.last(name), FILLS["torn"], 1)
    found = {kept: wrong(crash, crash.home(name, tail)) for kept, tail in ends}
    assert len(found) > 60
    assert {kept: what for kept, what in found.items() if what} == {}


@pytest.mark.parametrize("fill", ["zeros", "noise"])
@pytest.mark.parametrize("name", FILES[1:])
def test_segment_filled_up_behind_every_byte(crash: Crash, name: str, fill: str) -> None:
    """A file system that had the new size but not yet the data shows zeros, or what was there."""
    ends = tails(crash.last(name), FILLS[fill], STEP)
    found = {kept: wrong(crash, crash.home(name, tail)) for kept, tail in ends}
    assert {kept: what for kept, what in found.items() if what} == {}


def test_keys_ending_in_zeros_are_cut(crash: Crash) -> None:
    """No whole record ends in zeros, so it was not written. Only the last bytes of a record can end
    so by chance: then a person is asked.
    """
    name = FILES[0]
    last = crash.last(name)
    ends = tails(last[:-4], lambda size: bytes(size + 4), STEP)
    found = {kept: wrong(crash, crash.home(name, tail)) for kept, tail in ends}
    assert {kept: what for kept, what in found.items() if what} == {}


def test_zeros_are_no_reason_to_cut_whole_records(crash: Crash) -> None:
    """With another key-encryption key no record opens: all stay, whatever stands behind them."""
    name = FILES[0]
    home = crash.home(name, bytes(200))
    (home / "keys" / "kek").write_bytes(bytes(32))
    with pytest.raises(Unusable, match="another key-encryption key"):
        open_ledger(home)
    assert (home / name).read_bytes() == crash.before[name] + bytes(200)


@pytest.mark.parametrize("fill", ["zeros", "noise"])
def test_keys_that_may_be_damaged_are_left_to_a_person(crash: Crash, fill: str) -> None:
    """A record of its whole length that does not open may be somebody's key: never cut away."""
    name = FILES[0]
    last = crash.last(name)
    first_record = 4 + int.from_bytes(last[:4], "big")
    kept = first_record - 3 if fill == "zeros" else first_record - 20
    home = crash.home(name, last[:kept] + FILLS[fill](first_record - kept))
    before = (home / name).read_bytes()
    with pytest.raises(Unusable, match=f"byte {len(crash.before[name])}: a damaged record"):
        open_ledger(home)
    assert (home / name).read_bytes() == before


def test_payloads_written_twice_do_no_harm(crash: Crash) -> None:
    """They are found by their hash, and one is enough."""
    name = FILES[1]
    home = crash.home(name, crash.last(name) * 2)
    assert wrong(crash, home) is None


@pytest.mark.parametrize("name", [FILES[0], FILES[2]])
def test_records_written_twice_are_left_to_a_person(crash: Crash, name: str) -> None:
    """No crash does that, so nothing is cut: the start refuses and says where."""
    home = crash.home(name, crash.last(name) * 2)
    before = {file: (home / file).read_bytes() for file in FILES}
    with pytest.raises(Unusable, match=r"byte|not at its place"):
        open_ledger(home)
    assert {file: (home / file).read_bytes() for file in FILES} == before


@pytest.mark.parametrize("name", ["signing.key", "kek", "principals.keys"])
def test_flipped_bit_of_a_key_is_refused(crash: Crash, name: str) -> None:
    """The verifier does not read keys; the writer refuses damaged ones, and changes nothing."""
    home = crash.home(FILES[2], crash.last(FILES[2]))
    path = home / "keys" / name
    body = path.read_bytes()
    for offset in range(0, len(body), 5):
        changed = bytearray(body)
        changed[offset] ^= 1 << (offset % 8)
        path.write_bytes(changed)
        with pytest.raises(Unusable):
            open_ledger(home)
        assert path.read_bytes() == changed


def test_flipped_bit_behind_the_checkpoint_is_never_vouched_for(crash: Crash) -> None:
    """Nothing is signed there yet: the verifier cannot tell, and names the byte."""
    name = FILES[2]
    home = crash.home(name, crash.last(name))
    path = home / name
    start = len(crash.before[name])
    body = path.read_bytes()
    for offset in range(start, len(body)):
        changed = bytearray(body)
        changed[offset] ^= 1 << (offset % 8)
        path.write_bytes(changed)
        report = verify(home / "data" / "ledger")
        assert report.verdict is Verdict.CANNOT_TELL, offset
        assert report.doubts[0].offset == start
    assert EVENTS.directory in report.doubts[0].file
