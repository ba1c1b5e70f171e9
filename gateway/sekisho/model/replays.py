"""Recorded decisions decided again by another revision: who would newly be denied, held, freed.

Pure: what was recorded and what two revisions say about it goes in, counts and examples come out.
Each stage of an exchange is a decision of its own. One that lets a request go and has its tool
calls or its answer held later counts as holding it; any other change of reasons or obligations
under the same effect is told as `other`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sekisho.model import evidence
from sekisho.model.decision import Decision

DENIED, HELD, FREED, OTHER = "denied", "held", "freed", "other"
CHANGES = (DENIED, HELD, FREED, OTHER)
EXAMPLES_MAX = 10  # of each change; whoever wants more looks for the rule in the ledger
NO_GROUP = "(no group)"
_ENDS_AS = {"deny": DENIED, "hold": HELD, "allow": FREED}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One decision of the ledger. `said` is the data of its event, `document` the input that policy
    saw; None where nobody can open it any more.
    """

    index: int
    exchange: str
    ts_us: int
    said: Mapping[str, Any]
    document: bytes | None = None

    @property
    def revision(self) -> str:
        """The revision that spoke."""
        return str(self.said.get("revision", ""))


@dataclass(frozen=True, slots=True)
class Replayed:
    """One recorded decision under two revisions, each as `said` tells it."""

    recorded: Recorded
    groups: tuple[str, ...]
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def stage(self) -> str:
        """What was decided about."""
        return str(self.after.get("stage", ""))

    @property
    def change(self) -> str | None:
        """One of `CHANGES`; None if both say the same."""
        if _asked(self.before) == _asked(self.after):
            return None
        if self.before["effect"] != self.after["effect"]:
            return _ENDS_AS[self.after["effect"]]
        before, after = _later(self.before), _later(self.after)
        if self.after["effect"] != "allow" or before == after:
            return OTHER
        return FREED if after < before else HELD

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that make the difference: those that speak now, or (freed) spoke before."""
        speaking = self.before if self.change == FREED else self.after
        return tuple(dict.fromkeys(speaking["rules"])) or ("(no rule)",)


def said(decision: Decision, stage: str) -> dict[str, Any]:
    """What a decision says on record, without what differs from one evaluation to the next."""
    data = dict(evidence.decided("", "", stage, decision, b"").data)
    for name in ("took_us", "memo", "engine"):
        del data[name]
    return data


def same(recorded: Recorded, again: Mapping[str, Any]) -> bool:
    """Whether the decision came out again exactly as it stands in the ledger."""
    return all(recorded.said.get(name) == value for name, value in again.items())


def _later(what: Mapping[str, Any]) -> set[str]:
    """The later stages at which people answer."""
    return {str(terms["stage"]) for terms in what["obligations"].get("hold_later", ())}


def _asked(what: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in what.items() if name != "revision"}


def summary(
    replayed: Sequence[Replayed], *, unread: int, unlike: int, since_us: int, left_out: int
) -> dict[str, Any]:
    """The report as plain data. `unread` inputs could not be opened, `unlike` decisions did not
    come out again as recorded under their own revision, `left_out` were older than the limit.
    """
    changed = [one for one in replayed if one.change is not None]
    return {
        "decisions": len(replayed),
        "unread": unread,
        "unlike": unlike,
        "left_out": left_out,
        "since_us": since_us,
        "changed": _counted(changed),
        "stages": _by(changed, lambda one: (one.stage,)),
        "groups": _by(changed, lambda one: one.groups or (NO_GROUP,)),
        "rules": _by(changed, lambda one: one.rules),
        "examples": {
            change: [_example(one) for one in changed if one.change == change][:EXAMPLES_MAX]
            for change in CHANGES
        },
    }


def _counted(changed: Iterable[Replayed]) -> dict[str, int]:
    counts = Counter(one.change for one in changed)
    return {change: counts[change] for change in CHANGES}


def _by(changed: Sequence[Replayed], names: Any) -> dict[str, dict[str, int]]:
    found: dict[str, list[Replayed]] = {}
    for one in changed:
        for name in names(one):
            found.setdefault(name, []).append(one)
    return {name: _counted(ones) for name, ones in sorted(found.items())}


def _example(one: Replayed) -> dict[str, Any]:
    return {
        "exchange": one.recorded.exchange,
        "stage": one.stage,
        "from": one.before["effect"],
        "to": one.after["effect"],
        "later": sorted(_later(one.after)),
        "rules": list(one.rules),
        "codes": [reason["code"] for reason in one.after["reasons"]],
    }
