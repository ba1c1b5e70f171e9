"""Review after the fact: what was drawn, what people need to judge it, and what they said.

The ledger says what was drawn and judged and has the last word (`sekisho_audit.sample_rules`); the
content is kept beside it for some days, and can be lost without losing anything of that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sekisho_audit.sample_rules import Tally, outcome_of


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms exchanges are drawn: the settings of the section [samples]."""

    per_10000: int = 0
    per_10000_at_risk: int = 0
    risk_from: int = 40
    verdicts: int = 2
    keep_days: int = 7

    @property
    def on(self) -> bool:
        """Whether anything is drawn but what break-glass let go on, which always is."""
        return self.per_10000 > 0 or self.per_10000_at_risk > 0

    def share(self, risk: int) -> int:
        """How many of 10,000 exchanges of this risk are drawn."""
        return self.per_10000_at_risk if risk >= self.risk_from else self.per_10000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one person found: `fine` or `concern`."""

    by: str
    verdict: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A drawn exchange that nobody has closed. `barred` are those who may not judge it: who asked,
    who stands behind them, who approved it before. `content` says what became of it: `whole`,
    `cut`, `none`, or "" while that is not known. `opening` let it go on in an emergency, if any.
    """

    id: str
    exchange: str
    principal: str
    model: str
    backend: str
    rules: tuple[str, ...]
    risk: int
    per_10000: int
    drawn_us: int
    until_us: int
    content: str
    needed: int
    barred: frozenset[str]
    verdicts: tuple[Verdict, ...] = ()
    opening: str = ""

    @property
    def outcome(self) -> tuple[str, str] | None:
        """Outcome and by whom, once its verdicts decide it."""
        return outcome_of([one.verdict for one in self.verdicts], self.needed)

    def said_by(self, person: str) -> Verdict | None:
        """What this person found, if they have said it."""
        return next((one for one in self.verdicts if one.by == person), None)

    def may_judge(self, persons: Collection[str]) -> bool:
        """Whether somebody who acts for these persons had no part in it."""
        return self.barred.isdisjoint(persons)

    def waits_for(self, person: str, now_us: int) -> bool:
        """Whether it still needs somebody, and this person has not judged it."""
        there = self.outcome is None and now_us <= self.until_us and self.content != "none"
        return there and self.said_by(person) is None


@dataclass(frozen=True, slots=True)
class Content:
    """What people judge: the request as it left, and what was given out of the answer, as it came.
    `cut`: they were longer, or the request is not there any more.
    """

    request: bytes
    answer: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger says: the terms in force with their event, what stands, and figures by month,
    kind (`model`, `rule`) and name.
    """

    terms: Terms = field(default_factory=Terms)
    terms_event: str = ""
    samples: Sequence[Sample] = ()
    figures: Mapping[tuple[str, str, str], Tally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Undrawn:
    """An exchange whose draw was lost with the worker that should have told it; `opening` let it
    go on, if any.
    """

    exchange: str
    principal: str
    opening: str = ""


class SampleBook(Protocol):
    """Samples as the ledger has them."""

    async def undrawn(self, after: int) -> tuple[Sequence[Undrawn], int]:
        """Some that were lost, from a place in the ledger on (-1: its beginning), and from where
        to go on: the same place if that was all. Raises LedgerUnavailable.
        """
        ...

    async def samples(self) -> Standing:
        """Those that stand, the oldest first, 5,000 at most. Raises LedgerUnavailable."""
        ...


class SampleStore(Protocol):
    """The content of samples, sealed under the key of whoever asked; gone with that key, with the
    store, and after some days. Raises SampleStoreUnavailable, LedgerUnavailable for the key.
    """

    async def keep(self, sample: str, principal: str, exchange: str, content: Content) -> bool:
        """Keep it until its days are over. False: there is no room. Safe to repeat."""
        ...

    async def get(self, sample: Sample) -> Content | None:
        """The content; None if it is not there any more, or nobody can read it."""
        ...

    async def drop(self, sample: str) -> None:
        """It is judged: nobody needs it any more. Safe to repeat."""
        ...
