"""Standing grants as the ledger knows them: who agreed, what is left, and which use may stand.

A grant is people's approval in advance, for few cases and a short time. One person proposes it and
another confirms it; each use is an event that stands before the decision that it answers. Such a
decision asks for people, and is let go on only if the grant is for its rules and its tool, and if
the two persons would have been enough to approve it as a hold. No use stands after the end of its
grant, beyond its count, or for a person who agreed to it.

Which arguments a grant is for is content, and who belongs to a group is not recorded here:
there the gateway alone is the judge. `rules.py` shows the leaves in order and keeps the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sekisho_audit import thresholds
from sekisho_audit.halt_rules import named
from sekisho_audit.officer_rules import Put
from sekisho_audit.standing import (
    Answer,
    Leaf,
    RuleBroken,
    hold_asked,
    holds_asked,
    requesters,
    stage_of,
)

STANDING_MAX = 256  # as switches: more is not an exception but a policy
COUNT_MAX = 10_000
HOURS_MAX = 720  # thirty days; the settings of a gateway say less
RULES_MAX = 16
PROPOSAL_US = 24 * 3_600 * 1_000_000  # what nobody confirmed in a day is not confirmed any more
HOUR_US = 3_600 * 1_000_000
RISK_MAX = 100


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant that was proposed, and what became of it. `leaf` is its proposal."""

    leaf: Leaf
    confirmed: Leaf | None = None
    used: int = 0
    halted: bool = False

    @property
    def stage(self) -> str:
        """What kind of hold it answers."""
        return "tool_call" if "tool" in self.leaf["data"] else "request"

    @property
    def until_us(self) -> int:
        """When it ends by itself; of a proposal, when it cannot be confirmed any more."""
        if self.confirmed is None:
            return int(self.leaf["ts"]) + PROPOSAL_US
        return int(self.confirmed["ts"]) + int(self.leaf["data"]["hours"]) * HOUR_US

    @property
    def agreed(self) -> list[Leaf]:
        """The two persons, as reviews that approve."""
        said = [one for one in (self.leaf, self.confirmed) if one is not None]
        return [
            {"data": {"decision": "approve", "counts_for": one["data"]["counts_for"]}}
            for one in said
        ]

    @property
    def persons(self) -> frozenset[str]:
        """Who agreed to it."""
        return frozenset(
            one["actor"] for one in (self.leaf, self.confirmed) if one is not None and one["actor"]
        )

    def over(self, now_us: int) -> bool:
        """Whether nothing can come of it any more."""
        return now_us > self.until_us or self.used >= self.leaf["data"]["count"]


@dataclass(frozen=True, slots=True)
class Use:
    """A use whose decision has not come yet, with the grant as it stood then."""

    leaf: Leaf
    grant: Grant


def covers(scope: str, name: str, grant: Leaf, tool: str | None, group: str | None) -> bool:
    """Whether a switch stops something that a grant is for: then the grant ends, for good.

    `grant` has the `backend`. A grant is for any model, and of a person the groups are not known
    here: there the switch counts.
    """
    match scope:
        case "backend":
            return named(name, grant["backend"])
        case "tool":
            return tool is not None and named(name, tool)
        case "team":
            return group is None or named(name, group)
        case _:
            return True


