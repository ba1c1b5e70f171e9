"""A query against one state of the index: which trails meet it, block by block.

Each condition is a set of trails, each block of 65,536 trails one int, so that any combination of
conditions costs the same few steps. What sets of tokens cannot tell of a phrase, the sequences do.

A text that could not be read makes a phrase neither true nor false. Such a trail is not found,
neither by the phrase nor by its negation; it is counted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sekisho_audit.bits import BLOCK_BITS, ascending, descending, mask_of, shared
from sekisho_audit.blocks import MARKS, POSTINGS, ids_of, read_each
from sekisho_audit.index import CLOSED, SPAN_TRAILS, TRAIL
from sekisho_audit.index_file import Rows
from sekisho_audit.marks import Mark
from sekisho_audit.query import Query, Term
from sekisho_audit.tokens import Blind, Wanted, contains

PATTERN_WORDS_MAX = 20_000  # a second for each block
# So many trails of a block are looked up one by one sooner than all of them are made a mask.
_FEW = 256
# Reading a trail's words takes as long as looking a few trails up among those of two words.
_READ_PER_WORD = 0.5
_TIME_END_US = 2**62
_RUN = re.compile(rb"\x01+")
_ALL_EVENTS = 2**62


class TooBroad(ValueError):
    """A pattern means more words than can be looked for."""


@dataclass(frozen=True, slots=True)
class _Words:
    """Trails with any of these words, or (`negated`) with none."""

    ids: frozenset[int]
    negated: bool


@dataclass(frozen=True, slots=True)
class _Text:
    wanted: Wanted
    negated: bool


class Plan:
    """A query made ready for one snapshot of `rows`. Raises TooBroad."""

    def __init__(self, rows: Rows, blind: Blind, query: Query) -> None:
        self._rows = rows
        self._blind = blind
        self._after_us = 0 if query.after_us is None else query.after_us
        self._before_us = _TIME_END_US if query.before_us is None else query.before_us
        self._timed = (query.after_us, query.before_us) != (None, None)
        self._spans = self._spans_in_time() if self._timed else {}
        (self._present,) = self._ids((Term(*TRAIL),)) or (0,)
        (self._closed,) = self._ids((Term(*CLOSED),)) or (0,)
        self._words: list[_Words] = []
        self._only: frozenset[int] | None = None
        self._never: frozenset[int] = frozenset()
        groups: dict[tuple[str, bool], list[Term]] = defaultdict(list)
        for term in query.terms:
            groups[term.field, term.negated].append(term)
        for (name, negated), terms in groups.items():
            if name == "exchange":
                self._take_exchanges(terms, negated=negated)
            else:
                self._words.append(_Words(frozenset(self._ids(terms)), negated))
        # Few words first: an empty block is known sooner.
        self._words.sort(key=lambda words: (words.negated, len(words.ids)))
        self._texts = [_Text(blind.wanted(it.text), it.negated) for it in query.phrases]

    def _ids(self, terms: Iterable[Term]) -> set[int]:
        ids: set[int] = set()
        for term in terms:
            if term.pattern:
                known = self._rows.read("SELECT id, word FROM words WHERE field = ?", (term.field,))
                ids |= {word for word, said in known if term.meets(said)}
            else:
                sql = "SELECT id FROM words WHERE field = ? AND word = ?"
                ids |= {word for (word,) in self._rows.read(sql, (term.field, term.value))}
        if len(ids) > PATTERN_WORDS_MAX:
            raise TooBroad(f"the pattern means {len(ids)} words; {PATTERN_WORDS_MAX} are the limit")
        return ids

    def _take_exchanges(self, terms: Iterable[Term], *, negated: bool) -> None:
        found = frozenset(
            trail
            for term in terms
            for (trail,) in self._rows.read(
                "SELECT trail FROM trails WHERE exchange = ?", (term.value,)
            )
        )
        if negated:
            self._never = found
        else:
            self._only = found

    # -- sets

    def found(self, block: int) -> int:
        """All trails of a block that meet the query."""
        mask = self.structured(block)
        for text in self._texts:
            if not mask:
                break
            hits = self._hits(text.wanted, block, mask)
            mask = mask & ~hits & ~self._marked(self._closed, block) if text.negated else hits
        return mask

    def unsearched(self, block: int) -> int:
        """Trails of a block that meet all but the phrases, and of which the phrases cannot be told
        because a text could not be read.
        """
        closed = self._marked(self._closed, block) if self._texts else 0
        if not closed:
            return 0
        left = self.structured(block) & closed
        all_there = left
        for text in self._texts:
            hits = self._hits(text.wanted, block, left) if left else 0
            if text.negated:
                left, all_there = left & ~hits, 0
            else:
                all_there &= hits
        return left & ~all_there

    def structured(self, block: int) -> int:
        """Trails of a block that meet the conditions on fields and times."""
        if self._timed and block not in self._spans:
            return 0
        mask, rest = self._first(block)
        if self._only is not None:
            mask &= _mask(self._only, block)
        if self._never:
            mask &= ~_mask(self._never, block)
        if mask and self._timed:
            mask &= self._within_time(block)
        for done, words in enumerate(rest):
            if mask.bit_count() <= _FEW:
                return _mask(self._among(set(ascending(mask)), block, rest[done:]), 0)
            there = self._with_any(words, block)
            mask &= ~there if words.negated else there
        return mask

    def _first(self, block: int) -> tuple[int, Sequence[_Words]]:
        """The trails of a block that the rarest word leaves, and the conditions on other words."""
        if self._words and not self._words[0].negated:
            return self._with_any(self._words[0], block), self._words[1:]
        return self._marked(self._present, block), self._words

    def _with_any(self, words: _Words, block: int) -> int:
        there = 0
        for word in words.ids:
            there |= self._marked(word, block)
        return there

    def _among(self, places: set[int], block: int, conditions: Sequence[_Words]) -> set[int]:
        """Those of a few trails of a block whose words meet all conditions."""
        for done, words in enumerate(conditions):
            left = conditions[done:]
            if len(places) < _READ_PER_WORD * sum(len(it.ids) for it in left):
                return {place for place in places if self._says(block * BLOCK_BITS + place, left)}
            there: set[int] = set()
            for word in words.ids:
                there |= shared(MARKS.stored(self._rows, (word, block)), places)
            places = places - there if words.negated else there
        return places

    def _says(self, trail: int, conditions: Iterable[_Words]) -> bool:
        said = words_then(self._rows, trail)
        return all(said.isdisjoint(it.ids) == it.negated for it in conditions)

    def _marked(self, word: int, block: int) -> int:
        return mask_of(MARKS.stored(self._rows, (word, block)))

    def _possible(self, wanted: Wanted, block: int, mask: int) -> int:
        for label in wanted.labels:
            if not mask:
                break
            mask &= mask_of(POSTINGS.stored(self._rows, (label, block)))
        return mask

    def _hits(self, wanted: Wanted, block: int, mask: int) -> int:
        """Those trails of a mask in which the phrase is found."""
        mask = self._possible(wanted, block, mask)
        if wanted.exact or not mask:
            return mask
        start = block * BLOCK_BITS
        hits = (place for place in ascending(mask) if self._in_trail(wanted, start + place))
        return _mask(hits, 0)

    def _in_trail(self, wanted: Wanted, trail: int, size: int = _ALL_EVENTS) -> bool:
        rows = self._rows.read(
            "SELECT sequence FROM texts WHERE trail = ? AND n < ? ORDER BY n", (trail, size)
        )
        return any(contains(self._blind.opened(stored), wanted) for (stored,) in rows)

    def _spans_in_time(self) -> Mapping[int, Sequence[tuple[int, bool]]]:
        """The spans with trails that may have begun within the time, by block; each with whether
        all of its trails have.
        """
        spans: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        for span, oldest, newest in self._rows.read(
            "SELECT span, oldest, newest FROM spans WHERE newest >= ? AND oldest < ?",
            (self._after_us, self._before_us),
        ):
            whole = oldest >= self._after_us and newest < self._before_us
            spans[span * SPAN_TRAILS // BLOCK_BITS].append((span, whole))
        return spans

    def _within_time(self, block: int) -> int:
        first, mask, whole = block * BLOCK_BITS, 0, bytearray(BLOCK_BITS // SPAN_TRAILS)
        for span, is_whole in self._spans[block]:
            start = span * SPAN_TRAILS
            if is_whole:
                whole[(start - first) // SPAN_TRAILS] = 1
                continue
            found = self._rows.read(
                "SELECT trail FROM trails WHERE trail >= ? AND trail < ?"
                " AND begun_us >= ? AND begun_us < ?",
                (start, start + SPAN_TRAILS, self._after_us, self._before_us),
            )
            mask |= _mask((trail - first for (trail,) in found), 0)
        for run in _RUN.finditer(whole):
            length = (run.end() - run.start()) * SPAN_TRAILS
            mask |= ((1 << length) - 1) << run.start() * SPAN_TRAILS
        return mask

    # -- one by one

    def newest(self, block: int, below: int, changed: frozenset[int], size: int) -> Iterator[int]:
        """Trails of a block below a number that met the query when the ledger had `size` events,
        newest first. `changed` are those that had events since.
        """
        start = block * BLOCK_BITS
        room = max(0, min(below - start, BLOCK_BITS))
        then = _mask(changed, block) & (1 << room) - 1
        mask = self.structured(block) & ~then & (1 << room) - 1
        doubtful: list[tuple[_Text, int]] = []
        for text in self._texts:
            possible = self._possible(text.wanted, block, mask)
            if not text.negated:
                mask = possible
            else:
                mask &= ~self._marked(self._closed, block)
                mask = mask & ~possible if text.wanted.exact else mask
            if not text.wanted.exact:
                doubtful.append((text, possible))
        for place in descending(mask | then):
            trail = start + place
            if then >> place & 1:
                if self._met(trail, size):
                    yield trail
            elif all(
                (bool(possible >> place & 1) and self._in_trail(text.wanted, trail)) != text.negated
                for text, possible in doubtful
            ):
                yield trail

    def _met(self, trail: int, size: int) -> bool:
        """Whether a trail met the query when the ledger had `size` events."""
        begun = self._rows.read("SELECT begun_us FROM trails WHERE trail = ?", (trail,))
        words = words_then(self._rows, trail, size)
        return (
            bool(begun)
            and self._after_us <= begun[0][0] < self._before_us
            and (self._only is None or trail in self._only)
            and trail not in self._never
            and all((not words.isdisjoint(it.ids)) != it.negated for it in self._words)
            and all(self._text_met(text, trail, words, size) for text in self._texts)
        )

    def _text_met(self, text: _Text, trail: int, words: set[int], size: int) -> bool:
        if self._in_trail(text.wanted, trail, size):
            return not text.negated
        return text.negated and self._closed not in words


def words_then(rows: Rows, trail: int, size: int = _ALL_EVENTS) -> set[int]:
    """The ids of a trail's words when the ledger had `size` events."""
    found = rows.read("SELECT words FROM events WHERE trail = ? AND n < ?", (trail, size))
    return {word for (stored,) in found for word in ids_of(stored)}


def _mask(trails: Iterable[int], block: int) -> int:
    """Those trails that are in the block, as bits of it."""
    start = block * BLOCK_BITS
    bitmap = bytearray(BLOCK_BITS // 8)
    for trail in trails:
        place = trail - start
        if 0 <= place < BLOCK_BITS:
            bitmap[place >> 3] |= 1 << (place & 7)
    return int.from_bytes(bitmap, "little")


def words_known(rows: Rows, ids: Iterable[int]) -> Mapping[int, Mark]:
    """The words of these ids with their fields, without forgotten ones."""
    sql = "SELECT id, field, word FROM words WHERE id"
    return {number: (name, text) for number, name, text in read_each(rows, sql, ids)}


def words_of(known: Mapping[int, Mark], ids: Iterable[int]) -> Mapping[str, tuple[str, ...]]:
    """Words by field, in order; forgotten ones and our own signs are left out."""
    said: dict[str, list[str]] = defaultdict(list)
    for name, text in (known[word] for word in ids if word in known):
        if name:
            said[name].append(text)
    return {name: tuple(sorted(said[name])) for name in sorted(said)}
