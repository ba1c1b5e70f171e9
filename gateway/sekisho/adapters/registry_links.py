"""Identities elsewhere that mean a principal, and roles lent to delegates.

Functions take the `Change` of a running transaction. A link is (issuer, subject), never a name a
person could choose or change there; one identity means one principal. A delegation ends by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update

from sekisho.adapters.registry_schema import delegations, principal_links
from sekisho.adapters.sql_registry import Change, now_us
from sekisho.errors import BadRequest, Conflict, NotFound
from sekisho.model.duties import may_hold_together, may_lend
from sekisho.model.principal import Role

CERTIFICATE = "certificate"
"""The issuer of links that name the subject of a client certificate."""

CERTIFICATE_KINDS = ("uri", "email", "cn")
"""What stands before the colon in the subject of a certificate that our own TLS has checked."""

HEADER = "header"
"""The issuer of links for names that a trusted peer's header gives."""

SUBJECT_CHARS_MAX = 255  # OpenID Connect Core 1.0, section 2
LINKS_MAX = 20  # of one principal; an issuer or two, and some certificates
LENDING_US_MAX = 366 * 86_400 * 1_000_000  # a longer absence is a change of roles
LENDINGS_MAX = 100  # of one principal under way; more is not an absence


@dataclass(frozen=True, slots=True)
class LinkRow:
    """An identity elsewhere; `claims` is the digest of what was last said of it, at `as_of_us`.

    `ended_us` is set on a link that was just taken away.
    """

    issuer: str
    subject: str
    principal: str
    claims: str
    as_of_us: int
    ended_us: int | None = None


@dataclass(frozen=True, slots=True)
class DelegationRow:
    """`principal` lends `role` to `delegate` from `from_us` until `until_us` or its end."""

    id: str
    principal: str
    delegate: str
    role: str
    from_us: int
    until_us: int
    ended_us: int | None


def find_link(change: Change, issuer: str, subject: str) -> LinkRow | None:
    """Whom this identity means."""
    found = change.execute(select(principal_links).where(*_is(issuer, subject))).first()
    return None if found is None or found.ended_us is not None else _link(found)


def was_linked(change: Change, issuer: str, subject: str) -> bool:
    """Whether this identity ever meant somebody, also if the link has ended."""
    return change.execute(select(principal_links).where(*_is(issuer, subject))).first() is not None


def links(change: Change, principal: str | None = None) -> Sequence[LinkRow]:
    """All links in force, or those of one principal."""
    wanted = (
        select(principal_links)
        .where(principal_links.c.ended_us.is_(None))
        .order_by(principal_links.c.issuer, principal_links.c.subject)
    )
    if principal is not None:
        wanted = wanted.where(principal_links.c.principal == principal)
    return [_link(row) for row in change.execute(wanted)]


def link(change: Change, issuer: str, subject: str, principal: str) -> LinkRow:
    """Let this identity mean `principal`. Raises Conflict if it means another already."""
    if not 0 < len(subject) <= SUBJECT_CHARS_MAX or not subject.isprintable():
        raise BadRequest(f"A subject is 1 to {SUBJECT_CHARS_MAX} printable characters.")
    row = change.get(principal)
    if row.left_us is not None:
        raise Conflict(f"{principal} has left and is not linked.", code="principal_left")
    if issuer == HEADER and row.kind != "person":
        raise BadRequest(f"A proxy's header names persons, and {principal} is a service account.")
    known = find_link(change, issuer, subject)
    if known is not None and known.principal != principal:
        raise Conflict(
            f"This identity of {issuer} already means {known.principal}. Unlink it there first: "
            "one identity is one principal.",
            code="identity_linked",
        )
    if known is None:
        if len(links(change, principal)) >= LINKS_MAX:
            raise Conflict(f"{principal} has {LINKS_MAX} links, the most there can be.")
        if was_linked(change, issuer, subject):
            # What its issuer said before stays said: an older token must not undo a newer one.
            change.write(
                update(principal_links)
                .where(*_is(issuer, subject))
                .values(principal=principal, claims="", ended_us=None)
            )
        else:
            change.write(
                insert(principal_links).values(
                    issuer=issuer, subject=subject, principal=principal, claims="", as_of_us=0
                )
            )
    return LinkRow(issuer, subject, principal, known.claims if known else "", 0)


def check_certificate(subject: str) -> None:
    """Raises BadRequest for a subject that our own TLS never gives: the link would mean nobody."""
    kind, _, name = subject.partition(":")
    if kind in CERTIFICATE_KINDS and name:
        return
    raise BadRequest(
        f"No certificate is ever called {subject!r} here. In front stands which of its names "
        "counts: uri:spiffe://corp/batch, email:staff-7@corp.example or cn:staff-7, the first of "
        "these that the certificate has."
    )


