"""The registry of principals, as operators and directories change it (SQLAlchemy Core on SQLite).

    registry = Registry.open(path)
    with registry.change() as change:       # one transaction; nothing is kept if the block raises
        change.put_principal("staff-7", kind="person", owner=None)
        minted = keys.create(change, "staff-7", pepper, label="laptop", expires_us=None)

Every change grows `registry_revision`, by which workers notice it (`sql_directory.py`). Rules that
concern persons (`model/duties.py`) are checked here, on the state as it would be after the change
and over all sources of roles together, so no sequence of changes ends in a forbidden combination.
Keys are changed in `registry_keys.py`, links and delegations in `registry_links.py`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, Table, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters.registry_schema import (
    RegistryUnusable,
    api_keys,
    delegations,
    open_engine,
    prepare,
    principal_groups,
    principal_links,
    principal_roles,
    principals,
    registry_revision,
    why,
)
from sekisho.errors import BadRequest, Conflict, NotFound
from sekisho.model import ids
from sekisho.model.duties import may_hold_together, may_service_hold
from sekisho.model.principal import Role

LOCAL = "local"
"""The source of roles and groups that operators set by hand; issuers and SCIM have their own."""

GROUPS_MAX = 200

_ROLES = frozenset(role.value for role in Role)


@dataclass(frozen=True, slots=True)
class PrincipalRow:
    """A principal as the registry lists it; roles and groups from all sources together."""

    id: str
    kind: str
    owner: str | None
    disabled: bool
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    created_us: int
    training_until_us: int | None = None
    left_us: int | None = None


class Registry:
    """The registry file, opened for reading and changing. Safe beside other processes."""

    def __init__(self, writing: Engine, reading: Engine) -> None:
        self._writing = writing
        self._reading = reading

    @classmethod
    def open(cls, path: Path) -> Registry:
        """Open the file, made or migrated if need be. Raises RegistryUnusable."""
        prepare(path)
        return cls.look(path)

    @classmethod
    def look(cls, path: Path) -> Registry:
        """Use the file as it is: nothing is made or migrated."""
        return cls(open_engine(path, writing=True), open_engine(path, writing=False))

    @contextmanager
    def change(self) -> Iterator[Change]:
        """One transaction. What the block changed is durable when it ends, or nothing is."""
        try:
            with self._writing.begin() as connection:
                change = Change(connection)
                yield change
                if change.changed:
                    _grow_revision(connection)
        except SQLAlchemyError as error:
            raise RegistryUnusable(f"The registry could not be changed: {why(error)}") from error

    @contextmanager
    def reading(self) -> Iterator[Change]:
        """One look at the registry as it is. Waits for nobody who changes, changes nothing."""
        try:
            with self._reading.begin() as connection:
                yield Change(connection)
        except SQLAlchemyError as error:
            raise RegistryUnusable(f"The registry could not be read: {why(error)}") from error

    def principals(self) -> Sequence[PrincipalRow]:
        """All principals, by id."""
        with self.reading() as registry:
            return registry.principals()

    def close(self) -> None:
        """Let go of the file."""
        self._writing.dispose()
        self._reading.dispose()


class Change:
    """What can be read and changed inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changed = False

    def execute(self, statement: Any) -> CursorResult[Any]:
        """Run a statement that only reads."""
        return self._connection.execute(statement)

    def write(self, statement: Any) -> CursorResult[Any]:
        """Run a statement that changes the registry."""
        self.changed = True
        return self._connection.execute(statement)

    def find(self, principal: str) -> PrincipalRow | None:
        """The principal with this id."""
        return next(iter(self.principals(principal)), None)

    def get(self, principal: str) -> PrincipalRow:
        """The principal with this id. Raises NotFound."""
        row = self.find(principal)
        if row is None:
            raise NotFound(
                f"There is no principal {principal!r}. `sekisho principal list` shows them."
            )
        return row

    def principals(self, only: str | None = None) -> Sequence[PrincipalRow]:
        """All principals by id, or the one asked for."""
        roles = self._lists(principal_roles, "role", only)
        groups = self._lists(principal_groups, "group_name", only)
        wanted = select(principals).order_by(principals.c.id)
        if only is not None:
            wanted = wanted.where(principals.c.id == only)
        return [
            PrincipalRow(
                id=row.id,
                kind=row.kind,
                owner=row.owner,
                disabled=row.disabled,
                roles=roles.get(row.id, ()),
                groups=groups.get(row.id, ()),
                created_us=row.created_us,
                training_until_us=row.training_until_us,
                left_us=row.left_us,
            )
            for row in self.execute(wanted)
        ]

    def put_principal(self, principal: str, *, kind: str, owner: str | None) -> PrincipalRow:
        """The principal, made if absent. Raises Conflict if it exists as something else."""
        check_id(principal)
        row = self.find(principal)
        if row is None:
            self._check_owner(principal, kind, owner)
            self.write(
                insert(principals).values(
                    id=principal, kind=kind, owner=owner, disabled=False, created_us=now_us()
                )
            )
            return self.get(principal)
        self._check_here(row)
        if (row.kind, row.owner) != (kind, owner):
            raise Conflict(
                f"{principal} is already known as {_described(row)}. Choose another id.",
                code="principal_exists",
            )
        return row

    def set_owner(self, principal: str, owner: str) -> PrincipalRow:
        """Make `owner` answerable for a service account, as when its former owner leaves.

        Its keys and links end: they are in the former owner's hands, who would otherwise be one
        person to the rules and another at the keyboard.
        """
        row = self.get(principal)
        if row.kind != "service":
            raise BadRequest(f"{principal} is a person: only service accounts have an owner.")
        self._check_owner(principal, row.kind, owner)
        if owner == row.owner:
            return row
        self._end_credentials(principal, now_us())
        self.write(update(principals).where(principals.c.id == principal).values(owner=owner))
        return self.get(principal)

    def set_roles(
        self, principal: str, roles: Collection[Role], source: str = LOCAL
    ) -> PrincipalRow:
        """Let `source` give exactly these roles. Raises Forbidden (`duties_conflict`) if, with the
        roles of other sources and those lent to the principal, they must not meet.
        """
        row = self.get(principal)
        self._check_here(row)
        if row.kind == "service":
            may_service_hold(roles)
        self._replace(principal_roles, "role", principal, [role.value for role in roles], source)
        after = self.get(principal)
        may_hold_together(self.every_role(principal))
        return after

    def every_role(self, principal: str) -> frozenset[Role]:
        """The principal's own roles and all that are or will be lent to it."""
        lent = self.execute(
            select(delegations.c.role).where(
                delegations.c.delegate == principal,
                delegations.c.ended_us.is_(None),
                delegations.c.until_us > now_us(),
            )
        )
        known = {role.value for role in Role}
        named = set(self.get(principal).roles).union(lent.scalars())
        return frozenset(Role(role) for role in named & known)

    def given(self, principal: str, source: str) -> tuple[frozenset[str], frozenset[str]]:
        """The roles and the groups that `source` alone gives."""
        return self._of(principal_roles, "role", principal, source), self._of(
            principal_groups, "group_name", principal, source
        )

    def set_groups(
        self, principal: str, groups: Collection[str], source: str = LOCAL
    ) -> PrincipalRow:
        """Let `source` put `principal` into exactly these groups."""
        self._check_here(self.get(principal))
        for group in groups:
            check_group(group)
        if len(groups) > GROUPS_MAX:
            raise BadRequest(f"A principal can be in {GROUPS_MAX} groups at most.")
        self._replace(principal_groups, "group_name", principal, groups, source)
        return self.get(principal)

    def set_disabled(self, principal: str, disabled: bool) -> PrincipalRow:
        """Shut a principal out, with all keys and all service accounts it owns; or let it in."""
        self._check_here(self.get(principal))
        self.write(update(principals).where(principals.c.id == principal).values(disabled=disabled))
        if disabled:
            self.end_sessions(principal, now_us())
        return self.get(principal)

    def set_training(self, principal: str, until_us: int | None) -> PrincipalRow:
        """Note until when the principal's training counts; policy may ask for it."""
        self._check_here(self.get(principal))
        self.write(
            update(principals)
            .where(principals.c.id == principal)
            .values(training_until_us=until_us)
        )
        return self.get(principal)

    def leave(self, principal: str) -> PrincipalRow:
        """The principal is gone for good, with keys, links, delegations and roles.

        Its id stays, so that it is never given to anyone else. Leaving twice changes nothing.
        """
        row = self.get(principal)
        if row.left_us is not None:
            return row
        now = now_us()
        for table in (principal_roles, principal_groups):
            self.write(delete(table).where(table.c.principal == principal))
        self._end_credentials(principal, now)
        self.write(
            update(delegations)
            .where(
                (delegations.c.principal == principal) | (delegations.c.delegate == principal),
                delegations.c.ended_us.is_(None),
            )
            .values(ended_us=now)
        )
        self.write(
            update(principals)
            .where(principals.c.id == principal)
            .values(disabled=True, left_us=now)
        )
        return self.get(principal)

    def _end_credentials(self, principal: str, now: int) -> None:
        """Keys, links and sessions of a principal are over."""
        self.write(
            update(api_keys)
            .where(api_keys.c.principal == principal, api_keys.c.revoked_us.is_(None))
            .values(revoked_us=now)
        )
        self.write(
            update(principal_links)
            .where(principal_links.c.principal == principal, principal_links.c.ended_us.is_(None))
            .values(ended_us=now)
        )
        self.end_sessions(principal, now)

    def end_sessions(self, principal: str, now: int) -> None:
        """Nobody who signed in as this principal before `now` is signed in any more."""
        self.write(
            update(principals).where(principals.c.id == principal).values(sessions_from_us=now)
        )

    def _check_here(self, row: PrincipalRow) -> None:
        if row.left_us is not None:
            raise Conflict(
                f"{row.id} has left, and the id is never used again. Choose another.",
                code="principal_left",
            )

    def _check_owner(self, principal: str, kind: str, owner: str | None) -> None:
        if kind == "person" and owner is None:
            return
        if kind != "service" or owner is None:
            raise BadRequest("A service account has an owner, a person has none.")
        owned_by = self.find(owner)
        if owned_by is None or owned_by.kind != "person" or owned_by.left_us is not None:
            raise BadRequest(f"The owner of {principal} must be a person the registry knows.")

    def _lists(self, table: Table, column: str, only: str | None) -> dict[str, tuple[str, ...]]:
        value = table.c[column].label("value")
        wanted = select(table.c.principal, value).distinct().order_by(value)
        if only is not None:
            wanted = wanted.where(table.c.principal == only)
        found: dict[str, list[str]] = {}
        for row in self.execute(wanted):
            found.setdefault(row.principal, []).append(row.value)
        return {principal: tuple(values) for principal, values in found.items()}

    def _of(self, table: Table, column: str, principal: str, source: str) -> frozenset[str]:
        wanted = select(table.c[column]).where(
            table.c.principal == principal, table.c.source == source
        )
        return frozenset(self.execute(wanted).scalars())

    def _replace(
        self, table: Table, column: str, principal: str, values: Collection[str], source: str
    ) -> None:
        self.write(delete(table).where(table.c.principal == principal, table.c.source == source))
        for value in sorted(set(values)):
            self.write(
                insert(table).values({"principal": principal, column: value, "source": source})
            )


def check_group(value: str) -> None:
    """Raises BadRequest unless `value` can name a group. A role's name cannot: policy asks for
    reviewers by either, and who may name groups must not give roles.
    """
    check_id(value, "group")
    if value in _ROLES:
        raise BadRequest(f"{value!r} is the name of a role and cannot be that of a group.")


def is_id(value: str) -> bool:
    """Whether `value` can name a principal or a group."""
    return ids.is_id(value)


def check_id(value: str, what: str = "principal") -> None:
    """Raises BadRequest unless `value` can name a principal or a group."""
    if not is_id(value):
        raise BadRequest(
            f"{value!r} cannot be the id of a {what}: use a-z, 0-9 and . _ @ + -, beginning with "
            "a letter or digit, at most 128 characters. Capitals are refused, so that two "
            "spellings are never two people."
        )


def now_us() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def _grow_revision(connection: Connection) -> None:
    connection.execute(update(registry_revision).values(revision=registry_revision.c.revision + 1))


def _described(row: PrincipalRow) -> str:
    return "a person" if row.owner is None else f"a service account of {row.owner}"
