"""What the book of rules remembers: what was decided, what was sent, which holds were filed.

Values only; `rules.py` says when they change, `hold_rules.py` what a hold must be to change so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sekisho_audit.thresholds import UNREADABLE, merged, strict

Leaf = Mapping[str, Any]
# Later than the request: both are about the answer, and the later one counts.
LATER_STAGES = ("tool_call", "response")
STAGES = ("request", *LATER_STAGES)


class RuleBroken(ValueError):
    """An event that may not stand where it stands; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Decided:
    """What policy last said about an exchange at one stage, and whether it ever asked for people
    there: a later word of policy does not take that back.

    `thresholds` are the reviews that it asked for last, None if the record does not tell them.
    `must_justify`: whether it ever wanted a reason of whoever asked; this, too, stays.
    """

    effect: str
    must_hold: bool
    revision: str | None = None
    thresholds: Sequence[Leaf] | None = None
    must_justify: bool = False

    @classmethod
    def after(cls, before: Decided | None, data: Leaf, *, held: bool) -> Decided:
        """The standing after the decision `data`; `held` tells whether it wants people here."""
        asked = _told(hold_asked(data)) if held else None
        # Whatever stands there but `false` was asked for: no reading of it lets more through.
        justify = data["obligations"].get("justify", False) is not False
        if before is not None:
            held = held or before.must_hold
            asked = before.thresholds if asked is None else asked
            justify = justify or before.must_justify
        return cls(data["effect"], held, data.get("revision"), asked, justify)


def hold_asked(data: Leaf) -> Leaf:
    """The terms of the hold that a decision asks for, empty if it tells none."""
    asked = data["obligations"].get("hold")
    return asked if isinstance(asked, dict) else {}


def _told(terms: Leaf) -> Sequence[Leaf] | None:
    asked = terms.get("thresholds")
    return asked if asked is None or isinstance(asked, (list, tuple)) else UNREADABLE


def stage_of(data: Leaf) -> str:
    """The stage that a decision is about; a word that is none is the last one."""
    stage: str = data["stage"]
    return stage if stage in STAGES else LATER_STAGES[-1]


Asked = Mapping[str, "Sequence[Leaf] | None"]
"""Holds that were asked for: thresholds by stage, None where none are told."""
_NOTHING: Asked = {}
Behind = Mapping[str, tuple[str, ...]]
"""The rules behind holds that were foreseen, by stage."""
_NO_RULES: Behind = {}


def holds_asked(data: Leaf) -> Asked:
    """The holds that a decision asks for: its own, and those of later stages (`hold_later`).

    What cannot be read is asked for all the same, where most is held.
    """
    stage, found = stage_of(data), {}
    if data["effect"] == "hold":
        terms = hold_asked(data)
        named = terms.get("stage", stage)
        late = named in STAGES and STAGES.index(named) >= STAGES.index(stage)
        found[named if late else stage] = _told(terms)
    later = data["obligations"].get("hold_later", ())
    for terms in later if isinstance(later, (list, tuple)) else ({},):
        reads = isinstance(terms, dict) and terms.get("stage") in LATER_STAGES
        named, asked = (terms["stage"], _told(terms)) if reads else ("response", UNREADABLE)
        found[named] = merged(found.get(named), asked)
    return found


def ruled_later(data: Leaf) -> tuple[str, ...] | None:
    """The rules that hold tool calls later, None if they are not told or say `no_grant`."""
    later = data["obligations"].get("hold_later", ())
    found: list[str] = []
    for terms in later if isinstance(later, (list, tuple)) else ():
        if not isinstance(terms, dict) or terms.get("stage") != "tool_call":
            continue
        rules = terms.get("rules")
        told = isinstance(rules, (list, tuple)) and all(isinstance(one, str) for one in rules)
        if not told or not rules or terms.get("no_grant", False) is not False:
            return None
        found += rules
    return tuple(found) or None


