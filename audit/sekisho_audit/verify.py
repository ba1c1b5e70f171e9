"""The offline verifier: is this ledger what was signed, whole, and within its own rules?

It trusts neither the writer nor the machine: only the bytes of the directory, the key it is given
and, if there is one, a checkpoint that the auditor kept. Every byte of every file is read. It needs
no network and nothing of the writer's code beyond the formats and the rules.

Verdicts: 0 sound, 1 tampered, 2 cannot tell. Doubt is never called sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sekisho_audit.canon import NotCanonical, decode
from sekisho_audit.checkpoint import BadNote, Checkpoint, VerifierKey, open_note, read_unverified
from sekisho_audit.events import BadEvent
from sekisho_audit.form import check_keys, check_leaf
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Fault, Report, Verdict
from sekisho_audit.rules import Book
from sekisho_audit.scan import EVENTS, PAYLOADS, BrokenSegment, Family, Segment, frames, segments
from sekisho_audit.standing import RuleBroken
from sekisho_audit.tree import CompactRange

# Files a ledger directory may hold beside its segments; the last one is left by a crash.
_FILES = frozenset({"checkpoint", "vkey", "lock", "checkpoint.new"})
FAULTS_MAX = 50


class _Doubt(Exception):
    """Nothing can be said, for this reason."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an event stands, and which of its payloads is meant."""

    file: str
    offset: int
    index: int = 0
    name: str = ""

    def where(self) -> dict[str, Any]:
        """As fields of a Fault."""
        return {"file": self.file, "offset": self.offset, "index": self.index}


Progress = Callable[[int], None]


