"""What a verification finds on its way, and what all of it means in the end.

The events come one after the other, from a directory or over a network: `take` checks each by
itself, against the rules of the book, and puts it into the tree. Checkpoints are compared with the
root at their size. Nothing here reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.checkpoint import Checkpoint
from sekisho_audit.disclosed import CLOSED, COPY, MISSING, OTHER, Opening
from sekisho_audit.events import BadEvent
from sekisho_audit.form import check_keys, check_leaf
from sekisho_audit.plain import PlainLeaves
from sekisho_audit.report import Fault, Report, Verdict
from sekisho_audit.rules import MEMORY_EVENTS, Book, forget_oldest
from sekisho_audit.standing import RuleBroken
from sekisho_audit.tree import CompactRange

FAULTS_MAX = 50
_PROGRESS_EVENTS = 10_000
# A clock that is set right by less than this is no reason to look into anything.
STEP_BACK_US = 1_000_000

# What an auditor brings along: that it was compared belongs into the verdict.
_BROUGHT = frozenset({"pinned checkpoint", "receipt's checkpoint"})

# What says nothing for certain about a disclosed payload: the ledger may be right and the keys not.
_DOUBTS = {
    OTHER: "what the disclosed key opens is not what was committed to, though as long: a redacted "
    "copy, or another text",
    CLOSED: "the disclosed key does not open what is stored",
    MISSING: "the disclosed payload is not in this ledger, or its key is not disclosed",
}

Progress = Callable[[int], None]


class Place(NamedTuple):
    """Where an event stands, and which of its payloads is meant."""

    file: str
    offset: int
    event: int
    name: str

    def where(self) -> dict[str, Any]:
        """As fields of a Fault."""
        return {"file": self.file, "offset": self.offset, "index": self.event}


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with what it is called in the report. `bounds`: if it fits, all before it is
    what it was; not so if it comes out of the very history that is looked at.
    """

    checkpoint: Checkpoint
    name: str
    bounds: bool = True


