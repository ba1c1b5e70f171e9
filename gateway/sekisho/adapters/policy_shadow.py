"""Another revision decides beside the one in force, on live traffic, and nothing follows from it.

The exchange never waits for the shadow: its answer is compared afterwards, in a task of its own,
and a difference is counted and put on record with both effects. A shadow that is slow, broken or
behind is left out and counted; rules that never end end the shadow, never the worker, though what
runs of them cannot be stopped.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from sekisho.adapters.opa_embedded import EmbeddedOPA
from sekisho.errors import PolicyRejected, PolicyUnavailable
from sekisho.model.decision import Decision
from sekisho.model.ids import is_exchange, uuid7
from sekisho.model.replays import said
from sekisho.ports import PolicyEngine
from sekisho.stages.decide import carried_out
from sekisho_audit.events import Event

PENDING_MAX = 64  # decisions that wait for the shadow; more are left out
SAME, OTHERWISE, FAILED, LEFT_OUT = "same", "otherwise", "failed", "left_out"

_log = structlog.get_logger("sekisho.policy")


class ShadowedEngine:
    """A `PolicyEngine` that answers as `engine` does, whatever its shadow says.

    `later` takes events to be written when it can be. `counts` has what became of the questions.
    """

    def __init__(
        self,
        engine: PolicyEngine,
        later: Callable[[Event], None],
        counted: Callable[[str], object] = str,
    ) -> None:
        """`counted` is told each of them as it happens, for the metrics."""
        self._engine = engine
        self._counted = counted
        self._later = later
        self._shadow: EmbeddedOPA | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    @property
    def revision(self) -> str:
        """The digest of the bundle in force."""
        return self._engine.revision

    async def use(self, directory: Path | None, revision: str | None = None) -> None:
        """Put a bundle into the shadow, or none. One that cannot be used is none."""
        shadow = None
        if directory is not None:
            shadow = EmbeddedOPA(directory, engines=1)
            try:
                await shadow.start(self._end, directory, revision)
            except (PolicyRejected, TimeoutError, OSError) as error:
                _log.error("no shadow: its rules cannot be used", why=str(error))
                await shadow.close()
                shadow = None
        old, self._shadow = self._shadow, shadow
        if old is not None:
            await old.close()

    async def decide(self, document: Mapping[str, Any]) -> Decision:
        """What the rules in force say; see `PolicyEngine.decide`."""
        decision = await self._engine.decide(document)
        shadow = self._shadow
        if shadow is not None and len(self._pending) < PENDING_MAX:
            task = asyncio.create_task(self._compare(shadow, document, decision))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
        elif shadow is not None:
            self._count(LEFT_OUT)
        return decision

    def seeded(self) -> None:
        """Count a test item as a request that the shadow judges like most: nobody is to see in the
        metrics that no rules were asked.
        """
        if self._shadow is not None:
            self._counted(SAME)

    async def settled(self) -> None:
        """Return when nothing waits for the shadow."""
        while self._pending:
            await asyncio.wait(self._pending)

    async def _compare(
        self, shadow: EmbeddedOPA, document: Mapping[str, Any], decision: Decision
    ) -> None:
        stage = str(document.get("stage", ""))
        try:
            other = said(carried_out(await shadow.decide(document), document), stage)
        except PolicyUnavailable:
            self._count(FAILED)
            return
        mine = said(carried_out(decision, document), stage)
        revision = other.pop("revision")
        del mine["revision"]
        self._count(SAME if mine == other else OTHERWISE)
        exchange = str(document.get("exchange", ""))
        if mine == other or not is_exchange(exchange):
            return
        data = {**other, "decided": mine["effect"], "revision": revision}
        who = str(document.get("principal", {}).get("id", "")) or None
        self._later(Event(uuid7(), "policy.shadowed", exchange, who, data))

    def _count(self, outcome: str) -> None:
        self.counts[outcome] += 1
        self._counted(outcome)

    def _end(self) -> None:
        """Its rules never end: three of its engines are late."""
        _log.error("the shadow is over: its rules do not answer")
        self._shadow = None
