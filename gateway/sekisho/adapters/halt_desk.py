"""Where operators set and lift the kill switch: each step is in the ledger before it is in force.

    set       one operator and a reason; stands at once, on every replica within a second
    propose   an operator wants it lifted; nothing changes yet
    confirm   another person does, too; then it is lifted

One exception, so that stopping never waits for the record: if the ledger cannot be written, the
switch stands all the same, and is offered to the ledger until that takes it (docs/adr/0022).
Repeating any step is harmless.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from sekisho.adapters.halt_watch import HaltWatch
from sekisho.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    LedgerRefused,
    LedgerUnavailable,
    NotFound,
)
from sekisho.model.duties import may_confirm
from sekisho.model.halts import Halt, Lift
from sekisho.model.ids import uuid7
from sekisho.model.principal import Principal, Role
from sekisho.ports import Clock, Ledger
from sekisho_audit.events import Event, Payload
from sekisho_audit.halt_rules import NAME_CHARS_MAX, SCOPES, folded, named

REASON_CHARS_MAX = 500
_READERS = frozenset({Role.OPERATOR, Role.AUDITOR})


class HaltDesk:
    """One a worker. Which `backends` there are is known; teams, models and tools are not."""

    def __init__(
        self, watch: HaltWatch, ledger: Ledger, clock: Clock, backends: Collection[str]
    ) -> None:
        self._watch, self._ledger, self._clock = watch, ledger, clock
        self._backends = backends

    def listed(self, who: Principal) -> Sequence[Halt]:
        """What stands. Raises Forbidden (`role_missing`)."""
        if who.roles.isdisjoint(_READERS):
            raise Forbidden("This is for operators and auditors.", code="role_missing")
        return self._watch.standing.halts

    async def set(self, who: Principal, scope: str, name: str, reason: str) -> tuple[Halt, bool]:
        """Stop it; the switch, and whether it is known to be in Valkey, so on every replica.

        Raises Forbidden, BadRequest, Conflict (`too_many_halts`).
        """
        _operator(who)
        name = name.strip()
        reason = _reason(reason)
        self._check(scope, name)
        there = self._found(scope, name)
        if there is not None and there.recorded:
            return there, await self._watch.spread()
        halt = Halt(
            id=uuid7() if there is None else there.id,
            scope=scope,
            name=name,
            reason=reason,
            by=who.person,
            set_us=self._clock.now_us(),
            origin=self._ledger.origin,
        )
        data, why = {"scope": scope, "name": name}, _why(reason)
        event = Event(halt.id, "halt.set", None, None, data, who.person, why)
        try:
            [place] = await self._ledger.append([event])
        except LedgerUnavailable:
            return halt, await self._watch.adopt_unrecorded(halt, event)
        except LedgerRefused as error:
            return await self._refused(error, scope, name)
        told = await self._watch.adopt(replace(halt, last=place.index))
        return self._now(halt.id) or replace(halt, last=place.index), told

    async def propose(self, who: Principal, halt_id: str, reason: str) -> Halt:
        """Want it lifted. Raises Forbidden, NotFound, Conflict, BadRequest, LedgerUnavailable."""
        _operator(who)
        reason = _reason(reason)
        halt = self._mine(halt_id)
        if halt.proposed is not None and halt.proposed.by == who.person:
            return halt
        data, why = {"halt": halt_id}, _why(reason)
        event = Event(uuid7(), "halt.lift_proposed", None, None, data, who.person, why)
        place = await self._append(event)
        lift = Lift(event.id, who.person, self._clock.now_us())
        told = replace(halt, last=place, proposed=lift)
        await self._watch.adopt(told)
        return self._now(halt_id) or told

    async def confirm(self, who: Principal, halt_id: str, proposed: str) -> Halt:
        """Lift it, as another person proposed under the id `proposed`; what stood until now.

        Raises Forbidden (`self_confirmation`), NotFound, Conflict, LedgerUnavailable.
        """
        _operator(who)
        halt = self._mine(halt_id)
        if halt.proposed is None or halt.proposed.id != proposed:
            message = "That is not what was proposed last for this switch. Read it again."
            raise Conflict(message, code="unproposed_lift")
        may_confirm(who, {halt.proposed.by})
        data = {"halt": halt_id, "proposed": proposed}
        await self._append(Event(uuid7(), "halt.lifted", None, None, data, who.person))
        await self._watch.spread()
        return halt

    def _check(self, scope: str, name: str) -> None:
        if scope not in SCOPES:
            raise BadRequest(f"scope is one of {', '.join(SCOPES)}.", param="scope")
        if (scope == "all") != (not name):
            message = "name says which one is stopped; only scope all has none."
            raise BadRequest(message, param="name")
        if len(name) > NAME_CHARS_MAX or not name.isprintable():
            message = f"name is at most {NAME_CHARS_MAX} characters that can be seen."
            raise BadRequest(message, param="name")
        if scope == "backend" and not any(named(name, one) for one in self._backends):
            known = ", ".join(sorted(self._backends))
            raise BadRequest(f"There is no backend {name}. There are: {known}.", param="name")

    def _found(self, scope: str, name: str) -> Halt | None:
        for one in self._watch.standing.halts:
            if one.scope == scope and folded(one.name) == folded(name):
                return one
        return None

    def _now(self, halt_id: str) -> Halt | None:
        return next((one for one in self._watch.standing.halts if one.id == halt_id), None)

    async def _refused(self, error: LedgerRefused, scope: str, name: str) -> tuple[Halt, bool]:
        """The ledger knows better: it may stand there already, by another worker's hand."""
        if error.code == "too_many_halts":
            message = "Too many switches stand at once. Stop everything (scope all), or lift some."
            raise Conflict(message, code="too_many_halts") from error
        told = await self._watch.spread()
        there = self._found(scope, name)
        if error.code not in {"halt_standing", "id_conflict"} or there is None:
            raise error
        return there, told

    def _mine(self, halt_id: str) -> Halt:
        """A switch of this gateway's ledger. Raises NotFound, Conflict (`halt_elsewhere`)."""
        halt = self._now(halt_id)
        if halt is None:
            raise NotFound("There is no such switch; it may have been lifted already.")
        if halt.origin != self._ledger.origin:
            message = f"The ledger {halt.origin} has this switch: ask a gateway that writes it."
            raise Conflict(message, code="halt_elsewhere")
        if not halt.recorded:
            message = (
                "This switch is not in the ledger yet, so it cannot be lifted there. Set it once "
                "more when the ledger answers, then propose it again."
            )
            raise Conflict(message, code="halt_unrecorded")
        return halt

    async def _append(self, event: Event) -> int:
        try:
            [place] = await self._ledger.append([event])
        except LedgerRefused as error:
            await self._watch.spread()
            if error.code == "unknown_halt":
                message = "There is no such switch; it may have been lifted already."
                raise NotFound(message) from error
            if error.code == "self_confirmation":
                message = "What one person proposed, another confirms."
                raise Forbidden(message, code="self_confirmation") from error
            if error.code == "unproposed_lift":
                message = "Somebody proposed it anew meanwhile. Read it again."
                raise Conflict(message, code="unproposed_lift") from error
            raise
        return place.index


def _operator(who: Principal) -> None:
    if Role.OPERATOR not in who.roles or who.owner is not None:
        raise Forbidden("Operators set and lift the kill switch.", code="role_missing")


def _reason(text: str) -> str:
    reason = text.strip()
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        message = f"A reason is needed, of at most {REASON_CHARS_MAX} characters."
        raise BadRequest(message, param="reason")
    return reason


def _why(reason: str) -> tuple[Payload, ...]:
    said = reason.encode()
    return (Payload("reason", said, said),)
