"""What officers may do, and what the ledger keeps or forgets by their word.

Who has which duty, and which duties take two, the ledger tells itself (`officer.changed`,
`officer.paired`), before anybody can use it. So each act can be compared with what was in force
when it was recorded; and who is under legal hold, or was erased, is known just as well.

`rules.py` shows the leaves in order and keeps the way back; here is the state and what it means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sekisho_audit.ids import began_us
from sekisho_audit.standing import Leaf, RuleBroken

# What an act needs. Searches are not here: auditors of the gateway search too, with a role there.
DUTY_OF = {
    "audit.disclosed": "disclose",
    "audit.export": "export",
    "erasure.begun": "erase",
    "legal_hold.set": "legal_hold",
    "legal_hold.released": "legal_hold",
    "audit.pruned": "retention",
}
_TWO = "two"


class Put(Protocol):
    """Changes a member of a dict so that it can be undone."""

    def __call__(self, where: dict[str, Any], key: str, value: object) -> None: ...


class OfficerRules:
    """The state after some prefix of the ledger; people are pseudonyms."""

    def __init__(self, put: Put, drop: Callable[[dict[str, Any], str], None]) -> None:
        self._put, self._drop = put, drop
        self.duties: dict[str, tuple[str, ...]] = {}
        self.pairs: dict[str, tuple[str, ...]] = {}
        self.holds: dict[str, str] = {}  # event of a legal hold -> whose content is kept
        self.begun: dict[str, str] = {}  # event of an erasure -> whose
        self.open: dict[str, str] = {}  # whose -> event of the erasure that is not done
        self.erased: dict[str, int] = {}  # whose -> when the erasure began, microseconds
        self.runs: dict[str, int] = {}  # event of a run of retention that is not done -> its index

    def take(self, leaf: Leaf) -> None:
        """The next event of a type in `OFFICER_EVENTS`. Raises RuleBroken."""
        duty = DUTY_OF.get(leaf["type"])
        if duty is not None:
            self._check_officers(leaf, duty)
        rule = _RULES.get(leaf["type"])
        if rule is not None:
            rule(self, leaf)

    def check_name(self, leaf: Leaf) -> None:
        """Whoever was erased is named no more by what they had begun before."""
        erased, exchange = self.erased.get(leaf["principal"]), leaf["exchange"]
        if erased is not None and exchange is not None and _before(exchange, erased):
            raise RuleBroken("erased_name", "an event of before an erasure names who was erased")

    def _check_officers(self, leaf: Leaf, duty: str) -> None:
        actor, second = leaf["actor"], leaf["data"].get("second")
        if any(duty not in self.duties.get(one, ()) for one in (actor, second or actor)):
            raise RuleBroken("no_duty", f"whoever did this had not the duty `{duty}` then")
        if second == actor:
            raise RuleBroken("one_officer", "the second officer is the first one")
        if second is None and duty in self.pairs.get(_TWO, ()):
            raise RuleBroken("one_officer", f"`{duty}` took two officers then")

    def _changed(self, leaf: Leaf) -> None:
        whose, data = leaf["principal"], leaf["data"]
        if whose is None:
            raise RuleBroken("no_officer", "an office of nobody")
        self._put(self.duties, whose, () if data["removed"] else tuple(data["duties"]))

    def _paired(self, leaf: Leaf) -> None:
        self._put(self.pairs, _TWO, tuple(leaf["data"]["duties"]))

    def _disclosed(self, leaf: Leaf) -> None:
        if not 0 <= leaf["data"]["first"] <= leaf["data"]["last"] < leaf["n"]:
            raise RuleBroken("unknown_event", "content was given of events that were not there")

    def _exported(self, leaf: Leaf) -> None:
        if not 0 <= leaf["data"]["size"] <= leaf["n"]:
            raise RuleBroken("unknown_event", "events were exported that were not there")

    def _set(self, leaf: Leaf) -> None:
        person = leaf["data"]["person"]
        if person in self.erased:
            raise RuleBroken("erased", "it is too late: this person is erased, or about to be")
        self._put(self.holds, leaf["id"], person)

    def _released(self, leaf: Leaf) -> None:
        if leaf["data"]["hold"] not in self.holds:
            raise RuleBroken("unknown_hold", "no legal hold of this name is set")
        self._drop(self.holds, leaf["data"]["hold"])

    def _begun(self, leaf: Leaf) -> None:
        person = leaf["data"]["person"]
        if person in self.open:
            raise RuleBroken("erasure_open", "the erasure of this person has begun already")
        if person in self.holds.values():
            raise RuleBroken("legal_hold", "something of this person is under legal hold")
        if self.duties.get(person):
            raise RuleBroken("still_officer", "an officer in office is not erased")
        self._put(self.begun, leaf["id"], person)
        self._put(self.open, person, leaf["id"])
        self._put(self.erased, person, leaf["ts"])

    def _done(self, leaf: Leaf) -> None:
        begun = leaf["data"]["begun"]
        person = self.begun.get(begun)
        if person is None:
            raise RuleBroken("unknown_erasure", "no erasure of this name has begun")
        if self.open.get(person) == begun:
            self._drop(self.open, person)
        elif leaf["data"].get("cause") != "restored":
            raise RuleBroken("erasure_done", "this erasure was done already")

    def _retention_begun(self, leaf: Leaf) -> None:
        if leaf["actor"] is not None:
            self._check_officers(leaf, "retention")
        if self.runs:
            raise RuleBroken("retention_open", "the run of retention before is not done")
        self._put(self.runs, leaf["id"], leaf["n"])

    def _retention_applied(self, leaf: Leaf) -> None:
        begun = leaf["data"]["begun"]
        if begun not in self.runs:
            raise RuleBroken("unknown_retention", "no run of retention of this name is to be done")
        self._drop(self.runs, begun)


def _before(exchange: str, moment_us: int) -> bool:
    try:
        return began_us(exchange) <= moment_us
    except ValueError:  # no uuid7: nobody knows
        return True


_RULES = {
    "officer.changed": OfficerRules._changed,  # noqa: SLF001 - the table belongs to the class
    "officer.paired": OfficerRules._paired,  # noqa: SLF001
    "audit.disclosed": OfficerRules._disclosed,  # noqa: SLF001
    "audit.export": OfficerRules._exported,  # noqa: SLF001
    "legal_hold.set": OfficerRules._set,  # noqa: SLF001
    "legal_hold.released": OfficerRules._released,  # noqa: SLF001
    "erasure.begun": OfficerRules._begun,  # noqa: SLF001
    "erasure.done": OfficerRules._done,  # noqa: SLF001
    "retention.begun": OfficerRules._retention_begun,  # noqa: SLF001
    "retention.applied": OfficerRules._retention_applied,  # noqa: SLF001
}
OFFICER_EVENTS = (*_RULES,)
