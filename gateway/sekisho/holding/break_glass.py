"""Break-glass at work: what waits for people goes on where whoever asked opened it for themselves.

    answer    the uses, each before the decision that it answers, as one batch: the ledger decides
    go on     only after that; whatever the ledger does not take waits for people as ever
    end       what somebody opened who is not there any more, or has not the role any more

What is known here is a copy of what the ledger says, a second old at most, and decides nothing: an
opening that ended is refused by the ledger, and so is a use that another worker made first. Whoever
holds the role does not wait for that second. Nothing of it is in Valkey (docs/adr/0030). Who cannot
be asked about is not let go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import structlog

from sekisho.errors import LedgerRefused, SekishoError
from sekisho.holding import names
from sekisho.holding.rounds import Rounds
from sekisho.model.break_glass import Need, Opening, answers
from sekisho.model.grants import Asking
from sekisho.model.halts import Halts
from sekisho.model.ids import uuid7
from sekisho.model.principal import Role
from sekisho.ports import Clock, Ledger
from sekisho_audit.events import Event

TRIES_MAX = 8  # other workers use the same opening at the same time
_BEHIND = frozenset({"stale_use", "unknown_opening", "break_glass_over"})

_log = structlog.get_logger("sekisho.break_glass")

HoldsRole = Callable[[str, Role], bool]
"""Whether a person is there with a role of their own; raises DirectoryUnavailable."""


Openings = Callable[[], Awaitable[Sequence[Opening]]]
"""Every opening of this ledger that nobody reviewed; raises LedgerUnavailable."""


class Gauges(Protocol):
    """What operators see of it."""

    def break_glass_open(self, count: int) -> None:
        """So many are open."""
        ...

    def break_glass_used(self, count: int) -> None:
        """So many uses are on record more."""
        ...


class BreakGlass(Rounds):
    """One a worker."""

    about = "openings of break-glass"

    def __init__(
        self,
        ledger: Ledger,
        openings: Openings,
        halts: Halts,
        clock: Clock,
        *,
        holds_role: HoldsRole,
        gauges: Gauges,
    ) -> None:
        super().__init__()
        self._ledger, self._openings = ledger, openings
        self._halts, self._clock = halts, clock
        self._holds_role = holds_role
        self._gauges = gauges
        self._using = asyncio.Lock()
        self.standing: tuple[Opening, ...] = ()

    async def once(self) -> None:
        """One round. Raises LedgerUnavailable, DirectoryUnavailable."""
        await self.consult()
        for opening in self.open_now():
            if self._is_stopped(opening):
                await self._end(opening, "halted")
            elif not self._holds_role(opening.person, Role.BREAK_GLASS):
                await self._end(opening, "person_gone")

    async def consult(self) -> None:
        """Know what there is. Raises LedgerUnavailable."""
        self.standing = tuple(await self._openings())
        self._gauges.break_glass_open(len(self.open_now()))

    def open_now(self) -> tuple[Opening, ...]:
        """What is open, as far as is known here."""
        now_us = self._clock.now_us()
        return tuple(one for one in self.standing if one.open_at(now_us))

    async def answer(
        self, asking: Asking, backend: str, needs: Sequence[Need], before: Sequence[Event] = ()
    ) -> str:
        """The opening that answers all of `needs`: then the ledger has them, `before` in front.

        "": nothing was recorded, and people have to answer. Raises LedgerUnavailable: uses may
        be recorded then, and nothing may go on.
        """
        if asking.person != asking.principal or not self._may(asking.principal):
            return ""  # a service account acts for its owner, and is nobody in an emergency
        async with self._using:
            if self._found(asking, needs) is None:
                await self.consult()  # it may have been opened at another worker just now
            for _ in range(TRIES_MAX):
                opening = self._found(asking, needs)
                if opening is None:
                    return ""
                batch, count = _batch(opening, asking, backend, needs)
                try:
                    await self._ledger.append([*before, *batch])
                except LedgerRefused as error:
                    if error.code not in _BEHIND:
                        _log.warning("an opening was not used", code=error.code)
                        return ""
                    await self.consult()
                    continue
                self._note(opening, count)
                return opening.id
        return ""

    def would_answer(self, asking: Asking, needed: Need) -> bool:
        """Whether an opening is there that would answer it, as far as is known here; it is not
        used.
        """
        mine = asking.person == asking.principal and self._may(asking.principal)
        return mine and self._found(asking, [needed]) is not None

    def _found(self, asking: Asking, needs: Sequence[Need]) -> Opening | None:
        for opening in self.open_now():
            mine = opening.person == asking.principal and answers(opening, needs)
            if mine and not self._is_stopped(opening):
                return opening
        return None

    def _may(self, person: str) -> bool:
        """Whether they hold the role now; not to know is no."""
        try:
            return self._holds_role(person, Role.BREAK_GLASS)
        except SekishoError as error:
            _log.warning("nobody knows who may break the glass", code=error.code)
            return False

    def _is_stopped(self, opening: Opening) -> bool:
        """Whether a switch was set since, in whatever ledger."""
        return any(one.set_us >= opening.opened_us for one in self._halts.standing.halts)

    def _note(self, opening: Opening, count: int) -> None:
        """Know of the uses before the ledger is asked again, and tell operators."""
        used = opening.used + count
        self.standing = tuple(
            replace(one, used=max(one.used, used)) if one.id == opening.id else one
            for one in self.standing
        )
        self._gauges.break_glass_used(count)
        _log.warning("break-glass was used", opening=opening.id, used=used)

    async def _end(self, opening: Opening, cause: str) -> None:
        data = {"opening": opening.id, "cause": cause}
        event = Event(names.opening_ended(opening.id), "break_glass.ended", None, None, data)
        with suppress(LedgerRefused):  # it is over meanwhile
            await self._ledger.append([event])
        _log.error("break-glass was ended", opening=opening.id, cause=cause)
        await self.consult()


def _batch(
    opening: Opening, asking: Asking, backend: str, needs: Sequence[Need]
) -> tuple[list[Event], int]:
    """The decisions, each that holds something behind its use; and how many uses these are."""
    batch: list[Event] = []
    count = 0
    for one in needs:
        if one.rules:
            count += 1
            data = {
                "opening": opening.id,
                "decision": one.event.id,
                "backend": backend,
                "number": opening.used + count,
            }
            exchange, who = one.event.exchange, asking.principal
            batch.append(Event(uuid7(), "break_glass.used", exchange, who, data))
        batch.append(one.event)
    return batch, count
