"""The verifier's view of a pruned ledger: may these leaves be gone, and is what is left true?

A ledger that lacks its first leaves is tampered with, unless a signed event among those it holds
says that they were pruned. That event names the hashes of the leaves by their root, and the file
with the rules' state by its hash, so nothing else is believed. From there on the same rules go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sekisho_audit.checkpoint import Checkpoint
from sekisho_audit.pruned import (
    DIRECTORY,
    HASHES,
    NAMES,
    STATE,
    BadPruned,
    Pruned,
    Record,
    fits_hashes,
    read_pruned,
    records,
)
from sekisho_audit.scan import EVENTS, BrokenSegment, Segment, frames
from sekisho_audit.tree import HASH_BYTES
from sekisho_audit.verdict import Findings, Signed


class Cut:
    """Where one ledger begins. Everything found is told to `findings`."""

    def __init__(self, ledger: Path, findings: Findings) -> None:
        self._ledger = ledger
        self._findings = findings
        self._leftover = 0
        self._pruned: Pruned | None = None
        self._record: Record | None = None
        self._records = records(ledger)
        try:
            self._pruned = read_pruned(ledger)
            self._judge()
        except BadPruned as error:
            findings.fault(str(error), file=error.file)
            self._pruned = None
        self._list_files()

    @property
    def size(self) -> int:
        """The first leaf that is held."""
        return 0 if self._record is None else self._record.size

    def payloads(self, found: Sequence[Segment]) -> int:
        """The payload that the segments must begin with: those of leaves that are gone may be gone
        too, or not yet.
        """
        must = 0 if self._record is None or self._pruned is None else self._pruned.payloads
        first = found[0].first if found else must
        self._leftover += first < must
        return min(first, must)

    def signed(self, origin: str) -> Iterator[Signed]:
        """The roots that prunings name, to be compared with those of the ledger."""
        for one in self._records:
            try:
                root = bytes.fromhex(one.root)
            except (ValueError, TypeError):
                root = b""
            yield Signed(Checkpoint(origin, one.size, root), f"pruning at event {one.index}")

    def _list_files(self) -> None:
        folder = self._ledger / DIRECTORY
        if not folder.is_dir():
            return
        for path in sorted(folder.iterdir()):
            if path.name not in NAMES or not path.is_file():
                self._findings.fault("this file does not belong here", file=self._file(path))
        hashes = folder / HASHES
        if hashes.exists() and not (folder / STATE).exists() and not self._records:
            self._findings.fault("hashes of leaves without a pruning", file=self._file(hashes))

    def _file(self, path: Path) -> str:
        return path.relative_to(self._ledger).as_posix()

    def _judge(self) -> None:
        """Find the event that this cut stands on. Raises BadPruned."""
        pruned = self._pruned
        if pruned is None:
            return
        for one in self._records:
            if one.names(pruned):
                self._record = one
        if self._record is None:
            raise BadPruned(STATE, "no event of this ledger says that leaves were pruned so")

    # -- reading

    def begin(self) -> None:
        """Before the first leaf that is held: take the hashes and the state. Raises OSError."""
        findings, pruned = self._findings, self._pruned
        if pruned is None or self._record is None:
            return
        try:
            pruned.check_log(findings.origin)
            findings.book = pruned.book(None)
            pruned.custody()
            pruned.sums()
            pruned.rotations()
            for digest in pruned.hashes():
                findings.pass_over(digest)
        except BadPruned as error:
            findings.fault(f"what a pruning left cannot be read: {error}", file=error.file)
            self._record = None

    def leave(self, segment: Segment) -> bool:
        """Whether a segment lies below the cut; then it must hold just what was pruned."""
        if segment.first >= self.size:
            return False
        self._leftover += 1
        index, file = segment.first, self._file(segment.path)
        hashes = self._ledger / DIRECTORY / HASHES
        try:
            with hashes.open("rb") as known:
                known.seek(index * HASH_BYTES)
                for frame in frames(segment, EVENTS):
                    if index >= self.size or known.read(HASH_BYTES) != frame.digest:
                        what = "this is not the event that was pruned"
                        self._findings.fault(what, file=file, offset=frame.offset, index=index)
                        return True
                    index += 1
        except BrokenSegment as error:
            self._findings.fault(error.what, file=file, offset=error.offset)
        return True

    # -- at the end

    def conclude(self, signed_size: int) -> None:
        """Say what is gone, and whether that was signed."""
        findings, pruned, record = self._findings, self._pruned, self._record
        unfinished = self._leftover > 0 or any(one.size > self.size for one in self._records)
        if pruned is not None and record is not None:
            if record.index >= signed_size:
                what = "the pruning is not signed yet: ask for a newer checkpoint"
                findings.doubt(what, index=record.index)
            findings.report.pruned = record.size
            findings.note(
                f"The first {record.size} events, up to {_day(record.newest_us)}, were pruned, as "
                f"event {record.index} says. Their hashes are here and lead to the root; what they "
                "said cannot be read any more, and the rules go on from what is kept of them."
            )
        if unfinished:
            findings.note(
                "A pruning is not finished: leaves that it removes are still here. auditd "
                "finishes it when it starts."
            )
        self._check_length()

    def _check_length(self) -> None:
        """Hashes beyond the cut are those of a pruning that is under way, and of nothing else."""
        path = self._ledger / DIRECTORY / HASHES
        if not path.exists():
            return
        length = path.stat().st_size
        if self._record is not None and length == self.size * HASH_BYTES:
            return
        under_way = [one for one in self._records if one.size * HASH_BYTES == length]
        if not any(fits_hashes(self._ledger, one.size, one.root) for one in under_way):
            what = "it holds other hashes than those of the leaves that were pruned"
            self._findings.fault(what, file=self._file(path))


def _day(us: int) -> str:
    try:
        return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "a time that no calendar has"
