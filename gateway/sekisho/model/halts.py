"""The kill switch: what operators stopped, and whether it stops an exchange.

A switch stops everything, or what one team, backend, model or tool does. Most of the time none is
set, and asking then costs one look at an empty tuple; what stands is compared by folded names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from sekisho.errors import Halted
from sekisho.model.assistant import PREFIX
from sekisho.model.hold import Hold
from sekisho.model.outgoing import Outgoing
from sekisho_audit.halt_rules import folded, named

UNRECORDED = -1
"""`Halt.last` of a switch that no ledger has yet."""


@dataclass(frozen=True, slots=True)
class Lift:
    """Somebody wants a switch lifted; `id` is that of the event."""

    id: str
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Halt:
    """A switch that stands. `id` is that of the event which set it in the ledger `origin`, `last`
    the index of the last event about it there, UNRECORDED if there is none yet.
    """

    id: str
    scope: str
    name: str
    reason: str
    by: str
    set_us: int
    origin: str
    last: int = UNRECORDED
    proposed: Lift | None = None

    @property
    def recorded(self) -> bool:
        """Whether the ledger has it."""
        return self.last != UNRECORDED

    @property
    def what(self) -> str:
        """What it stops, for people."""
        return "everything" if self.scope == "all" else f"the {self.scope} {self.name}"


@dataclass(frozen=True, slots=True)
class Reach:
    """What an exchange has to do with: the groups of who asks, model, backend, proposed tools, and
    the assistant in whose name the model is asked, as requests spell it (`assistant/<name>`).
    """

    groups: Collection[str]
    model: str
    backend: str
    tools: Collection[str] = ()
    assistant: str = ""

    def names(self) -> Iterator[tuple[str, str]]:
        """Each as scope and name."""
        yield "model", self.model
        if self.assistant:
            yield "model", self.assistant
        yield "backend", self.backend
        for group in self.groups:
            yield "team", group
        for tool in self.tools:
            yield "tool", tool

    @classmethod
    def of(cls, outgoing: Outgoing) -> Reach:
        """What would leave, or has left and is answered."""
        facts = outgoing.facts.document
        groups, assistant = facts["principal"]["groups"], _assistant(facts)
        return cls(groups, outgoing.model, outgoing.backend, assistant=assistant)

    @classmethod
    def of_hold(cls, hold: Hold) -> Reach:
        """What is held: a request, or an answer with the tool calls in it."""
        found = orjson.loads(hold.facts)
        asked = [found] if hold.stage == "request" else found
        tools = [one["tool"]["name"] for one in asked if one.get("tool")]
        assistant = next(filter(None, map(_assistant, asked)), "")
        return cls(hold.groups, hold.model, hold.backend, tools, assistant)


def _assistant(facts: Mapping[str, Any]) -> str:
    name = facts.get("request", {}).get("assistant")
    return PREFIX + name if name else ""


class Switches:
    """All that stand at a time, ready to be asked."""

    def __init__(self, halts: Iterable[Halt] = ()) -> None:
        self.halts = tuple(sorted(halts, key=lambda one: one.id))
        self.everything = any(one.scope == "all" for one in self.halts)
        self._exact = {(one.scope, folded(one.name)): one for one in self.halts}
        self._patterns = tuple(one for one in self.halts if "*" in one.name)

    def hit(self, reach: Reach) -> Halt | None:
        """The switch that stops it, or None."""
        if not self.halts:
            return None
        if self.everything:
            return self._exact["all", ""]
        for scope, name in reach.names():
            found = self.named(scope, name)
            if found is not None:
                return found
        return None

    def named(self, scope: str, name: str) -> Halt | None:
        """The switch that stops this one thing, or None."""
        found = self._exact.get((scope, folded(name)))
        if found is not None:
            return found
        for one in self._patterns:
            if one.scope == scope and named(one.name, name):
                return one
        return None


class Halts(Protocol):
    """The kill switch as this worker knows it. What was heard is never older than the setting
    `[halt] silence_s`: if it would be, it is asked for once more before anything goes on.
    """

    @property
    def standing(self) -> Switches:
        """What stands, as far as was heard."""
        ...

    async def check(self, reach: Reach) -> None:
        """Raises Halted if a switch stops it, HaltUnknown if that cannot be known."""
        ...


def halted(halt: Halt) -> Halted:
    """What whoever is stopped is told: what, and the reason that the operator gave."""
    why = halt.reason.strip() or "no reason can be read."
    stop = "" if why.endswith((".", "!", "?", "。")) else "."
    return Halted(
        f"An operator stopped {halt.what}: {why}{stop} This does not go on until it is lifted; "
        "sending it again before does not help. Ask an operator."
    )