def behind_later(data: Leaf) -> Behind:
    """The rules behind the holds of later stages that a decision asks for, as far as all are told
    and none says `no_break_glass`; nothing where any terms do not read.
    """
    stage = stage_of(data)
    if data["effect"] == "hold" and hold_asked(data).get("stage", stage) != stage:
        return {}  # its rules are among those of this decision, not told apart
    later = data["obligations"].get("hold_later", ())
    found: dict[str, tuple[str, ...] | None] = {}
    for terms in later if isinstance(later, (list, tuple)) else ({},):
        named = terms.get("stage") if isinstance(terms, dict) else None
        if named not in LATER_STAGES:
            return {}
        rules, before = _openable(terms), found.get(named, ())
        found[named] = None if rules is None or before is None else (*before, *rules)
    return {name: rules for name, rules in found.items() if rules}


def _openable(terms: Leaf) -> tuple[str, ...] | None:
    """The rules that these terms tell, None if an opening cannot answer them."""
    rules, asked = terms.get("rules"), terms.get("thresholds")
    if not isinstance(rules, (list, tuple)) or not all(isinstance(one, str) for one in rules):
        return None
    reads = isinstance(asked, (list, tuple)) and strict(asked, asked)
    shut = terms.get("no_break_glass", False) is not False
    return tuple(rules) if asked and reads and not shut else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands about the answer of an exchange, beyond its request.

    `foreseen` are the holds that decisions about the request asked for; a later word of policy does
    not take them back. The rest is of the latest intent: `asked` by decisions about the answer,
    whether any was about a tool call (`calls`) or a denial, and `held`, the intent of `principal`
    whose outcome says that the answer waits for people. `ruled` are the rules that foresaw a hold
    of tool calls, None if they are not told or allow no grant; `granted`: a grant answered each.
    `behind` are all rules that foresaw a hold of a stage, where something was open for whoever
    asked each time; `opened`: an opening answered the last decision about the whole answer.
    """

    foreseen: Asked = field(default_factory=lambda: _NOTHING)
    asked: Asked = field(default_factory=lambda: _NOTHING)
    calls: bool = False
    denied: bool = False
    held: str | None = None
    principal: str | None = None
    ruled: tuple[str, ...] | None = None
    granted: bool = False
    behind: Behind = field(default_factory=lambda: _NO_RULES)
    opened: bool = False

    def foresee(
        self, asked: Asked, ruled: tuple[str, ...] | None, behind: Behind = _NO_RULES
    ) -> Answer:
        """After a decision about the request: what it tells counts, else what was told before."""
        told = {stage: terms for stage, terms in asked.items() if stage in LATER_STAGES}
        kept = {
            stage: self.foreseen.get(stage) if terms is None else terms
            for stage, terms in told.items()
        }
        if "tool_call" not in told:
            ruled = self.ruled
        elif "tool_call" in self.foreseen:
            ruled = None if None in (ruled, self.ruled) else (*(ruled or ()), *(self.ruled or ()))
        now = self._behind(told, behind)
        return replace(self, foreseen={**self.foreseen, **kept}, ruled=ruled, behind=now)

    def _behind(self, told: Asked, behind: Behind) -> Behind:
        """The rules by now: a stage of which any are not told has none from then on."""
        found = dict(self.behind)
        for stage in told:
            asked_before = stage in self.foreseen or stage in self.asked
            had = found.pop(stage, None if asked_before else ())
            if had is not None and stage in behind:
                found[stage] = tuple(dict.fromkeys((*had, *behind[stage])))
        return found

    def judge(self, data: Leaf, *, granted: bool = False, behind: Behind = _NO_RULES) -> Answer:
        """After a decision about the answer; `granted`: a grant or an opening answers it."""
        told, whole = {**holds_asked(data)}, stage_of(data) == "response"
        before = self.asked
        if granted:
            told.pop(stage_of(data), None)
        if granted and whole:  # which is for all that held it, whoever foresaw that
            before = {stage: terms for stage, terms in before.items() if stage != "response"}
        asked = {stage: merged(before.get(stage), terms) for stage, terms in told.items()}
        return replace(
            self,
            asked={**before, **asked},
            behind=self._behind(told, behind),
            opened=granted if whole else self.opened,
            calls=self.calls or stage_of(data) == "tool_call",
            granted=granted and (self.granted or not self.calls)
            if stage_of(data) == "tool_call"
            else self.granted,
            denied=self.denied or data["effect"] == "deny",
        )

    @property
    def judged(self) -> bool:
        """Whether anything stands about the latest answer itself."""
        return bool(self.asked or self.calls or self.denied or self.held or self.opened)

    def begin(self) -> Answer:
        """Another answer is asked for: only what was foreseen stands about it."""
        return Answer(self.foreseen, ruled=self.ruled, behind=self.behind)

    def wanted(self, *, error: bool = False) -> tuple[str | None, Sequence[Leaf] | None]:
        """The stage at which the answer must be held, and the reviews it needs there; None for
        neither. What was foreseen is not about an `error` that a backend answered with.
        """
        stage, needed = None, None
        for name in LATER_STAGES:
            told = [self.asked[name]] if name in self.asked else []
            waits = not self.opened if name == "response" else self.calls and not self.granted
            if name in self.foreseen and not error and waits:
                told.append(self.foreseen[name])
            for terms in told:
                stage, needed = name, merged(needed, terms)
        return stage, needed


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent without an outcome."""

    session: str
    exchange: str
    hold: str | None
    principal: str | None
    index: int


