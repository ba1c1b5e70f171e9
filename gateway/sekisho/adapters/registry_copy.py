"""A worker's copy of the registry: everything that may open something, and what was taken away.

`load` reads all of it, in one pass over each table; with tens of thousands of principals that takes
a good part of a second. `taken_away` reads only what shuts somebody out, in milliseconds, so that a
revocation need not wait for the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Table, select

from sekisho.adapters.registry_schema import (
    api_keys,
    delegations,
    principal_groups,
    principal_links,
    principal_roles,
    principals,
    registry_revision,
)
from sekisho.model.duties import APART, may_hold_together
from sekisho.model.principal import DEFAULT_SCOPES, Principal, Role, Scope

_ROLES = {role.value: role for role in Role}
_SCOPES = frozenset(scope.value for scope in Scope)
_NONE: frozenset[Any] = frozenset()


@dataclass(frozen=True, slots=True)
class Lending:
    """A role lent to a principal, as long as the lender holds it."""

    id: str
    role: Role
    lender: str
    from_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class TakenAway:
    """What opens nothing any more, though a copy may still have it: ids of keys, principals and
    delegations, links, and since when a principal's sessions must have begun.
    """

    keys: frozenset[str] = _NONE
    principals: frozenset[str] = _NONE
    lendings: frozenset[str] = _NONE
    links: frozenset[tuple[str, str]] = _NONE
    sessions_from_us: Mapping[str, int] = field(default_factory=dict)

    def shuts_out(self, principal: Principal) -> bool:
        """Whether this principal, or its owner, is shut out."""
        return principal.id in self.principals or principal.owner in self.principals


NOTHING = TakenAway()


@dataclass(frozen=True, slots=True)
class Known:
    """A principal with its own roles, and what others lend it."""

    principal: Principal
    lent: tuple[Lending, ...] = ()
    sessions_from_us: int = 0

    def at(self, now_us: int, gone: TakenAway = NOTHING) -> Principal:
        """The principal with what is lent to it now. Raises Forbidden (`duties_conflict`)."""
        own = self.principal.roles
        in_force = [
            one
            for one in self.lent
            if one.from_us <= now_us < one.until_us
            and one.lender not in gone.principals
            and one.id not in gone.lendings
        ]
        roles = own.union(one.role for one in in_force) if in_force else own
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
class KeyEntry:
    """A key that was not revoked: its hash, its end, and whom it proves, narrowed by its terms."""

    hash: bytes
    expires_us: int | None
    known: Known


@dataclass(frozen=True, slots=True)
class Link:
    """An identity elsewhere: whom it means, and the digest and time of what was last said of it."""

    principal: str
    claims: str
    as_of_us: int


@dataclass(frozen=True, slots=True)
class Copy:
    """The registry at one revision."""

    revision: int
    keys: Mapping[str, KeyEntry]
    principals: Mapping[str, Known]
    links: Mapping[tuple[str, str], Link]
    linked: frozenset[tuple[str, str]]


def revision_of(connection: Connection) -> int:
    """The number that grows with each change."""
    return int(connection.execute(select(registry_revision.c.revision)).scalar_one())


def taken_away(connection: Connection, since_us: int) -> TakenAway:
    """What was taken away since then; those shut out, whenever that was."""
    keys = select(api_keys.c.id).where(api_keys.c.revoked_us >= since_us)
    shut = select(principals.c.id).where(principals.c.disabled)
    lendings = select(delegations.c.id).where(delegations.c.ended_us >= since_us)
    links = select(principal_links.c.issuer, principal_links.c.subject).where(
        principal_links.c.ended_us >= since_us
    )
    sessions = select(principals.c.id, principals.c.sessions_from_us).where(
        principals.c.sessions_from_us >= since_us
    )
    return TakenAway(
        keys=frozenset(connection.execute(keys).scalars()),
        principals=frozenset(connection.execute(shut).scalars()),
        lendings=frozenset(connection.execute(lendings).scalars()),
        links=frozenset((issuer, subject) for issuer, subject in connection.execute(links)),
        sessions_from_us={row.id: row.sessions_from_us for row in connection.execute(sessions)},
    )


def load(connection: Connection, revision: int) -> Copy:
    """Everything that may open something. Unknown roles are left out: they grant nothing."""
    known = _principals(connection)
    keys: dict[str, KeyEntry] = {}
    columns = api_keys.c
    wanted = select(
        columns.id,
        columns.principal,
        columns.hash,
        columns.expires_us,
        columns.scopes,
        columns.models,
    ).where(columns.revoked_us.is_(None))
    for name, principal, secret_hash, expires_us, scopes, models in connection.execute(wanted):
        owner = known.get(principal)
        if owner is not None:
            who = owner.principal
            # Built in full: `replace` costs three times as much, for tens of thousands of keys.
            narrowed = Principal(
                who.id,
                who.roles,
                who.groups,
                who.owner,
                name,
                scopes=_scopes(scopes),
                models=None if models is None else tuple(models.split()),
                training_until_us=who.training_until_us,
            )
            entry = Known(narrowed, owner.lent, owner.sessions_from_us)
            keys[name] = KeyEntry(secret_hash, expires_us, entry)
    links = {
        (row.issuer, row.subject): Link(row.principal, row.claims, row.as_of_us)
        for row in connection.execute(
            select(principal_links).where(principal_links.c.ended_us.is_(None))
        )
    }
    linked = frozenset((issuer, one.principal) for (issuer, _), one in links.items())
    return Copy(revision, keys, known, links, linked)


def _principals(connection: Connection) -> dict[str, Known]:
    """All that are not shut out, nor owned by someone who is."""
    roles = _words(connection, principal_roles, "role")
    groups = _words(connection, principal_groups, "group_name")
    columns = principals.c
    wanted = select(
        columns.id,
        columns.owner,
        columns.disabled,
        columns.training_until_us,
        columns.sessions_from_us,
    )
    rows = connection.execute(wanted).all()
    shut = {row.id for row in rows if row.disabled}
    same: dict[frozenset[str], frozenset[Role]] = {}  # few combinations, many principals
    people: dict[str, Principal] = {}
    begins: dict[str, int] = {}
    for name, owner, disabled, training_until_us, sessions_from_us in rows:
        if disabled or owner in shut:
            continue
        words = roles.get(name, _NONE)
        held = same.get(words)
        if held is None:
            held = same[words] = frozenset(_ROLES[word] for word in words if word in _ROLES)
        people[name] = Principal(
            name, held, groups.get(name, _NONE), owner, training_until_us=training_until_us
        )
        begins[name] = sessions_from_us or 0
    lent = _lendings(connection, people)
    return {
        name: Known(who, tuple(lent.get(name, ())), begins[name]) for name, who in people.items()
    }


def _lendings(
    connection: Connection, people: Mapping[str, Principal]
) -> Mapping[str, list[Lending]]:
    found: dict[str, list[Lending]] = {}
    for row in connection.execute(select(delegations).where(delegations.c.ended_us.is_(None))):
        lender = people.get(row.principal)
        if lender is not None and row.role in lender.roles:
            lending = Lending(row.id, Role(row.role), row.principal, row.from_us, row.until_us)
            found.setdefault(row.delegate, []).append(lending)
    return found


def _words(connection: Connection, table: Table, column: str) -> dict[str, frozenset[str]]:
    """The words of each principal; equal sets are one object."""
    found: dict[str, set[str]] = {}
    for principal, value in connection.execute(select(table.c.principal, table.c[column])):
        words = found.get(principal)
        if words is None:
            found[principal] = {value}
        else:
            words.add(value)
    same: dict[frozenset[str], frozenset[str]] = {}
    return {
        principal: same.setdefault(one, one)
        for principal, words in found.items()
        for one in [frozenset(words)]
    }


def _scopes(words: str | None) -> frozenset[Scope]:
    """Unknown words are left out: they grant nothing."""
    if words is None:
        return DEFAULT_SCOPES
    return frozenset(Scope(word) for word in words.split() if word in _SCOPES)
