"""auditd's counter for prunings: plans one, leads it through its steps, finishes what was begun.

Reading and writing what is left behind takes a while and happens beside the writer; only the record
and the removal are the writer's. Indexes are derived: they are deleted, and built again from the
leaves that stay. One that is out of reach is told; it is cleared when it is next opened.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from sekisho_audit import pruning
from sekisho_audit.checkpoint import Checkpoint
from sekisho_audit.errors import Away, Refused
from sekisho_audit.events import Payload
from sekisho_audit.index_file import Database
from sekisho_audit.ledger import Ledger, wall_us
from sekisho_audit.prune_plan import LEAVES_DAYS, Plan, check_days, make_plan, standing
from sekisho_audit.pruned import BadPruned
from sekisho_audit.pruning import Prepared
from sekisho_audit.scan import BrokenSegment

T = TypeVar("T")
Written = Callable[[Callable[[Ledger], T]], Awaitable[T]]


class PruningDesk:
    """Used by the event loop. Leaves are kept for `days`; `indexes` are derived of them."""

    def __init__(
        self,
        ledger: Ledger,
        indexes: Sequence[Database],
        *,
        days: int = LEAVES_DAYS,
        now_us: Callable[[], int] = wall_us,
    ) -> None:
        """Raises ValueError for too few days."""
        self._ledger = ledger
        self._indexes = indexes
        self._days = check_days(days)
        self._now_us = now_us
        self._one = asyncio.Lock()

    def resume(self) -> None:
        """Finish what a former auditd recorded, before anybody is served.

        Raises Poisoned, Unusable.
        """
        gone = pruning.finish(self._ledger)
        pruning.forget_unrecorded(self._ledger)
        if gone:
            self._forget()
            sys.stderr.write(f"auditd: finished a pruning: {len(gone)} segments removed\n")

    async def plan(self, written: Written[Any], before_us: int) -> Plan:
        """What would be removed. Raises Refused, Poisoned."""
        known = await written(lambda own: standing(own, self._now_us()))
        try:
            return await asyncio.to_thread(
                make_plan, self._ledger.directory, known, before_us, self._days
            )
        except (BrokenSegment, OSError) as error:
            raise Refused("busy", f"the ledger cannot be read now: {error}") from error

    async def prune(
        self,
        written: Written[Any],
        before_us: int,
        size: int,
        officers: tuple[str, ...],
        authority: Payload,
    ) -> dict[str, Any]:
        """Remove the leaves below `size`, which a plan told before; returns what was done.

        Raises Refused, Poisoned.
        """
        async with self._one:
            plan = await self.plan(written, before_us)
            if plan.size != size:
                raise Refused(
                    "busy", f"the plan is another one by now: leaves below {plan.size}; ask again"
                )
            signed = self._ledger.signed
            if signed is None or signed[0].size < plan.size:
                raise Refused("busy", "nothing is signed yet; ask again in a second")
            try:
                prepared = await self._prepared(signed[0], plan)

                def remove_now(own: Ledger) -> tuple[int, list[str]]:
                    return pruning.begin(own, prepared, officers, authority), pruning.finish(own)

                index, gone = await written(remove_now)
            except Refused:
                await written(pruning.forget_unrecorded)
                raise
            left = await asyncio.to_thread(self._forget)
            return {**plan.told(), "event": index, "removed": len(gone), "left": left}

    async def _prepared(self, signed: Checkpoint, plan: Plan) -> Prepared:
        try:
            return await asyncio.to_thread(pruning.prepare, self._ledger.directory, signed, plan)
        except (BadPruned, BrokenSegment, OSError) as error:
            raise Refused("busy", f"the ledger cannot be read now: {error}") from error

    def _forget(self) -> list[str]:
        """Delete all indexes; returns those that were not in reach."""
        left = []
        for index in self._indexes:
            try:
                index.remove()
            except Away as error:
                left.append(index.name)
                sys.stderr.write(
                    f"auditd: {index.name} still tells of what was pruned, until it is next "
                    f"opened: {error}\n"
                )
        return left