class GrantRules:
    """The grants after some prefix of the ledger, by the id of the event that proposed each.

    `named` has uses by the decision that they answer, until that comes; `cleared` the exchanges
    that a grant let go: to which backend, or nowhere any more.
    """

    def __init__(self, put: Put, drop: Callable[[dict[str, Any], str], None]) -> None:
        self._put, self._drop = put, drop
        self.standing: dict[str, Grant] = {}
        self.named: dict[str, Use] = {}
        self.cleared: dict[str, str | None] = {}

    def take(self, leaf: Leaf) -> None:
        """The next event of a type in `GRANT_EVENTS`. Raises RuleBroken."""
        _RULES[leaf["type"]](self, leaf)

    def stop(self, leaf: Leaf) -> None:
        """An operator set a switch: what it stops is granted no more, also after it is lifted."""
        scope, name = leaf["data"]["scope"], leaf["data"]["name"]
        for key, one in list(self.standing.items()):
            data = one.leaf["data"]
            if covers(scope, name, data, data.get("tool"), data.get("group")):
                self._put(self.standing, key, replace(one, halted=True))

    def answers(self, leaf: Leaf, answer: Answer | None) -> bool:
        """Whether a use stands for this decision, and may. Raises RuleBroken."""
        use = self.named.get(leaf["id"])
        if use is None:
            return False
        _check_decision(leaf, use, answer)
        self._drop(self.named, leaf["id"])
        if use.grant.stage == "request":
            self._put(self.cleared, leaf["exchange"], use.grant.leaf["data"]["backend"])
        return True

    def check_intent(self, leaf: Leaf) -> None:
        """What a grant let go leaves once, to the backend of the grant. Raises RuleBroken."""
        exchange = leaf["exchange"]
        if exchange not in self.cleared:
            return
        if self.cleared[exchange] != leaf["data"]["backend"]:
            raise RuleBroken("ungranted_intent", "the grant was used, or is for another backend")
        self._put(self.cleared, exchange, None)

    def _proposed(self, leaf: Leaf) -> None:
        for key, one in list(self.standing.items()):
            if one.over(leaf["ts"]):
                self._drop(self.standing, key)
        if len(self.standing) >= STANDING_MAX:
            raise RuleBroken("too_many_grants", f"at most {STANDING_MAX} grants stand at once")
        data = leaf["data"]
        if (leaf["principal"] is None) == ("group" not in data):
            raise RuleBroken("bad_grant", "a grant is for one person or for one group")
        within = (
            0 < data["count"] <= COUNT_MAX
            and 0 < data["hours"] <= HOURS_MAX
            and 0 < len(data["rules"]) <= RULES_MAX
            and 0 <= data["risk_below"] <= RISK_MAX
        )
        if not within or not data["counts_for"]:
            raise RuleBroken(
                "bad_grant", "rules, count, hours, risk or reviewers are out of bounds"
            )
        _check_apart(leaf, leaf)
        self._put(self.standing, leaf["id"], Grant(leaf))

    def _known(self, leaf: Leaf) -> Grant:
        found = self.standing.get(leaf["data"]["grant"])
        if found is None:
            raise RuleBroken("unknown_grant", "no such grant stands")
        return found

    def _confirmed(self, leaf: Leaf) -> None:
        grant = self._known(leaf)
        if grant.confirmed is not None:
            raise RuleBroken("grant_confirmed", "the grant was confirmed before")
        if grant.halted or grant.over(leaf["ts"]):
            raise RuleBroken("grant_over", "the grant cannot be confirmed any more")
        if grant.leaf["actor"] == leaf["actor"]:
            raise RuleBroken("self_confirmation", "whoever proposed a grant does not confirm it")
        if not leaf["data"]["counts_for"]:
            raise RuleBroken("bad_grant", "whoever confirms a grant may review its rules")
        _check_apart(grant.leaf, leaf)
        self._put(self.standing, leaf["data"]["grant"], replace(grant, confirmed=leaf))

    def _ended(self, leaf: Leaf) -> None:
        self._known(leaf)
        self._drop(self.standing, leaf["data"]["grant"])

    def _used(self, leaf: Leaf) -> None:
        grant, data = self._known(leaf), leaf["data"]
        if grant.confirmed is None:
            raise RuleBroken("unconfirmed_grant", "nobody has confirmed this grant")
        if grant.halted or leaf["ts"] > grant.until_us:
            raise RuleBroken("grant_over", "the grant has ended")
        count = grant.leaf["data"]["count"]
        if grant.used >= count:
            raise RuleBroken("grant_used_up", "the grant was used as often as people agreed to")
        if data["number"] != grant.used + 1 or data["remaining"] != count - data["number"]:
            raise RuleBroken("stale_use", "the use does not follow the one before")
        asking, meant = requesters(leaf), grant.leaf["principal"]
        if meant is not None and meant != leaf["principal"]:
            raise RuleBroken("foreign_grant", "the grant is for somebody else")
        if asking & {grant.leaf["actor"], grant.confirmed["actor"]}:
            raise RuleBroken("self_grant", "nobody uses a grant that they agreed to")
        if data["backend"] != grant.leaf["data"]["backend"]:
            raise RuleBroken("foreign_grant", "the grant is for another backend")
        if data["decision"] in self.named:
            raise RuleBroken("second_use", "a decision is answered by one grant")
        self._put(self.named, data["decision"], Use(leaf, grant))
        self._put(self.standing, data["grant"], replace(grant, used=grant.used + 1))


