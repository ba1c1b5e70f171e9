"""The registry of principals and keys, as operators change it (SQLAlchemy Core on SQLite).

    registry = Registry.open(path)
    with registry.change() as change:       # one transaction; nothing is kept if the block raises
        change.put_principal("staff-7", kind="person", owner=None)
        minted = change.create_key("staff-7", pepper, label="laptop", expires_us=None)

Every change grows `registry_revision`, by which workers notice it (`sql_directory.py`). Rules that
concern persons (`model/duties.py`) are checked here, on the state as it would be after the change,
so no sequence of commands ends in a forbidden combination.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters.api_keys import MintedKey, key_hash, mint
from sekisho.adapters.registry_schema import (
    RegistryUnusable,
    api_keys,
    open_engine,
    prepare,
    principal_groups,
    principal_roles,
    principals,
    registry_revision,
    why,
)
from sekisho.adapters.sql_directory import SqlDirectory
from sekisho.errors import BadRequest, Conflict, NotFound
from sekisho.model.duties import may_hold_together, may_service_hold
from sekisho.model.principal import Role

__all__ = ["Change", "KeyRow", "PrincipalRow", "Registry", "SqlDirectory", "check_id", "is_live"]

KEYS_LIVE_MAX = 20  # two for rotation, some for machines; more is a leak nobody cleans up
GROUPS_MAX = 200
LABEL_CHARS_MAX = 100
_MINT_TRIES = 5  # ids are 36**8; a second clash in a row means a broken source of randomness

# Lower case only: "Staff-7" and "staff-7" must not be two people who approve one another.
_ID = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,127}")


@dataclass(frozen=True, slots=True)
class PrincipalRow:
    """A principal as the registry lists it."""

    id: str
    kind: str
    owner: str | None
    disabled: bool
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    created_us: int


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key as the registry lists it: never its hash."""

    id: str
    principal: str
    label: str
    created_us: int
    expires_us: int | None
    revoked_us: int | None


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

    def principals(self) -> Sequence[PrincipalRow]:
        """All principals, by id."""
        with self._look() as registry:
            return registry.principals()

    def keys(self, principal: str | None = None) -> Sequence[KeyRow]:
        """All keys, or those of one principal, oldest first."""
        with self._look() as registry:
            return registry.keys(principal)

    @contextmanager
    def _look(self) -> Iterator[Change]:
        """Reading waits for nobody who changes, and changes nothing itself."""
        try:
            with self._reading.begin() as connection:
                yield Change(connection)
        except SQLAlchemyError as error:
            raise RegistryUnusable(f"The registry could not be read: {why(error)}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._writing.dispose()
        self._reading.dispose()


class Change:
    """What can be read and changed inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.changed = False

    def find(self, principal: str) -> PrincipalRow | None:
        """The principal with this id."""
        return next((row for row in self.principals() if row.id == principal), None)

    def get(self, principal: str) -> PrincipalRow:
        """The principal with this id. Raises NotFound."""
        row = self.find(principal)
        if row is None:
            raise NotFound(
                f"There is no principal {principal!r}. `sekisho principal list` shows them."
            )
        return row

    def principals(self) -> Sequence[PrincipalRow]:
        """All principals, by id."""
        roles = self._lists(principal_roles, "role")
        groups = self._lists(principal_groups, "group_name")
        rows = self._connection.execute(select(principals).order_by(principals.c.id))
        return [
            PrincipalRow(
                id=row.id,
                kind=row.kind,
                owner=row.owner,
                disabled=row.disabled,
                roles=roles.get(row.id, ()),
                groups=groups.get(row.id, ()),
                created_us=row.created_us,
            )
            for row in rows
        ]

    def keys(self, principal: str | None = None) -> Sequence[KeyRow]:
        """All keys, or those of one principal, oldest first."""
        wanted = select(api_keys).order_by(api_keys.c.created_us, api_keys.c.id)
        if principal is not None:
            wanted = wanted.where(api_keys.c.principal == principal)
        return [_key_row(row) for row in self._connection.execute(wanted)]

    def put_principal(self, principal: str, *, kind: str, owner: str | None) -> PrincipalRow:
        """The principal, made if absent. Raises Conflict if it exists as something else."""
        check_id(principal)
        row = self.find(principal)
        if row is None:
            self._check_owner(principal, kind, owner)
            self._write(
                insert(principals).values(
                    id=principal, kind=kind, owner=owner, disabled=False, created_us=_now_us()
                )
            )
            return self.get(principal)
        if (row.kind, row.owner) != (kind, owner):
            raise Conflict(
                f"{principal} is already known as {_described(row)}. Choose another id.",
                code="principal_exists",
            )
        return row

    def set_roles(self, principal: str, roles: Collection[Role]) -> PrincipalRow:
        """Give `principal` exactly these roles. Raises Forbidden (`duties_conflict`)."""
        row = self.get(principal)
        if row.kind == "service":
            may_service_hold(roles)
        may_hold_together(roles)
        self._replace(principal_roles, "role", principal, [role.value for role in roles])
        return self.get(principal)

    def set_groups(self, principal: str, groups: Collection[str]) -> PrincipalRow:
        """Put `principal` into exactly these groups."""
        self.get(principal)
        for group in groups:
            check_id(group, "group")
        if len(groups) > GROUPS_MAX:
            raise BadRequest(f"A principal can be in {GROUPS_MAX} groups at most.")
        self._replace(principal_groups, "group_name", principal, groups)
        return self.get(principal)

    def set_disabled(self, principal: str, disabled: bool) -> PrincipalRow:
        """Shut a principal out, with all keys and all service accounts it owns; or let it in."""
        self.get(principal)
        self._write(
            update(principals).where(principals.c.id == principal).values(disabled=disabled)
        )
        return self.get(principal)

    def create_key(
        self, principal: str, pepper: bytes, *, label: str, expires_us: int | None
    ) -> MintedKey:
        """A fresh key of `principal`: the only moment its plaintext exists."""
        self.get(principal)
        now_us = _now_us()
        if len(label) > LABEL_CHARS_MAX or not label.isprintable():
            raise BadRequest(f"A label is at most {LABEL_CHARS_MAX} printable characters.")
        if expires_us is not None and expires_us <= now_us:
            raise BadRequest("The key would have expired already. Give a later time.")
        live = [key for key in self.keys(principal) if is_live(key, now_us)]
        if len(live) >= KEYS_LIVE_MAX:
            raise Conflict(
                f"{principal} has {KEYS_LIVE_MAX} live keys, the most there can be. Revoke one.",
                code="too_many_keys",
            )
        taken = {key.id for key in self.keys()}
        for _ in range(_MINT_TRIES):
            minted = mint()
            if minted.id not in taken:
                break
        else:
            raise RegistryUnusable("No free key id was found; check the machine's randomness.")
        self._write(
            insert(api_keys).values(
                id=minted.id,
                principal=principal,
                hash=key_hash(pepper, minted.plaintext),
                label=label,
                created_us=now_us,
                expires_us=expires_us,
            )
        )
        return minted

    def revoke_key(self, key: str) -> KeyRow:
        """End a key for good. Revoking it again changes nothing. Raises NotFound."""
        row = next((row for row in self.keys() if row.id == key), None)
        if row is None:
            raise NotFound(f"There is no key {key!r}. `sekisho key list` shows their ids.")
        if row.revoked_us is None:
            self._write(update(api_keys).where(api_keys.c.id == key).values(revoked_us=_now_us()))
        return next(row for row in self.keys() if row.id == key)

    def _check_owner(self, principal: str, kind: str, owner: str | None) -> None:
        if kind == "person" and owner is None:
            return
        if kind != "service" or owner is None:
            raise BadRequest("A service account has an owner, a person has none.")
        owned_by = self.find(owner)
        if owned_by is None or owned_by.kind != "person":
            raise BadRequest(f"The owner of {principal} must be a person the registry knows.")

    def _lists(self, table: Table, column: str) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for principal, value in self._connection.execute(
            select(table.c.principal, table.c[column]).order_by(table.c[column])
        ):
            found.setdefault(principal, []).append(value)
        return {principal: tuple(values) for principal, values in found.items()}

    def _replace(self, table: Table, column: str, principal: str, values: Collection[str]) -> None:
        self._write(delete(table).where(table.c.principal == principal))
        for value in sorted(set(values)):
            self._write(insert(table).values({"principal": principal, column: value}))

    def _write(self, statement: Any) -> None:
        self._connection.execute(statement)
        self.changed = True


def is_live(key: KeyRow, now_us: int) -> bool:
    """Whether the key opens anything at `now_us`."""
    return key.revoked_us is None and (key.expires_us is None or key.expires_us > now_us)


def check_id(value: str, what: str = "principal") -> None:
    """Raises BadRequest unless `value` can name a principal or a group."""
    if not _ID.fullmatch(value):
        raise BadRequest(
            f"{value!r} cannot be the id of a {what}: use a-z, 0-9 and . _ @ + -, beginning with "
            "a letter or digit, at most 128 characters. Capitals are refused, so that two "
            "spellings are never two people."
        )


def _grow_revision(connection: Connection) -> None:
    connection.execute(update(registry_revision).values(revision=registry_revision.c.revision + 1))


def _key_row(row: Any) -> KeyRow:
    return KeyRow(
        id=row.id,
        principal=row.principal,
        label=row.label,
        created_us=row.created_us,
        expires_us=row.expires_us,
        revoked_us=row.revoked_us,
    )


def _described(row: PrincipalRow) -> str:
    return "a person" if row.owner is None else f"a service account of {row.owner}"


def _now_us() -> int:
    return time.time_ns() // 1000
