"""What the auditor kept from before and brings along: pinned checkpoints and a receipt.

They are what whoever holds every key of the installation cannot change. So a checkpoint under a
signature of a key that is not known here is compared too: perhaps the change to that key was cut
away. One that a known key seems to have signed, and did not, was altered on the way: it is doubt
and accuses nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sekisho_audit.checkpoint import BadNote, Checkpoint, read_unverified, split_note
from sekisho_audit.key_chain import KeyChain
from sekisho_audit.receipt import Receipt
from sekisho_audit.verdict import Findings, Signed

NO_PINNED = (
    "No earlier checkpoint was given: whether events were removed or rewritten and "
    "signed again by the holder of the key cannot be seen. Keep checkpoints elsewhere "
    "and give one with --pinned."
)


_ALTERED = "only its checkpoint is signed, so somebody may have altered its index or hash"


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
        if not self.pinned and self.receipt is None:
            findings.note(NO_PINNED)
        found = []
        for raw in self.pinned:
            pinned = _pinned(raw, keys, findings)
            if pinned is not None:
                found.append(Signed(pinned, "pinned checkpoint"))
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
        """The event of a receipt that one of `keys` signed must be there.

        Only the checkpoint of a receipt is signed, and it fixes every event that it covers: if it
        fits and the event does not, the receipt was altered. If it does not fit, that was told.
        """
        receipt = self.receipt
        if receipt is None:
            return
        try:
            keys.open(receipt.note)
        except BadNote:
            return
        if findings.watched is None:
            findings.doubt(
                f"the event of the receipt is not there; {_ALTERED}", index=receipt.index
            )
        elif findings.watched != receipt.leaf:
            what = f"another event stands where the receipt has its own; {_ALTERED}"
            findings.doubt(what, index=receipt.index)
        else:
            findings.report.proved.append(f"{receipt.index}  the event of the receipt")


def _claimed(raw: bytes) -> Checkpoint:
    try:
        return read_unverified(raw)
    except BadNote as error:
        raise Unreadable(f"the pinned checkpoint cannot be read: {error}") from error


def _pinned(raw: bytes, keys: KeyChain, findings: Findings) -> Checkpoint | None:
    """What a note claims; None if it was altered after a key of this ledger had signed it."""
    try:
        return keys.open(raw)
    except BadNote as error:
        claimed = _claimed(raw)
        known = {(key.name, key.key_id) for key in keys.keys}
        _, lines = split_note(raw)
        if known & {(name, behind[: len(keys.current.key_id)]) for name, behind in lines}:
            findings.doubt(f"the pinned checkpoint is not what this ledger's key signed: {error}")
            return None
        findings.doubt(f"the pinned checkpoint: {error}")
        return claimed
