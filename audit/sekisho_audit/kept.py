"""What the auditor kept from before and brings along: pinned checkpoints and a receipt.

They are what whoever holds every key of the installation cannot change. So they are compared even
if their signature does not fit; but then nothing is called sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sekisho_audit.checkpoint import BadNote, Checkpoint, read_unverified
from sekisho_audit.key_chain import KeyChain
from sekisho_audit.receipt import Receipt
from sekisho_audit.verdict import Findings, Signed

NO_PINNED = (
    "No earlier checkpoint was given: whether events were removed or rewritten and "
    "signed again by the holder of the key cannot be seen. Keep checkpoints elsewhere "
    "and give one with --pinned."
)


class Unreadable(ValueError):
    """Something that was brought along and does not read; nothing can be said with it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Signed notes, oldest or newest first as it comes, and what a client was given."""

    pinned: Sequence[bytes] = ()
    receipt: Receipt | None = None

    def expect(self, findings: Findings) -> set[int]:
        """The sizes that will be compared, before it is known who may have signed them.

        Raises Unreadable.
        """
        sizes = {_claimed(raw).size for raw in self.pinned}
        if self.receipt is not None:
            findings.watch(self.receipt.index)
            with suppress(BadNote):  # `open` tells
                sizes.add(read_unverified(self.receipt.note).size)
        return sizes

    def open(self, keys: KeyChain, findings: Findings) -> list[Signed]:
        """What is to be compared. Raises Unreadable."""
        if not self.pinned:
            findings.note(NO_PINNED)
        found = [Signed(_pinned(raw, keys, findings), "pinned checkpoint") for raw in self.pinned]
        if self.receipt is not None:
            findings.watch(self.receipt.index)
            try:
                promised = keys.open(self.receipt.note)
            except BadNote as error:
                findings.doubt(f"the receipt was not signed by this key: {error}")
            else:
                found.append(Signed(promised, "receipt's checkpoint"))
        return found

    def compare_leaf(self, keys: KeyChain, findings: Findings) -> None:
        """The event of a receipt that one of `keys` signed must be there."""
        receipt = self.receipt
        if receipt is None:
            return
        try:
            keys.open(receipt.note)
        except BadNote:
            return
        if findings.watched is None:
            findings.fault("the event of the receipt is not there", index=receipt.index)
        elif findings.watched != receipt.leaf:
            what = "another event stands where the receipt has its own"
            findings.fault(what, index=receipt.index)


def _claimed(raw: bytes) -> Checkpoint:
    try:
        return read_unverified(raw)
    except BadNote as error:
        raise Unreadable(f"the pinned checkpoint cannot be read: {error}") from error


def _pinned(raw: bytes, keys: KeyChain, findings: Findings) -> Checkpoint:
    try:
        return keys.open(raw)
    except BadNote as error:
        claimed = _claimed(raw)
        findings.doubt(f"the pinned checkpoint: {error}")
        return claimed
