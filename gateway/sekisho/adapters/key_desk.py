"""Where principals, keys, links and delegations are changed, each change with its event.

The event is durable before the registry's transaction ends: without evidence there is no change.
If the registry then fails, the ledger names a change that did not happen, which a reader sees by
its missing key; the other order would let a key work that nobody ever recorded.

Roles and groups given with a new key are added to those the principal has; `grant` sets them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sekisho.adapters import registry_keys, registry_links
from sekisho.adapters.api_keys import PEPPER_BYTES_MIN
from sekisho.adapters.ledger_desk import Append, event, evidence
from sekisho.adapters.registry_keys import KeyRow, KeyTerms
from sekisho.adapters.registry_links import CERTIFICATE, DelegationRow, LinkRow
from sekisho.adapters.sql_registry import LOCAL, Change, PrincipalRow, Registry, now_us
from sekisho.config import Settings
from sekisho.errors import BadRequest, SekishoError
from sekisho.model.principal import Role
from sekisho_audit.events import Event, Payload

Evidence = Callable[[], AbstractContextManager[Append]]
"""Gives a function that makes events durable, or raises LedgerUnavailable."""


GROUPS_TOLD_MAX = 64
"""Groups named in one event, as many as the ledger takes in a list; the registry has them all."""


class PepperUnusable(SekishoError):
    """The pepper that keys are hashed with cannot be read."""

    code = "pepper_unusable"


class KeyDesk:
    """Changes and lists what the registry of one installation holds. Synchronous: for commands."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    # -- principals

    def grant(
        self,
        principal: str,
        *,
        roles: Collection[str] | None = None,
        groups: Collection[str] | None = None,
        disabled: bool | None = None,
        owner: str | None = None,
        training_until_us: int | None = None,
    ) -> PrincipalRow:
        """Set what is given to exactly that; shut the principal out or let it in."""
        wanted = None if roles is None else parse_roles(roles)
        ended: list[Event] = []
        with self._evidence() as append, self._change() as change:
            if owner is not None:
                ended = _ended(registry_keys.listed(change, principal))
                before = change.get(principal).owner
                if change.set_owner(principal, owner).owner == before:
                    ended = []
            if wanted is not None:
                change.set_roles(principal, wanted)
            if groups is not None:
                change.set_groups(principal, groups)
            if training_until_us is not None:
                change.set_training(principal, training_until_us)
            if disabled is not None:
                change.set_disabled(principal, disabled)
            row = change.get(principal)
            append([changed(row, "granted" if disabled is None else "state"), *ended])
        return row

    def leave(self, principal: str) -> PrincipalRow:
        """The principal is gone for good, with all keys, links and delegations. Once is enough."""
        with self._evidence() as append, self._change() as change:
            row = change.leave(principal)
            if change.changed:
                append([changed(row, "left")])
        return row

    def principals(self) -> Sequence[PrincipalRow]:
        """All principals."""
        return self._registry().principals()

    # -- keys

    def create(
        self,
        principal: str,
        *,
        groups: Collection[str] = (),
        roles: Collection[str] = (),
        owner: str | None = None,
        terms: KeyTerms | None = None,
    ) -> str:
        """A fresh key of `principal`, made if unknown (with `owner`: a service account).

        Returns the plaintext, which exists nowhere else afterwards.
        """
        wanted = parse_roles(roles)
        terms = terms or KeyTerms()
        with self._evidence() as append, self._change() as change:
            pepper = read_pepper(self._settings.audit.keys_dir)
            before = change.find(principal)
            if before is None or owner is not None:
                kind = "service" if owner else "person"
                change.put_principal(principal, kind=kind, owner=owner)
            after = self._add(change, principal, groups, wanted)
            minted = registry_keys.create(change, principal, pepper, terms)
            events = [key_created(after, minted.id, terms)]
            if after != before:
                events.insert(0, changed(after, "created" if before is None else "granted"))
            append(events)
        return minted.plaintext

    def rotate(self, key: str, overlap_us: int) -> str:
        """The plaintext of a key that takes over from `key`, which ends after `overlap_us`."""
        with self._evidence() as append, self._change() as change:
            pepper = read_pepper(self._settings.audit.keys_dir)
            minted, ends_us = registry_keys.rotate(change, key, pepper, overlap_us)
            new = registry_keys.get(change, minted.id)
            row = change.get(new.principal)
            terms = KeyTerms(new.label, new.expires_us, new.scopes, new.models)
            data = {"key": key, "cause": "rotated", "expires_us": ends_us}
            append(
                [
                    key_created(row, minted.id, terms, replaces=key),
                    event("key.revoked", row.id, data),
                ]
            )
        return minted.plaintext

    def revoke(self, key: str) -> tuple[KeyRow, bool]:
        """End a key for good, on every worker within a second. Returns the key, and whether that
        was news: once is enough.
        """
        with self._evidence() as append, self._change() as change:
            row = registry_keys.revoke(change, key)
            if change.changed:
                append([event("key.revoked", row.principal, {"key": key})])
        return row, change.changed

    def keys(self, principal: str | None = None) -> Sequence[KeyRow]:
        """All keys, or those of one principal."""
        with self._registry().reading() as registry:
            return registry_keys.listed(registry, principal)

    # -- identities elsewhere, and delegates

    def link(self, principal: str, issuer: str, subject: str) -> LinkRow:
        """Let an identity elsewhere mean `principal`."""
        if issuer == CERTIFICATE and self._settings.identity.certificate_header is None:
            registry_links.check_certificate(subject)
        with self._evidence() as append, self._change() as change:
            row = registry_links.link(change, issuer, subject, principal)
            append([linked(row, there=True)])
        return row

    def unlink(self, issuer: str, subject: str) -> LinkRow:
        """Let an identity elsewhere mean nobody any more."""
        with self._evidence() as append, self._change() as change:
            row = registry_links.unlink(change, issuer, subject)
            append([linked(row, there=False)])
        return row

    def links(self, principal: str | None = None) -> Sequence[LinkRow]:
        """All links, or those of one principal."""
        with self._registry().reading() as registry:
            return registry_links.links(registry, principal)

    def lend(
        self, principal: str, delegate: str, role: str, *, from_us: int, until_us: int
    ) -> DelegationRow:
        """`principal` lends a role to `delegate` for a time."""
        (wanted,) = parse_roles([role])
        with self._evidence() as append, self._change() as change:
            row = registry_links.lend(
                change, principal, delegate, wanted, from_us=from_us, until_us=until_us
            )
            append([_delegated(row)])
        return row

    def end_lending(self, delegation: str) -> DelegationRow:
        """Take a lent role back now. Once is enough."""
        with self._evidence() as append, self._change() as change:
            row = registry_links.end_lending(change, delegation)
            if change.changed:
                append([_delegated(row)])
        return row

    def lendings(self, principal: str | None = None) -> Sequence[DelegationRow]:
        """All delegations, or those in which one principal lends."""
        with self._registry().reading() as registry:
            return registry_links.lendings(registry, principal)

    def _evidence(self) -> AbstractContextManager[Append]:
        return evidence(self._settings)

    def _registry(self) -> Registry:
        return Registry.open(self._settings.registry_path)

    def _change(self) -> AbstractContextManager[Change]:
        return self._registry().change()

    @staticmethod
    def _add(
        change: Change, principal: str, groups: Collection[str], roles: Collection[Role]
    ) -> PrincipalRow:
        row = change.get(principal)
        held_roles, held_groups = change.given(principal, LOCAL)
        held = {Role(role) for role in held_roles}
        if not held.issuperset(roles):
            row = change.set_roles(principal, held.union(roles))
        if not held_groups.issuperset(groups):
            row = change.set_groups(principal, held_groups.union(groups))
        return row


