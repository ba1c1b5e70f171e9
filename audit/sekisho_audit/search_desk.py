"""The search index of a running ledger: a thread that keeps it and answers searches.

    desk.submit(Question(lambda s: s.page('effect:deny "身份证"', "", 50), answered, failed))

Answers name people, not pseudonyms; somebody who was erased has no name. Each says how far the
ledger was read, from which event on it holds leaves, how many trails could not be searched for
words, and how many events are of erased people and in no index.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag

from sekisho_audit.bad_query import BadQuery
from sekisho_audit.durable import make_directory
from sekisho_audit.errors import Away, Refused
from sekisho_audit.following import Following, Source
from sekisho_audit.index import Gap
from sekisho_audit.index_file import Damaged, Database, SqliteDatabase, Unclean, Unfit
from sekisho_audit.index_query import TooBroad
from sekisho_audit.query import Query, parse
from sekisho_audit.scan import EVENTS, held_from
from sekisho_audit.search import PAGE_MAX, BadCursor, Found, Search
from sekisho_audit.search_file import SearchFile

STEP_EVENTS = 32
ERASED = "erased"
_PERSON_FIELDS = ("principal", "actor")


class Searched:
    """What a question may ask. Raises Refused `bad_query`, `bad_cursor`."""

    def __init__(self, file: SearchFile, source: Source) -> None:
        self._file = file
        self._source = source

    def page(self, query: str, after: str, limit: int) -> dict[str, Any]:
        """Trails that meet a query, newest first, at most `limit` (1 to 200), behind a cursor."""
        if not 0 < limit <= PAGE_MAX:
            raise Refused("bad_request", f"limit is 1 to {PAGE_MAX}")
        page = self._asked(query, lambda search, asked: search.page(asked, after, limit))
        return {
            "data": [self._named(found) for found in page.found],
            "after": page.after,
            "size": self._source.size,
            "first": self._first,
            "indexed": page.indexed,
            "erased": page.erased,
            "forgotten": page.forgotten,
        }

    def facets(self, query: str) -> dict[str, Any]:
        """How many trails meet a query, and how many of them have which words; all exact."""
        facets = self._asked(query, lambda search, asked: search.facets(asked))
        return {
            "total": facets.total,
            "fields": {
                name: {
                    "counts": [[self._word(name, word), count] for word, count in facet.counts],
                    "more": facet.more,
                }
                for name, facet in facets.fields.items()
            },
            "size": self._source.size,
            "first": self._first,
            "indexed": facets.indexed,
            "erased": facets.erased,
            "forgotten": facets.forgotten,
        }

    @property
    def _first(self) -> int:
        """The first event that the ledger holds: those before were pruned."""
        return held_from(self._source.directory, EVENTS)

    def forget(self, pseudonyms: Collection[str]) -> int:
        """Delete what is kept of people whose keys were destroyed; returns how many events.

        Raises Refused `busy` if it may still stand in the file: ask again.
        """
        try:
            return self._file.forget(pseudonyms)
        except Unclean as error:
            raise Refused("busy", str(error)) from error

    def drop_texts(self) -> int:
        """Take out the texts whose keys were destroyed; returns how many. Raises as `forget`."""
        try:
            return self._file.drop_texts()
        except Unclean as error:
            raise Refused("busy", str(error)) from error

    def _asked(self, query: str, ask: Callable[[Search, Query], Any]) -> Any:
        try:
            return ask(self._file.search, parse(query))
        except (BadQuery, TooBroad) as error:
            raise Refused("bad_query", str(error)) from error
        except BadCursor as error:
            raise Refused("bad_cursor", f"{error}; begin without one") from error

    def _named(self, found: Found) -> dict[str, Any]:
        words: Mapping[str, Any] = {
            name: [self._word(name, word) for word in said] for name, said in found.words.items()
        }
        return {
            "exchange": found.exchange,
            "principal": None if found.owner is None else self._name(found.owner),
            "begun_us": found.begun_us,
            "events": list(found.events),
            "fields": words,
            "spend_micros": found.spend_micros,
            "tokens": found.tokens,
        }

    def _word(self, field: str, word: str) -> str:
        return self._name(word) if field in _PERSON_FIELDS else word

    def _name(self, pseudonym: str) -> str:
        return self._source.principal_of(pseudonym) or ERASED


class SearchDesk(Following[SearchFile, Searched]):
    """Keeps it in `database`, or in the file at `path`, whose disk must have room in any case.

    `key` is that of the index, from the directory of keys.
    """

    about = "the search index"
    step_events = STEP_EVENTS
    damage = (*Following.damage, Damaged, Unfit, Gap, InvalidTag)

    def __init__(
        self, path: Path, source: Source, key: bytes, database: Database | None = None
    ) -> None:
        super().__init__("ledger-search", path, source)
        self._key = key
        self._database = database or SqliteDatabase(path)

    def _open(self) -> SearchFile:
        make_directory(self._path.parent)
        return SearchFile(self._database, self._source, self._key)

    def _asked(self, derived: SearchFile) -> Searched:
        return Searched(derived, self._source)

    def _remove(self) -> None:
        try:
            self._database.remove()
        except Away as error:
            # Whoever opens it next finds the same fault, and removes it then.
            sys.stderr.write(f"auditd: {self.about} is not removed yet: {error}\n")