def note_claims(change: Change, issuer: str, subject: str, claims: str, as_of_us: int) -> None:
    """Remember what the issuer said of a linked identity, and when.

    Workers need not read the registry again for this: it lets nobody in and shuts nobody out.
    """
    change.execute(
        update(principal_links)
        .where(*_is(issuer, subject))
        .values(claims=claims, as_of_us=as_of_us)
    )


def unlink(change: Change, issuer: str, subject: str) -> LinkRow:
    """This identity means nobody any more, and whoever signed in is signed out. Raises NotFound."""
    known = find_link(change, issuer, subject)
    if known is None:
        raise NotFound(f"No identity of {issuer} with this subject is linked.")
    now = now_us()
    change.write(update(principal_links).where(*_is(issuer, subject)).values(ended_us=now))
    change.end_sessions(known.principal, now)
    return replace(known, ended_us=now)


def lend(
    change: Change, principal: str, delegate: str, role: Role, *, from_us: int, until_us: int
) -> DelegationRow:
    """`principal` lends a role to `delegate` for a time.

    Raises Forbidden (`duties_conflict`) if the delegate's roles would then meet what they must
    not, BadRequest for times that make no sense or principals that are no persons, Conflict if it
    is lent for some of that time already.
    """
    may_lend(principal, delegate, role)
    lender, borrower = change.get(principal), change.get(delegate)
    if "service" in {lender.kind, borrower.kind}:
        raise BadRequest("Persons stand in for persons; a service account does neither.")
    if {lender.left_us, borrower.left_us} != {None}:
        raise Conflict("One of the two has left.", code="principal_left")
    if role.value not in lender.roles:
        raise BadRequest(f"{principal} does not hold the role {role} and cannot lend it.")
    now = now_us()
    if not max(from_us, now) < until_us <= from_us + LENDING_US_MAX:
        raise BadRequest(
            "A delegation ends after now and after it began, at most 366 days later (--days)."
        )
    open_ones = [
        row for row in lendings(change, principal) if row.ended_us is None and row.until_us > now
    ]
    for row in open_ones:
        same = (row.delegate, row.role) == (delegate, role.value)
        if same and row.from_us < until_us and from_us < row.until_us:
            raise Conflict(
                f"{principal} lends {role} to {delegate} already for some of that time: delegation "
                f"{row.id}. End it first (`sekisho principal take-back {row.id}`), or lend from "
                "its end."
            )
    if len(open_ones) >= LENDINGS_MAX:
        raise Conflict(f"{principal} has {LENDINGS_MAX} delegations, the most there can be.")
    row = DelegationRow(str(uuid.uuid4()), principal, delegate, role.value, from_us, until_us, None)
    change.write(
        insert(delegations).values(
            id=row.id,
            principal=principal,
            delegate=delegate,
            role=role.value,
            from_us=from_us,
            until_us=until_us,
        )
    )
    may_hold_together(change.every_role(delegate))
    return row


def end_lending(change: Change, delegation: str) -> DelegationRow:
    """Take a lent role back now. Ending it twice changes nothing. Raises NotFound."""
    found = change.execute(select(delegations).where(delegations.c.id == delegation)).first()
    if found is None:
        raise NotFound(f"There is no delegation {delegation!r}.")
    row = _lending(found)
    if row.ended_us is None:
        row = replace(row, ended_us=now_us())
        change.write(
            update(delegations).where(delegations.c.id == delegation).values(ended_us=row.ended_us)
        )
    return row


def lendings(change: Change, principal: str | None = None) -> Sequence[DelegationRow]:
    """All delegations, or those in which one principal lends, latest end first."""
    wanted = select(delegations).order_by(delegations.c.until_us.desc(), delegations.c.id)
    if principal is not None:
        wanted = wanted.where(delegations.c.principal == principal)
    return [_lending(row) for row in change.execute(wanted)]


def _is(issuer: str, subject: str) -> tuple[ColumnElement[bool], ...]:
    return (principal_links.c.issuer == issuer, principal_links.c.subject == subject)


def _link(row: Any) -> LinkRow:
    return LinkRow(row.issuer, row.subject, row.principal, row.claims, row.as_of_us)


def _lending(row: Any) -> DelegationRow:
    return DelegationRow(
        row.id, row.principal, row.delegate, row.role, row.from_us, row.until_us, row.ended_us
    )
