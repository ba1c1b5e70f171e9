"""Everybody's own history: exchanges by principal, kept and told by a thread of its own.

Each answer says how far the ledger was read.

    history.submit(Question(lambda archive: archive.page("staff-7", None, 20), answered, failed))
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sekisho_audit.appeals import open_reasons
from sekisho_audit.exchanges import named
from sekisho_audit.following import Following, Source
from sekisho_audit.history_file import Document, HistoryFile, remove

STEP_EVENTS = 32  # half a millisecond in which nobody else of this process gets on
PAGE_MAX = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Exchanges of one principal, newest first, and the cursor of the next page ("" at the end)."""

    data: list[Document]
    after: str


class Archive:
    """The file with the names put in: what a question may ask."""

    def __init__(self, file: HistoryFile, source: Source) -> None:
        self._file = file
        self._source = source

    @property
    def indexed(self) -> int:
        """How many events of the ledger were read."""
        return self._file.indexed

    @property
    def size(self) -> int:
        """How many there are."""
        return self._source.size

    def page(self, principal: str, before: int | None, limit: int) -> Page:
        """A principal's own exchanges. A cursor is a place in the ledger: what comes meanwhile
        comes before the first page, so nothing is skipped and nothing told twice.
        """
        pseudonym = self._source.pseudonym_of(principal)
        limit = min(limit, PAGE_MAX)
        rows = [] if pseudonym is None else self._file.page(pseudonym, before, limit + 1)
        after = str(rows[limit - 1][0]) if len(rows) > limit else ""
        return Page([self._named(document) for _, document in rows[:limit]], after)

    def one(self, principal: str, exchange: str) -> Document | None:
        """One of a principal's own exchanges, or None."""
        pseudonym = self._source.pseudonym_of(principal)
        found = None if pseudonym is None else self._file.one(pseudonym, exchange)
        return None if found is None else self._named(found)

    def appealed(self, exchange: str) -> Document | None:
        """An exchange that somebody objected to, whoever asked it, or None."""
        found = self._file.appealed(exchange)
        return None if found is None else self._named(found)

    def reasons(self, exchange: str, read: int) -> list[dict[str, Any]]:
        """The reasons of its appeals, for a reading that is on record. Raises Refused."""
        found = self._file.appealed(exchange)
        if found is None:
            return []
        source = self._source
        now_us = time.time_ns() // 1000
        return open_reasons(source.directory, found, read, source.secret_of, now_us)

    def figures(self, since_us: int, people_min: int) -> dict[str, Any]:
        """How everybody reviews; of people who were erased only their answers are counted."""
        found = self._file.figures(since_us, people_min)
        if found["people"] is not None:
            named_people = (
                (self._source.principal_of(key), one) for key, one in found["people"].items()
            )
            found["people"] = {name: one for name, one in named_people if name is not None}
        return {**found, "indexed": self.indexed, "size": self.size}

    def own_figures(self, principal: str, since_us: int) -> dict[str, Any]:
        """How one principal reviews."""
        pseudonym = self._source.pseudonym_of(principal)
        own = self._file.own_figures(since_us, pseudonym)
        return {"own": own, "indexed": self.indexed, "size": self.size}

    def forget(self, pseudonym: str) -> int:
        """Delete what is kept of a principal whose keys were destroyed before; returns how much."""
        return self._file.forget(pseudonym)

    def _named(self, document: Document) -> Document:
        return named(document, self._source.origin, self._source.principal_of)


class History(Following[HistoryFile, Archive]):
    """Keeps the file of exchanges."""

    about = "the index of exchanges"
    step_events = STEP_EVENTS

    def __init__(self, path: Path, source: Source) -> None:
        super().__init__("ledger-history", path, source)

    def _open(self) -> HistoryFile:
        source = self._source

        def knows(pseudonym: str) -> bool:
            return source.principal_of(pseudonym) is not None

        return HistoryFile(self._path, source.directory, source.origin, knows)

    def _asked(self, derived: HistoryFile) -> Archive:
        return Archive(derived, self._source)

    def _remove(self) -> None:
        remove(self._path)
