"""Where standing grants are made and ended: each step is in the ledger before it counts.

    propose   a reviewer says for whom, for what, how often and how long, and why
    confirm   another reviewer does too; from then on it answers holds
    revoke    one reviewer ends it at once, or denies a proposed one

Whoever agrees may review the rules in question in their own right: not as a delegate, and no
service account; a delegate may end it. Nobody agrees to a grant for themselves, their group or whom
they stand in for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import orjson

from sekisho.errors import BadRequest, Conflict, Forbidden, LedgerRefused, NotFound
from sekisho.holding.granting import Granting
from sekisho.model.argument_pattern import Pattern
from sekisho.model.duties import may_confirm, may_review, seats
from sekisho.model.grants import Grant
from sekisho.model.ids import is_id, uuid7
from sekisho.model.principal import Principal, Role
from sekisho.ports import Clock, Ledger
from sekisho_audit.events import Event, Payload
from sekisho_audit.grant_rules import RULES_MAX

REASON_CHARS_MAX = 500
REVIEWERS_MAX = 8  # groups of people that one hold may ask
NAME_CHARS_MAX = 256


@dataclass(frozen=True, slots=True)
class GrantLimits:
    """What a grant may be at most here. Settings of the section [grants]."""

    hours_max: int = 24
    uses_max: int = 100
    risk_below: int = 60


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody proposes. `reviewers` are the roles or groups that the rules ask."""

    rules: tuple[str, ...]
    backend: str
    count: int
    hours: int
    reason: str
    principal: str | None = None
    group: str | None = None
    tool: str | None = None
    pattern: Pattern | None = None
    reviewers: tuple[str, ...] = (Role.REVIEWER.value,)


