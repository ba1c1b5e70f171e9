"""What one SCIM request changes, inside its transaction: rows, principals, and who may be touched.

    create user    a new principal, or one who only asks is taken over from the operators
    active         false shuts the principal out; true lets in whom the directory shut out itself;
                   not said changes nothing
    delete user    the principal has left for good; its id is never given to anybody again
    groups         whoever comes, goes or is in a renamed group gets roles and groups anew

Roles and groups are set under the source `scim`, once for each person and as they are at the end of
the request, so separation of duties (`Change.set_roles`) judges the outcome and not a step to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scim2_models import (
    ForbiddenException,
    InvalidValueException,
    MutabilityException,
    PayloadTooLargeException,
    SCIMException,
    UniquenessException,
)
from sqlalchemy import func, select

from sekisho.adapters import scim_rows
from sekisho.adapters.key_desk import changed
from sekisho.adapters.registry_schema import principals
from sekisho.adapters.scim_people import (
    GROUP,
    JOINS_MAX,
    USER,
    Group,
    Table,
    User,
    group_key,
    kept_of_group,
    kept_of_user,
    members_of,
    user_key,
)
from sekisho.adapters.scim_rows import Row
from sekisho.adapters.sql_registry import GROUPS_MAX, LOCAL, Change, PrincipalRow
from sekisho.errors import Forbidden
from sekisho.model.principal import Principal, Role
from sekisho_audit.events import Event

SOURCE = "scim"

_SHUT = "shut"  # in a user's document: the directory, not an operator, shut the principal out


class Barred(Exception):
    """A client asked for what it must not do to `principal`; recorded, then told as `error`."""

    def __init__(self, principal: str, error: SCIMException) -> None:
        super().__init__(principal)
        self.principal = principal
        self.error = error


class Provisioning:
    """The changes of one request and the events that tell of them."""

    def __init__(self, change: Change, client: Principal, table: Table) -> None:
        self.change = change
        self.events: list[Event] = []
        self._client = client
        self._table = table
        self._keys: dict[str, str] = {}

    # -- users

    def create_user(self, resource_id: str, user: User) -> Row:
        """A principal for a new user; nobody else's."""
        name = user_key(user.user_name)
        kept = kept_of_user(user)
        self._name_is_free(USER, name)
        known = self.change.find(name)
        if known is None:
            self.change.put_principal(name, kind="person", owner=None)
        else:
            self._may_take_over(name)
        row = scim_rows.put(self.change, Row(resource_id, USER, name, name, kept, 1, 0, 0))
        self._give(row)
        if user.active is False:
            row = self._shut_out(row, kept)
        self._tell(self.change.get(name), "created" if known is None else "granted")
        return row

    def update_user(self, row: Row, user: User) -> Row:
        """The user as described; its name stays."""
        name = user_key(user.user_name)
        if name != row.name:
            self._name_is_free(USER, name)
            raise MutabilityException(
                detail="A userName is the id of a principal and stays for good. Map an attribute "
                "to it that never changes, or provision a new user and delete this one."
            )
        principal = self._principal(row)
        kept = {
            **kept_of_user(user),
            **{own: row.document[own] for own in ("groups", _SHUT) if own in row.document},
        }
        told = "described"
        if user.active is not None and user.active == row.disabled:  # the other state is wanted
            self._set_active(principal, row, active=user.active)
            kept[_SHUT] = not user.active
            told = "state"
        row = scim_rows.write(self.change, row, kept)
        self._tell(self.change.get(principal), told)
        return row

    def delete_user(self, row: Row) -> None:
        """The principal has left; of the person nothing is kept but the id.

        Somebody whom operators made more than an employee is shut out instead, which an operator
        can undo: a directory must not end those who run the gateway.
        """
        principal = self._principal(row)
        for group in scim_rows.by_ids(self.change, GROUP, row.groups).values():
            rest = [member for member in group.members if member != row.id]
            scim_rows.write(self.change, group, {**group.document, "members": rest})
        scim_rows.remove(self.change, row)
        ours, _ = self.change.given(principal, LOCAL)
        if ours - {Role.EMPLOYEE.value}:
            self._tell(self.change.set_disabled(principal, True), "state")
        else:
            self._tell(self.change.leave(principal), "left")

    def _may_take_over(self, name: str) -> None:
        """Raises unless the principal of that name only asks, so that nothing is gained by it.

        A directory that is connected later may take over the employees who are here. It must not
        reach who runs, rules, reviews or reads the record, nor anyone an operator shut out.
        """
        row = self.change.get(name)
        plain = (
            row.kind == "person"
            and not row.disabled
            and row.left_us is None
            and self.change.every_role(name) <= {Role.EMPLOYEE}
            and not self._owns_accounts(name)
        )
        if name in self._client.persons or not plain:
            raise Barred(
                name,
                UniquenessException(
                    detail="This name is taken by a principal that the directory may not take "
                    "over: one who has a role besides employee, of their own or lent, who owns a "
                    "service account or is one, who is shut out, or who left. An operator can "
                    "tell which (sekisho principal list) and change it; after somebody who left "
                    "take another name."
                ),
            )

    def _owns_accounts(self, name: str) -> bool:
        owned = select(func.count()).select_from(principals).where(principals.c.owner == name)
        return bool(self.change.execute(owned).scalar_one())

    def _set_active(self, principal: str, row: Row, *, active: bool) -> None:
        if active and not row.document.get(_SHUT):
            raise Barred(
                principal,
                ForbiddenException(
                    detail="An operator shut this principal out, and only an operator lets it in "
                    "again (sekisho principal)."
                ),
            )
        self.change.set_disabled(principal, not active)

    def _shut_out(self, row: Row, kept: dict[str, Any]) -> Row:
        self.change.set_disabled(self._principal(row), disabled=True)
        return scim_rows.write(self.change, row, {**kept, _SHUT: True})

    def _principal(self, row: Row) -> str:
        """The user's principal. Raises Barred for the client itself and who owns it."""
        principal = row.principal or row.name
        if principal in self._client.persons:
            raise Barred(
                principal,
                ForbiddenException(
                    detail="A directory changes neither its own account nor the person who owns "
                    "it. An operator does that by hand."
                ),
            )
        return principal

    # -- groups

    def create_group(self, resource_id: str, group: Group) -> Row:
        """A group and what it gives to its members."""
        kept = kept_of_group(group)
        name = group_key(kept["displayName"])
        self._name_is_free(GROUP, name)
        self._table.meaning(name)
        members = members_of(group)
        document = {**kept, "members": members}
        row = scim_rows.put(self.change, Row(resource_id, GROUP, name, None, document, 1, 0, 0))
        self._keys[row.id] = name
        self._join(row.id, self._users(members))
        return row

    def update_group(self, row: Row, group: Group) -> Row:
        """The group as described; who comes or goes gets roles and groups anew, or all do."""
        kept = kept_of_group(group)
        name = group_key(kept["displayName"])
        if name != row.name:
            self._name_is_free(GROUP, name)
        meaning = self._table.meaning(name)
        before, after = row.members, members_of(group)
        self._keys[row.id] = name
        written = scim_rows.write(self.change, row, {**kept, "members": after}, name)
        come, gone = set(after).difference(before), set(before).difference(after)
        self._part(row.id, self._users(sorted(gone)))
        self._join(row.id, self._users(sorted(come)))
        if name != row.name and meaning != self._table.meaning(row.name):
            for user in _few(self._users(sorted(set(after).intersection(before)))):
                self._renew(user)
        return written

    def delete_group(self, row: Row) -> None:
        """Take away what the group gave."""
        self._part(row.id, self._users(row.members))
        scim_rows.remove(self.change, row)

    def _join(self, group: str, users: Sequence[Row]) -> None:
        for user in _few(users):
            groups = [*user.groups, group]
            if len(groups) > GROUPS_MAX:
                raise InvalidValueException(detail=f"A user is in at most {GROUPS_MAX} groups.")
            self._renew(self._placed(user, groups))

    def _part(self, group: str, users: Sequence[Row]) -> None:
        for user in users:
            self._renew(self._placed(user, [one for one in user.groups if one != group]))

    def _placed(self, user: Row, groups: Sequence[str]) -> Row:
        return scim_rows.write(self.change, user, {**user.document, "groups": list(groups)})

    def _renew(self, user: Row) -> None:
        after = self._give(user)
        if after is not None:
            self._tell(after, "granted")

    def _give(self, user: Row) -> PrincipalRow | None:
        """Set the person's roles and groups; how the principal is then, or None if it was so."""
        principal = self._principal(user)
        if user.left:
            return None  # an operator said so; nothing is given any more
        groups, roles = self._table.given(self._names(user.groups))
        had_roles, had_groups = self.change.given(principal, SOURCE)
        after = None
        if had_roles != {role.value for role in roles}:
            after = self._give_roles(principal, roles)
        if had_groups != groups:
            after = self.change.set_groups(principal, groups, SOURCE)
        return after

    def _give_roles(self, principal: str, roles: frozenset[Role]) -> PrincipalRow:
        """Raises Barred for roles that one person must not hold together."""
        try:
            return self.change.set_roles(principal, roles, SOURCE)
        except Forbidden as error:
            told = InvalidValueException(detail=f"{principal}: {error.message}")
            raise Barred(principal, told) from error

    def _names(self, groups: Sequence[str]) -> list[str]:
        """The groups' names as they are compared."""
        unknown = [group for group in groups if group not in self._keys]
        for row in scim_rows.by_ids(self.change, GROUP, unknown).values():
            self._keys[row.id] = row.name
        return [self._keys[group] for group in groups if group in self._keys]

    def _users(self, ids: Sequence[str]) -> list[Row]:
        """The users with these ids. Raises InvalidValueException if one is not there."""
        found = scim_rows.by_ids(self.change, USER, ids)
        if len(found) != len(ids):
            raise InvalidValueException(detail="A member is no user that is known here.")
        return [found[one] for one in ids]

    # -- both

    def _name_is_free(self, kind: str, name: str) -> None:
        if scim_rows.by_name(self.change, kind, name) is not None:
            raise UniquenessException(detail=f"There is a {kind} with this name already.")

    def _tell(self, row: PrincipalRow, what: str) -> None:
        self.events.append(changed(row, what, source=SOURCE, actor=self._client.id))


def _few(users: Sequence[Row]) -> Sequence[Row]:
    if len(users) > JOINS_MAX:
        raise PayloadTooLargeException(
            detail=f"At most {JOINS_MAX} members can be given something in one request."
        )
    return users
