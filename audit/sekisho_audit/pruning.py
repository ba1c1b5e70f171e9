"""Removing the oldest leaves for good, step by step, so that a crash leaves a duty and not a doubt.

1. `prepare` writes what they leave behind under names that mean nothing yet.
2. `begin` records `audit.pruned` and signs it. From here on it will be finished, by the next start
   if need be.
3. `finish` gives the files their names, hashes first; then removes segments of events, the oldest
   first; then those of payloads that no leaf that stays can name.

Each step is durable before the next, and may be done again. `prepare` only reads what is durable,
from any thread; the rest runs in the writer's thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import orjson

from sekisho_audit.carried import CARRIED_EVENTS, book_json, custody_json
from sekisho_audit.checkpoint import Checkpoint
from sekisho_audit.custody import Custody
from sekisho_audit.durable import KEY_MODE, make_directory, sync_directory, write_all
from sekisho_audit.errors import Refused, Unusable
from sekisho_audit.events import Payload
from sekisho_audit.key_chain import ROTATED
from sekisho_audit.ledger import Ledger
from sekisho_audit.places import heads
from sekisho_audit.prune_plan import Plan
from sekisho_audit.pruned import (
    DIRECTORY,
    FORMAT,
    HASHES,
    NEW,
    STATE,
    Pruned,
    encode_state,
    fits_hashes,
    read_pruned,
)
from sekisho_audit.recover import State
from sekisho_audit.rules import DAY_US, Book
from sekisho_audit.scan import EVENTS, PAYLOADS, Frame, Segment, frames, segments
from sekisho_audit.standing import RuleBroken
from sekisho_audit.tree import CompactRange
from sekisho_audit.usage import Sums

# A hold that was over for so long when the last leaf was written cannot be named by a later one.
HOLDS_KNOWN_US = 31 * DAY_US
_WRITE_HASHES = 32_768


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was written for a pruning that nobody has recorded yet."""

    plan: Plan
    root: str
    state: str


class _Replay:
    """The leaves from one cut to the next, as the rules take them."""

    def __init__(self, before: Pruned | None) -> None:
        self.edge = CompactRange()
        self.book = Book(CARRIED_EVENTS) if before is None else before.book(CARRIED_EVENTS)
        self.custody = Custody() if before is None else before.custody()
        self.sums = Sums() if before is None else before.sums()
        self.rotations = [] if before is None else [body.decode() for _, body in before.rotations()]
        self.newest_us = 0 if before is None else before.newest_us

    def take(self, frame: Frame) -> int:
        """The next leaf; returns its time."""
        leaf: Mapping[str, Any] = orjson.loads(frame.body)
        self.book.apply(leaf)
        self.book.commit()
        self.custody.apply(leaf)
        self.sums.apply(leaf)
        if leaf["type"] == ROTATED:
            self.rotations.append(frame.body.decode())
        self.edge.append(frame.digest)
        self.newest_us = max(self.newest_us, leaf["ts"])
        return int(leaf["ts"])


def prepare(ledger: Path, signed: Checkpoint, plan: Plan) -> Prepared:
    """Step 1, for a plan that still holds; `signed` is a checkpoint that covers its leaves.

    Raises BadPruned, BrokenSegment, OSError, and Refused if the leaves are not the ones signed.
    """
    before = read_pruned(ledger)
    replay, folder = _Replay(before), ledger / DIRECTORY
    make_directory(folder)
    known = iter(()) if before is None else before.hashes()
    oldest_us = 0
    with _Fresh(folder / (HASHES + NEW)) as hashes:
        for digest in known:
            replay.edge.append(digest)
            hashes.add(digest)
        for segment in plan.segments:
            times = []
            for frame in frames(segment, EVENTS):
                times.append(_taken(replay, frame))
                hashes.add(frame.digest)
            oldest_us = min(times, default=oldest_us)
    replay.book.forget_holds(oldest_us - HOLDS_KNOWN_US)
    document: dict[str, Any] = {
        "format": FORMAT,
        "log": signed.origin,
        "size": replay.edge.size,
        "root": replay.edge.root().hex(),
        "newest_us": replay.newest_us,
        "payloads": plan.payloads,
        "book": book_json(replay.book),
        "custody": custody_json(replay.custody),
        "sums": replay.sums.carried(),
        "rotations": replay.rotations,
    }
    raw = encode_state(document)
    with _Fresh(folder / (STATE + NEW)) as state:
        state.add(raw)
    sync_directory(folder)
    _check_signed(ledger, replay.edge, signed)
    return Prepared(plan, document["root"], sha256(raw).hexdigest())


