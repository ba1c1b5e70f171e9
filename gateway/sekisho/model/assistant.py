"""An assistant: a name that staff ask for in place of a model, with instructions others approved.

It is a row of policy data, so it changes like rules do: by two persons, with a revision. A request
names it where a model stands, as `assistant/<name>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "assistant/"


@dataclass(frozen=True, slots=True)
class Assistant:
    """`labels` are those of the knowledge in its instructions; `groups` may use it."""

    name: str
    model: str
    instructions: str
    groups: frozenset[str]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assistants:
    """All of one revision."""

    revision: str
    by_name: Mapping[str, Assistant]

    def named(self, model: str) -> Assistant | None:
        """The one that a request means by `model`, if it means one."""
        if not model.startswith(PREFIX):
            return None
        return self.by_name.get(model.removeprefix(PREFIX))

    def for_groups(self, groups: frozenset[str]) -> list[str]:
        """The names, as a request spells them, that members of `groups` may use."""
        return [PREFIX + one.name for one in self.by_name.values() if one.groups & groups]


NO_ASSISTANTS = Assistants("", {})
"""Before rules are loaded."""
