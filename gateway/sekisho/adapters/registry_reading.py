"""How a worker's copy of the registry is read from its file, beside a busy event loop.

`load` reads all of it, which takes a part of a second with tens of thousands of principals.
`taken_away` reads only what shuts somebody out, in milliseconds, so that a revocation need not wait
for the rest. Both run in a thread. `sqlite3` lets go of the interpreter for each row, and a busy
loop gives it back late; so SQLite makes one JSON text of thousands of rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, Table, column, func, select

from sekisho.adapters.registry_copy import (
    Copy,
    KeyRow,
    Lending,
    LinkRow,
    PrincipalRow,
    TakenAway,
)
from sekisho.adapters.registry_schema import (
    api_keys,
    delegations,
    principal_groups,
    principal_links,
    principal_roles,
    principals,
    registry_revision,
)
from sekisho.model.principal import DEFAULT_SCOPES, Role, Scope

SLICE = 2000  # rows of one JSON text: parsed in a millisecond, which nothing can interrupt
_BETWEEN = "\n"  # of roles and of groups of one principal, in one text; no id can have it

_ROLES = {role.value: role for role in Role}
_SCOPES = frozenset(scope.value for scope in Scope)


def revision_of(connection: Connection) -> int:
    """The number that grows with each change."""
    return int(connection.execute(select(registry_revision.c.revision)).scalar_one())


def taken_away(connection: Connection, since_us: int) -> TakenAway:
    """What was taken away since then; those shut out, whenever that was.

    Not an identity that was unlinked and linked to another within one look: that comes with the
    copy.
    """
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
    """Everything that may open something. Unknown roles and scopes grant nothing."""
    people, keys = _principals(connection), _keys(connection)
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
        keys=keys,
        principals=people,
        roles=roles,
        groups=_sets({row[5] for row in people.values()}, _split),
        scopes=_sets({row[4] for row in keys.values()}, _known_scopes) | {None: DEFAULT_SCOPES},
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
    texts: set[str | None], made: Callable[[str], frozenset[Any]]
) -> dict[str | None, frozenset[Any]]:
    """What the texts mean; many principals share few of them."""
    return {None: frozenset()} | {text: made(text) for text in texts if text is not None}


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split(_BETWEEN))


def _known_roles(text: str) -> frozenset[Role]:
    return frozenset(_ROLES[word] for word in text.split(_BETWEEN) if word in _ROLES)


def _known_scopes(text: str) -> frozenset[Scope]:
    return frozenset(Scope(word) for word in text.split() if word in _SCOPES)


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
