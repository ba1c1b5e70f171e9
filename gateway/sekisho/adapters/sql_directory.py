"""Principals as workers look them up: an in-memory copy of the registry, renewed when it changes.

A lookup is one dictionary access and one HMAC. A thread-pool task compares `registry_revision`
every half second, so a revoked key is refused within a second on every worker. If the registry
cannot be read for five seconds, nobody is let in: a copy that old may contain revoked keys.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Self

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import SQLAlchemyError

from sekisho.adapters.api_keys import key_id, matches
from sekisho.adapters.registry_schema import (
    api_keys,
    delegations,
    open_engine,
    prepare,
    principal_groups,
    principal_links,
    principal_roles,
    principals,
    registry_revision,
)
from sekisho.errors import DirectoryUnavailable, NotAuthenticated
from sekisho.model.duties import APART, may_hold_together
from sekisho.model.principal import DEFAULT_SCOPES, Authentication, Principal, Role, Scope

ISSUER_PREFIX = "oidc:"  # of what a token or sign-in is recorded as; no key id has a colon
POLL_S = 0.5  # half of the second in which a revocation must be seen
STALE_S = 5.0  # bridges a backup or a migration; longer, a revoked key might still be let in

_ROLES = frozenset(role.value for role in Role)
_SCOPES = frozenset(scope.value for scope in Scope)
_REFUSED = "This API key is not known, was revoked, or has expired. Ask an operator for one."


@dataclass(frozen=True, slots=True)
class _Lending:
    """A role lent to a principal, as long as the lender holds it."""

    role: Role
    lender: str
    from_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class _Known:
    """A principal with its own roles, and what others lend it."""

    principal: Principal
    lent: tuple[_Lending, ...] = ()
    sessions_from_us: int = 0

    def at(self, now_us: int) -> Principal:
        """The principal with what is lent to it now. Raises Forbidden (`duties_conflict`)."""
        own = self.principal.roles
        in_force = [one for one in self.lent if one.from_us <= now_us < one.until_us]
        roles = own.union(one.role for one in in_force)
        if not roles.isdisjoint(APART):
            # The registry refuses such a state; this stands if somebody edited its file.
            may_hold_together(roles)
        if not in_force:
            return self.principal
        return replace(
            self.principal,
            roles=roles,
            stands_in_for=frozenset(one.lender for one in in_force),
            lent=frozenset((one.role, one.lender) for one in in_force if one.role not in own),
        )


@dataclass(frozen=True, slots=True)
class _Key:
    hash: bytes
    expires_us: int | None
    known: _Known


@dataclass(frozen=True, slots=True)
class Link:
    """An identity elsewhere: whom it means, and the digest and time of what was last said of it."""

    principal: str
    claims: str
    as_of_us: int


@dataclass(frozen=True, slots=True)
class _Copy:
    revision: int
    keys: Mapping[str, _Key]
    principals: Mapping[str, _Known]
    links: Mapping[tuple[str, str], Link]
    linked: frozenset[tuple[str, str]]


class SqlDirectory:
    """Principals by key, id and identity elsewhere."""

    def __init__(
        self,
        path: Path,
        pepper: bytes,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._path = path
        self._engine = open_engine(path, writing=False)
        self._pepper = pepper
        self._monotonic_s = monotonic_s
        self._now_us = now_us
        self._copy: _Copy | None = None
        self._read_at_s = float("-inf")
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the registry, made if absent, and renew until `close`.

        Raises RegistryUnusable or DirectoryUnavailable if it cannot be read.
        """
        await asyncio.to_thread(prepare, self._path)
        await self.refresh()
        self._fresh()
        self._polling = asyncio.create_task(self._poll(), name="registry-poll")

    async def close(self) -> None:
        """Stop renewing and let go of the file."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        self._engine.dispose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def check(self) -> None:
        """Raises DirectoryUnavailable when the registry has not been readable for too long."""
        self._fresh()

    def by_key(self, secret: str) -> Principal:
        """The principal behind a presented API key.

        The same work is done for a wrong secret of a known id as for an unknown id. Raises
        NotAuthenticated, and Forbidden (`duties_conflict`).
        """
        copy = self._fresh()
        name = key_id(secret)
        key = copy.keys.get(name) if name is not None else None
        same = matches(self._pepper, secret, key.hash if key else None)
        if name is None:
            _refuse("malformed")
        if key is None or not same:
            _refuse("unknown", name)
        now_us = self._now_us()
        if key.expires_us is not None and key.expires_us <= now_us:
            _refuse("expired", name)
        return key.known.at(now_us)

    def by_id(self, principal: str, credential: str, how: Authentication) -> Principal:
        """A principal whose identity was proved elsewhere. Raises as `by_key`."""
        known = self._fresh().principals.get(principal)
        if known is None:
            _refuse("no_principal", credential)
        found = known.at(self._now_us())
        return replace(found, credential=credential, authentication=how)

    def may_ask(self, principal: str) -> bool:
        """Whether this principal is still here and an employee. Raises DirectoryUnavailable."""
        known = self._fresh().principals.get(principal)
        return known is not None and Role.EMPLOYEE in known.principal.roles

    def by_session(self, principal: str, credential: str, begun_us: int) -> Principal:
        """Whoever signed in with `credential`: with a key, as long as that key opens anything, and
        for no more than it does; at an issuer, as long as the principal is linked there. `begun_us`
        is when; a principal's sessions end all at once. Raises as `by_key`.
        """
        known = self._fresh().principals.get(principal)
        if known is None or begun_us < known.sessions_from_us:
            _refuse("session_over", credential)
        if credential.startswith(ISSUER_PREFIX):
            issuer = credential.removeprefix(ISSUER_PREFIX)
            if (issuer, principal) not in self._fresh().linked:
                _refuse("session_over", credential)
            return self.by_id(principal, credential, Authentication.SESSION)
        key = self._fresh().keys.get(credential)
        now_us = self._now_us()
        if key is None or (key.expires_us is not None and key.expires_us <= now_us):
            _refuse("session_over", credential)
        found = key.known.at(now_us)
        if found.id != principal:
            _refuse("session_over", credential)
        return replace(found, authentication=Authentication.SESSION)

    def link(self, issuer: str, subject: str) -> Link | None:
        """Whom an identity elsewhere means. Raises DirectoryUnavailable."""
        return self._fresh().links.get((issuer, subject))

    async def refresh(self) -> None:
        """Read the registry now if it changed. Keeps the last copy when it cannot be read."""
        began_s = self._monotonic_s()
        known = self._copy
        try:
            self._copy = await asyncio.to_thread(self._read, known)
        except SQLAlchemyError:
            return  # lookups refuse once the copy is too old; /readyz and doctor tell why
        self._read_at_s = began_s

    @property
    def age_s(self) -> float:
        """Seconds since the registry was last read; infinite if never."""
        return self._monotonic_s() - self._read_at_s

    def _fresh(self) -> _Copy:
        if self._copy is None or self.age_s > STALE_S:
            raise DirectoryUnavailable(
                "The registry of keys cannot be read, so nobody can be let in. Try again later; "
                "operators: run `sekisho doctor`."
            )
        return self._copy

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await self.refresh()

    def _read(self, known: _Copy | None) -> _Copy:
        with self._engine.begin() as connection:
            revision = connection.execute(select(registry_revision.c.revision)).scalar_one()
            if known is not None and known.revision == revision:
                return known
            return _load(connection, revision)


def _refuse(cause: str, credential: str = "") -> NoReturn:
    raise NotAuthenticated(_REFUSED, cause=cause, credential=credential)


def _load(connection: Connection, revision: int) -> _Copy:
    """Everything that may open something. Unknown roles are left out: they grant nothing."""
    known = _principals(connection)
    keys: dict[str, _Key] = {}
    for row in connection.execute(select(api_keys).where(api_keys.c.revoked_us.is_(None))):
        owner = known.get(row.principal)
        if owner is not None:
            narrowed = replace(
                owner.principal,
                credential=row.id,
                scopes=_scopes(row.scopes),
                models=None if row.models is None else tuple(row.models.split()),
            )
            keys[row.id] = _Key(row.hash, row.expires_us, replace(owner, principal=narrowed))
    links = {
        (row.issuer, row.subject): Link(row.principal, row.claims, row.as_of_us)
        for row in connection.execute(
            select(principal_links).where(principal_links.c.ended_us.is_(None))
        )
    }
    linked = frozenset((issuer, one.principal) for (issuer, _), one in links.items())
    return _Copy(revision, keys, known, links, linked)


def _principals(connection: Connection) -> dict[str, _Known]:
    """All that are not shut out, nor owned by someone who is."""
    roles = _sets(connection, principal_roles, "role")
    groups = _sets(connection, principal_groups, "group_name")
    rows = {row.id: row for row in connection.execute(select(principals))}
    shut = {name for name, row in rows.items() if row.disabled}
    own = {
        name: frozenset(Role(role) for role in roles.get(name, set()) & _ROLES)
        for name in rows
        if name not in shut and rows[name].owner not in shut
    }
    lent: dict[str, list[_Lending]] = {}
    for row in connection.execute(select(delegations).where(delegations.c.ended_us.is_(None))):
        if row.role in own.get(row.principal, frozenset()):
            lending = _Lending(Role(row.role), row.principal, row.from_us, row.until_us)
            lent.setdefault(row.delegate, []).append(lending)
    return {
        name: _Known(
            _principal(rows[name], held, groups.get(name, set())),
            tuple(lent.get(name, ())),
            rows[name].sessions_from_us or 0,
        )
        for name, held in own.items()
    }


def _principal(row: Any, roles: frozenset[Role], groups: set[str]) -> Principal:
    return Principal(
        id=row.id,
        roles=roles,
        groups=frozenset(groups),
        owner=row.owner,
        training_until_us=row.training_until_us,
    )


def _sets(connection: Connection, table: Table, column: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for principal, value in connection.execute(select(table.c.principal, table.c[column])):
        found.setdefault(principal, set()).add(value)
    return found


def _scopes(words: str | None) -> frozenset[Scope]:
    """Unknown words are left out: they grant nothing."""
    if words is None:
        return DEFAULT_SCOPES
    return frozenset(Scope(word) for word in words.split() if word in _SCOPES)