_OTHERS = "the leaves are not the ones that were signed: run `sekisho-audit verify`"


def _taken(replay: _Replay, frame: Frame) -> int:
    try:
        return replay.take(frame)
    except (RuleBroken, ValueError, KeyError, TypeError) as error:
        raise Refused("busy", _OTHERS) from error


def _check_signed(ledger: Path, edge: CompactRange, signed: Checkpoint) -> None:
    """What is pruned cannot be compared afterwards. `edge` is used up."""
    for segment in segments(ledger, EVENTS):
        for _, digest in heads(segment, EVENTS) if segment.first >= edge.size else ():
            if edge.size < signed.size:
                edge.append(digest)
    if (edge.size, edge.root()) != (signed.size, signed.root):
        raise Refused("busy", _OTHERS)


class _Fresh:
    """A new file that is durable when the block ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parts: list[bytes] = []

    def __enter__(self) -> Self:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, KEY_MODE)
        return self

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        if len(self._parts) >= _WRITE_HASHES:
            self._flush()

    def _flush(self) -> None:
        if self._parts:
            write_all(self._fd, b"".join(self._parts))
            self._parts.clear()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
                os.fsync(self._fd)
        finally:
            os.close(self._fd)


def begin(ledger: Ledger, prepared: Prepared, officers: tuple[str, ...], authority: Payload) -> int:
    """Step 2; returns the index of the record. Raises Refused: then nothing has happened."""
    plan = prepared.plan
    if plan.holds != frozenset(ledger.custody.holds):
        raise Refused("busy", "legal holds changed meanwhile; nothing was removed: ask again")
    data = {
        "size": plan.size,
        "root": prepared.root,
        "state": prepared.state,
        "days": plan.days,
        "newest_us": plan.newest_us,
        "counted_us": plan.counted_us,
        **({"second": officers[1]} if officers[1:] else {}),
    }
    place = ledger.record("audit.pruned", data, actor=officers[0], payloads=(authority,))
    ledger.write_checkpoint()
    return place.index


def finish(ledger: Ledger) -> list[str]:
    """Step 3, of the pruning recorded last; returns the files that are gone now.

    Raises Poisoned, Unusable if what it leaves behind is lost.
    """
    duty = ledger.custody.pruning
    if duty is None:
        return []

    def run(state: State) -> list[str]:
        if state.pruned is None or state.pruned.digest != duty.state:
            _name_files(ledger.directory, duty.size, duty.state)
            state.pruned = read_pruned(ledger.directory)
        if state.pruned is None:
            raise Unusable(_LOST)
        gone = _remove(ledger.directory, state.pruned)
        state.let_go(duty.size)
        return gone

    return ledger.with_state(run)


_LOST = (
    "a pruning is on record, and what it left in the folder `pruned` is not there: restore the "
    "folder from a backup of after the pruning"
)


def _name_files(ledger: Path, size: int, digest: str) -> None:
    """Hashes first: with more of them than the state tells of, the ledger still reads."""
    folder = ledger / DIRECTORY
    hashes, state = folder / (HASHES + NEW), folder / (STATE + NEW)
    if not state.exists() or sha256(state.read_bytes()).hexdigest() != digest:
        raise Unusable(_LOST)
    if hashes.exists():
        hashes.rename(folder / HASHES)
        sync_directory(folder)
    root = str(orjson.loads(state.read_bytes())["root"])
    if not (folder / HASHES).exists() or not fits_hashes(ledger, size, root):
        raise Unusable(_LOST)
    state.rename(folder / STATE)
    sync_directory(folder)


def _remove(ledger: Path, pruned: Pruned) -> list[str]:
    gone = []
    for family, below in ((EVENTS, pruned.size), (PAYLOADS, pruned.payloads)):
        for segment in _below(segments(ledger, family), below):
            segment.path.unlink()
            sync_directory(segment.path.parent)
            gone.append(f"{family.directory}/{segment.path.name}")
    return gone


def _below(found: list[Segment], ordinal: int) -> Iterator[Segment]:
    """The segments before the one that begins with this ordinal, which must be there."""
    if any(segment.first == ordinal for segment in found):
        yield from (segment for segment in found if segment.first < ordinal)


def forget_unrecorded(ledger: Ledger) -> None:
    """Remove what was prepared for a pruning that was never recorded. Raises Poisoned."""

    def run(_state: State) -> None:
        for name in (HASHES + NEW, STATE + NEW):
            (ledger.directory / DIRECTORY / name).unlink(missing_ok=True)

    ledger.with_state(run)
