"""What is on the disk, read at start: verified frame by frame, a torn tail cut, the state rebuilt.

Only what nobody was told to be durable may be cut: unreadable records at the end of the last
segment and beyond the last checkpoint. Anything else that does not fit is refused, because then
either the disk or a person has changed evidence, and writing on would bury it.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from sekisho_audit.arrivals import Arrivals
from sekisho_audit.checkpoint import BadNote, Checkpoint, VerifierKey, open_any
from sekisho_audit.custody import Custody
from sekisho_audit.durable import sync_directory
from sekisho_audit.errors import Unusable
from sekisho_audit.key_chain import ROTATED, Rotation
from sekisho_audit.pruned import PRUNED, STATE, BadPruned, Pruned, read_pruned, record_of
from sekisho_audit.rules import Book
from sekisho_audit.scan import (
    EVENTS,
    PAYLOADS,
    BrokenSegment,
    Family,
    Frame,
    Segment,
    frames,
    segments,
)
from sekisho_audit.standing import RuleBroken
from sekisho_audit.tree import CompactRange
from sekisho_audit.usage import Sums

# Payloads of these events are read again when live holds are rebuilt.
HOLD_PAYLOADS = {
    "hold.filed": "hold",
    "hold.seeded": "hold",
    "hold.review": "reason",
    "hold.justified": "reason",
    "halt.set": "reason",
    "grant.proposed": "terms",
    "break_glass.opened": "reason",
}
_MEND = "nothing was changed; run `sekisho-audit verify` and see the operators' guide"


class Recent:
    """Ids of the last events with their places, so that a repeated append is recognised."""

    def __init__(self, memory: int, first: int = 0) -> None:
        self._memory = memory
        self._index: dict[int, int] = {}
        self._offsets = array("Q")
        self._first = first

    @staticmethod
    def _key(event: str) -> int:
        return int(event.replace("-", ""), 16)

    def find(self, event: str) -> int | None:
        """The index of an event id, if it is remembered."""
        return self._index.get(self._key(event))

    def offset(self, index: int) -> int:
        """Where in its segment a remembered event begins."""
        return self._offsets[index - self._first]

    def add(self, event: str, index: int, offset: int) -> None:
        """Remember the next event; forget the oldest when a quarter too many are kept."""
        self._index[self._key(event)] = index
        self._offsets.append(offset)
        excess = len(self._offsets) - self._memory
        if excess > self._memory // 4:
            for key in list(islice(self._index, excess)):
                del self._index[key]
            del self._offsets[:excess]
            self._first += excess

    def forget_before(self, index: int) -> None:
        """Forget events below `index`: they are gone."""
        if index > self._first:
            for key in [key for key, known in self._index.items() if known < index]:
                del self._index[key]
            del self._offsets[: index - self._first]
            self._first = index


@dataclass(slots=True)
class Tail:
    """Where a family of segments ends."""

    live: Path | None = None
    size: int = 0
    count: int = 0


@dataclass(slots=True)
class State:
    """Everything the writer keeps in memory about what is on the disk."""

    edge: CompactRange
    book: Book
    recent: Recent
    firsts: list[int] = field(default_factory=list)
    events: Tail = field(default_factory=Tail)
    payloads: Tail = field(default_factory=Tail)
    hold_payloads: dict[str, tuple[Path, int]] = field(default_factory=dict)
    cut: list[tuple[str, int]] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)
    custody: Custody = field(default_factory=Custody)
    arrivals: Arrivals = field(default_factory=Arrivals)
    rotations: list[Rotation] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=dict)  # of the sizes that were asked for
    pruned: Pruned | None = None

    def let_go(self, size: int) -> None:
        """Forget where events below `size`, and payloads that went with them, stood."""
        self.firsts[:] = [first for first in self.firsts if first >= size]
        self.recent.forget_before(size)
        gone = [name for name, (path, _) in self.hold_payloads.items() if not path.exists()]
        for name in gone:
            del self.hold_payloads[name]


def read_checkpoint(ledger: Path, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint | None:
    """The last checkpoint, signed by one of `keys`, or None if there is none yet."""
    path = ledger / "checkpoint"
    if not path.exists():
        return None
    try:
        checkpoint = open_any(path.read_bytes(), keys)
    except BadNote as error:
        raise Unusable(f"{path}: {error}; {_MEND}") from error
    if checkpoint.origin != origin:
        raise Unusable(f"{path} is of the ledger {checkpoint.origin}, not {origin}")
    return checkpoint


def _cut(segment: Segment, error: BrokenSegment, family: Family, state: State) -> int:
    """Cut a segment where `error` says; returns the size that is left (0: it is gone)."""
    path = segment.path
    size = path.stat().st_size
    state.cut.append((f"{family.directory}/{path.name}", size - error.offset))
    if error.offset == 0:
        path.unlink()
        sync_directory(path.parent)
        return 0
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, error.offset)
        os.fsync(fd)
    finally:
        os.close(fd)
    return error.offset


class _Reader:
    """One pass over both families."""

    def __init__(
        self,
        ledger: Path,
        origin: str,
        checkpoint: Checkpoint | None,
        memory: int,
        sizes: Collection[int],
    ) -> None:
        self._ledger = ledger
        self._origin = origin
        self._checkpoint = checkpoint
        self._signed = checkpoint.size if checkpoint else 0
        self._memory = memory
        self._sizes = frozenset(sizes)
        self._wanted: dict[str, None] = {}
        self._hold_wanted: set[str] = set()
        self._pruned = read_pruned(ledger)
        self._named = self._pruned is None
        self.state = self._beginning(self._pruned)

    def _beginning(self, pruned: Pruned | None) -> State:
        """The state before the first leaf that is held."""
        memory = self._memory
        if pruned is None:
            return State(CompactRange(), Book(memory), Recent(memory))
        pruned.check_log(self._origin)
        if self._signed < pruned.size:
            raise BadPruned(STATE, "the checkpoint is older than this pruning")
        state = State(CompactRange(), pruned.book(memory), Recent(memory, pruned.size))
        state.pruned, state.sums, state.custody = pruned, pruned.sums(), pruned.custody()
        for digest in pruned.hashes():
            if state.edge.size in self._sizes:
                state.roots[state.edge.size] = state.edge.root()
            state.edge.append(digest)
        for leaf, _ in pruned.rotations():
            state.rotations.append(Rotation.read(leaf))
        return state

    def _segments(self, family: Family) -> list[Segment]:
        try:
            return segments(self._ledger, family)
        except BrokenSegment as error:
            raise Unusable(f"{error}; {_MEND}") from error

    def read_events(self) -> None:
        state = self.state
        below = 0 if self._pruned is None else self._pruned.size
        # What lies below was pruned, and is about to be removed.
        found = [segment for segment in self._segments(EVENTS) if segment.first >= below]
        for segment in found:
            if segment.first != state.edge.size:
                raise Unusable(f"events before {segment.path.name} are missing; {_MEND}")
            try:
                for frame in frames(segment, EVENTS):
                    self._take(frame)
            except BrokenSegment as error:
                if not error.torn or segment is not found[-1] or state.edge.size < self._signed:
                    raise Unusable(f"{error}; {_MEND}") from error
                size = _cut(segment, error, EVENTS, state)
            else:
                size = segment.path.stat().st_size
            if size:
                state.firsts.append(segment.first)
                state.events = Tail(segment.path, size, state.edge.size)
        state.events.count = state.edge.size
        if state.edge.size in self._sizes:
            state.roots[state.edge.size] = state.edge.root()
        if state.edge.size < self._signed:
            raise Unusable(
                f"the ledger has {state.edge.size} events, its checkpoint says {self._signed}: "
                f"events are missing; {_MEND}"
            )
        self._compare_root()
        self._check_named()

    def _check_named(self) -> None:
        if self._pruned is not None and not self._named:
            raise Unusable(
                f"the first {self._pruned.size} events are gone, and no event says so; {_MEND}"
            )

    def _compare_root(self) -> None:
        checkpoint, edge = self._checkpoint, self.state.edge
        if checkpoint and edge.size == checkpoint.size and edge.root() != checkpoint.root:
            raise Unusable(f"the first {edge.size} events are not the ones signed; {_MEND}")

    def _take(self, frame: Frame) -> None:
        state, index = self.state, self.state.edge.size
        if index == self._signed:
            self._compare_root()
        if index in self._sizes:
            state.roots[index] = state.edge.root()
        leaf = orjson.loads(frame.body)
        if leaf["n"] != index or leaf["log"] != self._origin:
            raise Unusable(f"event {index} is not of this ledger or not at its place; {_MEND}")
        try:
            state.book.apply(leaf)
        except RuleBroken as error:
            raise Unusable(f"event {index}: {error}; {_MEND}") from error
        state.book.commit()
        state.sums.apply(leaf)
        state.custody.apply(leaf)
        state.arrivals.apply(leaf)
        if leaf["type"] == ROTATED:
            self._rotated(leaf)
        elif leaf["type"] == PRUNED and self._pruned is not None:
            self._named = self._named or record_of(leaf).names(self._pruned)
        state.edge.append(frame.digest)
        state.recent.add(leaf["id"], index, frame.offset)
        self._want(leaf)

    def _rotated(self, leaf: dict[str, Any]) -> None:
        try:
            rotation = Rotation.read(leaf)
        except BadNote as error:
            raise Unusable(f"event {leaf['n']}: {error}; {_MEND}") from error
        if self.state.edge.root() != rotation.before.root:
            raise Unusable(f"event {leaf['n']}: the keys signed other events before it; {_MEND}")
        self.state.rotations.append(rotation)

    def _want(self, leaf: dict[str, Any]) -> None:
        held = HOLD_PAYLOADS.get(leaf["type"])
        for entry in leaf["pl"]:
            if "ct" in entry:
                self._wanted[entry["ct"]] = None
                if entry["name"] == held:
                    self._hold_wanted.add(entry["ct"])
        if len(self._wanted) > 2 * self._memory:
            for key in list(islice(self._wanted, self._memory)):
                del self._wanted[key]

    def read_payloads(self) -> None:
        state, found = self.state, self._segments(PAYLOADS)
        below = 0 if self._pruned is None else self._pruned.payloads
        count = min(found[0].first, below) if found else 0
        broken: BrokenSegment | None = None
        for segment in found:
            if segment.first != count:
                raise Unusable(f"payloads before {segment.path.name} are missing; {_MEND}")
            size = segment.path.stat().st_size
            try:
                for frame in frames(segment, PAYLOADS):
                    count += 1
                    self._found(segment, frame)
            except BrokenSegment as error:
                if not error.torn or segment is not found[-1] or self._wanted:
                    raise Unusable(f"{error}; {_MEND}") from error
                broken = error
                size = _cut(segment, error, PAYLOADS, state)
            if size:
                state.payloads = Tail(segment.path, size, count)
        state.payloads.count = count
        if self._wanted and broken is None:
            raise Unusable(f"{len(self._wanted)} payloads that events name are missing; {_MEND}")

    def _found(self, segment: Segment, frame: Frame) -> None:
        name = frame.digest.hex()
        self._wanted.pop(name, None)
        if name in self._hold_wanted:
            self.state.hold_payloads[name] = (segment.path, frame.offset)


def recover(
    ledger: Path,
    origin: str,
    keys: Sequence[VerifierKey],
    *,
    memory: int,
    sizes: Collection[int] = (),
) -> State:
    """Read a ledger that is locked by us. Raises Unusable if a person must look first.

    One of `keys` signed the checkpoint; `sizes` are those whose roots are wanted.
    """
    checkpoint = read_checkpoint(ledger, origin, keys)
    try:
        reader = _Reader(ledger, origin, checkpoint, memory, sizes)
        reader.read_events()
        reader.read_payloads()
    except BadPruned as error:
        raise Unusable(f"{error.file}: {error}; {_MEND}") from error
    except BadNote as error:
        raise Unusable(f"a change of keys that was pruned: {error}; {_MEND}") from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Unusable(f"an event does not read as one ({error!r}); {_MEND}") from error
    return reader.state
