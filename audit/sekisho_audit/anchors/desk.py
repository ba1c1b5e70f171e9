"""auditd's side of anchoring: gives keepers what they ask for, starts and stops them.

Keepers live in threads of their own. What they need of the tree is asked of the log's thread by way
of the event loop, what they have to record goes to the writer like any other event.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import asdict
from typing import Any, TypeVar

from sekisho_audit.anchors.evidence import EvidenceFolder
from sekisho_audit.anchors.keeper import Keeper, Marks
from sekisho_audit.anchors.options import Planned
from sekisho_audit.anchors.pin import Pin
from sekisho_audit.anchors.port import AnchorFailed, Claim, Since
from sekisho_audit.checkpoint import VerifierKey
from sekisho_audit.errors import LedgerError, Poisoned, Refused
from sekisho_audit.events import Event
from sekisho_audit.last_signed import Elsewhere
from sekisho_audit.ledger import Ledger
from sekisho_audit.log_desk import LogDesk
from sekisho_audit.writer import Call, Writer

# Of an answer from auditd's own threads. Far above any of them; a bound all the same.
ANSWER_S = 60.0
T = TypeVar("T")


class AnchorDesk:
    """All anchors of one auditd."""

    def __init__(
        self, planned: Sequence[Planned], folder: EvidenceFolder, ledger: Ledger, log: LogDesk
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._writer: Writer | None = None
        self._over = threading.Event()
        marks = Marks()
        self._keepers = [
            Keeper(one.anchor, one.interval_s, desk=self, folder=folder, marks=marks)
            for one in planned
        ]

    def start(self, writer: Writer) -> None:
        """Let the keepers begin."""
        self._writer = writer
        for keeper in self._keepers:
            keeper.start()

    def end(self) -> None:
        """Let them end; nobody waits for a server that does not answer."""
        self._over.set()
        for keeper in self._keepers:
            keeper.stop()

    @property
    def standings(self) -> list[Mapping[str, Any]]:
        """How it stands with each anchor. From any thread."""
        return [asdict(keeper.standing) for keeper in self._keepers]

    # -- called by keepers, in their threads

    def claim(self) -> Claim:
        """As in Desk."""
        checkpoint, note = self._ask(self._log.shown())

        def since(size: int) -> Since:
            root, path = self._ask(self._log.since(size, checkpoint))
            return Since(root, path)

        return Claim(checkpoint, note, self._ledger.keys, since)

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        if self._over.is_set():
            question.close()
            raise AnchorFailed("stopping", "auditd is stopping")
        try:
            return asyncio.run_coroutine_threadsafe(question, self._loop).result(ANSWER_S)
        except (Refused, NotInTime, RuntimeError, CancelledError) as error:
            # The last two: auditd is stopping, and the log's thread or the loop has ended.
            raise AnchorFailed("busy", str(error)) from error

    def record(self, event: Event) -> int:
        """As in Desk."""
        return self._call(lambda ledger: ledger.record_all([event])[0].index)

    def stop(self, why: str) -> None:
        """As in Desk."""
        try:
            self._call(lambda ledger: ledger.stop_for_good(why))
        except LedgerError:
            return

    def _call(self, run: Callable[[Ledger], T]) -> T:
        if self._writer is None:
            raise Poisoned("auditd has not begun to write")
        answer: Future[T] = Future()

        def ran(ledger: Ledger) -> None:
            answer.set_result(run(ledger))

        self._writer.submit(Call(ran, answer.set_exception, ordered=True))
        try:
            return answer.result(ANSWER_S)
        except NotInTime as error:
            raise Poisoned("the writer does not answer") from error


def pinned(planned: Sequence[Planned], keys: Sequence[VerifierKey]) -> list[Elsewhere]:
    """What pins know of us, before anything is written. Places that cannot be read are left out:
    a mount that is missing is told later, and must not keep the gate shut.
    """
    found: list[Elsewhere] = []
    for one in planned:
        if isinstance(one.anchor, Pin):
            try:
                found += one.anchor.known(keys)
            except AnchorFailed:
                continue
    return found
