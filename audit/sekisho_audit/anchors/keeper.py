"""One thread for each anchor: asks it again and again, keeps what it gives, and has it recorded.

No anchor is ever in the way of the writer: a keeper takes a checkpoint that is there already, and
hands over one small event when it is done. A failure is recorded once for each row of failures, and
how many there were when one succeeds again.

An idle ledger is not anchored: events that only say that it was anchored need none.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sekisho_audit.anchors.evidence import EvidenceFolder
from sekisho_audit.anchors.port import Anchor, AnchorFailed, Claim, Diverged, Evidence
from sekisho_audit.errors import LedgerError
from sekisho_audit.events import Event

FIRST_PAUSE_S = 5.0  # after a failure; doubled up to the interval
JITTER = 0.1  # of each pause, so that a fleet does not ask at once
_MARKS_MAX = 4_096  # events of anchors that are remembered: those of the last days


class Desk(Protocol):
    """What a keeper needs of auditd. Called in the keeper's thread."""

    def claim(self) -> Claim:
        """The newest checkpoint. Raises AnchorFailed while there is none."""
        ...

    def record(self, event: Event) -> int:
        """Write an event; its index. Raises LedgerError."""
        ...

    def stop(self, why: str) -> None:
        """Nothing may be written any more."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with an anchor; `failures` in a row, `why` the last of them."""

    name: str
    kind: str
    state: str = "waiting"  # or `made`, `failing`, `diverged`
    size: int = 0
    made_us: int = 0
    failures: int = 0
    why: str = ""


class Marks:
    """Where the events of anchors stand, to tell an idle ledger. Used by all keepers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._indices: list[int] = []

    def add(self, index: int) -> None:
        """An anchor's event has this index."""
        with self._lock:
            self._indices.append(index)
            self._indices.sort()
            del self._indices[:-_MARKS_MAX]

    def all_of(self, first: int, end: int) -> bool:
        """Whether all events from `first` to before `end` are events of anchors."""
        with self._lock:
            count = bisect_left(self._indices, end) - bisect_left(self._indices, first)
        return count == end - first


class Keeper(threading.Thread):
    """Keeps one anchor up to date until told to stop."""

    def __init__(
        self,
        anchor: Anchor,
        interval_s: float,
        *,
        desk: Desk,
        folder: EvidenceFolder,
        marks: Marks,
        chance: Callable[[], float] = random.random,
    ) -> None:
        # A daemon: a server that answers slowly must not keep auditd from stopping.
        super().__init__(name=f"anchor-{anchor.name}", daemon=True)
        self._anchor = anchor
        self._interval_s = interval_s
        self._desk = desk
        self._folder = folder
        self._marks = marks
        self._chance = chance
        self._over = threading.Event()
        self._anchored = 0
        self.standing = Standing(anchor.name, anchor.kind)

    def stop(self) -> None:
        """End when the round that is under way is over."""
        self._over.set()

    def run(self) -> None:
        """Round after round."""
        pause_s: float | None = self._chance() * JITTER * min(self._interval_s, FIRST_PAUSE_S)
        while pause_s is not None and not self._over.wait(pause_s):
            pause_s = self.round()

    def round(self) -> float | None:
        """Anchor once; how long to wait for the next round, None when there is none."""
        try:
            claim = self._desk.claim()
        except AnchorFailed:
            return 1.0  # the tiles are being built: no failure of the anchor
        try:
            self._once(claim)
        except Diverged as error:
            self._diverged(error)
            return None
        except (AnchorFailed, OSError) as error:
            self._failed(error, claim)
        except LedgerError:
            return None  # the writer has ended; the next auditd goes on
        return self._pause_s()

    def _pause_s(self) -> float:
        failures = self.standing.failures
        pause_s = self._interval_s
        if failures:
            pause_s = min(pause_s, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16))
        return pause_s * (1 + JITTER * (2 * self._chance() - 1))

    def _once(self, claim: Claim) -> None:
        self._anchor.look(claim)
        size = claim.checkpoint.size
        if self._anchored and self._marks.all_of(self._anchored, size):
            return
        evidence = self._anchor.take(claim)
        digest = self._folder.keep(self._anchor.name, size, evidence)
        self._own("anchor.made", self._made(claim, evidence, digest))
        self._anchored = size
        self.standing = replace(
            self.standing, state="made", size=size, made_us=_now_us(), failures=0, why=""
        )

    def _made(self, claim: Claim, evidence: Evidence, digest: str) -> dict[str, Any]:
        about = {**self._about(claim), "root": claim.checkpoint.root.hex(), "evidence": digest}
        if evidence.time_us is not None:
            about["time_us"] = evidence.time_us
        if self.standing.failures:
            about["failed"] = self.standing.failures
        return about

    def _about(self, claim: Claim) -> dict[str, Any]:
        anchor = self._anchor
        return {"anchor": anchor.name, "kind": anchor.kind, "size": claim.checkpoint.size}

    def _failed(self, error: AnchorFailed | OSError, claim: Claim) -> None:
        cause = error.cause if isinstance(error, AnchorFailed) else "disk"
        failures = self.standing.failures + 1
        self.standing = replace(
            self.standing, state="failing", failures=failures, why=f"{cause}: {error}"
        )
        if failures == 1:
            try:
                self._own("anchor.failed", {**self._about(claim), "cause": cause})
            except LedgerError:
                self._over.set()

    def _diverged(self, error: Diverged) -> None:
        self.standing = replace(self.standing, state="diverged", why=str(error))
        try:
            self._folder.stop(str(error), error.proof)
        finally:
            self._desk.stop(str(error))

    def _own(self, kind: str, data: dict[str, Any]) -> None:
        self._marks.add(self._desk.record(Event(str(uuid.uuid4()), kind, None, None, data)))


def _now_us() -> int:
    return time.time_ns() // 1_000
