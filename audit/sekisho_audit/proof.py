"""One event with the proof that it is in the ledger, as a text that anybody can check offline.

The text is a C2SP tlog-proof (https://c2sp.org/tlog-proof). Its `extra` line carries the leaf, so
nothing else is needed but the ledger's public key. The `extra` line is covered by the proof here:
the leaf hash is made of it, and nothing in the file is believed before that hash leads to a signed
root.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sekisho_audit.canon import LEAF_BYTES_MAX
from sekisho_audit.checkpoint import (
    NOTE_BYTES_MAX,
    BadNote,
    Checkpoint,
    VerifierKey,
    from_base64,
    open_note,
    to_base64,
)
from sekisho_audit.tree import HASH_BYTES, BadProof, leaf_hash, verify_inclusion

MAGIC = "c2sp.org/tlog-proof@v1"
HASHES_MAX = 64  # of a tree with 2^64 leaves
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,15})")
# The leaf in base64, the hashes, the note, and room for the words between.
PROOF_BYTES_MAX = 2 * LEAF_BYTES_MAX + NOTE_BYTES_MAX + 8_192


@dataclass(frozen=True, slots=True)
class Proof:
    """A leaf, its index, its path to the root of the signed note."""

    leaf: bytes
    index: int
    path: Sequence[bytes]
    note: bytes

    def text(self) -> str:
        """The C2SP text."""
        lines = [MAGIC, f"extra {to_base64(self.leaf)}", f"index {self.index}"]
        lines += [to_base64(item) for item in self.path]
        return "\n".join([*lines, "", self.note.decode()])

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Read it strictly. Raises BadProof; what it says is not checked yet."""
        head, gap, note = text.partition("\n\n")
        lines = head.split("\n")
        if not gap or lines[0] != MAGIC or len(lines) < 3:  # noqa: PLR2004 - magic, extra, index
            raise BadProof(f"not a proof: it must begin with `{MAGIC}` and hold a checkpoint")
        word, _, leaf = lines[1].partition(" ")
        if word != "extra":
            raise BadProof("the proof has no `extra` line: the event it is about is not in it")
        index = _INDEX.fullmatch(lines[2])
        if index is None:
            raise BadProof("the proof has no `index` line")
        if len(lines) - 3 > HASHES_MAX:
            raise BadProof("the proof has more hashes than any tree")
        try:
            path = [from_base64(line) for line in lines[3:]]
            body = from_base64(leaf)
        except BadNote as error:
            raise BadProof(f"a line of the proof is {error}") from error
        if any(len(item) != HASH_BYTES for item in path):
            raise BadProof(f"a hash in the proof is not {HASH_BYTES} bytes long")
        return cls(body, int(index[1]), path, note.encode())

    def check(self, key: VerifierKey) -> Checkpoint:
        """The signed checkpoint that this leaf is proved to be under. Raises BadProof, BadNote."""
        checkpoint = open_note(self.note, key)
        if checkpoint.origin != key.name:
            raise BadProof("the checkpoint is of another ledger than the key")
        verify_inclusion(
            leaf_hash(self.leaf), self.index, checkpoint.size, self.path, checkpoint.root
        )
        return checkpoint