class Findings:
    """The state of one pass over one ledger."""

    def __init__(self, progress: Progress) -> None:
        self.report = Report()
        self.origin = ""
        self.edge = CompactRange()
        self.book = Book()
        # Stored payloads that events name, by their hash.
        self.named: dict[bytes, Place] = {}
        # The hash of the event that is watched, once it was read.
        self.watched: bytes | None = None
        self._watch = -1
        self.opening: Opening | None = None
        self.see: Callable[[Mapping[str, Any]], None] | None = None  # is shown each leaf that fits
        self._progress = progress
        self._untold = 0
        self._stops: frozenset[int] = frozenset()
        self._roots: dict[int, bytes] = {}
        self._ids: dict[str, int] = {}
        self._clock = _Clock()

    def fault(self, what: str, **place: Any) -> None:
        """Something that must not be; only the first so many are told."""
        if len(self.report.faults) < FAULTS_MAX:
            self.report.faults.append(Fault(what, **place))
        else:
            self._untold += 1

    def doubt(self, what: str, **place: Any) -> None:
        """Something that lets nothing be said."""
        self.report.doubts.append(Fault(what, **place))

    def note(self, text: str) -> None:
        """What the verdict does not say."""
        self.report.notes.append(text)

    def watch(self, index: int) -> None:
        """Remember the hash of the event with this index."""
        self._watch = index

    def signed_at(self, size: int) -> None:
        """How many events the ledger's own checkpoint covers."""
        self.report.signed_size = size
        self.report.unsigned_events = max(0, self.edge.size - size)

    # -- events, in their order

    def begin(self, wanted: set[int]) -> None:
        """Before the first event; the roots at the `wanted` sizes will be compared."""
        self._stops = frozenset(wanted)
        self._plain = PlainLeaves(self.origin)  # the origin is known by now
        self._note_root()

    def take(self, body: bytes, digest: bytes, file: str, offset: int) -> None:
        """The next event, with its leaf hash and where it stands."""
        index = self.edge.size
        leaf = self._checked(body, index, file, offset)
        if leaf is not None:
            self._see(leaf)
        if index == self._watch:
            self.watched = digest
        self.edge.append(digest)
        if index + 1 in self._stops or not (index + 1) % _PROGRESS_EVENTS:
            self._note_root()

    def pass_over(self, digest: bytes) -> None:
        """The next event, of which only the leaf hash is held."""
        if self.edge.size == self._watch:
            self.watched = digest
        self.edge.append(digest)
        self._note_root()

    def keep_root(self) -> None:
        """The root over what was read so far will be compared, too."""
        self._roots[self.edge.size] = self.edge.root()

    def complete(self, found: Sequence[Signed], root: Callable[[int], bytes]) -> None:
        """Roots that nobody wanted before the first event, told from the hashes that were read."""
        for size in {one.checkpoint.size for one in found} - self._roots.keys():
            if size <= self.edge.size:
                self._roots[size] = root(size)

    def _note_root(self) -> None:
        size = self.edge.size
        if size in self._stops:
            self.keep_root()
        if size % _PROGRESS_EVENTS == 0:
            self._progress(size)

    def _checked(self, body: bytes, index: int, file: str, offset: int) -> dict[str, Any] | None:
        """The leaf, or None after telling what is wrong with it."""
        try:
            leaf = self._leaf(body, index)
            if leaf["pl"]:
                self._name_payloads(leaf, file, offset)
                check_keys(leaf)
            self._check_id(leaf["id"], index)
            self.book.apply(leaf)
            self.book.commit()
        except (NotCanonical, BadEvent, RuleBroken) as error:
            self.book.roll_back()
            self.fault(str(error), file=file, offset=offset, index=index)
            return None
        return leaf

    def _see(self, leaf: dict[str, Any]) -> None:
        self._clock.read(leaf)
        if self.opening is not None:
            self.opening.see(leaf)
        if self.see is not None:
            self.see(leaf)
        kind = leaf["type"]
        self.report.types[kind] = self.report.types.get(kind, 0) + 1

    def _leaf(self, body: bytes, index: int) -> dict[str, Any]:
        """The well-formed leaf with this index. Raises NotCanonical, BadEvent."""
        plain = self._plain.read(body, index)
        if plain is not None:
            return plain
        leaf: dict[str, Any] = decode(body)
        check_leaf(leaf, index, self.origin)
        return leaf

    def _name_payloads(self, leaf: dict[str, Any], file: str, offset: int) -> None:
        for entry in leaf["pl"]:
            if "ct" in entry:
                mine = Place(file, offset, leaf["n"], entry["name"])
                known = self.named.setdefault(bytes.fromhex(entry["ct"]), mine)
                if known != mine:
                    raise BadEvent(
                        f"the stored payload {entry['name']!r} is that of event {known.event}"
                    )

    def _check_id(self, identifier: str, index: int) -> None:
        """As far back as every writer remembers: it takes no id twice within so many events."""
        before = self._ids.get(identifier)
        if before is not None and index - before <= MEMORY_EVENTS:
            raise BadEvent(f"the id is that of event {before}")
        self._ids[identifier] = index
        forget_oldest(self._ids, MEMORY_EVENTS)

    # -- what is compared

    def compare(self, found: Sequence[Signed]) -> None:
        """Compare the roots that checkpoints sign with those of what was read.

        What fits bounds where the change begins: behind the largest checkpoint that does. What is
        found here is told whatever else was found.
        """
        good, told = 0, self.report.faults
        for signed in sorted(found, key=lambda item: item.checkpoint.size):
            checkpoint, name = signed.checkpoint, signed.name
            root = self._roots.get(checkpoint.size)
            if root is None:
                what = (
                    f"the {name} says {checkpoint.size} events, {self.edge.size} can be read: "
                    "events were removed"
                )
                told.append(Fault(what, index=self.edge.size))
            elif root != checkpoint.root:
                what = f"the first {checkpoint.size} events are not the ones that the {name} signs"
                told.append(Fault(what + (f"; the first {good} are" if good else "")))
            elif signed.bounds:
                good = checkpoint.size
                if name in _BROUGHT:
                    self.report.proved.append(f"the first {good} events are those of the {name}")
            if checkpoint.origin != self.origin:
                what = f"the {name} is of the ledger {checkpoint.origin}, not {self.origin}"
                told.append(Fault(what))

    # -- what it means

    def _note_people(self) -> None:
        """What people should have looked at, or been asked about."""
        unfiled = len(self.book.unfiled())
        if unfiled:
            self.note(
                f"{unfiled} answers were held back for people, and no hold was filed for them: "
                "nobody was given them. A writer was stopped there."
            )
        unlooked = self.book.samples.unlooked(self._clock.latest_us)
        if unlooked:
            self.note(
                f"{unlooked} exchanges that break-glass let go on were given out, and none of them "
                "was drawn for people to look at: no gateway ran afterwards, or one of before."
            )

    def conclude(self) -> Report:
        """The report, with its verdict."""
        report = self.report
        if self.origin:
            report.origin, report.size = self.origin, self.edge.size
            report.root = self.edge.root().hex()
        report.open_intents = len(self.book.intents)
        report.payloads_unnamed = max(0, report.payloads - len(self.named))
        report.clock_steps_back = self._clock.steps
        if report.unsigned_events:
            self.note(
                f"The last {report.unsigned_events} events are behind the checkpoint: they fit, "
                "but nobody has signed them yet. Ask for a newer checkpoint."
            )
        if report.open_intents:
            self.note(
                f"{report.open_intents} requests are on their way to a backend and have no "
                "outcome yet; their worker sessions are open."
            )
        self._note_people()
        if self._clock.steps:
            self.note(self._clock.said())
        if self.opening is not None:
            report.disclosed = self.opening.told
            self._judge_disclosed(self.opening)
        if self._untold:
            self.note(f"{self._untold} more faults were found than are told here.")
        if report.faults:
            report.verdict = Verdict.TAMPERED
        elif report.doubts:
            report.verdict = Verdict.CANNOT_TELL
        return report

    def _judge_disclosed(self, opening: Opening) -> None:
        if opening.ledger != self.origin:
            self.doubt(f"what is disclosed is of the ledger {opening.ledger!r}")
        copies = 0
        for told in opening.told:
            copies += told.state == COPY
            if told.state in _DOUBTS:
                self.doubt(f"{told.name!r}: {_DOUBTS[told.state]}", index=told.index)
        if copies:
            self.note(
                f"{copies} of the disclosed texts are copies of another length (redacted): the "
                "ledger commits to what they were made of, so they cannot be compared."
            )


class _Clock:
    """Times of events. They order nothing; a clock that went back is told, and is no fault."""

    def __init__(self) -> None:
        self.steps = 0
        self._first = 0
        self._largest = 0
        self._boot = ""
        self._latest = 0

    @property
    def latest_us(self) -> int:
        """The time of the last event."""
        return self._latest

    def read(self, leaf: Any) -> None:
        """The time of the next event; each boot begins anew."""
        if leaf["boot"] != self._boot:
            self._boot, self._latest = leaf["boot"], leaf["ts"]
        back = self._latest - leaf["ts"]
        if back >= STEP_BACK_US:
            self._first = self._first if self.steps else leaf["n"]
            self._largest = max(self._largest, back)
            self.steps += 1
        self._latest = leaf["ts"]

    def said(self) -> str:
        """For people."""
        return (
            f"The writer's clock went back {self.steps} times within a boot, first at event "
            f"{self._first}, at most by {self._largest // 1_000_000:,} s. Times are for people; "
            "order is that of the indices."
        )
