"""Where keys and principals are changed, each change with its event in the ledger.

The event is durable before the registry's transaction ends: without evidence there is no change.
If the registry then fails, the ledger names a change that did not happen, which a reader sees by
its missing key; the other order would let a key work that nobody ever recorded.

Roles and groups given with a new key are added to those the principal has; `grant` sets them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sekisho.adapters.api_keys import PEPPER_BYTES_MIN
from sekisho.adapters.ledger_desk import event, evidence
from sekisho.adapters.sql_registry import Change, KeyRow, PrincipalRow, Registry
from sekisho.config import Settings
from sekisho.errors import BadRequest, SekishoError
from sekisho.model.principal import Role
from sekisho_audit.events import Event


class PepperUnusable(SekishoError):
    """The pepper that keys are hashed with cannot be read."""

    code = "pepper_unusable"


class KeyDesk:
    """Changes and lists what the registry of one installation holds. Synchronous: for commands."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def create(
        self,
        principal: str,
        *,
        groups: Collection[str] = (),
        roles: Collection[str] = (),
        owner: str | None = None,
        label: str = "",
        expires_us: int | None = None,
    ) -> str:
        """A fresh key of `principal`, made if unknown (with `owner`: a service account).

        Returns the plaintext, which exists nowhere else afterwards.
        """
        wanted = parse_roles(roles)
        with evidence(self._settings) as append, self._change() as change:
            pepper = read_pepper(self._settings.audit.keys_dir)
            before = change.find(principal)
            if before is None or owner is not None:
                kind = "service" if owner else "person"
                change.put_principal(principal, kind=kind, owner=owner)
            after = self._add(change, principal, groups, wanted)
            minted = change.create_key(principal, pepper, label=label, expires_us=expires_us)
            data: dict[str, Any] = {"key": minted.id}
            data |= {"roles": list(after.roles), "groups": list(after.groups)}
            if expires_us is not None:
                data["expires_us"] = expires_us
            events = [event("key.created", principal, data)]
            if after != before:
                events.insert(0, _changed(after, "created" if before is None else "granted"))
            append(events)
        return minted.plaintext

    def grant(
        self,
        principal: str,
        *,
        roles: Collection[str] | None = None,
        groups: Collection[str] | None = None,
        disabled: bool | None = None,
    ) -> PrincipalRow:
        """Set roles, groups or both to exactly these; shut the principal out or let it in."""
        wanted = None if roles is None else parse_roles(roles)
        with evidence(self._settings) as append, self._change() as change:
            if wanted is not None:
                change.set_roles(principal, wanted)
            if groups is not None:
                change.set_groups(principal, groups)
            if disabled is not None:
                change.set_disabled(principal, disabled)
            row = change.get(principal)
            append([_changed(row, "granted" if disabled is None else "state")])
        return row

    def revoke(self, key: str) -> KeyRow:
        """End a key for good, on every worker within a second."""
        with evidence(self._settings) as append, self._change() as change:
            row = change.revoke_key(key)
            append([event("key.revoked", row.principal, {"key": key})])
        return row

    def keys(self, principal: str | None = None) -> Sequence[KeyRow]:
        """All keys, or those of one principal."""
        return Registry.open(self._settings.registry_path).keys(principal)

    def principals(self) -> Sequence[PrincipalRow]:
        """All principals."""
        return Registry.open(self._settings.registry_path).principals()

    def _change(self) -> AbstractContextManager[Change]:
        return Registry.open(self._settings.registry_path).change()

    @staticmethod
    def _add(
        change: Change, principal: str, groups: Collection[str], roles: Collection[Role]
    ) -> PrincipalRow:
        row = change.get(principal)
        held = {Role(role) for role in row.roles}
        if not held.issuperset(roles):
            row = change.set_roles(principal, held.union(roles))
        if not set(row.groups).issuperset(groups):
            row = change.set_groups(principal, set(row.groups).union(groups))
        return row


def parse_roles(names: Collection[str]) -> frozenset[Role]:
    """The roles called `names`. Raises BadRequest and lists what there is."""
    known = {role.value for role in Role}
    unknown = sorted(set(names) - known)
    if unknown:
        raise BadRequest(
            f"There is no role {', '.join(unknown)}. Roles are {', '.join(sorted(known))}."
        )
    return frozenset(Role(name) for name in names)


def read_pepper(keys_dir: Path) -> bytes:
    """What keys are hashed with. Raises PepperUnusable."""
    path = keys_dir / "pepper"
    try:
        pepper = path.read_bytes()
    except OSError as error:
        raise PepperUnusable(f"{path} cannot be read: {error.strerror}.") from error
    if len(pepper) < PEPPER_BYTES_MIN:
        raise PepperUnusable(
            f"{path} is shorter than {PEPPER_BYTES_MIN} bytes; restore it from the keys' backup."
        )
    return pepper


def _changed(row: PrincipalRow, change: str) -> Event:
    data: dict[str, Any] = {
        "change": change,
        "kind": row.kind,
        "roles": list(row.roles),
        "groups": list(row.groups),
        "disabled": row.disabled,
    }
    if row.owner is not None:
        data["owner"] = row.owner
    return event("principal.changed", row.id, data)
