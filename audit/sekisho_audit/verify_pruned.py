"""The verifier's view of the files of a pruned ledger directory.

What a cut means is in `cut.py`; here are the files that a pruning leaves: hashes, the rules' state,
and segments that a pruning under way has not removed yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sekisho_audit.cut import Cut
from sekisho_audit.pruned import (
    DIRECTORY,
    HASHES,
    NAMES,
    STATE,
    BadPruned,
    fits_hashes,
    read_pruned,
    records,
)
from sekisho_audit.scan import EVENTS, BrokenSegment, Segment, frames
from sekisho_audit.tree import HASH_BYTES
from sekisho_audit.verdict import Findings


class StoredCut:
    """Where one ledger begins. Everything found is told to `findings`."""

    def __init__(self, ledger: Path, findings: Findings) -> None:
        self._ledger = ledger
        self._findings = findings
        self._leftover = 0
        self._cut = Cut(None, findings, records(ledger))
        self.signed = self._cut.signed
        try:
            self._cut.pruned = read_pruned(ledger)
            self._cut.judge()
        except BadPruned as error:
            findings.fault(str(error), file=error.file)
            self._cut.pruned = None
        self._list_files()

    @property
    def size(self) -> int:
        """The first leaf that is held."""
        return 0 if self._cut.record is None else self._cut.record.size

    def payloads(self, found: Sequence[Segment]) -> int:
        """The payload that the segments must begin with: those of leaves that are gone may be gone
        too, or not yet.
        """
        pruned = self._cut.pruned
        must = 0 if self._cut.record is None or pruned is None else pruned.payloads
        first = found[0].first if found else must
        self._leftover += first < must
        return min(first, must)

    def _list_files(self) -> None:
        folder = self._ledger / DIRECTORY
        if not folder.is_dir():
            return
        for path in sorted(folder.iterdir()):
            if path.name not in NAMES or not path.is_file():
                self._findings.fault("this file does not belong here", file=self._file(path))
        hashes = folder / HASHES
        if hashes.exists() and not (folder / STATE).exists() and not self._cut.records:
            self._findings.fault("hashes of leaves without a pruning", file=self._file(hashes))

    def _file(self, path: Path) -> str:
        return path.relative_to(self._ledger).as_posix()

    # -- reading

    def begin(self) -> None:
        """Before the first leaf that is held: take the hashes and the state. Raises OSError."""
        findings, pruned = self._findings, self._cut.pruned
        if pruned is None or self._cut.record is None:
            return
        try:
            self._cut.carry_on()
            for digest in pruned.hashes():
                findings.pass_over(digest)
        except BadPruned as error:
            findings.fault(f"what a pruning left cannot be read: {error}", file=error.file)
            self._cut.record = None

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
        self._cut.conclude(signed_size)
        if self._leftover or any(one.size > self.size for one in self._cut.records):
            self._findings.note(
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
        if self._cut.record is not None and length == self.size * HASH_BYTES:
            return
        under_way = [one for one in self._cut.records if one.size * HASH_BYTES == length]
        if not any(fits_hashes(self._ledger, one.size, one.root) for one in under_way):
            what = "it holds other hashes than those of the leaves that were pruned"
            self._findings.fault(what, file=self._file(path))