class _Verification:
    """One pass over one ledger directory."""

    def __init__(self, ledger: Path, progress: Progress) -> None:
        self._ledger = ledger
        self._progress = progress
        self._report = Report()
        self._edge = CompactRange()
        self._book = Book()
        self._named: dict[bytes, _Place] = {}
        self._roots: dict[int, bytes] = {}
        self._origin = ""
        self._torn: list[BrokenSegment] = []
        self._receipted: int | None = None
        self._found: bytes | None = None

    # -- what the pass finds

    def _fault(self, what: str, **place: Any) -> None:
        if len(self._report.faults) < FAULTS_MAX:
            self._report.faults.append(Fault(what, **place))

    def _exists(self, name: str) -> bool:
        return (self._ledger / name).exists()

    def _file(self, path: Path) -> str:
        return path.relative_to(self._ledger).as_posix()

    def run(self, key: VerifierKey | None, pinned: bytes | None, receipt: Receipt | None) -> Report:
        """Check everything; the report says what it is worth."""
        report = self._report
        if not any((self._ledger / EVENTS.directory).iterdir()) and not self._exists("vkey"):
            raise _Doubt("there is no ledger here: not one event and no key")
        trusted = self._key(key)
        if trusted is None:
            self._conclude()
            return report
        checkpoint = self._checkpoint(trusted)
        self._origin = checkpoint.origin if checkpoint else trusted.name
        kept = self._pinned(pinned, trusted)
        promised = self._receipt(receipt, trusted)
        wanted = {item.size for item in (checkpoint, kept, promised) if item is not None}
        self._list_files()
        self._read_events(wanted, checkpoint.size if checkpoint else 0)
        self._read_payloads()
        report.origin, report.size = self._origin, self._edge.size
        report.root = self._edge.root().hex()
        if checkpoint is not None:
            self._compare(checkpoint, "checkpoint")
            report.signed_size = checkpoint.size
            report.unsigned_events = max(0, self._edge.size - checkpoint.size)
        if kept is not None:
            self._compare(kept, "pinned checkpoint")
        if promised is not None and receipt is not None:
            self._compare(promised, "receipt's checkpoint")
            self._compare_leaf(receipt)
        self._conclude()
        return report

    def _key(self, given: VerifierKey | None) -> VerifierKey | None:
        path, raw = self._ledger / "vkey", b""
        try:
            raw = path.read_bytes()
            found = VerifierKey.parse(raw.decode().removesuffix("\n"))
        except (OSError, UnicodeDecodeError, BadNote) as error:
            self._fault(f"the key of the ledger cannot be read: {error}", file="vkey")
            found = None
        if found is not None and raw != f"{found.line()}\n".encode():
            self._fault("the file holds more than one key line", file="vkey")
        if given is not None:
            if found is not None and found != given:
                self._fault("the key in the directory is not the one given", file="vkey")
            return given
        if found is None:
            return None
        self._report.notes.append(
            "No key was given: the key found in the directory was trusted. Whoever can replace "
            "the whole directory can replace that key; give --key to be sure who signed."
        )
        return found

    def _checkpoint(self, key: VerifierKey) -> Checkpoint | None:
        try:
            checkpoint = open_note((self._ledger / "checkpoint").read_bytes(), key)
        except (OSError, BadNote) as error:
            self._fault(f"the checkpoint does not hold: {error}", file="checkpoint")
            return None
        if checkpoint.origin != key.name:
            self._fault("the checkpoint names another ledger than its key", file="checkpoint")
        return checkpoint

    def _pinned(self, raw: bytes | None, key: VerifierKey) -> Checkpoint | None:
        if raw is None:
            self._report.notes.append(
                "No earlier checkpoint was given: whether events were removed or rewritten and "
                "signed again by the holder of the key cannot be seen. Keep checkpoints elsewhere "
                "and give one with --pinned."
            )
            return None
        try:
            return open_note(raw, key)
        except BadNote as error:
            claimed = _claimed(raw)
            if claimed is None:
                raise _Doubt(f"the pinned checkpoint cannot be read: {error}") from error
            self._report.doubts.append(Fault(f"the pinned checkpoint: {error}"))
            return claimed

    def _receipt(self, receipt: Receipt | None, key: VerifierKey) -> Checkpoint | None:
        """What was promised to the client with this receipt."""
        if receipt is None:
            return None
        self._receipted = receipt.index
        try:
            return open_note(receipt.note, key)
        except BadNote as error:
            self._report.doubts.append(Fault(f"the receipt was not signed by this key: {error}"))
            return None

    def _compare_leaf(self, receipt: Receipt) -> None:
        if self._found is None:
            self._fault("the event of the receipt is not there", index=receipt.index)
        elif self._found != receipt.leaf:
            self._fault("another event stands where the receipt has its own", index=receipt.index)

    def _list_files(self) -> None:
        for path in sorted(self._ledger.iterdir()):
            known = (
                path.name in {EVENTS.directory, PAYLOADS.directory}
                if path.is_dir()
                else (path.name in _FILES)
            )
            if not known:
                self._fault("this file does not belong here", file=path.name)
        lock = self._ledger / "lock"
        if lock.exists() and lock.stat().st_size:
            self._fault("the lock must be empty", file="lock")

    def _segments(self, family: Family) -> list[Segment]:
        try:
            return segments(self._ledger, family)
        except BrokenSegment as error:
            self._fault(error.what, file=self._file(error.path))
            return []

    def _read_payloads(self) -> None:
        """After the events, so that a ledger in use has every payload that an event names."""
        missing, count = dict(self._named), 0
        broken: BrokenSegment | None = None
        for segment in self._segments(PAYLOADS):
            if broken is not None or segment.first != count:
                self._fault("payloads before this file are missing", file=self._file(segment.path))
                count = segment.first
            try:
                for frame in frames(segment, PAYLOADS):
                    count += 1
                    missing.pop(frame.digest, None)
                    self._report.payloads += 1
            except BrokenSegment as error:
                broken = error
        for place in missing.values():
            self._fault(f"the stored payload {place.name!r} is missing or changed", **place.where())
        if broken is not None:
            self._broken(broken, tail=not missing)

    def _broken(self, error: BrokenSegment, *, tail: bool) -> None:
        if tail and error.torn:
            self._torn.append(error)
        else:
            self._fault(error.what, file=self._file(error.path), offset=error.offset)

    def _read_events(self, wanted: set[int], signed: int) -> None:
        self._note_root(wanted)
        found = self._segments(EVENTS)
        for segment in found:
            if segment.first != self._edge.size:
                self._fault("events before this file are missing", file=self._file(segment.path))
                return
            try:
                for frame in frames(segment, EVENTS):
                    self._event(frame.body, _Place(self._file(segment.path), frame.offset))
                    if self._edge.size == self._receipted:
                        self._found = frame.digest
                    self._edge.append(frame.digest)
                    self._note_root(wanted)
            except BrokenSegment as error:
                tail = segment is found[-1] and self._edge.size >= signed
                self._broken(error, tail=tail)
                return

    def _note_root(self, wanted: set[int]) -> None:
        size = self._edge.size
        if size in wanted:
            self._roots[size] = self._edge.root()
        if size % 10_000 == 0:
            self._progress(size)

    def _event(self, body: bytes, place: _Place) -> None:
        index = self._edge.size
        place = replace(place, index=index)
        try:
            leaf = decode(body)
            check_leaf(leaf, index, self._origin)
            check_keys(leaf)
            for entry in leaf["pl"]:
                if "ct" in entry:
                    named = replace(place, name=entry["name"])
                    self._named[bytes.fromhex(entry["ct"])] = named
            self._book.apply(leaf)
            self._book.commit()
        except (NotCanonical, BadEvent, RuleBroken) as error:
            self._fault(str(error), **place.where())
            return
        kind = leaf["type"]
        self._report.types[kind] = self._report.types.get(kind, 0) + 1

    # -- what it means

    def _compare(self, checkpoint: Checkpoint, name: str) -> None:
        root = self._roots.get(checkpoint.size)
        if root is None:
            self._fault(
                f"the {name} says {checkpoint.size} events, {self._edge.size} can be read: "
                "events were removed"
            )
        elif root != checkpoint.root:
            self._fault(
                f"the first {checkpoint.size} events are not the ones that the {name} signs"
            )
        if checkpoint.origin != self._origin:
            self._fault(f"the {name} is of the ledger {checkpoint.origin}, not {self._origin}")

    def _conclude(self) -> None:
        report = self._report
        for torn in self._torn:
            what = (
                f"{torn.what}, behind everything that was signed: a writer was killed here, "
                "or something was appended; starting auditd cuts and records it"
            )
            report.doubts.append(Fault(what, self._file(torn.path), torn.offset))
        report.open_intents = len(self._book.intents)
        report.payloads_unnamed = max(0, report.payloads - len(self._named))
        if report.unsigned_events:
            report.notes.append(
                f"The last {report.unsigned_events} events are behind the checkpoint: they fit, "
                "but nobody has signed them yet. Ask for a newer checkpoint."
            )
        if report.open_intents:
            report.notes.append(
                f"{report.open_intents} requests are on their way to a backend and have no "
                "outcome yet; their worker sessions are open."
            )
        if report.faults:
            report.verdict = Verdict.TAMPERED
        elif report.doubts:
            report.verdict = Verdict.CANNOT_TELL


