"""A worker's copy of the registry: everything that may open something, and what was taken away.

`load` reads all of it, which takes a part of a second with tens of thousands of principals.
`taken_away` reads only what shuts somebody out, in milliseconds, so that a revocation need not wait
for the rest.

Both run in a thread beside a busy event loop. `sqlite3` lets go of the interpreter for each row, so
SQLite makes one JSON text of thousands of rows. A copy keeps plain tuples of words and numbers,
which the garbage collector leaves alone (walking through objects, it would stop the loop for a
tenth of a second); a principal is made of them when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, Table, column, func, select

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

SLICE = 2000  # rows of one JSON text: parsed in a millisecond, which nothing can interrupt
_BETWEEN = "\n"  # of roles and of groups of one principal, in one text; no id can have it

_ROLES = {role.value: role for role in Role}
_SCOPES = frozenset(scope.value for scope in Scope)
_NONE: frozenset[Any] = frozenset()

KeyRow = tuple[str, str, bytes, int | None, str | None, str | None]
"""Id, principal, hash, expiry in us, scopes, models."""

PrincipalRow = tuple[str, str | None, int | None, int | None, str | None, str | None]
"""Id, owner, end of training and beginning of sessions in us, roles, groups."""

LinkRow = tuple[str, str, str, str, int]
"""Issuer, subject, principal, digest of claims, their time in us."""


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

    revision: int = -1  # of the registry that was looked at
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
class Link:
    """An identity elsewhere: whom it means, and the digest and time of what was last said of it."""

    principal: str
    claims: str
    as_of_us: int


@dataclass(frozen=True, slots=True)
class Copy:
    """The registry at one revision, without keys that were revoked and who is shut out."""

    revision: int
    keys: Mapping[str, KeyRow]
    principals: Mapping[str, PrincipalRow]
    roles: Mapping[str | None, frozenset[Role]]
    groups: Mapping[str | None, frozenset[str]]
    lent: Mapping[str, tuple[Lending, ...]]
    links: Mapping[tuple[str, str], LinkRow]
    linked: frozenset[tuple[str, str]]

    def known(self, principal: str, key: KeyRow | None = None) -> Known | None:
        """The principal with this id, narrowed by the terms of the key it showed."""
        row = self.principals.get(principal)
        if row is None:
            return None
        name, owner, training_until_us, sessions_from_us, roles, groups = row
        who = Principal(
            name,
            self.roles[roles],
            self.groups[groups],
            owner,
            training_until_us=training_until_us,
        )
        if key is not None:
            scopes, models = key[4:]
            who = replace(
                who,
                credential=key[0],
                scopes=_scopes(scopes),
                models=None if models is None else tuple(models.split()),
            )
        return Known(who, self.lent.get(principal, ()), sessions_from_us or 0)

    def link(self, place: tuple[str, str]) -> Link | None:
        """Whom the identity of this issuer and subject means."""
        row = self.links.get(place)
        return None if row is None else Link(*row[2:])


def revision_of(connection: Connection) -> int:
    """The number that grows with each change."""
    return int(connection.execute(select(registry_revision.c.revision)).scalar_one())


def taken_away(connection: Connection, since_us: int) -> TakenAway:
    """What was taken away since then; those shut out, whenever that was."""
    looks = (
        _all_of(api_keys.c.id).where(api_keys.c.revoked_us >= since_us),
        _all_of(principals.c.id).where(principals.c.disabled),
        _all_of(delegations.c.id).where(delegations.c.ended_us >= since_us),
        _all_of(func.json_array(principal_links.c.issuer, principal_links.c.subject)).where(
            principal_links.c.ended_us >= since_us
        ),
        _all_of(func.json_array(principals.c.id, principals.c.sessions_from_us)).where(
            principals.c.sessions_from_us >= since_us
        ),
    )
    wanted = select(registry_revision.c.revision, *(look.scalar_subquery() for look in looks))
    revision, *texts = connection.execute(wanted).one()
    keys, shut, lendings, links, sessions = map(json.loads, texts)
    return TakenAway(
        revision=revision,
        keys=frozenset(keys),
        principals=frozenset(shut),
        lendings=frozenset(lendings),
        links=frozenset((issuer, subject) for issuer, subject in links),
        sessions_from_us=dict(sessions),
    )


def load(connection: Connection, revision: int) -> Copy:
    """Everything that may open something. Unknown roles are left out: they grant nothing."""
    people = _principals(connection)
    roles = _sets({row[4] for row in people.values()}, _known_roles)
    links: dict[tuple[str, str], LinkRow] = {}
    wanted = principal_links.c
    for issuer, subject, *rest in _rows(
        connection,
        select(
            wanted.issuer, wanted.subject, wanted.principal, wanted.claims, wanted.as_of_us
        ).where(wanted.ended_us.is_(None)),
    ):
        links[issuer, subject] = (issuer, subject, *rest)
    return Copy(
        revision=revision,
        keys=_keys(connection),
        principals=people,
        roles=roles,
        groups=_sets({row[5] for row in people.values()}, frozenset),
        lent=_lendings(connection, people, roles),
        links=links,
        linked=frozenset((row[0], row[2]) for row in links.values()),
    )


def _keys(connection: Connection) -> dict[str, KeyRow]:
    columns = api_keys.c
    wanted = select(
        columns.id,
        columns.principal,
        func.hex(columns.hash).label("hash"),  # JSON has no bytes
        columns.expires_us,
        columns.scopes,
        columns.models,
    ).where(columns.revoked_us.is_(None))
    return {
        name: (name, principal, bytes.fromhex(digits), expires_us, scopes, models)
        for name, principal, digits, expires_us, scopes, models in _rows(connection, wanted)
    }


def _principals(connection: Connection) -> dict[str, PrincipalRow]:
    """All that are not shut out, nor owned by someone who is."""
    columns = principals.c
    shut = principals.alias("shut")
    wanted = select(
        columns.id,
        columns.owner,
        columns.training_until_us,
        columns.sessions_from_us,
        _words(principal_roles, "role"),
        _words(principal_groups, "group_name"),
    ).where(
        ~columns.disabled,
        columns.owner.is_(None) | columns.owner.not_in(select(shut.c.id).where(shut.c.disabled)),
    )
    return {
        name: (name, owner, training_us, sessions_us, roles, groups)
        for name, owner, training_us, sessions_us, roles, groups in _rows(connection, wanted)
    }


def _words(table: Table, name: str) -> Any:
    """All words that a principal has in this table, as one text."""
    return (
        select(func.group_concat(table.c[name], _BETWEEN))
        .where(table.c.principal == principals.c.id)
        .scalar_subquery()
        .label(name)
    )


def _sets(
    texts: set[str | None], made: Callable[[list[str]], frozenset[Any]]
) -> dict[str | None, frozenset[Any]]:
    """What the texts mean; many principals share few of them."""
    return {text: _NONE if text is None else made(text.split(_BETWEEN)) for text in texts}


def _known_roles(words: list[str]) -> frozenset[Role]:
    return frozenset(_ROLES[word] for word in words if word in _ROLES)


def _lendings(
    connection: Connection,
    people: Mapping[str, PrincipalRow],
    roles: Mapping[str | None, frozenset[Role]],
) -> dict[str, tuple[Lending, ...]]:
    found: dict[str, tuple[Lending, ...]] = {}
    columns = delegations.c
    wanted = select(
        columns.id,
        columns.delegate,
        columns.role,
        columns.principal,
        columns.from_us,
        columns.until_us,
    ).where(columns.ended_us.is_(None))
    for name, delegate, role, principal, from_us, until_us in _rows(connection, wanted):
        lender = people.get(principal)
        if lender is not None and role in roles[lender[4]]:
            lending = Lending(name, Role(role), principal, from_us, until_us)
            found[delegate] = (*found.get(delegate, ()), lending)
    return found


def _rows(connection: Connection, wanted: Select[Any]) -> Iterator[list[Any]]:
    """The rows of one table, a slice at a time, each of them one JSON text."""
    place: ColumnElement[int] = column("rowid", Integer)
    after = None
    while True:
        piece = wanted.add_columns(place.label("place")).order_by(place).limit(SLICE)
        rows = (piece if after is None else piece.where(place > after)).subquery()
        cells = [cell for cell in rows.c if cell.name != "place"]
        text = func.json_group_array(func.json_array(*cells))
        after, found = connection.execute(select(func.max(rows.c.place), text)).one()
        if after is None:
            return
        yield from json.loads(found)


def _all_of(value: Any) -> Select[Any]:
    return select(func.json_group_array(value))


def _scopes(words: str | None) -> frozenset[Scope]:
    """Unknown words are left out: they grant nothing."""
    if words is None:
        return DEFAULT_SCOPES
    return frozenset(Scope(word) for word in words.split() if word in _SCOPES)
