"""A worker's copy of the registry: everything that may open something, and what was taken away.

Plain tuples of words and numbers, which the garbage collector leaves alone: walking through tens of
thousands of objects, it would stop the event loop for a tenth of a second. A principal is made of
them when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sekisho.model.duties import APART, may_hold_together
from sekisho.model.principal import Principal, Role, Scope

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
    scopes: Mapping[str | None, frozenset[Scope]]
    lent: Mapping[str, tuple[Lending, ...]]
    links: Mapping[tuple[str, str], LinkRow]
    linked: frozenset[tuple[str, str]]
    _made: dict[tuple[str, str | None], Known] = field(default_factory=dict)

    def known(self, principal: str, key: KeyRow | None = None) -> Known | None:
        """The principal with this id, narrowed by the terms of the key it showed.

        Kept once made: those who ask, ask again.
        """
        place = (principal, key[0] if key else None)
        known = self._made.get(place)
        if known is None and (row := self.principals.get(principal)) is not None:
            known = self._made[place] = self._make(row, key)
        return known

    def persons_in(self, name: str) -> Iterator[str]:
        """The persons with this role or group of their own, as far as anything told of them: by
        hand, by provisioning, or by their sign-in.
        """
        roles = {text for text, held in self.roles.items() if name in held}
        groups = {text for text, held in self.groups.items() if name in held}
        for principal, owner, _, _, role, group in self.principals.values():
            if owner is None and (role in roles or group in groups):
                yield principal

    def _make(self, row: PrincipalRow, key: KeyRow | None) -> Known:
        name, owner, training_until_us, sessions_from_us, roles, groups = row
        credential, scopes, models = (key[0], *key[4:]) if key else ("", None, None)
        who = Principal(
            name,
            self.roles[roles],
            self.groups[groups],
            owner,
            credential=credential,
            scopes=self.scopes[scopes],
            models=None if models is None else tuple(models.split()),
            training_until_us=training_until_us,
        )
        return Known(who, self.lent.get(name, ()), sessions_from_us or 0)

    def link(self, place: tuple[str, str]) -> Link | None:
        """Whom the identity of this issuer and subject means."""
        row = self.links.get(place)
        return None if row is None else Link(*row[2:])
