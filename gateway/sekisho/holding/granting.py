"""Standing grants at work: what waits for people is let go on where people agreed to it before.

    choose    a grant for each decision that wants people, from what is known here
    append    the uses, each before the decision that it answers, as one batch: the ledger decides
    go on     only after that; whatever the ledger does not take waits for people as ever

What is known here is a copy of what the ledger says, a second old at most, and decides nothing: a
grant that was revoked, ended or used up is refused by the ledger, and of two workers that take the
last use at the same moment one is. So nothing about grants is kept in Valkey (docs/adr/0026).

A worker also tells the ledger of grants that ended: what an operator stopped, and what names a rule
that is not there any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from sekisho.errors import LedgerRefused
from sekisho.holding import names
from sekisho.holding.rounds import Rounds
from sekisho.model.grants import Asking, Grant, Wanted, chosen
from sekisho.model.halts import Halts
from sekisho.model.ids import uuid7
from sekisho.ports import Ledger
from sekisho_audit.events import Event
from sekisho_audit.grant_rules import covers

TRIES_MAX = 5  # other workers use the same grant at the same time
GONE_ROUNDS = 10  # a worker that has not loaded new rules yet must not end what others granted
_BEHIND = frozenset({"stale_use", "unknown_grant", "grant_over", "grant_used_up"})

_log = structlog.get_logger("sekisho.grants")

Rules = Callable[[], Collection[str] | None]
"""The rules in force, as decisions name them; None while they are not known."""


class Granting(Rounds):
    """One a worker. `risk_below` is the setting."""

    about = "grants"

    def __init__(self, ledger: Ledger, halts: Halts, rules: Rules, *, risk_below: int) -> None:
        super().__init__()
        self._ledger = ledger
        self._halts = halts
        self.rules = rules
        self._risk_below = risk_below
        self._using = asyncio.Lock()
        self._gone: dict[str, int] = {}
        self.standing: tuple[Grant, ...] = ()

    async def once(self) -> None:
        """One round. Raises LedgerUnavailable."""
        await self.consult()
        known = self.rules()
        for grant in (one for one in self.standing if one.remaining > 0):
            cause = "halted" if self._is_stopped(grant) else ""
            if known is not None and not cause:
                gone = not set(grant.rules) <= set(known)
                self._gone[grant.id] = self._gone.get(grant.id, 0) + 1 if gone else 0
                cause = "rule_gone" if self._gone[grant.id] >= GONE_ROUNDS else ""
            if cause:
                await self._end(grant, cause)
        there = {grant.id for grant in self.standing}
        self._gone = {name: rounds for name, rounds in self._gone.items() if name in there}

    async def consult(self) -> None:
        """Know what stands. Raises LedgerUnavailable."""
        self.standing = tuple(await self._ledger.grants())

    async def answer(
        self, asking: Asking, wanted: Sequence[Wanted], before: Sequence[Event] = ()
    ) -> bool:
        """Whether grants answer all of `wanted`: then the ledger has it, with `before` in front.

        False: nothing was recorded, and people have to answer. Raises LedgerUnavailable: uses may
        be recorded then, and nothing may go on.
        """
        if not self.standing or not wanted:
            return False
        async with self._using:
            for _ in range(TRIES_MAX):
                uses = chosen(self.standing, asking, wanted, self._risk_below)
                if uses is None:
                    return False
                batch = [
                    event
                    for (grant, number), one in zip(uses, wanted, strict=True)
                    for event in (_used(grant, number, asking, one), one.event)
                ]
                try:
                    await self._ledger.append([*before, *batch])
                except LedgerRefused as error:
                    if error.code not in _BEHIND:
                        _log.warning("a grant was not used", code=error.code)
                        return False
                    await self.consult()
                    continue
                self._count(uses)
                return True
        return False

    def would_answer(self, asking: Asking, wanted: Wanted) -> bool:
        """Whether a grant is there that would answer it, as far as is known here; none is used."""
        return chosen(self.standing, asking, [wanted], self._risk_below) is not None

    def _count(self, uses: Sequence[tuple[Grant, int]]) -> None:
        """Know of the uses before the ledger is asked again."""
        last = {grant.id: number for grant, number in uses}
        self.standing = tuple(
            replace(grant, used=max(grant.used, last.get(grant.id, 0))) for grant in self.standing
        )

    def _is_stopped(self, grant: Grant) -> bool:
        where = {"backend": grant.backend}
        return grant.halted or any(
            covers(halt.scope, halt.name, where, grant.tool, grant.group)
            for halt in self._halts.standing.halts
        )

    async def _end(self, grant: Grant, cause: str) -> None:
        data = {"grant": grant.id, "cause": cause}
        event = Event(names.grant_ended(grant.id), "grant.ended", None, None, data)
        with suppress(LedgerRefused):  # somebody revoked it just now, or it is over
            await self._ledger.append([event])
        self.standing = tuple(one for one in self.standing if one.id != grant.id)


def _used(grant: Grant, number: int, asking: Asking, wanted: Wanted) -> Event:
    """One use, as it stands before the decision that it answers."""
    behind = {} if asking.person == asking.principal else {"person": asking.person}
    return Event(
        id=uuid7(),
        type="grant.used",
        exchange=wanted.event.exchange,
        principal=asking.principal,
        data={
            "grant": grant.id,
            "decision": wanted.event.id,
            "backend": wanted.backend,
            "number": number,
            "remaining": grant.count - number,
            **behind,
        },
    )