class GrantDesk:
    """One a worker. `backends` are those of the settings."""

    def __init__(
        self,
        granting: Granting,
        ledger: Ledger,
        clock: Clock,
        *,
        limits: GrantLimits,
        backends: Collection[str],
    ) -> None:
        self._granting, self._ledger, self._clock = granting, ledger, clock
        self._limits = limits
        self._backends = backends

    async def listed(self, who: Principal) -> Sequence[Grant]:
        """The grants that stand and that `who` may see: reviewers of their rules, whom they are
        for, auditors. Raises LedgerUnavailable.
        """
        await self._granting.consult()
        now_us = self._clock.now_us()
        return [one for one in self._granting.standing if not one.over(now_us) and _sees(who, one)]

    async def propose(self, who: Principal, asked: Asked) -> Grant:
        """Raises Forbidden, BadRequest, Conflict (`too_many_grants`), LedgerUnavailable."""
        counts_for = _counts_for(who, asked.reviewers)
        self._check(asked)
        _check_apart(who, asked.principal, asked.group)
        pattern = None if asked.pattern is None else asked.pattern.document()
        terms = orjson.dumps(
            {
                "reason": asked.reason.strip(),
                "reviewers": list(asked.reviewers),
                "arguments": pattern,
            }
        )
        group = {} if asked.group is None else {"group": asked.group}
        tool = {} if asked.tool is None else {"tool": asked.tool}
        data = {
            "rules": sorted(set(asked.rules)),
            "backend": asked.backend,
            "count": asked.count,
            "hours": asked.hours,
            "risk_below": self._limits.risk_below,
            "counts_for": list(counts_for),
            **group,
            **tool,
        }
        payload = Payload("terms", terms, terms)
        event = Event(
            uuid7(), "grant.proposed", None, asked.principal, data, who.person, (payload,)
        )
        await self._append(event)
        return await self._found(event.id)

    async def confirm(self, who: Principal, grant_id: str) -> Grant:
        """Raises NotFound, Forbidden (`self_confirmation`, `self_approval`, `not_eligible`),
        Conflict (`grant_over`, `grant_confirmed`), LedgerUnavailable.
        """
        grant = await self._visible(who, grant_id)
        counts_for = _counts_for(who, grant.reviewers)
        may_confirm(who, {grant.proposed_by})
        _check_apart(who, grant.principal, grant.group)
        if grant.confirmed_by is not None:
            raise Conflict("This grant was confirmed before.", code="grant_confirmed")
        data = {"grant": grant.id, "counts_for": list(counts_for)}
        await self._append(Event(uuid7(), "grant.confirmed", None, None, data, who.person))
        return await self._found(grant.id)

    async def revoke(self, who: Principal, grant_id: str, reason: str) -> Grant:
        """End it, or deny it; the grant as it stood. Raises NotFound, Forbidden, BadRequest,
        LedgerUnavailable.
        """
        grant = await self._visible(who, grant_id)
        mine = who.id == grant.proposed_by  # they may take it back, whatever they are by now
        if not mine and not any(seats(who, one) for one in grant.reviewers):
            raise Forbidden("Reviewers of its rules end a grant.", code="not_eligible")
        said = _reason(reason).encode()
        data, why = {"grant": grant.id}, (Payload("reason", said, said),)
        await self._append(Event(uuid7(), "grant.revoked", None, None, data, who.person, why))
        await self._granting.consult()
        return grant

    def _check(self, asked: Asked) -> None:
        """Not whether there is such a principal: that would tell a reviewer which holds are test
        items, since nobody has their names.
        """
        limits = self._limits
        _reason(asked.reason)
        if (asked.principal is None) == (asked.group is None):
            raise BadRequest("Name one principal or one group.", param="principal")
        whom = "principal" if asked.group is None else "group"
        if not is_id(asked.principal or asked.group or ""):
            message = f"No {whom} can be called that: small letters, digits and . _ @ + - only."
            raise BadRequest(message, param=whom)
        if not 0 < asked.count <= limits.uses_max:
            raise BadRequest(f"count is between 1 and {limits.uses_max}.", param="count")
        if not 0 < asked.hours <= limits.hours_max:
            raise BadRequest(f"hours is between 1 and {limits.hours_max}.", param="hours")
        if not 0 < len(asked.rules) <= RULES_MAX:
            raise BadRequest(f"Between 1 and {RULES_MAX} rules are named.", param="rules")
        named = (*asked.rules, *asked.reviewers, asked.tool or "x")
        if not all(map(_is_name, named)):
            message = f"A name has between 1 and {NAME_CHARS_MAX} characters that can be seen."
            raise BadRequest(message, param="rules")
        if asked.backend not in self._backends:
            there = ", ".join(sorted(self._backends))
            raise BadRequest(f"There is no such backend. There are: {there}.", param="backend")
        if (asked.tool is None) != (asked.pattern is None):
            message = "A grant for a tool says which arguments; one for requests names no tool."
            raise BadRequest(message, param="arguments")
        known = self._granting.rules()
        missing = [] if known is None else sorted(set(asked.rules) - set(known))
        if missing:
            message = f"No such rule is in force: {missing[0]!r}. A hold names those that held it."
            raise BadRequest(message, param="rules")

    async def _visible(self, who: Principal, grant_id: str) -> Grant:
        found = next((one for one in await self.listed(who) if one.id == grant_id), None)
        if found is None:
            raise NotFound("There is no such grant, or it is over, or not yours to see.")
        return found

    async def _found(self, grant_id: str) -> Grant:
        await self._granting.consult()
        for one in self._granting.standing:
            if one.id == grant_id:
                return one
        raise NotFound("The grant was ended by somebody just now.")

    async def _append(self, event: Event) -> None:
        try:
            await self._ledger.append([event])
        except LedgerRefused as error:
            match error.code:
                case "too_many_grants":
                    message = "Too many grants stand at once. Revoke some, or wait until they end."
                    raise Conflict(message, code="too_many_grants") from error
                case "unknown_grant":
                    message = "There is no such grant; it may have been ended just now."
                    raise NotFound(message) from error
                case "grant_confirmed":
                    raise Conflict("It was confirmed before.", code="grant_confirmed") from error
                case "grant_over":
                    message = "It cannot be confirmed any more. Propose it anew."
                    raise Conflict(message, code="grant_over") from error
                case "self_confirmation":
                    message = "What one person proposed, another confirms."
                    raise Forbidden(message, code="self_confirmation") from error
            raise


def _sees(who: Principal, grant: Grant) -> bool:
    own = who.id in (grant.principal, grant.proposed_by)
    return own or Role.AUDITOR in who.roles or any(seats(who, one) for one in grant.reviewers)


def _counts_for(who: Principal, reviewers: Sequence[str]) -> tuple[str, ...]:
    """For which of `reviewers` this person counts in their own right. Raises Forbidden."""
    if not 0 < len(reviewers) <= REVIEWERS_MAX:
        raise BadRequest(f"Between 1 and {REVIEWERS_MAX} reviewers are named.", param="reviewers")
    found = tuple(one for one in dict.fromkeys(reviewers) if seats(who, one) == (who.id,))
    if not found:
        message = (
            "You are not among those who review this in your own right, and nobody agrees to a "
            "grant as somebody's delegate."
        )
        raise Forbidden(message, code="not_eligible")
    return found


def _check_apart(who: Principal, principal: str | None, group: str | None) -> None:
    """Raises Forbidden (`self_approval`) if the grant would be for this person."""
    if principal is not None:
        may_review(who, {principal})
    if group is not None and group in who.groups:
        message = "You belong to this group yourself. Ask a reviewer who does not."
        raise Forbidden(message, code="self_approval")


def _is_name(word: str) -> bool:
    return 0 < len(word) <= NAME_CHARS_MAX and word.isprintable()


def _reason(text: str) -> str:
    reason = text.strip()
    if not 0 < len(reason) <= REASON_CHARS_MAX:
        message = f"A reason is needed, of at most {REASON_CHARS_MAX} characters."
        raise BadRequest(message, param="reason")
    return reason
