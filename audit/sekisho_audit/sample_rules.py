"""Samples as the ledger knows them: what was drawn, who may judge it, and when it is decided.

An exchange is drawn once, after something of its answer was given out, on terms that stand in the
ledger. It is judged by people who were shown it, each once: never by who asked, who stands behind
them, who approved it or wrote into it before, or agreed to a grant that let it pass. Where two
differ a third decides. An outcome says what the verdicts say; one without verdicts enough comes
when the time is over, and not before. What break-glass let go on is drawn whatever the share, and
says by which opening.

Which exchanges are drawn is `sample_draw.py`; leaves hold no key, so that is for whoever has it.
`rules.py` shows the leaves in order and keeps the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from time import gmtime, strftime
from typing import Any

from sekisho_audit.officer_rules import Put
from sekisho_audit.sample_draw import WHOLE
from sekisho_audit.standing import Filed, Leaf, RuleBroken, requesters
from sekisho_audit.thresholds import people

VERDICTS_MAX = 2
KEEP_DAYS_MAX = 92
RISK_MAX = 100
STANDING_MAX = 50_000  # some 3 KB each; of more the oldest are forgotten, judged by nobody
FORGOTTEN = 1_000  # so many at once: the oldest are found by sorting all
GIVEN_MAX = 20_000  # a draw stands beside its outcome, or soon after an outage
TERMS_MAX = 1_024  # each change of the settings is one
TALLIES_MAX = 5_000
DAY_US = 86_400 * 1_000_000
LATE_US = 3_600 * 1_000_000  # a draw that was lost is made up for long before
FINE, CONCERN, UNJUDGED = "fine", "concern", "unjudged"
HELD = "held"
"""The outcome with which nothing was given out. With all others something may have been: who hangs
up before the last byte has had those before it, and must not get out of the draw by that."""
RELEASED = "released"
_OUT = frozenset({RELEASED, "unknown"})  # of others only what went out in chunks


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample that nobody has closed. `leaf` is its draw; people are pseudonyms."""

    leaf: Leaf
    verdicts_needed: int
    until_us: int
    barred: frozenset[str]
    shown: frozenset[str] = frozenset()
    verdicts: tuple[Leaf, ...] = ()
    content: str = ""

    @property
    def outcome(self) -> tuple[str, str] | None:
        """What its verdicts come to; None while somebody has to be asked."""
        return outcome_of([one["data"]["verdict"] for one in self.verdicts], self.verdicts_needed)


def outcome_of(said: Sequence[str], needed: int) -> tuple[str, str] | None:
    """Outcome and by whom, of verdicts in their order: enough that agree, or a third."""
    if len(said) < needed:
        return None
    if len(set(said)) == 1:
        return said[0], "agreement"
    return (said[needed], "third") if len(said) > needed else None


@dataclass(frozen=True, slots=True)
class Tally:
    """Samples drawn, and what became of them; `disputed`: a third person had to decide."""

    drawn: int = 0
    judged: int = 0
    concerns: int = 0
    disputed: int = 0
    unjudged: int = 0


@dataclass(frozen=True, slots=True)
class Given:
    """Something of an answer may have been given out to `principal`, a pseudonym; when and where
    that stands in the ledger. `out`: it was, or nobody knows, so that it has to be drawn.
    """

    principal: str | None
    n: int
    ts: int
    out: bool


