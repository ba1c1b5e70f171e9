"""Standing grants: what people agreed to in advance, and whether it is for what waits now.

A grant answers holds of the rules that it names, for one person or one group, at one backend; for
tool calls it names the tool and a pattern over its arguments, without a tool it is for requests. It
is good for so many uses and so many hours. The ledger says what stands and has the last word about
each use (`sekisho_audit.grant_rules`); what is judged here is what the ledger cannot see.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sekisho.model.argument_pattern import Pattern
from sekisho.model.decision import Decision, HoldTerms
from sekisho_audit import thresholds
from sekisho_audit.events import Event


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as the ledger has it. `pattern` and `reviewers` are of its terms; where these cannot
    be read any more (`readable`) it answers nothing. `counts_for` and `confirmed_counts_for` say
    for which reviewers the two persons count. `until_us` is its end, of a proposal the time until
    which it can be confirmed.
    """

    id: str
    rules: tuple[str, ...]
    backend: str
    count: int
    hours: int
    risk_below: int
    counts_for: tuple[str, ...]
    principal: str | None
    group: str | None
    tool: str | None
    pattern: Pattern | None
    reviewers: tuple[str, ...]
    reason: str
    readable: bool
    proposed_by: str
    confirmed_by: str | None
    confirmed_counts_for: tuple[str, ...]
    proposed_us: int
    until_us: int
    used: int
    halted: bool = False

    @property
    def stage(self) -> str:
        """What it answers: tool calls or requests."""
        return "request" if self.tool is None else "tool_call"

    @property
    def remaining(self) -> int:
        """How many uses are left."""
        return self.count - self.used

    @property
    def usable(self) -> bool:
        """Whether it may answer something, as far as is known here."""
        return (
            self.readable
            and self.confirmed_by is not None
            and not self.halted
            and self.remaining > 0
        )

    def over(self, now_us: int) -> bool:
        """Whether nothing can come of it any more."""
        return self.halted or self.remaining <= 0 or now_us > self.until_us


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for what is held: the principal, the person behind it, the groups it is in."""

    principal: str
    person: str
    groups: Collection[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One decision that wants people. `event` is the decision as it will be recorded; `terms` all
    terms that hold what it is about, `rules` all rules behind these.
    """

    event: Event
    stage: str
    backend: str
    terms: HoldTerms
    rules: frozenset[str]
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None


def is_for(grant: Grant, asking: Asking, wanted: Wanted) -> bool:
    """Whether the grant answers this. Its two persons must have been enough to approve it."""
    terms = wanted.terms
    meant = (
        asking.principal == grant.principal
        if grant.group is None
        else grant.principal is None and grant.group in asking.groups
    )
    agreed = {grant.proposed_by, grant.confirmed_by}
    return (
        grant.usable
        and meant
        and agreed.isdisjoint({asking.principal, asking.person})
        and (grant.stage, grant.backend, grant.tool) == (wanted.stage, wanted.backend, wanted.tool)
        and bool(wanted.rules)
        and wanted.rules <= set(grant.rules)
        and terms.stage == wanted.stage
        and not terms.no_grant
        and terms.risk < grant.risk_below
        and bool(terms.thresholds)
        and _enough(grant, terms)
        and _fits(grant, wanted)
    )


def _enough(grant: Grant, terms: HoldTerms) -> bool:
    # Both agreed at once, so of several steps they fill the first only: then people see it.
    asked = [one.told() for one in terms.thresholds]
    said = [
        {"data": {"decision": "approve", "counts_for": counted}}
        for counted in (grant.counts_for, grant.confirmed_counts_for)
    ]
    return thresholds.missing(asked, said) is None


def _fits(grant: Grant, wanted: Wanted) -> bool:
    if wanted.stage != "tool_call":
        return wanted.arguments is None
    return (
        grant.pattern is not None
        and wanted.arguments is not None
        and grant.pattern.fits(wanted.arguments)
    )


def rules_of(decision: Decision, reasons_max: int) -> frozenset[str] | None:
    """The rules behind a hold of the stage that was asked about; None if a record has no room for
    all of them.
    """
    if len(decision.reasons) > reasons_max:
        return None
    return frozenset(reason.rule for reason in decision.reasons)


def chosen(
    grants: Sequence[Grant], asking: Asking, wanted: Sequence[Wanted], risk_below: int
) -> list[tuple[Grant, int]] | None:
    """For each of `wanted` a grant and the number of its use; None if one has none: people see all
    of an answer or nothing of it. Of several that which ends first. `risk_below` is the setting
    of today: a grant of before is not for more.
    """
    taken: dict[str, int] = {}
    found: list[tuple[Grant, int]] = []
    for one in wanted:
        if one.terms.risk >= risk_below:
            return None
        fitting = [
            grant
            for grant in sorted(grants, key=lambda each: (each.until_us, each.id))
            if is_for(grant, asking, one) and taken.get(grant.id, 0) < grant.remaining
        ]
        if not fitting:
            return None
        grant = fitting[0]
        taken[grant.id] = taken.get(grant.id, 0) + 1
        found.append((grant, grant.used + taken[grant.id]))
    return found
