"""Where break-glass is opened, ended and reviewed: each step is in the ledger before it counts.

    open      whoever holds the role opens it for their own requests, says for which rules and why
    end       they, or an operator, end it at once
    review    another person looks at it when it is over

Nobody is asked before, that is the point of it; so it is short, for rules that are named, and told
to everybody. A session has to be fresh, because one that was left open is how somebody else gets
in; a key or a token proves who asks each time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from sekisho.errors import BadRequest, Conflict, Forbidden, LedgerRefused, NotFound
from sekisho.holding.break_glass import BreakGlass
from sekisho.model.break_glass import Opening
from sekisho.model.duties import may_confirm, seats
from sekisho.model.ids import uuid7
from sekisho.model.principal import Authentication, Principal, Role, Scope
from sekisho.ports import Clock, Ledger
from sekisho_audit.break_glass_rules import RULES_MAX
from sekisho_audit.events import Event, Payload

REASON_CHARS_MAX = 500
NAME_CHARS_MAX = 256
VERDICTS = ("justified", "not_justified")
_SECOND_US = 1_000_000
_WATCHES = (
    (Role.REVIEWER, Scope.REVIEW),
    (Role.AUDITOR, Scope.AUDIT),
    (Role.OPERATOR, Scope.ADMIN),
)

_ANOTHER = (
    "Nobody reviews what they opened themselves, also not with another key or as a delegate, and "
    "no service account does. Ask a colleague who reviews or audits."
)

_log = structlog.get_logger("sekisho.break_glass")

Rules = Callable[[], Collection[str] | None]
"""The rules in force, as decisions name them; None while they are not known."""


@dataclass(frozen=True, slots=True)
class OpeningLimits:
    """What an opening may be at most here. Settings of the section [break_glass]."""

    minutes_default: int = 15
    minutes_max: int = 60
    review_hours: int = 24
    sign_in_s: int = 300


class BreakGlassDesk:
    """One a worker."""

    def __init__(
        self,
        glass: BreakGlass,
        ledger: Ledger,
        clock: Clock,
        rules: Rules,
        *,
        limits: OpeningLimits,
    ) -> None:
        self._glass, self._ledger, self._clock = glass, ledger, clock
        self._rules = rules
        self._limits = limits

    @property
    def open_count(self) -> int:
        """How many are open, as far as is known without asking: for whoever passes by."""
        return len(self._glass.open_now())

    @property
    def limits(self) -> OpeningLimits:
        """What an opening may be at most here."""
        return self._limits

    def now_us(self) -> int:
        """By which openings are open or overdue."""
        return self._clock.now_us()

    async def listed(self, who: Principal) -> Sequence[Opening]:
        """What is open or waits for review, as far as `who` may see it: whoever opened it,
        reviewers, auditors, operators. Raises LedgerUnavailable.
        """
        await self._glass.consult()
        all_of_it = who.owner is None and any(
            role in who.roles and scope in who.scopes for role, scope in _WATCHES
        )
        return [one for one in self._glass.standing if all_of_it or one.person == who.id]

    async def seen(self, who: Principal, opening_id: str) -> Opening:
        """One of those. Raises NotFound, LedgerUnavailable."""
        found = next((one for one in await self.listed(who) if one.id == opening_id), None)
        if found is None:
            raise NotFound("There is no such opening, or it was reviewed, or is not yours to see.")
        return found

    def acts(self, who: Principal, opening: Opening) -> frozenset[str]:
        """What `who` may do with it as it stands: `end`, `review`, or neither."""
        if not opening.open_at(self._clock.now_us()):
            with suppress(Forbidden):
                _seat(who, opening)
                return frozenset({"review"})
        elif Scope.ADMIN in who.scopes and _may_end(who, opening):
            return frozenset({"end"})
        return frozenset()

    async def open(
        self, who: Principal, rules: Sequence[str], reason: str, minutes: int | None
    ) -> Opening:
        """Raises Forbidden (`role_missing`, `sign_in_again`), BadRequest, Conflict
        (`break_glass_open`, `break_glass_unreviewed`, `halted_opening`), LedgerUnavailable.
        """
        self._check_person(who)
        named = sorted(set(rules))
        wanted = self._limits.minutes_default if minutes is None else minutes
        self._check(named, wanted)
        why = _reason(reason)
        data = {
            "rules": named,
            "minutes": wanted,
            "review_hours": self._limits.review_hours,
        }
        payload = (Payload("reason", why, why),)
        event = Event(uuid7(), "break_glass.opened", None, None, data, who.id, payload)
        await self._append(event)
        # No name and no reason: those are in the ledger, for who may read them.
        _log.error("break-glass was opened", opening=event.id, rules=named, minutes=wanted)
        return await self._found(event.id)

    async def end(self, who: Principal, opening_id: str) -> Opening:
        """End it at once. Raises NotFound, Forbidden, Conflict (`break_glass_over`),
        LedgerUnavailable.
        """
        opening = await self.seen(who, opening_id)
        if not _may_end(who, opening):
            message = "Whoever opened it ends it, or an operator."
            raise Forbidden(message, code="role_missing")
        cause = "person" if who.id == opening.person else "operator"
        data = {"opening": opening.id, "cause": cause}
        await self._append(Event(uuid7(), "break_glass.ended", None, None, data, who.id))
        _log.warning("break-glass was ended", opening=opening.id, cause=cause)
        return await self._found(opening.id)

    async def review(self, who: Principal, opening_id: str, verdict: str, reason: str) -> Opening:
        """Say what is to be said of it; the opening as it stood. Raises NotFound, Forbidden
        (`role_missing`, `self_confirmation`), BadRequest, Conflict (`break_glass_open`),
        LedgerUnavailable.
        """
        opening = await self.seen(who, opening_id)
        seat = _seat(who, opening)
        if verdict not in VERDICTS:
            raise BadRequest(f"A verdict is one of {', '.join(VERDICTS)}.", param="verdict")
        said = _reason(reason)
        behind = {} if seat == who.id else {"person": seat}
        data = {"opening": opening.id, "verdict": verdict, "uses": opening.used, **behind}
        payload = (Payload("reason", said, said),)
        await self._append(
            Event(uuid7(), "break_glass.reviewed", None, None, data, who.id, payload)
        )
        _log.warning("break-glass was reviewed", opening=opening.id, verdict=verdict)
        await self._glass.consult()
        return opening

    def _check_person(self, who: Principal) -> None:
        if not may_open(who):
            message = "Persons with the role break_glass open it. Ask for a review instead."
            raise Forbidden(message, code="role_missing")
        if who.authentication is not Authentication.SESSION:
            return
        age_us = self._clock.now_us() - (who.signed_in_us or 0)
        if age_us > self._limits.sign_in_s * _SECOND_US:
            message = (
                f"You signed in more than {self._limits.sign_in_s} s ago. Sign out, sign in "
                "again, and open it then: nobody else is to do it at your screen."
            )
            raise Forbidden(message, code="sign_in_again")

    def _check(self, rules: Sequence[str], minutes: int) -> None:
        limits = self._limits
        if not 0 < minutes <= limits.minutes_max:
            message = f"minutes is between 1 and {limits.minutes_max}."
            raise BadRequest(message, param="minutes")
        fits = all(0 < len(one) <= NAME_CHARS_MAX and one.isprintable() for one in rules)
        if not 0 < len(rules) <= RULES_MAX or not fits:
            raise BadRequest(f"Between 1 and {RULES_MAX} rules are named.", param="rules")
        known = self._rules()
        missing = [] if known is None else sorted(set(rules) - set(known))
        if missing:
            message = f"No such rule is in force: {missing[0]!r}. A hold names those that held it."
            raise BadRequest(message, param="rules")

    async def _found(self, opening_id: str) -> Opening:
        await self._glass.consult()
        for one in self._glass.standing:
            if one.id == opening_id:
                return one
        raise NotFound("The opening was reviewed by somebody just now.")

    async def _append(self, event: Event) -> None:
        try:
            await self._ledger.append([event])
        except LedgerRefused as error:
            raise _said(error, event.type) from error


def may_open(who: Principal) -> bool:
    """Whether they hold the role, in their own right, and are no program."""
    return seats(who, Role.BREAK_GLASS.value) == (who.id,)


def _may_end(who: Principal, opening: Opening) -> bool:
    operates = Role.OPERATOR in who.roles and who.owner is None
    return operates or who.id == opening.person


def _said(error: LedgerRefused, act: str) -> Exception:
    """A refusal of the ledger in words for whoever asked."""
    match error.code:
        case "break_glass_open" if act == "break_glass.opened":
            message = "You have one open already. End it first, or go on with it."
            return Conflict(message, code="break_glass_open")
        case "break_glass_open":
            message = "It is still open. It is reviewed when it is over: end it, or wait."
            return Conflict(message, code="break_glass_open")
        case "break_glass_unreviewed":
            message = (
                "Earlier openings wait for their review, too long or too many of them. A reviewer "
                "or auditor has to look at them first: sekisho break-glass list."
            )
            return Conflict(message, code="break_glass_unreviewed")
        case "halted_opening":
            message = "An operator stopped everything, and an emergency does not lift that."
            return Conflict(message, code="halted_opening")
        case "break_glass_over":
            return Conflict("It is over already.", code="break_glass_over")
        case "unknown_opening":
            return NotFound("There is no such opening; somebody reviewed it just now.")
        case "stale_review":
            message = "It was used once more meanwhile. Read it again, then review it."
            return Conflict(message, code="stale_review")
        case "self_review":
            message = "Nobody reviews what they opened themselves. Another person does."
            return Forbidden(message, code="self_confirmation")
    return error


def _seat(who: Principal, opening: Opening) -> str:
    """In whose name they review: their own, or whoever lent them the role. Raises Forbidden."""
    may_confirm(who, {opening.person}, _ANOTHER)
    if Role.AUDITOR in who.roles and Scope.AUDIT in who.scopes:
        return who.id
    found = seats(who, Role.REVIEWER.value)
    if not found or Scope.REVIEW not in who.scopes:
        message = "Reviewers and auditors review it. Ask one of them."
        raise Forbidden(message, code="role_missing")
    return found[0]


def _reason(text: str) -> bytes:
    reason = text.strip()
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        message = f"A reason is needed, of at most {REASON_CHARS_MAX} characters."
        raise BadRequest(message, param="reason")
    return reason.encode()
