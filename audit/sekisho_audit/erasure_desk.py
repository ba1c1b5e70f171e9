"""auditd's counter for erasures: leads one through its steps, and says what is left afterwards.

Indexes are derived: one that is served forgets the person's rows, one that cannot is deleted and
built again without them, and a file of an index that nobody serves is deleted. Workers are told to
drop the keys they hold. Erasures that a start finds unfinished are led to their end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from sekisho_audit import erasure
from sekisho_audit.disclosure import OPEN, items_of, opened
from sekisho_audit.erasure import Erasure
from sekisho_audit.errors import Away, LedgerError, Poisoned, Refused
from sekisho_audit.events import Payload
from sekisho_audit.following import Derived, Following, Question
from sekisho_audit.history_file import remove
from sekisho_audit.index_file import Database, SqliteDatabase
from sekisho_audit.ledger import Ledger
from sekisho_audit.places import newest_of
from sekisho_audit.raw_scan import NEEDLE_BYTES_MIN, raw_scan
from sekisho_audit.scan import BrokenSegment

SAMPLES = 8
SAMPLE_BYTES = 40
_SAMPLE_LETTERS_MIN = 12  # less varied bytes stand in many files by chance
_FORGET_S = 120.0
_AGAIN_S = 30.0

Forget = Callable[[str], Awaitable[int]]
"""Deletes the rows of a pseudonym; returns how many. Raises LedgerError, TimeoutError."""
Tell = Callable[[str], None]
T = TypeVar("T")
D = TypeVar("D", bound=Derived)
A = TypeVar("A")
Written = Callable[[Callable[[Ledger], T]], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Index:
    """Something derived, and who makes it forget."""

    name: str  # of its file, if it is one
    forget: Forget
    remove: Callable[[], None]  # when it cannot forget; raises Away


async def answer_of(desk: Following[D, A], ask: Callable[[A], T], within_s: float) -> T:
    """What the thread of an index answers. Raises LedgerError, TimeoutError."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[Any], None], value: Any) -> None:
        loop.call_soon_threadsafe(lambda: None if done.done() else set_it(value))

    desk.submit(
        Question(
            ask,
            lambda gone: settle(done.set_result, gone),
            lambda error: settle(done.set_exception, error),
        )
    )
    return await asyncio.wait_for(done, within_s)


def derived_index(
    path: Path,
    desk: Following[D, A],
    forget: Callable[[A, str], int],
    database: Database | None = None,
) -> Index:
    """The index in `path`, or in `database`, kept by a thread that is asked to forget."""

    async def asked(person: str) -> int:
        return await answer_of(desk, lambda kept: forget(kept, person), _FORGET_S)

    kept = database or SqliteDatabase(path)
    return Index(kept.name, asked, kept.remove)


