"""The real entrance over a directory and a ledger of the test."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sekisho.adapters.api_keys import key_id
from sekisho.config import IdentitySettings
from sekisho.errors import NotAuthenticated
from sekisho.model.principal import Principal, Shown
from sekisho.web.credentials import Reader
from sekisho.web.entrance import Entrance
from sekisho.web.refusals import Appender, Refusals
from sekisho_audit.events import Appended, Event


@dataclass
class Notebook:
    """Keeps the events it is given."""

    events: list[Event] = field(default_factory=list)

    async def append(self, events: Sequence[Event]) -> Sequence[Appended]:
        self.events += events
        return [Appended(len(self.events), "", {}) for _ in events]


@dataclass
class StaticDirectory:
    """Satisfies `sekisho.ports.Directory` with a fixed table of secrets."""

    people: Mapping[str, Principal]

    async def find(self, shown: Shown) -> Principal:
        found = self.people.get(shown.secret)
        if found is None:
            raise NotAuthenticated("No such key.", cause="unknown" if shown.secret else "missing")
        return found

    async def may_ask(self, principal: str) -> bool:
        return any(one.id == principal for one in self.people.values())

    async def anybody_in(self, reviewers: str, but: Collection[str]) -> bool:
        there = [one for one in self.people.values() if one.id not in but and one.owner is None]
        return any(reviewers in one.groups or reviewers in one.roles for one in there)


def entrance(ledger: Appender | None = None, **settings: Any) -> Entrance:
    """An entrance by these settings of section [identity]; refusals go into `ledger`."""
    reader = Reader(IdentitySettings(**settings), "http://gateway")
    refusals = Refusals(
        ledger or Notebook(), 1000, _unexpected, key_id=key_id, counted=lambda _: None
    )
    return Entrance(reader, refusals)


def _unexpected(event: Event) -> None:
    raise AssertionError(f"left for later: {event.type}")
