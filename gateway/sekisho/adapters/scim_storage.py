"""The storage behind SCIM 2.0: a directory's users and groups, kept in the registry.

    one request -> one transaction: row, principal, roles and groups of all it concerns
    its events are durable before the transaction ends; without evidence nothing changes

What a directory may not do, whoever holds its key: become or change a principal that operators made
for more than asking, change itself or the person who owns it, let in whom an operator shut out, or
give one person roles that must not meet. Each such attempt is recorded and changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from scim2_models import (
    ForbiddenException,
    InvalidValueException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    SCIMException,
    SearchRequest,
    UniquenessException,
)
from scim2_server.storage import ScimStorage, SearchPage

from sekisho.adapters import scim_rows
from sekisho.adapters.key_desk import Evidence, changed
from sekisho.adapters.scim_change import SOURCE, Barred, Provisioning
from sekisho.adapters.scim_people import GROUP, USER, Group, Table, User
from sekisho.adapters.scim_rows import Row
from sekisho.adapters.sql_registry import Registry
from sekisho.errors import BadRequest, Conflict
from sekisho.model.principal import Principal
from sekisho_audit.events import Event

EVENTS_AT_ONCE = 64  # as many as the ledger takes in one batch
RESOURCES_MAX = 50_000  # a search without an index reads them all


@dataclass(frozen=True, slots=True)
class ScimRegistry:
    """Makes a storage for each request, because every change names who made it."""

    registry: Registry
    evidence: Evidence
    table: Table

    def of(self, client: Principal) -> RegistryStorage:
        """The storage as `client` may use it. Synchronous: for a thread."""
        return RegistryStorage(self, client)


class RegistryStorage(ScimStorage):
    """Implements the library's storage; one instance serves one request of one client."""

    supports_cursors = False

    def __init__(self, kept: ScimRegistry, client: Principal) -> None:
        self._kept = kept
        self._client = client

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,  # noqa: ARG002 - all is small
    ) -> Resource[Any]:
        with self._kept.registry.reading() as look:
            return scim_rows.served(scim_rows.get(look, _kind(resource_type), resource_id))

    def search(
        self,
        resource_types: list[ResourceType],
        search_request: SearchRequest[Any],
        *,
        position: Any = None,  # noqa: ARG002 - pages are counted, there are no cursors
    ) -> SearchPage:
        kinds = [_kind(one) for one in resource_types]
        start = min(search_request.start_index_0 or 0, RESOURCES_MAX)
        size = search_request.count
        with self._kept.registry.reading() as look:
            if search_request.filter is None and search_request.sort_by is None:
                total = scim_rows.count(look, kinds)
                rows = scim_rows.page(look, kinds, start, size)
                return SearchPage(total, [scim_rows.served(row) for row in rows])
            tree = None if search_request.filter is None else search_request.filter.ast
            all_rows = scim_rows.candidates(look, kinds, tree)
            found = [one for one in map(scim_rows.served, all_rows) if _fits(search_request, one)]
        ordered = search_request.sort(found) if search_request.sort_by is not None else found
        end = None if size is None else start + size
        return SearchPage(len(found), list(ordered)[start:end])

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        kind = _kind(resource_type)
        with self._changing() as work:
            if scim_rows.count(work.change, [USER, GROUP]) >= RESOURCES_MAX:
                raise ForbiddenException(
                    detail=f"There are {RESOURCES_MAX} users and groups, the most there can be."
                )
            made = (
                work.create_user(uuid.uuid4().hex, resource)
                if kind == USER and isinstance(resource, User)
                else work.create_group(uuid.uuid4().hex, _group(resource))
            )
            return self._as_stored(work, made)

    def update(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        *,
        expected_version: str | None = None,
    ) -> Resource[Any]:
        with self._changing() as work:
            row = self._expected(work, resource_type, resource.id, expected_version)
            after = (
                work.update_user(row, resource)
                if isinstance(resource, User)
                else work.update_group(row, _group(resource))
            )
            return self._as_stored(work, after)

    def delete(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        expected_version: str | None = None,
    ) -> None:
        with self._changing() as work:
            row = self._expected(work, resource_type, resource_id, expected_version)
            if row.kind == USER:
                work.delete_user(row)
            else:
                work.delete_group(row)

    @contextmanager
    def _changing(self) -> Iterator[Provisioning]:
        """One transaction with its evidence; what the registry refuses becomes a SCIM error."""
        try:
            with self._kept.evidence() as append, self._kept.registry.change() as change:
                work = Provisioning(change, self._client, self._kept.table)
                yield work
                _append_all(append, work.events)
        except Barred as barred:
            self._note(barred)
            raise barred.error from barred
        except BadRequest as error:
            raise InvalidValueException(detail=error.message) from error
        except Conflict as error:
            raise UniquenessException(detail=error.message) from error

    def _note(self, barred: Barred) -> None:
        """Record what was refused, with the principal as it stays."""
        with self._kept.registry.reading() as look:
            row = look.get(barred.principal)
        with self._kept.evidence() as append:
            append([changed(row, "refused", source=SOURCE, actor=self._client.id)])

    @staticmethod
    def _expected(
        work: Provisioning, resource_type: ResourceType, resource_id: str | None, etag: str | None
    ) -> Row:
        row = scim_rows.get(work.change, _kind(resource_type), resource_id)
        if etag is not None and etag != row.etag:
            raise PreconditionFailedException
        return row

    @staticmethod
    def _as_stored(work: Provisioning, row: Row) -> Resource[Any]:
        return scim_rows.served(scim_rows.get(work.change, row.kind, row.id))


def _append_all(append: Callable[[list[Event]], None], events: list[Event]) -> None:
    for start in range(0, len(events), EVENTS_AT_ONCE):
        append(events[start : start + EVENTS_AT_ONCE])


def _fits(search_request: SearchRequest[Any], resource: Resource[Any]) -> bool:
    return search_request.filter is None or search_request.filter.match(resource)


def _kind(resource_type: ResourceType) -> str:
    return USER if resource_type.name == USER else GROUP


def _group(resource: Resource[Any]) -> Group:
    if not isinstance(resource, Group):
        raise SCIMException(detail="Only users and groups are provisioned.")
    return resource