def _claimed(raw: bytes) -> Checkpoint | None:
    try:
        return read_unverified(raw)
    except BadNote:
        return None


def find_ledger(directory: Path) -> Path | None:
    """The ledger in `directory`, or in `directory/ledger` if that is a data directory."""
    for candidate in (directory, directory / "ledger"):
        if (candidate / EVENTS.directory).is_dir() and (candidate / PAYLOADS.directory).is_dir():
            return candidate
    return None


def _nothing(_size: int) -> None:
    """Nobody watches the progress."""


def verify(
    directory: Path,
    *,
    key: VerifierKey | None = None,
    pinned: bytes | None = None,
    receipt: Receipt | None = None,
    progress: Progress = _nothing,
) -> Report:
    """Verify the ledger in `directory`. Never raises for what it finds there.

    `pinned` is a checkpoint that was kept, `receipt` what a client was given with an answer.
    """
    ledger = find_ledger(directory)
    if ledger is None:
        return _cannot_tell(f"there is no ledger in {directory}")
    try:
        return _Verification(ledger, progress).run(key, pinned, receipt)
    except _Doubt as error:
        return _cannot_tell(str(error))
    except OSError as error:
        return _cannot_tell(f"a file cannot be read: {error}")


def _cannot_tell(why: str) -> Report:
    return Report(verdict=Verdict.CANNOT_TELL, doubts=[Fault(why)])
