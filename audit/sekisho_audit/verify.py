"""The offline verifier: is this ledger what was signed, whole, and within its own rules?

It trusts neither the writer nor the machine: only the bytes of the directory, the key it is given
and, if there are any, checkpoints that the auditor kept. Every byte of every file is read. It needs
no network and nothing of the writer's code beyond the formats and the rules.

Here the directory is read; `verdict.py` says what the events mean, `kept.py` what the auditor
brings. Verdicts: 0 sound, 1 tampered, 2 cannot tell. Doubt is never called sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sekisho_audit.checkpoint import BadNote, Checkpoint, VerifierKey
from sekisho_audit.disclosed import Opening
from sekisho_audit.errors import in_words
from sekisho_audit.kept import Kept, Unreadable
from sekisho_audit.key_chain import KeyChain
from sekisho_audit.pruned import DIRECTORY as PRUNED_DIRECTORY
from sekisho_audit.receipt import Receipt
from sekisho_audit.report import Fault, Report, Verdict
from sekisho_audit.scan import (
    EVENTS,
    NO_SEGMENT,
    PAYLOADS,
    BrokenSegment,
    Family,
    Segment,
    frames,
    listed,
)
from sekisho_audit.verdict import Findings, Progress, Signed
from sekisho_audit.verify_anchors import Anchors
from sekisho_audit.verify_keys import check_vkey, follow, hand_overs
from sekisho_audit.verify_pruned import StoredCut

# Files a ledger directory may hold beside its segments; the last two are left by a crash.
_FILES = frozenset({"checkpoint", "vkey", "lock", "checkpoint.new", "vkey.new"})
KEY_OF_THE_LEDGER = (
    "No key was given: the key found in the directory was trusted. Whoever can replace "
    "the whole directory can replace that key; give --key to be sure who signed."
)


class _Doubt(Exception):
    """Nothing can be said, for this reason."""


class _Directory:
    """One pass over one ledger directory."""

    def __init__(self, ledger: Path, progress: Progress, opening: Opening | None) -> None:
        self._ledger = ledger
        self._opening = opening
        self._findings = Findings(progress)
        self._findings.opening = opening
        self._torn: list[BrokenSegment] = []

    def run(self, key: VerifierKey | None, kept: Kept, anchors: Anchors) -> Report:
        """Check everything; the report says what it is worth."""
        findings = self._findings
        vkey = self._ledger / "vkey"
        if not vkey.exists() and not _has_any(self._ledger / EVENTS.directory):
            raise _Doubt("there is no ledger here: not one event and no key")
        found = self._key(vkey, key)
        trusted = key or found
        if trusted is None:
            return findings.conclude()
        keys = follow(self._ledger, trusted, findings)
        if found is not None:
            check_vkey(found, keys, findings)
        checkpoint = self._checkpoint(keys)
        findings.origin = checkpoint.origin if checkpoint else trusted.name
        signed = [*kept.open(keys, findings), *hand_overs(keys)]
        signed += anchors.open(keys, findings)
        findings.see = anchors.see
        if checkpoint is not None:
            signed.append(Signed(checkpoint, "checkpoint"))
        self._list_files()
        cut = StoredCut(self._ledger, findings)
        signed += cut.signed(findings.origin)
        findings.begin({item.checkpoint.size for item in signed})
        cut.begin()
        self._read_events(cut, checkpoint.size if checkpoint else 0)
        self._read_payloads(cut)
        findings.compare(signed)
        cut.conclude(checkpoint.size if checkpoint else 0)
        kept.compare_leaf(keys, findings)
        anchors.conclude(findings)
        if checkpoint is not None:
            findings.signed_at(checkpoint.size)
        self._say_torn()
        return findings.conclude()

    def _key(self, path: Path, given: VerifierKey | None) -> VerifierKey | None:
        raw, fault = b"", self._findings.fault
        try:
            raw = path.read_bytes()
            found = VerifierKey.parse(raw.decode().removesuffix("\n"))
        except (OSError, UnicodeDecodeError, BadNote) as error:
            fault(f"the key of the ledger cannot be read: {_said(error)}", file="vkey")
            found = None
        if found is not None and raw != f"{found.line()}\n".encode():
            fault("the end of the key line is missing: auditd writes a newline", file="vkey")
        if given is None and found is not None:
            self._findings.note(KEY_OF_THE_LEDGER)
        return found

    def _checkpoint(self, keys: KeyChain) -> Checkpoint | None:
        fault = self._findings.fault
        try:
            checkpoint = keys.open((self._ledger / "checkpoint").read_bytes())
        except (OSError, BadNote) as error:
            fault(f"the checkpoint does not hold: {_said(error)}", file="checkpoint")
            return None
        if checkpoint.origin != keys.current.name:
            fault("the checkpoint names another ledger than its key", file="checkpoint")
        return checkpoint

    def _list_files(self) -> None:
        for path in sorted(self._ledger.iterdir()):
            known = (
                path.name in {EVENTS.directory, PAYLOADS.directory, PRUNED_DIRECTORY}
                if path.is_dir()
                else (path.name in _FILES)
            )
            if not known:
                self._findings.fault("this file does not belong here", file=path.name)
        lock = self._ledger / "lock"
        if lock.exists() and lock.stat().st_size:
            self._findings.fault("the lock must be empty", file="lock")

    # -- segments

    def _file(self, path: Path) -> str:
        return path.relative_to(self._ledger).as_posix()

    def _segments(self, family: Family) -> list[Segment]:
        """All that are there. A file beside them is a fault of its own and hides none of them."""
        try:
            found, strays = listed(self._ledger, family)
        except BrokenSegment as error:
            self._findings.fault(error.what, file=self._file(error.path))
            return []
        for path in strays:
            self._findings.fault(NO_SEGMENT, file=self._file(path))
        return found

    def _read_events(self, cut: StoredCut, signed: int) -> None:
        findings, found = self._findings, self._segments(EVENTS)
        for segment in found:
            if cut.leave(segment):
                continue
            file = self._file(segment.path)
            if segment.first != findings.edge.size:
                findings.fault("events before this file are missing", file=file)
                return
            try:
                for frame in frames(segment, EVENTS):
                    findings.take(frame.body, frame.digest, file, frame.offset)
            except BrokenSegment as error:
                tail = segment is found[-1] and findings.edge.size >= signed
                self._broken(error, tail=tail)
                return

    def _read_payloads(self, cut: StoredCut) -> None:
        """After the events, so that a ledger in use has every payload that an event names."""
        findings, found = self._findings, self._segments(PAYLOADS)
        count = cut.payloads(found)
        missing = dict(findings.named)
        broken: BrokenSegment | None = None
        for segment in found:
            if broken is not None or segment.first != count:
                findings.fault(
                    "payloads before this file are missing", file=self._file(segment.path)
                )
                count = segment.first
            try:
                for frame in frames(segment, PAYLOADS):
                    count += 1
                    missing.pop(frame.digest, None)
                    if self._opening is not None:
                        self._opening.stored(frame.digest, frame.body)
                    findings.report.payloads += 1
            except BrokenSegment as error:
                broken = error
        if broken is not None:  # first: all that stood behind it is missing, too
            self._broken(broken, tail=not missing)
        for place in missing.values():
            what = f"the stored payload {place.name!r} is missing or changed"
            findings.fault(what, **place.where())

    def _broken(self, error: BrokenSegment, *, tail: bool) -> None:
        if tail and error.torn:
            self._torn.append(error)
        else:
            self._findings.fault(error.what, file=self._file(error.path), offset=error.offset)

    def _say_torn(self) -> None:
        for torn in self._torn:
            what = (
                f"{torn.what}, behind everything that was signed: a writer was killed here, "
                "or something was appended; starting auditd cuts and records it"
            )
            self._findings.doubt(what, file=self._file(torn.path), offset=torn.offset)


def find_ledger(directory: Path) -> Path | None:
    """The ledger in `directory`, or in `directory/ledger` if that is a data directory."""
    for candidate in (directory, directory / "ledger"):
        parts = [candidate / family.directory for family in (EVENTS, PAYLOADS)]
        if all(part.is_dir() for part in parts) or _is_rest(candidate, parts):
            return candidate
    return None


def _is_rest(directory: Path, parts: Sequence[Path]) -> bool:
    """Whether this was a ledger, of which somebody removed a part."""
    return (directory / "vkey").is_file() and (
        (directory / "checkpoint").is_file() or any(part.is_dir() for part in parts)
    )


def _has_any(directory: Path) -> bool:
    return directory.is_dir() and any(directory.iterdir())


def _said(error: Exception) -> str:
    return in_words(error) if isinstance(error, OSError) else str(error)


def _nothing(_size: int) -> None:
    """Nobody watches the progress."""


def verify(
    directory: Path,
    *,
    key: VerifierKey | None = None,
    pinned: bytes | Sequence[bytes] | None = None,
    receipt: Receipt | None = None,
    opening: Opening | None = None,
    anchors: Anchors | None = None,
    progress: Progress = _nothing,
) -> Report:
    """Verify the ledger in `directory`. Never raises for what it finds there.

    `pinned` is a checkpoint that was kept, or several, `receipt` what a client was given with an
    answer, `opening` opens payloads whose keys were disclosed, `anchors` has evidence from
    elsewhere.
    """
    ledger = find_ledger(directory)
    if ledger is None:
        return _cannot_tell(f"there is no ledger in {directory}")
    notes = [pinned] if isinstance(pinned, bytes) else list(pinned or ())
    try:
        return _Directory(ledger, progress, opening).run(
            key, Kept(notes, receipt), (anchors or Anchors()).near(ledger)
        )
    except (_Doubt, Unreadable) as error:
        return _cannot_tell(str(error))
    except OSError as error:
        return _cannot_tell(f"a file cannot be read: {in_words(error)}")


def _cannot_tell(why: str) -> Report:
    return Report(verdict=Verdict.CANNOT_TELL, doubts=[Fault(why)])
