"""What a client was given with an answer: index, leaf hash and a checkpoint that covers them.

The header `x-sekisho-receipt` is a dictionary of RFC 9651 with byte sequences in it:

    index=42, leaf=:<base64>:, checkpoint=:<base64 of a signed note>:

Whoever keeps it can show later that the ledger must have this event at this index, or that somebody
cut or rewrote it.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from sekisho_audit.checkpoint import NOTE_BYTES_MAX, BadNote, from_base64
from sekisho_audit.tree import HASH_BYTES

RECEIPT_CHARS_MAX = 2 * NOTE_BYTES_MAX
_RECEIPT = re.compile(
    r"index=(?P<index>0|[1-9][0-9]{0,14}), leaf=:(?P<leaf>[A-Za-z0-9+/=]+):, "
    r"checkpoint=:(?P<note>[A-Za-z0-9+/=]+):"
)


class BadReceipt(ValueError):
    """A text that is no receipt."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The event with hash `leaf` has this index in a ledger that signed `note`."""

    index: int
    leaf: bytes
    note: bytes

    def header(self) -> str:
        """The value of `x-sekisho-receipt`."""
        leaf, note = (base64.b64encode(raw).decode() for raw in (self.leaf, self.note))
        return f"index={self.index}, leaf=:{leaf}:, checkpoint=:{note}:"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Read the value of the header, alone or with its name. Raises BadReceipt."""
        text = text.strip()[:RECEIPT_CHARS_MAX]
        name, colon, value = text.partition(": ")
        if colon and name.lower() == "x-sekisho-receipt":
            text = value
        found = _RECEIPT.fullmatch(text)
        if found is None:
            raise BadReceipt("not a receipt: give the value of the header x-sekisho-receipt")
        try:
            leaf, note = from_base64(found["leaf"]), from_base64(found["note"])
        except BadNote as error:
            raise BadReceipt(f"a part of the receipt is {error}") from error
        if len(leaf) != HASH_BYTES:
            raise BadReceipt("the hash in the receipt is not 32 bytes long")
        return cls(int(found["index"]), leaf, note)
