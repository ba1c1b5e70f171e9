"""Taking texts out of the search index when the keys that sealed them are destroyed.

Where a text was, its trail stays, with the mark that a text of it cannot be read: as if the index
had been built after the keys were gone. What other texts of the trail say is found as before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from sekisho_audit.bits import BLOCK_BITS
from sekisho_audit.blocks import MARKS, POSTINGS, Key, ids_of, ids_packed
from sekisho_audit.index_file import Rows
from sekisho_audit.tokens import Blind

_SHELVES_A_TIME = 256  # a month of so many people: what one transaction holds in memory

IsDead = Callable[[str, str], bool]
"""Whether the key of a pseudonym and shelf is destroyed."""


def drop_texts(rows: Rows, blind: Blind, is_dead: IsDead, closed: Callable[[], int]) -> int:
    """Take out all texts whose keys are destroyed; returns how many. `closed` is asked, within a
    transaction, for the id of the word that such trails get. The caller scrubs.

    What is done is done shelf by shelf: killed on the way, the next call does the rest.
    """
    known = rows.read("SELECT id, owner, shelf FROM shelves ORDER BY id")
    dead = [number for number, owner, shelf in known if is_dead(owner, shelf)]
    gone = 0
    for first in range(0, len(dead), _SHELVES_A_TIME):
        with rows.transaction():
            gone += _drop(rows, blind, dead[first : first + _SHELVES_A_TIME], closed())
    return gone


def _drop(rows: Rows, blind: Blind, shelves: Sequence[int], closed: int) -> int:
    labels: dict[int, set[bytes]] = defaultdict(set)
    events: set[int] = set()
    gone = 0
    for number in shelves:
        for trail, n, stored in rows.read(
            "SELECT trail, n, sequence FROM texts WHERE shelf = ?", (number,)
        ):
            labels[trail].update(blind.labels_of(blind.opened(stored)))
            events.add(n)
            gone += 1
    rows.write("DELETE FROM texts WHERE shelf = ?", [(number,) for number in shelves])
    rows.write("DELETE FROM shelves WHERE id = ?", [(number,) for number in shelves])
    _leave(rows, blind, labels)
    _close(rows, sorted(labels), sorted(events), closed)
    return gone


def _leave(rows: Rows, blind: Blind, labels: dict[int, set[bytes]]) -> None:
    """Take trails from the labels that no text of theirs has any more."""
    postings: dict[Key, set[int]] = defaultdict(set)
    for trail, gone in labels.items():
        for (stored,) in rows.read("SELECT sequence FROM texts WHERE trail = ?", (trail,)):
            gone.difference_update(blind.labels_of(blind.opened(stored)))
        block, place = divmod(trail, BLOCK_BITS)
        for label in gone:
            postings[label, block].add(place)
    for key in sorted(postings):
        POSTINGS.leave(rows, key, postings[key])


def _close(rows: Rows, trails: Sequence[int], events: Sequence[int], closed: int) -> None:
    """Mark trails and the events that had the texts: something of them cannot be read."""
    marks: dict[Key, set[int]] = defaultdict(set)
    for trail in trails:
        block, place = divmod(trail, BLOCK_BITS)
        marks[closed, block].add(place)
    MARKS.join(rows, marks, sorted(marks))
    changed = []
    for n in events:
        for (words,) in rows.read("SELECT words FROM events WHERE n = ?", (n,)):
            changed.append((ids_packed({*ids_of(words), closed}), n))
    rows.write("UPDATE events SET words = ? WHERE n = ?", changed)