@dataclass(frozen=True, slots=True)
class Filed:
    """A hold in its latest version, with everything that happened to it.

    `intent` is the event that used it, its intent or, for an answer, its release; `outcome` what
    became of that. `writers` wrote into what is held, in this version or one before.
    """

    hold: str
    leaf: Leaf
    reviews: tuple[Leaf, ...] = ()
    settled: Leaf | None = None
    intent: str | None = None
    outcome: str | None = None
    justified: Leaf | None = None
    writers: frozenset[str] = frozenset()

    @classmethod
    def again(cls, leaf: Leaf, before: Filed | None) -> Filed:
        """A hold as it is filed. Nothing said of the version before counts for it, but what was
        written into it stays written, and a reason is one for the same bytes.
        """
        data = leaf["data"]
        wrote = "editor" in data and not data.get("narrowed", False)
        writers = frozenset({data["editor"]}) if wrote else frozenset()
        if before is None:
            return cls(data["hold"], leaf, writers=writers)
        now, then = commit_of(leaf, "outgoing"), commit_of(before.leaf, "outgoing")
        why = before.justified if now is not None and now == then else None
        return cls(data["hold"], leaf, justified=why, writers=before.writers | writers)

    @property
    def data(self) -> Leaf:
        """The data of the filing event."""
        return self.leaf["data"]  # type: ignore[no-any-return]

    @property
    def seeded(self) -> bool:
        """Whether it is a test item, behind which there is no request."""
        return self.leaf["type"] == "hold.seeded"  # type: ignore[no-any-return]

    @property
    def of_answer(self) -> bool:
        """Whether an answer is held, or a tool call in it, not a request."""
        return self.data["stage"] != "request"  # type: ignore[no-any-return]

    @property
    def thresholds(self) -> Sequence[Leaf]:
        """Who must approve it; nobody where only a reason is asked for."""
        return self.data.get("thresholds", ())  # type: ignore[no-any-return]

    @property
    def must_justify(self) -> bool:
        """Whether it waits for a reason of whoever asked."""
        return bool(self.data.get("justify", False))

    @property
    def approved(self) -> bool:
        """Whether people have let it pass."""
        return self.settled is not None and self.settled["data"]["state"] == "approved"

    def touched_us(self) -> int:
        """When its time ends or last something happened, whichever is later."""
        settled = self.settled["ts"] if self.settled else 0
        return max(int(self.data["expires_us"]), int(settled))


def commit_of(leaf: Leaf, name: str) -> str | None:
    """The commitment to payload `name` of a leaf."""
    for entry in leaf["pl"]:
        if entry["name"] == name:
            return str(entry["commit"])
    return None


def requesters(leaf: Leaf) -> frozenset[str]:
    """The pseudonyms that stand for whoever asked: principal, and the person behind it."""
    return frozenset(filter(None, (leaf["principal"], leaf["data"].get("person"))))


def reviewer(leaf: Leaf) -> str:
    """The pseudonym of the person who reviewed."""
    return str(leaf["data"].get("person") or leaf["actor"])
