"""The kill switch as the ledger knows it: what stands, who may lift it, and what may not leave.

A switch stops everything, or what one team, backend, model or tool does. It is set by one person
and lifted by two: one proposes, another confirms. While it stands, no intent for what it stops is
recorded, whatever the live state of gateways says, so what the ledger has wins. Teams and tools are
not named in intents; for these the gateway alone is the judge.

`rules.py` shows the leaves in order and keeps the way back; here is the state and what it means.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from sekisho_audit.officer_rules import Put
from sekisho_audit.standing import Leaf, RuleBroken

SCOPES = ("all", "team", "backend", "model", "tool")
HALTS_MAX = 256  # every exchange is compared with all of them; more is not a switch but a policy
NAME_CHARS_MAX = 256  # as names of models in the contract with policy
_LITERAL = str.maketrans({"[": "[[]", "?": "[?]"})


@dataclass(frozen=True, slots=True)
class Standing:
    """A switch that is set, and the proposal to lift it if there is one."""

    leaf: Leaf
    proposed: Leaf | None = None

    @property
    def scope(self) -> str:
        """What kind of thing it stops."""
        return str(self.leaf["data"]["scope"])

    @property
    def name(self) -> str:
        """Which one; empty for everything."""
        return str(self.leaf["data"]["name"])


def folded(name: str) -> str:
    """A name as switches compare it: neither capitals nor wide letters make another of it."""
    return unicodedata.normalize("NFKC", name).casefold().strip()


def named(pattern: str, name: str) -> bool:
    """Whether a switch for `pattern` (`*` stands for any rest or part) stops `name`."""
    pattern, name = folded(pattern), folded(name)
    if "*" not in pattern:
        return pattern == name
    return fnmatchcase(name, pattern.translate(_LITERAL))


class HaltRules:
    """The switches after some prefix of the ledger, by the id of the event that set each."""

    def __init__(self, put: Put, drop: Callable[[dict[str, Any], str], None]) -> None:
        self._put, self._drop = put, drop
        self.standing: dict[str, Standing] = {}

    def take(self, leaf: Leaf) -> None:
        """The next event of a type in `HALT_EVENTS`. Raises RuleBroken."""
        _RULES[leaf["type"]](self, leaf)

    @property
    def stops_all(self) -> bool:
        """Whether a switch for everything stands."""
        return any(one.scope == "all" for one in self.standing.values())

    def check_intent(self, leaf: Leaf) -> None:
        """Nothing leaves that a switch stops. Raises RuleBroken (`halted_intent`)."""
        data = leaf["data"]
        for one in self.standing.values():
            if one.scope == "all" or (
                one.scope in {"backend", "model"} and named(one.name, data[one.scope])
            ):
                raise RuleBroken("halted_intent", "an operator stopped what this intent would send")

    def _set(self, leaf: Leaf) -> None:
        data = leaf["data"]
        scope, name = data["scope"], data["name"]
        if (scope == "all") != (name == "") or len(name) > NAME_CHARS_MAX:
            raise RuleBroken("bad_halt", "a switch names what it stops, and only `all` names none")
        if any(one.scope == scope and one.name == name for one in self.standing.values()):
            raise RuleBroken("halt_standing", "this is stopped already")
        if len(self.standing) >= HALTS_MAX:
            raise RuleBroken("too_many_halts", f"at most {HALTS_MAX} switches stand at once")
        self._put(self.standing, leaf["id"], Standing(leaf))

    def _known(self, leaf: Leaf) -> Standing:
        found = self.standing.get(leaf["data"]["halt"])
        if found is None:
            raise RuleBroken("unknown_halt", "no such switch is set")
        return found

    def _proposed(self, leaf: Leaf) -> None:
        self._put(self.standing, leaf["data"]["halt"], replace(self._known(leaf), proposed=leaf))

    def _lifted(self, leaf: Leaf) -> None:
        proposed = self._known(leaf).proposed
        if proposed is None or proposed["id"] != leaf["data"]["proposed"]:
            raise RuleBroken("unproposed_lift", "a switch is lifted as somebody proposed it last")
        if proposed["actor"] == leaf["actor"]:
            raise RuleBroken("self_confirmation", "whoever proposed to lift it does not confirm it")
        self._drop(self.standing, leaf["data"]["halt"])


_RULES = {
    "halt.set": HaltRules._set,  # noqa: SLF001 - the table belongs to the class
    "halt.lift_proposed": HaltRules._proposed,  # noqa: SLF001
    "halt.lifted": HaltRules._lifted,  # noqa: SLF001
}
HALT_EVENTS = frozenset(_RULES)
