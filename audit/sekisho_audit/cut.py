"""Where a ledger begins that lacks its first leaves: may they be gone, and how do the rules go on?

Such a ledger is tampered with, unless a signed event among those it holds says that they were
pruned. That event names the hashes of the leaves by their root, and the rules' state by its hash,
so nothing else is believed. The same for a directory (`verify_pruned.py`), where the events can be
looked for first, and for a published log (`verify_log.py`), where they come last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sekisho_audit.checkpoint import Checkpoint
from sekisho_audit.pruned import STATE, BadPruned, Pruned, Record
from sekisho_audit.verdict import Findings, Signed


class Cut:
    """What was carried over a cut, None if nothing was. `records` are the prunings known."""

    def __init__(
        self, pruned: Pruned | None, findings: Findings, records: Sequence[Record] = ()
    ) -> None:
        self.pruned = pruned
        self.records = records
        self.record: Record | None = None
        self._findings = findings

    def judge(self) -> None:
        """Find the event that this cut stands on. Raises BadPruned."""
        if self.pruned is None:
            return
        for one in self.records:
            if one.names(self.pruned):
                self.record = one
        if self.record is None:
            raise BadPruned(STATE, "no event of this ledger says that leaves were pruned so")

    def carry_on(self) -> None:
        """Let the rules go on from the state; all of it must read. Raises BadPruned."""
        if self.pruned is None:
            return
        self.pruned.check_log(self._findings.origin)
        self._findings.book = self.pruned.book(None)
        self.pruned.custody()
        self.pruned.sums()
        self.pruned.rotations()

    def signed(self, origin: str) -> Iterator[Signed]:
        """The roots that prunings name, to be compared with those of the ledger."""
        for one in self.records:
            try:
                root = bytes.fromhex(one.root)
            except (ValueError, TypeError):
                root = b""
            yield Signed(Checkpoint(origin, one.size, root), f"pruning at event {one.index}")

    def conclude(self, signed_size: int) -> None:
        """Say what is gone, and whether that was signed."""
        findings, record = self._findings, self.record
        if self.pruned is None or record is None:
            return
        if record.index >= signed_size:
            what = "the pruning is not signed yet: ask for a newer checkpoint"
            findings.doubt(what, index=record.index)
        findings.report.pruned = record.size
        findings.note(
            f"The first {record.size} events, up to {_day(record.newest_us)}, were pruned, as "
            f"event {record.index} says. Their hashes are here and lead to the root; what they "
            "said cannot be read any more, and the rules go on from what is kept of them."
        )


def _day(us: int) -> str:
    try:
        return f"{datetime.fromtimestamp(us / 1_000_000, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "a time that no calendar has"