def _check_apart(grant: Leaf, leaf: Leaf) -> None:
    if leaf["actor"] is None or leaf["actor"] == grant["principal"]:
        raise RuleBroken("self_grant", "nobody agrees to a grant for themselves")


def _check_decision(leaf: Leaf, use: Use, answer: Answer | None) -> None:
    """The decision is one that the grant is for: its rules hold it, and two persons are enough."""
    data, grant = leaf["data"], use.grant.leaf["data"]
    same = leaf["exchange"] == use.leaf["exchange"] and leaf["principal"] == use.leaf["principal"]
    if not same or stage_of(data) != use.grant.stage or data.get("tool") != grant.get("tool"):
        raise RuleBroken("foreign_grant", "the grant is for another stage, tool or exchange")
    if data["effect"] == "deny":
        raise RuleBroken("ungranted", "no grant answers a denial")
    if data["obligations"].get("justify", False) is not False:
        raise RuleBroken("ungranted", "a reason is asked for, and no grant gives it")
    rules, needed = _held_now(data, grant["risk_below"])
    if use.grant.stage == "tool_call" and answer is not None and "tool_call" in answer.foreseen:
        if answer.ruled is None:
            raise RuleBroken("ungranted", "which rules hold this is not told, or none is granted")
        needed = thresholds.merged(needed, answer.foreseen["tool_call"])
        rules |= set(answer.ruled)
    if not rules or not rules <= set(grant["rules"]):
        raise RuleBroken("ungranted", "other rules hold this than the grant is for")
    if needed is None or not thresholds.strict(needed, needed):
        raise RuleBroken("ungranted", "which reviews are asked for cannot be read")
    lacking = thresholds.missing(needed, use.grant.agreed)
    if lacking:
        raise RuleBroken("ungranted", lacking)


def _held_now(data: Leaf, risk_below: int) -> tuple[set[str], Sequence[Leaf] | None]:
    """The rules that hold what this decision is about, and the reviews that they ask for."""
    stage = stage_of(data)
    if stage in holds_asked({**data, "effect": "allow"}):
        raise RuleBroken("ungranted", "what is to hold it later is not of a later stage")
    if data["effect"] != "hold":
        return set(), None
    terms = hold_asked(data)
    if terms.get("stage") != stage or terms.get("no_grant", False) is not False:
        raise RuleBroken("ungranted", "the rules say that no grant answers this")
    if not _below(terms.get("risk"), risk_below):
        raise RuleBroken("ungranted", "the risk is higher than the grant is for")
    return set(data.get("rules", ())), terms.get("thresholds")


def _below(risk: object, limit: int) -> bool:
    return type(risk) is int and risk < limit


_RULES = {
    "grant.proposed": GrantRules._proposed,  # noqa: SLF001 - the table belongs to the class
    "grant.confirmed": GrantRules._confirmed,  # noqa: SLF001
    "grant.revoked": GrantRules._ended,  # noqa: SLF001
    "grant.ended": GrantRules._ended,  # noqa: SLF001
    "grant.used": GrantRules._used,  # noqa: SLF001
}
GRANT_EVENTS = frozenset(_RULES)
