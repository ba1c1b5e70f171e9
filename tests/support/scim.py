"""A registry with a SCIM storage on it, and evidence that can fail in both forms."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scim2_models import ScimProvider

from sekisho.adapters.ledger_desk import Append
from sekisho.adapters.scim_people import Group, Table, User, provider
from sekisho.adapters.scim_storage import RegistryStorage, ScimRegistry
from sekisho.adapters.sql_registry import PrincipalRow, Registry
from sekisho.config.identity import ScimSettings
from sekisho.errors import LedgerUnavailable
from sekisho.model.principal import Principal, Role, Scope
from sekisho_audit.events import Event
from support.memory_ledger import MemoryLedger

OWNER = "operator-1"
CLIENT = Principal(
    id="svc-directory",
    roles=frozenset(),
    groups=frozenset(),
    owner=OWNER,
    credential="k1",
    scopes=frozenset({Scope.SCIM}),
)


@dataclass
class Scim:
    """One registry, its ledger in memory, and the client `svc-directory` of `operator-1`."""

    folder: Path
    settings: ScimSettings = field(default_factory=ScimSettings)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    provider: ScimProvider = field(default_factory=provider)
    batches: list[int] = field(default_factory=list)
    fails_at_batch: int = 0

    def __post_init__(self) -> None:
        self.registry = Registry.open(self.folder / "registry.db")
        with self.registry.change() as change:
            change.put_principal(OWNER, kind="person", owner=None)
            change.set_roles(OWNER, {Role.OPERATOR})
            change.put_principal(CLIENT.id, kind="service", owner=OWNER)

    @contextmanager
    def evidence(self) -> Iterator[Append]:
        """As commands have it: blocking."""

        def append(events: Sequence[Event]) -> None:
            self.batches.append(len(events))
            if len(self.batches) == self.fails_at_batch:
                raise LedgerUnavailable("the ledger went away")
            asyncio.run(self._append(events))

        yield append

    async def _append(self, events: Sequence[Event]) -> None:
        await self.ledger.append(events)

    @property
    def kept(self) -> ScimRegistry:
        """What makes a storage for each client."""
        return ScimRegistry(self.registry, self.evidence, Table.of(self.settings))

    @property
    def storage(self) -> RegistryStorage:
        """The storage as the client has it."""
        return self.kept.of(CLIENT)

    def user(self, name: str, **more: Any) -> User:
        """A provisioned user."""
        made = self.storage.create(self._type("User"), User(user_name=name, **more))
        assert isinstance(made, User)
        return made

    def group(self, name: str, *members: User) -> Group:
        """A provisioned group."""
        described = _described(name, members)
        made = self.storage.create(self._type("Group"), described)
        assert isinstance(made, Group)
        return made

    def change_group(self, group: Group, name: str, *members: User) -> Group:
        """The group with another name or other members."""
        described = _described(name, members)
        described.id = group.id
        made = self.storage.update(self._type("Group"), described)
        assert isinstance(made, Group)
        return made

    def change_user(self, user: User, **more: Any) -> User:
        """The user with other attributes."""
        described = user.model_copy(update=more, deep=True)
        made = self.storage.update(self._type("User"), described)
        assert isinstance(made, User)
        return made

    def delete(self, resource: User | Group) -> None:
        """The directory has it no more."""
        kind = "User" if isinstance(resource, User) else "Group"
        assert resource.id is not None
        self.storage.delete(self._type(kind), resource.id)

    def principal(self, name: str) -> PrincipalRow:
        """How the registry has it."""
        with self.registry.reading() as look:
            return look.get(name)

    def told(self) -> list[tuple[str, str]]:
        """Principal and change of every event so far."""
        return [(event.principal or "", str(event.data["change"])) for event in self.ledger.events]

    def _type(self, name: str) -> Any:
        return next(one for one in self.provider.resource_types if one.name == name)


def scim_settings(
    groups: Mapping[str, str] | None = None, roles: Mapping[str, Sequence[str]] | None = None
) -> ScimSettings:
    """Settings as `[scim]` has them."""
    return ScimSettings.model_validate({"groups": groups or {}, "roles": roles or {}})


def _described(name: str, members: Sequence[User]) -> Group:
    listed = [{"value": one.id} for one in members]
    return Group.model_validate({"displayName": name, "members": listed})