@dataclass(slots=True)
class SampleRules:
    """The samples after some prefix of the ledger, by the id of the event that drew each.

    `terms` by their event, the last one last; `given` has exchanges that may be drawn, and `passed`
    those that a grant let pass, with who agreed to it; both are kept only where there are terms.
    `opened` has those that break-glass let go on, terms or not, with the first opening that did.
    `tallies` are by month, kind and name.
    """

    put: Put
    drop: Callable[[dict[str, Any], str], None]
    terms: dict[str, Leaf] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    passed: dict[str, frozenset[str]] = field(default_factory=dict)
    opened: dict[str, str] = field(default_factory=dict)
    standing: dict[str, Sample] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def take(self, leaf: Leaf) -> None:
        """The next event of a type in `SAMPLE_EVENTS`, but draws. Raises RuleBroken."""
        _RULES[leaf["type"]](self, leaf)

    def give(self, principal: str | None, leaf: Leaf) -> None:
        """Something of the answer to `principal` may have been given out."""
        if self.terms or leaf["exchange"] in self.opened:
            data = leaf["data"]
            out = data.get("status", RELEASED) in _OUT or data.get("chunks", 0) > 0
            self.put(self.given, leaf["exchange"], Given(principal, leaf["n"], leaf["ts"], out))

    def let_pass(self, exchange: str, agreed: frozenset[str]) -> None:
        """A grant answered something of an exchange; these had agreed to it."""
        if self.terms:
            self.put(self.passed, exchange, self.passed.get(exchange, frozenset()) | agreed)

    def let_go(self, exchange: str, opening: str) -> None:
        """Break-glass answered something of an exchange in place of people."""
        if exchange not in self.opened:
            self.put(self.opened, exchange, opening)

    def draw(self, leaf: Leaf, holds: Collection[Filed]) -> None:
        """A draw, of an exchange that had these holds. Raises RuleBroken."""
        data, exchange = leaf["data"], leaf["exchange"]
        terms = self.terms.get(data["terms"])
        if terms is None:
            raise RuleBroken("unknown_terms", "no such terms of drawing are on record")
        if exchange not in self.given:
            raise RuleBroken("ungiven_draw", "nothing was given out of it, or it was drawn before")
        if self.given[exchange].principal != leaf["principal"]:
            raise RuleBroken("foreign_draw", "the exchange is somebody else's")
        said = terms["data"]
        if data.get("opening") != self.opened.get(exchange):
            raise RuleBroken("bad_draw", "another opening let it go on than the draw names")
        risky = data["risk"] >= said["risk_from"]
        share = said["per_10000_at_risk" if risky else "per_10000"]
        if data["per_10000"] != (WHOLE if exchange in self.opened else share):
            raise RuleBroken("bad_draw", "the share is not that of the terms")
        if data["per_10000"] <= 0:
            raise RuleBroken("bad_draw", "nothing is drawn on these terms")
        barred = requesters(leaf).union(self.passed.get(exchange, ()), *map(_busy, holds))
        until_us = leaf["ts"] + said["keep_days"] * DAY_US
        self.drop(self.given, exchange)
        for where in (self.passed, self.opened):
            if exchange in where:
                self.drop(where, exchange)
        if len(self.standing) >= STANDING_MAX:
            self._forget()
        self.put(self.standing, leaf["id"], Sample(leaf, said["verdicts"], until_us, barred))
        self._count(leaf, drawn=1)

    def read(self, leaf: Leaf) -> None:
        """`actor` was shown a sample. Raises RuleBroken."""
        sample = self._of(leaf)
        shown = sample.shown | {leaf["actor"]}
        self.put(self.standing, leaf["data"]["sample"], replace(sample, shown=shown))

    def unlooked(self, now_us: int) -> int:
        """How many exchanges break-glass let go on that were given out an hour before and have no
        draw: all of them are drawn, whatever key they have.
        """
        there = [self.given[one] for one in self.opened if one in self.given]
        return sum(one.out and one.ts < now_us - LATE_US for one in there)

    def erase(self, person: str) -> None:
        """The samples of who is erased end with their keys: nobody can read them any more."""
        gone = [key for key, one in self.standing.items() if one.leaf["principal"] == person]
        for key in gone:
            self.drop(self.standing, key)

    def _forget(self) -> None:
        """The oldest by their place in the ledger, so that whoever reads it forgets the same."""
        for key in sorted(self.standing, key=lambda each: self.standing[each].leaf["n"])[
            :FORGOTTEN
        ]:
            self.drop(self.standing, key)

    def _of(self, leaf: Leaf) -> Sample:
        found = self.standing.get(leaf["data"]["sample"])
        if found is None or found.leaf["exchange"] != leaf["exchange"]:
            raise RuleBroken("unknown_sample", "no such sample of this exchange stands")
        return found

    def _agreed(self, leaf: Leaf) -> None:
        data = leaf["data"]
        shares = (data["per_10000"], data["per_10000_at_risk"])
        within = (
            all(0 <= share <= WHOLE for share in shares)
            and 0 <= data["risk_from"] <= RISK_MAX
            and 0 < data["verdicts"] <= VERDICTS_MAX
            and 0 < data["keep_days"] <= KEEP_DAYS_MAX
        )
        if not within:
            raise RuleBroken("bad_terms", "a share, a risk or a number is out of bounds")
        if len(self.terms) >= TERMS_MAX:
            self.drop(self.terms, min(self.terms, key=lambda each: self.terms[each]["n"]))
        self.put(self.terms, leaf["id"], leaf)

    def _kept(self, leaf: Leaf) -> None:
        sample = self._of(leaf)
        if sample.content:
            raise RuleBroken("second_content", "what became of the content was said before")
        content = leaf["data"]["content"]
        self.put(self.standing, leaf["data"]["sample"], replace(sample, content=content))

    def _judged(self, leaf: Leaf) -> None:
        sample, who = self._of(leaf), leaf["actor"]
        if sample.outcome is not None or leaf["ts"] > sample.until_us:
            raise RuleBroken("sample_over", "nobody is asked about this sample any more")
        if who in sample.barred:
            raise RuleBroken("self_review", "nobody judges what they asked, approved or wrote into")
        if any(who == one["actor"] for one in sample.verdicts):
            raise RuleBroken("second_review", "this person has judged this sample already")
        if who not in sample.shown:
            raise RuleBroken("unseen_verdict", "who judges a sample was shown it before")
        verdicts = (*sample.verdicts, leaf)
        self.put(self.standing, leaf["data"]["sample"], replace(sample, verdicts=verdicts))

    def _closed(self, leaf: Leaf) -> None:
        sample, data = self._of(leaf), leaf["data"]
        outcome = sample.outcome or (UNJUDGED, "nobody")
        if (data["outcome"], data["by"]) != outcome:
            raise RuleBroken("bad_outcome", "the outcome is not what the verdicts come to")
        if sample.outcome is None and leaf["ts"] <= sample.until_us:
            raise RuleBroken("early_close", "there is time left to judge this sample")
        self.drop(self.standing, data["sample"])
        judged = int(sample.outcome is not None)
        self._count(
            sample.leaf,
            judged=judged,
            unjudged=1 - judged,
            concerns=int(data["outcome"] == CONCERN),
            disputed=int(len({one["data"]["verdict"] for one in sample.verdicts}) > 1),
        )

    def _count(self, of: Leaf, **more: int) -> None:
        """Count for the month in which it was drawn, its model and its rules."""
        month = strftime("%Y-%m", gmtime(of["ts"] // 1_000_000))
        names = [f"model|{of['data']['model']}"]
        names += [f"rule|{rule}" for rule in dict.fromkeys(of["data"]["rules"])]
        for name in names:
            key = f"{month}|{name}"
            if key not in self.tallies and len(self.tallies) >= TALLIES_MAX:
                self.drop(self.tallies, min(self.tallies))
            now = self.tallies.get(key, Tally())
            added = {what: getattr(now, what) + count for what, count in more.items()}
            self.put(self.tallies, key, replace(now, **added))


def _busy(filed: Filed) -> frozenset[str]:
    """Who had a part in a hold: who asked, who approved it, who wrote into it."""
    approved = [one for one in filed.reviews if one["data"]["decision"] == "approve"]
    return requesters(filed.leaf).union(filed.writers, *map(people, approved))


_RULES = {
    "sample.terms": SampleRules._agreed,  # noqa: SLF001 - the table belongs to the class
    "sample.kept": SampleRules._kept,  # noqa: SLF001
    "sample.judged": SampleRules._judged,  # noqa: SLF001
    "sample.closed": SampleRules._closed,  # noqa: SLF001
}
SAMPLE_EVENTS = frozenset(_RULES)
