"""The writer: events in, durable and in the tree when `append` returns.

    ledger = Ledger.open(data / "ledger", keys, "example.org/sekisho")
    [place] = ledger.append_batch([event])
    ledger.close()

One process writes a ledger (flock), one thread uses a `Ledger`. Any error on the way to the disk
(`batch_files.py`) poisons the writer.
"""

from __future__ import annotations

import time
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson

from sekisho_audit.batch_files import BatchFiles
from sekisho_audit.checkpoint import Checkpoint, VerifierKey
from sekisho_audit.errors import Poisoned, Refused, Unusable
from sekisho_audit.events import RESERVED, Appended, Event, Payload
from sekisho_audit.ids import uuid7
from sekisho_audit.key_provider import PLAIN_FILES, KeyProvider
from sekisho_audit.keyring import Keyring
from sekisho_audit.leaves import Batch, Built, LeafBuilder
from sekisho_audit.open_holds import HoldRecord, OpenHolds
from sekisho_audit.opening import Kept, Opened, open_parts
from sekisho_audit.recover import HOLD_PAYLOADS, State
from sekisho_audit.rules import DAY_US, MEMORY_EVENTS
from sekisho_audit.scan import EVENTS, BrokenSegment, read_frame, segment_path
from sekisho_audit.standing import RuleBroken
from sekisho_audit.usage import Asked, NotKept, Sum

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the writer keeps and how large files grow."""

    segment_bytes: int = 64 * 1024 * 1024  # sealed segments are shipped and stored as one object
    memory_events: int = MEMORY_EVENTS
    hold_shown_us: int = DAY_US  # answers to held exchanges are kept this long
    hold_known_us: int = 7 * DAY_US  # after that, an intent naming the hold is refused anyway


@dataclass(frozen=True, slots=True)
class Request:
    """Events to be written as one batch, whole or not at all; `session` is who asks."""

    events: Sequence[Event]
    session: str | None = None


def wall_us() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


class Ledger:
    """The only writer of a ledger directory."""

    def __init__(
        self,
        directory: Path,
        parts: Opened,
        limits: Limits,
        now_us: Callable[[], int],
        syncing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Not yet begun: `open` is the way to a ledger."""
        state, keyring = parts.state, parts.keyring
        self.directory = directory
        self.origin = parts.notes.key.name
        self.boot = str(uuid.uuid4())
        self._lock = parts.lock
        self.notes = parts.notes
        self._keyring = keyring
        self._state = state
        self._limits = limits
        self.now_us = now_us
        self._builder = LeafBuilder(
            self.origin, self.boot, keyring, now_us, state.custody, arrivals=state.arrivals
        )
        self.files = BatchFiles(directory, keyring, limits.segment_bytes, syncing)
        self.custody = state.custody  # as `holds`, for the writer's thread
        self.holds = OpenHolds(state.book, state.hold_payloads, keyring)
        self.poisoned: str | None = None
        self.second_ledger = False  # why it is poisoned

    # -- opening and closing

    @classmethod
    def open(
        cls,
        ledger_dir: Path,
        keys_dir: Path,
        origin: str,
        *,
        limits: Limits | None = None,
        now_us: Callable[[], int] = wall_us,
        kept: Kept = lambda _keys: (),
        provider: KeyProvider = PLAIN_FILES,
        syncing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Ledger:
        """Lock, recover and boot the ledger; make it, and its keys, if there is none.

        `kept` is asked, with the keys, for checkpoints of ours elsewhere; `syncing` is around each
        wait for the disk in an append. Raises Locked if another process writes it, Unusable if a
        person must look first, SecondLedger among them.
        """
        limits = limits or Limits()
        parts = open_parts(
            ledger_dir, keys_dir, origin, memory=limits.memory_events, kept=kept, provider=provider
        )
        try:
            ledger = cls(ledger_dir, parts, limits, now_us, syncing)
            ledger._start()
        except BaseException:
            parts.lock.release()
            raise
        return ledger

    def _start(self) -> None:
        state, lost = self._state, self.notes.given_up
        if (self.directory / "checkpoint").exists() or state.edge.size == 0:
            self.files.start(state)
        else:
            raise Unusable("the ledger has events but no checkpoint; somebody removed it")
        state.firsts = state.firsts or [0]
        if state.edge.size == 0:
            self.write_checkpoint()
        with self._or_poisoned():
            self.notes.finish_hand_over(self._now())
        cut = sum(count for _, count in state.cut) + self._keyring.cut_bytes
        boot = {"boot": self.boot, "last": state.edge.size - 1, "cut": cut}
        own = [self._own("audit.boot", boot)]
        own += [self._own("audit.recovered", {"file": f, "bytes": n}) for f, n in state.cut]
        if lost is not None:
            told = {"size": lost.size, "root": lost.root.hex()}
            own.append(self._own("audit.rolled_back", told))
        self._append_own(own)
        self.write_checkpoint()

    def close(self) -> None:
        """Close every open session, say goodbye, sign, and let another writer in."""
        try:
            if self.poisoned is None:
                for session in list(self._state.book.sessions):
                    self.close_session(session, "shutdown")
                self._append_own([self._own("audit.shutdown", {"boot": self.boot})])
                self.write_checkpoint(keep=True)
        finally:
            self.files.close()
            self._keyring.close()
            self._lock.release()

    # -- appending

    def append_batch(self, events: Sequence[Event]) -> list[Appended]:
        """Make events durable as one batch. Raises Refused (nothing written) or Poisoned."""
        return self._one(Request(events))

    def _one(self, request: Request) -> list[Appended]:
        [result] = self.append_many([request])
        if isinstance(result, Refused):
            raise result
        return result

    def append_many(self, requests: Sequence[Request]) -> list[list[Appended] | Refused]:
        """Write several requests with one sync; each is taken whole or refused whole.

        Raises Poisoned if anything could not be made durable: then nobody may be told otherwise.
        """
        self._check_alive()
        batch = Batch()
        results: list[list[Appended] | Refused] = []
        for request in requests:
            try:
                results.append(self._take(request, batch))
            except Refused as error:
                results.append(error)
        self._write(batch)
        return results

    def _take(self, request: Request, batch: Batch) -> list[Appended]:
        book = self._state.book
        built: list[Built] = []
        places: list[Appended] = []
        fresh: dict[str, Built] = {}
        book.begin()
        try:
            for event in request.events:
                _check_reserved(event, request.session)
                known = self._find(event, fresh) or self._find(event, batch.by_id)
                known = known or self._recall(event)
                if known is None:
                    index = self._state.edge.size + len(batch.built) + len(built)
                    item = self._builder.build(self._timely(event), index)
                    self._check_session(item, request.session)
                    book.apply(item.leaf)
                    built.append(item)
                    known = Appended(index, item.digest.hex(), item.commits)
                    fresh[event.id] = item
                places.append(known)
            book.check_request([item.leaf for item in built])
        except (Refused, RuleBroken) as error:
            book.roll_back()
            if isinstance(error, RuleBroken):
                raise Refused(error.code, str(error)) from error
            raise
        book.commit()
        batch.built += built
        batch.by_id.update(fresh)
        return places

    def _timely(self, event: Event) -> Event:
        """An outcome for an intent that has one becomes `outcome.late`."""
        intent = event.data.get("intent") if event.type == "backend.outcome" else None
        late = isinstance(intent, str) and intent in self._state.book.closed
        return replace(event, type="outcome.late") if late else event

    @staticmethod
    def _check_session(item: Built, session: str | None) -> None:
        leaf = item.leaf
        if leaf["type"] != "backend.intent" or session in {None, _OWN}:
            return
        if leaf["data"]["session"] != session:
            raise Refused("unknown_session", "the intent names the session of somebody else")

    def _find(self, event: Event, staged: Mapping[str, Built]) -> Appended | None:
        """The place of an event that is about to be written in this very batch."""
        item = staged.get(event.id)
        if item is None:
            return None
        self._check_same(event, item.leaf)
        return Appended(item.leaf["n"], item.digest.hex(), item.commits, duplicate=True)

    def _recall(self, event: Event) -> Appended | None:
        """The place of an event that was written before."""
        try:
            index = self._state.recent.find(event.id)
        except ValueError as error:
            raise Refused("bad_event", "the event id is not a UUID") from error
        if index is None:
            return None
        leaf, known = self._stored(index)
        self._check_same(event, leaf)
        return known

    def _check_same(self, event: Event, leaf: Mapping[str, Any]) -> None:
        if not self._builder.same(event, leaf):
            raise Refused("id_conflict", "another event with this id is in the ledger")

    def _stored(self, index: int) -> tuple[dict[str, Any], Appended]:
        firsts = self._state.firsts
        first = firsts[bisect_right(firsts, index) - 1]
        path = segment_path(self.directory, EVENTS, first)
        try:
            stored = read_frame(path, self._state.recent.offset(index), EVENTS)
        except (OSError, BrokenSegment) as error:
            raise self._poison(error) from error
        leaf = orjson.loads(stored.body)
        commits = {entry["name"]: entry["commit"] for entry in leaf["pl"]}
        return leaf, Appended(index, stored.digest.hex(), commits, duplicate=True)

    def _write(self, batch: Batch) -> None:
        try:
            if not batch.built:
                self.files.sync_keys()
                return
            placed = self.files.write(batch.built)
        except OSError as error:
            raise self._poison(error) from error
        state = self._state
        first = int(placed.segment.stem)
        if first != state.firsts[-1]:
            state.firsts.append(first)
        for built, offset in zip(batch.built, placed.offsets, strict=True):
            leaf = built.leaf
            state.recent.add(leaf["id"], leaf["n"], offset)
            state.edge.append(built.digest)
            state.sums.apply(leaf)
            state.custody.apply(leaf)
            state.arrivals.apply(leaf)
            held = HOLD_PAYLOADS.get(leaf["type"])
            if held:
                state.hold_payloads.update(
                    (ct, placed.payloads[ct]) for name, ct, _ in built.stored if name == held
                )

    def _poison(self, error: Exception) -> Poisoned:
        self.poisoned = f"writing failed and is over for this process: {error}"
        return Poisoned(self.poisoned)

    @contextmanager
    def _or_poisoned(self) -> Iterator[None]:
        """What fails within ends this writer."""
        try:
            yield
        except OSError as error:
            raise self._poison(error) from error

    def _check_alive(self) -> None:
        if self.poisoned is not None:
            raise Poisoned(self.poisoned)

    # -- the ledger's own events

    def _own(self, kind: str, data: Mapping[str, Any], exchange: str | None = None) -> Event:
        return Event(str(uuid.uuid4()), kind, exchange, None, data)

    def _append_own(self, events: Sequence[Event]) -> None:
        try:
            self.record_all(events)
        except Refused as error:
            raise Unusable(f"the ledger refused its own event: {error}") from error

    def record_all(self, events: Sequence[Event]) -> list[Appended]:
        """Write events that nobody may ask for, as one batch. Raises Refused, Poisoned."""
        return self._one(Request(events, _OWN))

    def record(
        self,
        kind: str,
        data: Mapping[str, Any],
        *,
        actor: str | None = None,
        payloads: tuple[Payload, ...] = (),
    ) -> Appended:
        """Write an event of the ledger itself. Raises Refused, Poisoned."""
        [place] = self.record_all([Event(uuid7(), kind, None, None, data, actor, payloads)])
        return place

    def stop_for_good(self, why: str) -> None:
        """Write nothing more: another ledger signs with our key. Raises Poisoned."""
        self.poisoned, self.second_ledger = why, True
        raise Poisoned(why)

    def with_keys(self, run: Callable[[Keyring], T]) -> T:
        """Read, make or destroy keys; durable when this returns. Raises Poisoned."""
        self._check_alive()
        with self._or_poisoned():
            found = run(self._keyring)
            self._keyring.sync()
        return found

    def with_state(self, run: Callable[[State], T]) -> T:
        """Change files and what is known of them, together. Raises Poisoned."""
        self._check_alive()
        with self._or_poisoned():
            return run(self._state)

    @property
    def sessions(self) -> frozenset[str]:
        """Worker sessions that are open."""
        return frozenset(self._state.book.sessions)

    def open_session(self, session: str, pid: int) -> None:
        """Open a worker session, unless it is open."""
        if session not in self._state.book.sessions:
            self._append_own([self._own("session.opened", {"session": session, "pid": pid})])

    def close_session(self, session: str, cause: str) -> int:
        """Give every open intent of a session the outcome `unknown`, then close it."""
        book = self._state.book
        if session not in book.sessions:
            return 0
        lost = book.open_intents(session)
        events = [
            replace(
                self._own(
                    "backend.outcome",
                    {"intent": key, "status": "unknown", "cause": cause},
                    intent.exchange,
                ),
                principal=self._keyring.principal_of(intent.principal or ""),
            )
            for key, intent in lost.items()
        ]
        events.append(self._own("session.closed", {"session": session, "cause": cause}))
        self._append_own(events)
        return len(lost)

    # -- reading

    @property
    def size(self) -> int:
        """Events in the ledger, all of them durable."""
        return self._state.edge.size

    def used(self, asked: Sequence[Asked]) -> list[Sum]:
        """Sums of what was charged in all events of the ledger. Raises Refused."""
        sums = self._state.sums
        try:
            return [sums.of(kind, self._named(kind, name), window) for kind, name, window in asked]
        except NotKept as error:
            raise Refused("bad_request", str(error)) from error

    def _named(self, dimension: str, name: str) -> str:
        return name if dimension != "principal" else self.pseudonym_of(name) or ""

    def pseudonym_of(self, principal: str) -> str | None:
        """The pseudonym of a principal that the ledger knows. From any thread."""
        return self._keyring.known(principal)

    def principal_of(self, pseudonym: str) -> str | None:
        """Who is behind a pseudonym; None after erasure. From any thread."""
        return self._keyring.principal_of(pseudonym)

    def secret_of(self, pseudonym: str, shelf: str) -> bytes | None:
        """The key of a principal and shelf; None once destroyed. From any thread."""
        return self._keyring.key_of(self._keyring.principal_of(pseudonym) or "", shelf)

    def root(self) -> bytes:
        """Root hash over all events."""
        return self._state.edge.root()

    def _now(self) -> Checkpoint:
        return Checkpoint(self.origin, self.size, self.root())

    @property
    def signed(self) -> tuple[Checkpoint, bytes] | None:
        """The last checkpoint with its note. From any thread, as the next two."""
        return self.notes.signed

    @property
    def key(self) -> VerifierKey:
        """The key that signs."""
        return self.notes.key

    @property
    def keys(self) -> Sequence[VerifierKey]:
        """All keys that this ledger ever had, the one that signs last."""
        return self.notes.keys

    def write_checkpoint(self, *, keep: bool = False) -> bytes | None:
        """Sign size and root and publish them, if they changed. Raises Poisoned.

        `keep`: put them beside the keys at once too.
        """
        self._check_alive()
        with self._or_poisoned():
            return self.notes.write(self._now(), keep=keep)

    def sign_text(self, body: str) -> bytes:
        """A signed note over a text of our own making that cannot read as a checkpoint."""
        self._check_alive()
        return self.notes.text(body)

    def note(self) -> bytes:
        """A signed note over all events as they stand: the same for all who ask at one size."""
        return self.notes.known(self.size) or self.notes.note(self._now())

    def rotate_key(self) -> VerifierKey:
        """Sign with a new key from now on; the ledger says so, with both. Raises Poisoned."""
        self._check_alive()
        before = self._now()
        with self._or_poisoned():
            new, words = self.notes.new_key(before)
            self._append_own([self._own("audit.key_rotated", words)])
            self.notes.take_over(new, before)
            self.notes.finish_hand_over(self._now())
        return new.key

    def exchange_keys(self, principal: str, exchange: str) -> tuple[bytes, bytes]:
        """Content key and commitment key of an exchange; durable when this returns."""
        return self.with_keys(lambda _: self._builder.exchange_keys(principal, exchange))

    def forget_old_holds(self) -> None:
        """Forget holds that ended long ago. Called now and then by the owner of the ledger."""
        self.holds.forget(self.now_us() - self._limits.hold_known_us)

    def open_holds(self, after: str = "") -> Iterator[HoldRecord]:
        """Holds whose time, with the time answers are kept, is not over; ordered by id.

        A hold whose principal was erased cannot be opened and is left out.
        """
        with self._or_poisoned():
            yield from self.holds.open(after, self.now_us() - self._limits.hold_shown_us)


# Marks requests of the ledger itself; no worker can have this session, its messages are JSON.
_OWN = "\x00own"


def _check_reserved(event: Event, session: str | None) -> None:
    if event.type in RESERVED and session is not _OWN:
        raise Refused("reserved_type", f"{event.type} is written by the ledger alone")