def _ended(rows: Sequence[KeyRow]) -> list[Event]:
    """The events of live keys that end because their account is handed over."""
    live = [row for row in rows if registry_keys.is_live(row, now_us())]
    return [
        event("key.revoked", row.principal, {"key": row.id, "cause": "handed_over"}) for row in live
    ]


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


def changed(
    row: PrincipalRow, change: str, *, source: str = LOCAL, actor: str | None = None
) -> Event:
    """The event of a changed principal: how it stands afterwards, and who decides that."""
    data: dict[str, Any] = {
        "change": change,
        "kind": row.kind,
        "roles": list(row.roles),
        "groups": list(row.groups)[:GROUPS_TOLD_MAX],
        "disabled": row.disabled,
        "source": source,
    }
    if row.owner is not None:
        data["owner"] = row.owner
    if row.training_until_us is not None:
        data["training_until_us"] = row.training_until_us
    return event("principal.changed", row.id, data, actor=actor)


def key_created(row: PrincipalRow, key: str, terms: KeyTerms, *, replaces: str = "") -> Event:
    """The event of a new key with everything that it opens."""
    data: dict[str, Any] = {
        "key": key,
        "roles": list(row.roles),
        "groups": list(row.groups)[:GROUPS_TOLD_MAX],
    }
    if terms.expires_us is not None:
        data["expires_us"] = terms.expires_us
    if terms.scopes is not None:
        data["scopes"] = list(terms.scopes)
    if terms.models is not None:
        data["models"] = list(terms.models)[:GROUPS_TOLD_MAX]
    if replaces:
        data["replaces"] = replaces
    return event("key.created", row.id, data)


def linked(row: LinkRow, *, there: bool, actor: str | None = None) -> Event:
    """The event of an identity elsewhere that means a principal now, or not any more."""
    subject = row.subject.encode()
    return event(
        "principal.linked",
        row.principal,
        {"issuer": row.issuer, "linked": there},
        actor=actor,
        payloads=(Payload("subject", subject, subject),),
    )


def _delegated(row: DelegationRow) -> Event:
    data: dict[str, Any] = {
        "delegation": row.id,
        "delegate": row.delegate,
        "role": row.role,
        "ended": row.ended_us is not None,
        "from_us": row.from_us,
        "until_us": row.until_us,
    }
    return event("delegation.changed", row.principal, data)
