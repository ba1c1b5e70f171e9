"""The search index of one ledger, in a database: opened, led on, asked, made to forget.

It can be deleted at any time. What is not there, damaged, of another ledger, key or format, or does
not stand where the ledger does, is thrown away and built again. How far the ledger was read is in
the same transaction as what was made of it. Used by one thread.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sekisho_audit.following import Source
from sekisho_audit.index import Index
from sekisho_audit.index_file import Database, Rows, Unfit
from sekisho_audit.marks import Leaf
from sekisho_audit.scan import EVENTS, held_from
from sekisho_audit.seal import Unreadable, unseal
from sekisho_audit.search import Search
from sekisho_audit.tail import Cursor, PayloadCursor, PayloadTail, Tail
from sekisho_audit.texts import text_of
from sekisho_audit.tokens import Blind

# segment, last, offset and digest of the events; passed, segment and offset of the payloads
_PLACE = struct.Struct(">QQQ32sQQQ")


class SearchFile:
    """One open index, and where in the ledger it stands."""

    def __init__(self, database: Database, source: Source, key: bytes) -> None:
        self._source = source
        blind = Blind(key)
        self._rows = database.open(source.origin, blind.check)
        try:
            self._index = Index(self._rows, blind, self._text, self._knows)
            self.search = Search(self._rows, blind, source.pseudonym_of)
            cursor, payloads = _stands(source.directory, self._index)
            _check_held(self._rows, source.directory)
            self._events = Tail(source.directory, cursor)
            self._index.begin_at(self._events.cursor.indexed)
            self._payloads = PayloadTail(source.directory, payloads)
        except BaseException:
            self._rows.close()
            raise

    @property
    def indexed(self) -> int:
        """How many events were read."""
        return self._index.indexed

    def is_there(self) -> bool:
        """Whether nobody took it away. Raises Away."""
        return self._rows.is_there()

    def advance(self, size: int, count: int) -> bool:
        """Read at most `count` more leaves of a ledger of `size` events. False: none were left.

        After an error this object stands anywhere between file and ledger and is of no more use.
        """
        first = self._events.cursor.indexed
        taken = self._events.take(size, count)
        if not taken:
            return False
        leaves = [(first + place, read.leaf) for place, read in enumerate(taken)]
        self._index.take(leaves, lambda: _packed(self._events.cursor, self._payloads.cursor))
        return True

    def forget(self, pseudonyms: Collection[str]) -> int:
        """Delete what is kept of people whose keys were destroyed before; returns how many events.

        Raises Unclean (index_file) if it may still stand in the file.
        """
        return self._index.forget(pseudonyms)

    def drop_texts(self) -> int:
        """Take out the texts whose keys were destroyed before; returns how many.

        Raises Unclean (index_file) if one may still stand in the file.
        """
        return self._index.drop_texts(
            lambda owner, shelf: self._source.secret_of(owner, shelf) is None
        )

    def close(self) -> None:
        """Let go of the files."""
        self._events.close()
        self._payloads.close()
        self._rows.close()

    def _knows(self, pseudonym: str) -> bool:
        return self._source.principal_of(pseudonym) is not None

    def _text(self, leaf: Leaf, name: str) -> str | None:
        """The text of a stored payload; None if its key was destroyed."""
        entry: Mapping[str, Any] = next(one for one in leaf["pl"] if one["name"] == name)
        pseudonym, _, shelf = entry["kref"].partition("/")
        secret = self._source.secret_of(pseudonym, shelf)
        if secret is None:
            return None
        stored = self._payloads.find(entry["ct"])
        try:
            return text_of(unseal(secret, leaf["id"], name, stored))
        except Unreadable:
            return None


def _packed(events: Cursor, payloads: PayloadCursor) -> bytes:
    return _PLACE.pack(
        *(events.segment, events.last, events.offset, events.digest),
        *(payloads.passed, payloads.segment, payloads.offset),
    )


def _stands(ledger: Path, index: Index) -> tuple[Cursor, PayloadCursor]:
    """Where an index stands. Raises Unfit if the ledger does not."""
    if not index.indexed:
        return Cursor(), PayloadCursor()
    if len(index.place) != _PLACE.size:
        raise Unfit("the search index does not say where it stands")
    segment, last, offset, digest, *payloads = _PLACE.unpack(index.place)
    cursor = Cursor(index.indexed, segment, last, offset, digest)
    if not cursor.fits(ledger):
        raise Unfit("the search index does not stand where the ledger does")
    return cursor, PayloadCursor(*payloads)


def _check_held(rows: Rows, ledger: Path) -> None:
    """Raises Unfit if the index knows leaves that the ledger does not hold any more."""
    ((oldest,),) = rows.read("SELECT MIN(first) FROM trails")
    if oldest is not None and oldest < held_from(ledger, EVENTS):
        raise Unfit("the search index tells of events that were pruned")