class ErasureDesk:
    """Used by the event loop. `tell_workers` is given a principal whose keys are to be dropped."""

    def __init__(self, ledger: Ledger, keys_dir: Path, indexes: Sequence[Index]) -> None:
        self._ledger = ledger
        self._keys_dir = keys_dir
        self._data_dir = ledger.directory.parent
        self._indexes = indexes
        self._one = asyncio.Lock()
        self.tell_workers: Tell = _nobody

    async def erase(
        self,
        written: Written[Any],
        principal: str,
        officers: tuple[str, ...],
        reasons: tuple[Payload, ...],
    ) -> dict[str, Any]:
        """Erase somebody; returns what was done, and what is left. Raises Refused, Poisoned."""
        async with self._one:
            begun: Erasure = await written(
                lambda own: erasure.begin(own, principal, officers, reasons)
            )
            samples = await asyncio.to_thread(self._samples, begun.person)
            keys, rows, index = await self._through(written, begun, principal)
            report = {
                "pseudonym": begun.person,
                "begun": begun.begun,
                "done": index,
                "keys": len(keys),
                "rows": rows,
                "samples": len(samples),
            }
            return {**report, **await asyncio.to_thread(self._left, principal, keys, samples)}

    async def resume(self, written: Written[Any]) -> None:
        """Lead to their end what a start finds unfinished."""
        while True:
            try:
                async with self._one:
                    await self._resume(written)
            except Poisoned:
                return  # the process is about to end; the next one begins here
            except Refused as error:
                sys.stderr.write(f"auditd: an erasure is not finished yet: {error}\n")
                await asyncio.sleep(_AGAIN_S)
            else:
                return

    async def _resume(self, written: Written[Any]) -> None:
        begun: list[Erasure] = await written(lambda own: list(erasure.unfinished(own)))
        for one in begun:
            keys, rows, _ = await self._through(written, one, None)
            sys.stderr.write(
                f"auditd: finished an erasure ({one.cause}): {len(keys)} keys, "
                f"{sum(rows.values())} rows\n"
            )

    async def _through(
        self, written: Written[Any], begun: Erasure, principal: str | None
    ) -> tuple[Mapping[str, bytes], Mapping[str, int], int]:
        keys: Mapping[str, bytes] = await written(lambda own: erasure.destroy(own, begun))
        if principal is not None:
            self.tell_workers(principal)
        rows = await self._forgotten(begun.person)
        count = sum(rows.values())
        index: int = await written(
            lambda own: erasure.finish(own, begun, keys=len(keys), rows=count)
        )
        if principal is not None:
            # Again: an answer with a key may have been on its way when they were told first.
            self.tell_workers(principal)
        return keys, rows, index

    async def _forgotten(self, person: str) -> dict[str, int]:
        """How many rows of each index are gone."""
        rows = {}
        for index in self._indexes:
            try:
                rows[index.name] = await index.forget(person)
            except (LedgerError, TimeoutError):
                try:
                    await asyncio.to_thread(index.remove)
                except Away as error:
                    raise Refused(
                        "busy",
                        "the keys are destroyed, but an index whose database is not in reach "
                        "still has the person's rows; ask again, or auditd ends it later",
                    ) from error
                rows[index.name] = 0
        folder, served = self._data_dir / "index", {index.name for index in self._indexes}
        with suppress(FileNotFoundError):
            for path in sorted(folder.iterdir()):
                if path.suffix == ".db" and path.name not in served:
                    remove(path)
        return rows

    # -- what is left

    def _samples(self, person: str) -> list[bytes]:
        """A few pieces of what the person wrote or was answered, to look for afterwards."""
        found: dict[bytes, None] = {}
        ledger = self._ledger
        try:
            for leaf in newest_of(ledger.directory, person.encode()):
                for one in opened(ledger.directory, items_of([leaf]), ledger.secret_of):
                    # Of a hold's record the first half is what lists show, in clear in the live
                    # store; what people wrote and what the rules were told stand behind it.
                    start = max(0, len(one.content) * 3 // 4 - SAMPLE_BYTES // 2)
                    piece = one.content[start : start + SAMPLE_BYTES]
                    if one.state == OPEN and len(set(piece)) >= _SAMPLE_LETTERS_MIN:
                        found[piece] = None
                if len(found) >= SAMPLES:
                    break
        except (BrokenSegment, OSError, orjson.JSONDecodeError) as error:
            sys.stderr.write(f"auditd: fewer samples to look for after the erasure: {error}\n")
        return list(found)[:SAMPLES]

    def _left(
        self, principal: str, keys: Mapping[str, bytes], samples: Sequence[bytes]
    ) -> dict[str, Any]:
        """Where keys, texts and name still stand in files of the two directories."""
        needles = {f"text {number}": text for number, text in enumerate(samples, 1)}
        for shelf, key in keys.items():
            needles[f"key {shelf}"] = key
            needles[f"key {shelf} in hex"] = key.hex().encode()
        needles["name"] = principal.encode()
        try:
            found, read = raw_scan((self._data_dir, self._keys_dir), needles)
        except OSError as error:
            return {"scanned": 0, "left": {"not scanned": [str(error)]}, "named": []}
        # The registry and the live store name people; that is theirs to mend, and is told apart.
        ours = (self._ledger.directory, self._data_dir / "index", self._keys_dir)
        named = found.pop("name", [])
        strange = [path for path in named if any(Path(path).is_relative_to(one) for one in ours)]
        if strange:
            found["name"] = strange
        return {
            "scanned": read,
            "left": found,
            "named": [path for path in named if path not in strange],
            "name_looked_for": len(principal.encode()) >= NEEDLE_BYTES_MIN,
        }


def _nobody(_principal: str) -> None:
    """No worker is there to be told."""


def check_principal(text: str) -> str:
    """A principal's id as it is asked for. Raises Refused."""
    if not 0 < len(text) <= 256:  # noqa: PLR2004 - as the ledger takes them
        raise Refused("bad_request", "`principal` is the id of a principal")
    return text
