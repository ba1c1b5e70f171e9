"""What a directory provisioned, as rows of the registry.

A row is a small JSON document and its place: kind, name as it is compared, principal, version. Whom
a group contains stands with the group (`members`) and, turned round, with each user (`groups`), so
that a change of one person never walks through all groups. Both sides change in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from scim2_models import Meta, NotFoundException, Resource
from scim2_models.path import CompareOperator, Comparison
from sqlalchemy import ColumnElement, Select, delete, func, insert, select, update

from sekisho.adapters.registry_schema import principals, scim_resources
from sekisho.adapters.scim_people import GROUP, USER, Group, User, group_key
from sekisho.adapters.sql_registry import Change, now_us

IDS_AT_ONCE = 500  # SQLite takes a bounded number of parameters

_FROM = scim_resources.outerjoin(principals, principals.c.id == scim_resources.c.principal)
_ROWS = select(scim_resources, principals.c.disabled, principals.c.left_us).select_from(_FROM)


@dataclass(frozen=True, slots=True)
class Row:
    """One provisioned resource. `disabled` and `left` are its principal's; a group has none."""

    id: str
    kind: str
    name: str
    principal: str | None
    document: dict[str, Any]
    version: int
    created_us: int
    changed_us: int
    disabled: bool = False
    left: bool = False

    @property
    def etag(self) -> str:
        """Changes with all that is served, also with what an operator changes by hand."""
        return f'W/"{self.version}{"-shut" if self.disabled else ""}"'

    @property
    def groups(self) -> list[str]:
        """The ids of the groups that a user is in."""
        return list(self.document.get("groups", ()))

    @property
    def members(self) -> list[str]:
        """The ids of the users in a group."""
        return list(self.document.get("members", ()))


def get(look: Change, kind: str, resource_id: str | None) -> Row:
    """The row with this id. Raises NotFoundException."""
    found = next(_rows(look, (_is(kind), scim_resources.c.id == resource_id)), None)
    if found is None:
        raise NotFoundException(detail=f"There is no {kind} with this id.")
    return found


def by_name(look: Change, kind: str, name: str) -> Row | None:
    """The row whose name is compared as `name`."""
    return next(_rows(look, (_is(kind), scim_resources.c.name == name)), None)


def by_ids(look: Change, kind: str, ids: Collection[str]) -> dict[str, Row]:
    """Those of the rows that exist, by id."""
    found: dict[str, Row] = {}
    wanted = list(ids)
    for start in range(0, len(wanted), IDS_AT_ONCE):
        some = wanted[start : start + IDS_AT_ONCE]
        for row in _rows(look, (_is(kind), scim_resources.c.id.in_(some))):
            found[row.id] = row
    return found


def count(look: Change, kinds: Collection[str]) -> int:
    """How many rows there are of these kinds."""
    wanted = select(func.count()).select_from(scim_resources).where(_is(*kinds))
    return int(look.execute(wanted).scalar_one())


def page(look: Change, kinds: Collection[str], start: int, size: int | None) -> list[Row]:
    """Rows in the order in which they were made."""
    return list(_rows(look, (_is(*kinds),), start, size))


def candidates(look: Change, kinds: Collection[str], tree: Any) -> Iterator[Row]:
    """Rows that a filter may match: by an index for what directories ask all the time, else all.

    The filter itself still decides.
    """
    narrowed = [_is(*kinds), *_narrowed(kinds, tree)]
    yield from _rows(look, narrowed)


def put(change: Change, row: Row) -> Row:
    """Store a new row."""
    now = now_us()
    row = replace(row, created_us=now, changed_us=now, version=1)
    change.write(insert(scim_resources).values(**_columns(row)))
    return row


def write(change: Change, row: Row, document: dict[str, Any], name: str | None = None) -> Row:
    """Store the row's new document as its next version."""
    row = replace(
        row,
        document=document,
        name=row.name if name is None else name,
        version=row.version + 1,
        changed_us=max(now_us(), row.changed_us),
    )
    change.write(
        update(scim_resources).where(scim_resources.c.id == row.id).values(**_columns(row))
    )
    return row


def remove(change: Change, row: Row) -> None:
    """Forget a row; what it did to principals stays."""
    change.write(delete(scim_resources).where(scim_resources.c.id == row.id))


def served(row: Row) -> Resource[Any]:
    """The row as the protocol shows it."""
    kept = {name: value for name, value in row.document.items() if name in _SHOWN[row.kind]}
    kept["id"] = row.id
    if row.kind == USER:
        if "active" in row.document:  # said at all; how it stands, the principal knows
            kept["active"] = not row.disabled
        kept["groups"] = [
            {"value": group, "$ref": f"Groups/{group}", "type": "direct"} for group in row.groups
        ]
        resource: Resource[Any] = User.model_validate(kept)
    else:
        kept["members"] = [
            {"value": member, "$ref": f"Users/{member}", "type": USER} for member in row.members
        ]
        resource = Group.model_validate(kept)
    resource.meta = Meta(
        resource_type=row.kind,
        created=_time(row.created_us),
        last_modified=_time(row.changed_us),
        version=row.etag,
    )
    return resource


_SHOWN = {
    USER: {"userName", "name", "displayName", "emails", "externalId"},
    GROUP: {"displayName", "externalId"},
}
# userName and displayName are compared without case, externalId with it.
_NAMED = {USER: "username", GROUP: "displayname"}


def _narrowed(kinds: Collection[str], tree: Any) -> Sequence[ColumnElement[bool]]:
    if (
        not isinstance(tree, Comparison)
        or tree.op != CompareOperator.eq
        or not isinstance(tree.value, str)
        or not tree.value.isprintable()  # nothing like it is stored, and SQLite may not take it
        or len(kinds) != 1
    ):
        return ()
    (kind,) = kinds
    attribute = str(tree.attr_path).rpartition(":")[2].lower()
    if attribute == _NAMED[kind]:
        return (scim_resources.c.name == _compared(kind, tree.value),)
    if attribute == "externalid":
        return (func.json_extract(scim_resources.c.document, "$.externalId") == tree.value,)
    return ()


def _compared(kind: str, value: str) -> str:
    return group_key(value) if kind == GROUP else value.lower()


def _is(*kinds: str) -> ColumnElement[bool]:
    return scim_resources.c.kind.in_(kinds)


def _rows(
    look: Change,
    wanted: Sequence[ColumnElement[bool]],
    start: int = 0,
    size: int | None = None,
) -> Iterator[Row]:
    chosen: Select[Any] = _ROWS.where(*wanted).order_by(
        scim_resources.c.created_us, scim_resources.c.id
    )
    for row in look.execute(chosen.offset(start).limit(size)):
        yield Row(
            id=row.id,
            kind=row.kind,
            name=row.name,
            principal=row.principal,
            document=json.loads(row.document),
            version=row.version,
            created_us=row.created_us,
            changed_us=row.changed_us,
            disabled=bool(row.disabled),
            left=row.left_us is not None,
        )


def _columns(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "name": row.name,
        "principal": row.principal,
        "document": json.dumps(row.document, ensure_ascii=False, separators=(",", ":")),
        "version": row.version,
        "created_us": row.created_us,
        "changed_us": row.changed_us,
    }


def _time(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC)
