"""Building the search index: leaf by leaf from the ledger, and forgetting a person.

    index = Index(SqliteRows(path, origin, blind.check), blind, opener, knows)
    index.take(leaves_from(index.indexed))

One `take` is one transaction with the cursor in it: killed anywhere, the index stands before or
behind the whole step, and reading on from `indexed` gives what building it anew would give.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from sekisho_audit.bits import BLOCK_BITS
from sekisho_audit.blocks import MARKS, POSTINGS, Key, ids_of, ids_packed
from sekisho_audit.index_file import Rows
from sekisho_audit.index_texts import IsDead, drop_texts
from sekisho_audit.marks import Leaf, Mark, marks_of, owner_of, texts_of, used_by
from sekisho_audit.tokens import Blind

SPAN_TRAILS = 1_024
# Longer texts are counted as not searchable: three million units take a minute and 100 MB.
TEXT_CHARS_MAX = 4 * 1024 * 1024
TRAIL = ("", "trail")  # every trail has it
CLOSED = ("", "closed")  # a text of the trail could not be read
_EXCHANGES_CACHED = 16_384  # exchanges under way
_WORDS_CACHED = 200_000

# The text of a payload, or None: erased, or never stored.
Opener = Callable[[Leaf, str], str | None]


class Gap(Exception):
    """The leaves do not begin where the index ends."""


@dataclass(slots=True)
class _Step:
    """What one transaction adds."""

    trails: list[tuple[int, int, int, str | None, str | None]] = field(default_factory=list)
    events: list[tuple[int, int, int, bytes, int | None, int | None]] = field(default_factory=list)
    texts: list[tuple[int, int, int, bytes, int]] = field(default_factory=list)
    shelves: list[tuple[int, str, str]] = field(default_factory=list)
    words: list[tuple[int, str, str]] = field(default_factory=list)
    marks: dict[Key, set[int]] = field(default_factory=lambda: defaultdict(set))
    postings: dict[Key, set[int]] = field(default_factory=lambda: defaultdict(set))
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)


class Index:
    """The only writer of an index. After an error it is to be opened anew.

    `opener` gives the text of a payload (it is asked only for what was stored), `knows` tells
    whether a pseudonym still stands for somebody.
    """

    def __init__(
        self, rows: Rows, blind: Blind, opener: Opener, knows: Callable[[str], bool]
    ) -> None:
        self._rows = rows
        self._blind = blind
        self._opener = opener
        self._knows = knows
        self._exchanges: OrderedDict[tuple[str, str | None], int] = OrderedDict()
        self._words: dict[Mark, int] = {}
        self._shelves: dict[tuple[str, str], int] = {}
        self._unclean = False  # texts were taken out and the file was not written anew
        (progress,) = rows.read(
            "SELECT indexed, forgotten, next_word, next_trail, place FROM progress"
        )
        self._indexed, self._forgotten, self._next_word, self._next_trail, self._place = progress

    @property
    def indexed(self) -> int:
        """How many events were read: the index of the one that is wanted next."""
        return int(self._indexed)

    @property
    def place(self) -> bytes:
        """What the last `take` was told of where the next event stands."""
        return bytes(self._place)

    def begin_at(self, first: int) -> None:
        """An index that has read nothing begins here: the leaves before are not held any more."""
        if not self._indexed:
            self._indexed = first

    def take(self, leaves: Iterable[tuple[int, Leaf]], place: Callable[[], bytes] = bytes) -> None:
        """Add leaves in order; those known already are passed over. Raises Gap.

        What `place` says when they are read is kept in the same transaction, for whoever reads on
        after a restart.
        """
        step = _Step()
        with self._rows.transaction():
            for n, leaf in leaves:
                if n < self._indexed:
                    continue
                if n > self._indexed:
                    raise Gap(f"the index wants event {self._indexed}, not {n}")
                self._add(step, n, leaf)
                self._indexed += 1
            self._place = place()
            self._write(step)

    def _add(self, step: _Step, n: int, leaf: Leaf) -> None:
        owner = owner_of(leaf)
        if owner is not None and not self._knows(owner):
            self._forgotten += 1
            return
        trail, is_new = self._trail(leaf["exchange"], owner)
        block, place = divmod(trail, BLOCK_BITS)
        marks = marks_of(leaf, self._knows)
        if is_new:
            step.trails.append((trail, n, leaf["ts"], leaf["exchange"], owner))
            span = trail // SPAN_TRAILS
            oldest, newest = step.spans.get(span, (leaf["ts"], leaf["ts"]))
            step.spans[span] = min(oldest, leaf["ts"]), max(newest, leaf["ts"])
            marks.add(TRAIL)
        for part, (name, kref) in enumerate(texts_of(leaf)):
            text = self._opener(leaf, name) if kref else None
            if text is None or len(text) > TEXT_CHARS_MAX:
                marks.add(CLOSED)
                continue
            sequence = self._blind.tokens_of(text)
            shelf = self._shelf(step, kref)
            step.texts.append((trail, n, part, self._blind.sealed(sequence), shelf))
            for label in self._blind.labels_of(sequence):
                step.postings[label, block].add(place)
        ids = {self._word(step, mark) for mark in marks}
        for word in ids:
            step.marks[word, block].add(place)
        row = n, trail, leaf["ts"], ids_packed(ids), *used_by(leaf)
        step.events.append(row)

    def _trail(self, exchange: str | None, owner: str | None) -> tuple[int, bool]:
        """The number of a trail, and whether it begins here."""
        key = (exchange, owner) if exchange is not None else None
        if key is not None:
            known = self._exchanges.get(key)
            if known is None:
                rows = self._rows.read(
                    "SELECT trail, owner FROM trails WHERE exchange = ?", (exchange,)
                )
                known = next((trail for trail, whose in rows if whose == owner), None)
            if known is not None:
                self._remember(key, known)
                return known, False
            self._remember(key, self._next_trail)
        self._next_trail += 1
        return self._next_trail - 1, True

    def _remember(self, key: tuple[str, str | None], trail: int) -> None:
        # Cut down only between steps: trails of the step under way are not in the file yet.
        self._exchanges[key] = trail
        self._exchanges.move_to_end(key)

    def _word(self, step: _Step, mark: Mark) -> int:
        known = self._words.get(mark)
        if known is None:
            rows = self._rows.read("SELECT id FROM words WHERE field = ? AND word = ?", mark)
            if rows:
                known = int(rows[0][0])
            else:
                known = self._next_word
                self._next_word += 1
                step.words.append((known, *mark))
            self._words[mark] = known
        return known

    def _shelf(self, step: _Step, kref: str) -> int:
        """The number of a key; from the same row as those of words."""
        owner, _, shelf = kref.partition("/")
        known = self._shelves.get((owner, shelf))
        if known is None:
            sql = "SELECT id FROM shelves WHERE owner = ? AND shelf = ?"
            rows = self._rows.read(sql, (owner, shelf))
            if rows:
                known = int(rows[0][0])
            else:
                known = self._next_word
                self._next_word += 1
                step.shelves.append((known, owner, shelf))
            self._shelves[owner, shelf] = known
        return known

    def _write(self, step: _Step) -> None:
        rows = self._rows
        rows.write("INSERT INTO words VALUES (?, ?, ?)", step.words)
        rows.write("INSERT INTO trails VALUES (?, ?, ?, ?, ?)", step.trails)
        rows.write("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", step.events)
        rows.write("INSERT INTO shelves VALUES (?, ?, ?)", step.shelves)
        rows.write("INSERT INTO texts VALUES (?, ?, ?, ?, ?)", step.texts)
        rows.write(
            "INSERT INTO spans VALUES (?, ?, ?) ON CONFLICT (span) DO UPDATE SET"
            " oldest = CASE WHEN excluded.oldest < spans.oldest"
            " THEN excluded.oldest ELSE spans.oldest END,"
            " newest = CASE WHEN excluded.newest > spans.newest"
            " THEN excluded.newest ELSE spans.newest END",
            [(span, *bounds) for span, bounds in step.spans.items()],
        )
        MARKS.join(rows, step.marks, sorted(step.marks))
        POSTINGS.join(rows, step.postings, sorted(step.postings))
        self._write_progress()
        while len(self._exchanges) > _EXCHANGES_CACHED:
            self._exchanges.popitem(last=False)
        for cache in (self._words, self._shelves):
            if len(cache) > _WORDS_CACHED:
                cache.clear()

    def _write_progress(self) -> None:
        told = self._indexed, self._forgotten, self._next_word, self._next_trail, self._place
        self._rows.write(
            "UPDATE progress SET indexed = ?, forgotten = ?, next_word = ?, next_trail = ?,"
            " place = ?",
            [told],
        )

    # -- forgetting

    def forget(self, pseudonyms: Collection[str]) -> int:
        """Delete what is kept of some people, and their pseudonyms where they acted for others;
        returns how many events. Raises Unclean if it may still stand in the file: ask again.

        Whoever destroyed their keys calls it: from then on `knows` must say no. The file is
        written anew, so it is as quick for many people as for one.
        """
        gone = 0
        with self._rows.transaction():
            for pseudonym in pseudonyms:
                gone += self._forget_trails(pseudonym)
                self._forget_name(pseudonym)
                self._rows.write("DELETE FROM shelves WHERE owner = ?", [(pseudonym,)])
            self._shelves.clear()
            self._forgotten += gone
            self._write_progress()
        for key in [key for key in self._exchanges if key[1] in pseudonyms]:
            del self._exchanges[key]
        self._rows.scrub()
        return gone

    def drop_texts(self, is_dead: IsDead) -> int:
        """Take out the texts whose keys were destroyed; returns how many. Raises Unclean if one may
        still stand in the file: ask again.
        """
        gone = drop_texts(self._rows, self._blind, is_dead, self._closed)
        self._shelves.clear()
        self._unclean = self._unclean or gone > 0
        if self._unclean:
            self._rows.scrub()
            self._unclean = False
        return gone

    def _closed(self) -> int:
        """The id of the word for trails with a text that cannot be read."""
        step = _Step()
        word = self._word(step, CLOSED)
        self._rows.write("INSERT INTO words VALUES (?, ?, ?)", step.words)
        self._write_progress()
        return word

    def _forget_trails(self, pseudonym: str) -> int:
        rows, gone = self._rows, 0
        marks: dict[Key, set[int]] = defaultdict(set)
        postings: dict[Key, set[int]] = defaultdict(set)
        trails = rows.read("SELECT trail FROM trails WHERE owner = ?", (pseudonym,))
        for (trail,) in trails:
            block, place = divmod(trail, BLOCK_BITS)
            for (words,) in rows.read("SELECT words FROM events WHERE trail = ?", (trail,)):
                gone += 1
                for word in ids_of(words):
                    marks[word, block].add(place)
            for (stored,) in rows.read("SELECT sequence FROM texts WHERE trail = ?", (trail,)):
                for label in self._blind.labels_of(self._blind.opened(stored)):
                    postings[label, block].add(place)
        idle = [key[0] for key in sorted(marks) if MARKS.leave(rows, key, marks[key])]
        for key in sorted(postings):
            POSTINGS.leave(rows, key, postings[key])
        for statement in (
            "DELETE FROM events WHERE trail = ?",
            "DELETE FROM texts WHERE trail = ?",
            "DELETE FROM trails WHERE trail = ?",
        ):
            rows.write(statement, trails)
        # A name of a model that only this person asked for is theirs too.
        for word_id in idle:
            if not rows.read("SELECT 1 FROM marks WHERE word = ? LIMIT 1", (word_id,)):
                rows.write("DELETE FROM words WHERE id = ?", [(word_id,)])
        self._words.clear()
        return gone

    def _forget_name(self, pseudonym: str) -> None:
        # The ids stay in rows of others and mean nothing: no number is given twice.
        for mark in (("principal", pseudonym), ("actor", pseudonym)):
            found = self._rows.read("SELECT id FROM words WHERE field = ? AND word = ?", mark)
            self._rows.write("DELETE FROM marks WHERE word = ?", found)
            self._rows.write("DELETE FROM words WHERE id = ?", found)
