"""A batch on its way to the disk, in the order that makes it whole.

Three steps, each synced before the next: new principal keys, payloads, events. So a leaf never
names bytes that are not on the disk, and what is on the disk can be opened. Whoever gets an error
here knows nothing of what was written, and must write no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sekisho_audit.keyring import Keyring
from sekisho_audit.leaves import Built
from sekisho_audit.recover import State, Tail
from sekisho_audit.scan import EVENTS, PAYLOADS
from sekisho_audit.store import SegmentWriter, frame

Place = tuple[Path, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a batch stands: its leaves in their order, all in `segment`; payloads by their hash."""

    segment: Path
    offsets: Sequence[int]
    payloads: Mapping[str, Place]


class BatchFiles:
    """The live segments of a ledger. `syncing` is around each wait for the disk."""

    def __init__(
        self,
        ledger: Path,
        keyring: Keyring,
        segment_bytes: int,
        syncing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._keyring = keyring
        self._syncing = syncing
        self._events = SegmentWriter(ledger, EVENTS, segment_bytes=segment_bytes)
        self._payloads = SegmentWriter(ledger, PAYLOADS, segment_bytes=segment_bytes)
        self.waited_s = 0.0  # for the disk, by the last batch

    def start(self, state: State) -> None:
        """Go on where the ledger ends."""
        pairs: tuple[tuple[SegmentWriter, Tail], ...] = (
            (self._events, state.events),
            (self._payloads, state.payloads),
        )
        for writer, tail in pairs:
            if tail.live is None:
                writer.start(tail.count)
            else:
                writer.resume(tail.live, tail.size, tail.count)

    def sync_keys(self) -> None:
        """Make principal keys durable for which there is nothing else to write. Raises OSError."""
        with self._syncing():
            self._keyring.sync()

    def write(self, batch: Sequence[Built]) -> Placed:
        """Write at least one leaf, with what is stored for it. Raises OSError."""
        stored = [item for built in batch for item in built.stored]
        sealed = [frame(bytes.fromhex(digest), body) for _, digest, body in stored]
        leaves = [frame(built.digest, built.body) for built in batch]
        began_s = time.perf_counter()
        with self._syncing():
            self._keyring.sync()
            payloads = self._payloads.write(sealed)
            self._payloads.sync()
            events = self._events.write(leaves)
            self._events.sync()
        self.waited_s = time.perf_counter() - began_s
        located = dict(zip((digest for _, digest, _ in stored), payloads, strict=True))
        return Placed(self._events.path, [offset for _, offset in events], located)

    def close(self) -> None:
        """Let go of the files."""
        self._events.close()
        self._payloads.close()
