"""Searching the index: pages, newest first, and counts.

    found = Search(rows, blind, pseudonym_of).page(parse('effect:deny "身份证"'), "", 50)

What is found are trails: exchanges with all their events, or single events that belong to none. A
condition is met if any event of the trail meets it. All pages of one search tell what held when
its first page was made: whatever is appended meanwhile, no trail is skipped and none told twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sekisho_audit.bits import BLOCK_BITS, ascending, bitmap_of, count_in
from sekisho_audit.blocks import ids_of, read_each
from sekisho_audit.index_file import Rows
from sekisho_audit.index_query import Plan, words_known, words_of, words_then
from sekisho_audit.query import Query, resolved
from sekisho_audit.tokens import Blind

PAGE_MAX = 200
FACETS = ("effect", "rule", "model", "type", "principal")
FACET_WORDS_MAX = 100  # what a page can show; `more` says how many there are beside
# Up to here it is quicker to look at each trail than at everybody who has a word.
_FEW = 4_000
_CURSOR = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})")


class BadCursor(ValueError):
    """Not a cursor that a page gave."""


@dataclass(frozen=True, slots=True)
class Found:
    """A trail: its exchange (None: a single event), owner (a pseudonym), time of beginning, the
    places of its events, their words by field, and what its outcomes were charged.
    """

    exchange: str | None
    owner: str | None
    begun_us: int
    events: tuple[int, ...]
    words: Mapping[str, tuple[str, ...]]
    spend_micros: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `after` is the cursor of the next ("" at the end).

    `indexed`: as if the ledger ended there. `erased`: how many trails meet all conditions but the
    phrases, and could not be searched for those, as of now. `forgotten`: how many events are of
    erased people and in no index.
    """

    found: tuple[Found, ...]
    after: str
    indexed: int
    erased: int
    forgotten: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The most frequent words of a field with the number of trails; `more`: how many are not
    listed.
    """

    counts: tuple[tuple[str, int], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Facets:
    """How many trails meet a query, and how many of them have which words; all exact."""

    total: int
    fields: Mapping[str, Facet]
    indexed: int
    erased: int
    forgotten: int


class Search:
    """Reads an index, also while another connection writes it. `pseudonym_of` tells the pseudonym
    of a principal id. Raises index_query.TooBroad for a pattern with too many words.
    """

    def __init__(self, rows: Rows, blind: Blind, pseudonym_of: Callable[[str], str | None]) -> None:
        self._rows = rows
        self._blind = blind
        self._pseudonym_of = pseudonym_of

    def _plan(self, query: Query) -> Plan:
        return Plan(self._rows, self._blind, resolved(query, self._pseudonym_of))

    def _progress(self) -> tuple[int, int, int]:
        ((indexed, forgotten, trails),) = self._rows.read(
            "SELECT indexed, forgotten, next_trail FROM progress"
        )
        return indexed, forgotten, trails

    def page(self, query: Query, cursor: str, limit: int) -> Page:
        """At most `limit` trails behind a cursor ("": from the newest). Raises BadCursor."""
        limit = max(1, min(limit, PAGE_MAX))
        with self._rows.snapshot():
            indexed, forgotten, trails = self._progress()
            size, below = indexed, trails
            if cursor:
                size, below = self._resume(cursor, indexed)
            plan = self._plan(query)
            taken: list[int] = []
            for trail in self._newest(plan, below, size, is_first=not cursor):
                taken.append(trail)
                if len(taken) > limit:
                    break
            more = len(taken) > limit
            found = self._found(taken[:limit], size)
            after = f"{size}.{found[-1].events[0]}" if more else ""
            erased = sum(plan.unsearched(block).bit_count() for block in _blocks(trails))
        return Page(found, after, size, erased, forgotten)

    def _resume(self, cursor: str, indexed: int) -> tuple[int, int]:
        """The size the ledger had at the first page, and the trail to go on below."""
        said = _CURSOR.fullmatch(cursor)
        if said is None or int(said[1]) > indexed:
            raise BadCursor(f"{cursor[:40]!r} is not a cursor of this index")
        # By its first event, because trails are numbered anew when the index is built anew.
        ((below,),) = self._rows.read(
            "SELECT COALESCE(MAX(trail), -1) FROM trails WHERE first < ?", (int(said[2]),)
        )
        return int(said[1]), below + 1

    def _newest(self, plan: Plan, below: int, size: int, *, is_first: bool) -> Iterator[int]:
        changed: frozenset[int] = frozenset()
        if not is_first:
            sql = "SELECT DISTINCT trail FROM events WHERE n >= ? AND trail < ?"
            changed = frozenset(trail for (trail,) in self._rows.read(sql, (size, below)))
        for block in reversed(_blocks(below)):
            yield from plan.newest(block, below, changed, size)

    def _found(self, trails: Sequence[int], size: int) -> tuple[Found, ...]:
        """All of a page in three reads: a database may be a network away."""
        heads: dict[int, Any] = {
            trail: rest
            for trail, *rest in read_each(
                self._rows,
                "SELECT trail, exchange, owner, begun_us FROM trails WHERE trail",
                trails,
            )
        }
        events: dict[int, list[Any]] = {trail: [] for trail in trails}
        sql = "SELECT trail, n, words, spend_micros, tokens FROM events WHERE trail"
        for trail, *event in read_each(self._rows, sql, trails):
            if event[0] < size:
                events[trail].append(event)
        ids = {
            trail: {word for event in told for word in ids_of(event[1])}
            for trail, told in events.items()
        }
        known = words_known(self._rows, set().union(*ids.values()))
        return tuple(
            Found(
                exchange=heads[trail][0],
                owner=heads[trail][1],
                begun_us=heads[trail][2],
                events=tuple(sorted(event[0] for event in events[trail])),
                words=words_of(known, ids[trail]),
                spend_micros=sum(event[2] or 0 for event in events[trail]),
                tokens=sum(event[3] or 0 for event in events[trail]),
            )
            for trail in trails
        )

    def facets(self, query: Query) -> Facets:
        """Count everything that meets a query."""
        with self._rows.snapshot():
            indexed, forgotten, trails = self._progress()
            plan = self._plan(query)
            masks = {block: mask for block in _blocks(trails) if (mask := plan.found(block))}
            erased = sum(plan.unsearched(block).bit_count() for block in _blocks(trails))
            total = sum(mask.bit_count() for mask in masks.values())
            count = self._each_trail if total <= _FEW else self._each_word
            fields = {name: _facet(counts) for name, counts in count(masks).items()}
        return Facets(total, fields, indexed, erased, forgotten)

    def _each_trail(self, masks: Mapping[int, int]) -> Mapping[str, Counter[str]]:
        seen: Counter[int] = Counter()
        for block, mask in masks.items():
            for place in ascending(mask):
                seen.update(words_then(self._rows, block * BLOCK_BITS + place))
        counts: dict[str, Counter[str]] = {name: Counter() for name in FACETS}
        for word, number in seen.items():
            for name, text in self._rows.read(
                "SELECT field, word FROM words WHERE id = ?", (word,)
            ):
                if name in counts:
                    counts[name][text] = number
        return counts

    def _each_word(self, masks: Mapping[int, int]) -> Mapping[str, Counter[str]]:
        counts: dict[str, Counter[str]] = {name: Counter() for name in FACETS}
        bitmaps = {block: bitmap_of(mask) for block, mask in masks.items()}
        for name in FACETS:
            words = self._rows.read("SELECT id, word FROM words WHERE field = ?", (name,))
            for word, text in words:
                blocks = self._rows.read("SELECT block, trails FROM marks WHERE word = ?", (word,))
                counts[name][text] = sum(
                    count_in(stored, masks[block], bitmaps[block])
                    for block, stored in blocks
                    if block in masks
                )
        return counts


def _blocks(trails: int) -> range:
    return range((trails + BLOCK_BITS - 1) // BLOCK_BITS)


def _facet(counts: Counter[str]) -> Facet:
    there = sorted((item for item in counts.items() if item[1]), key=lambda it: (-it[1], it[0]))
    return Facet(tuple(there[:FACET_WORDS_MAX]), max(0, len(there) - FACET_WORDS_MAX))
