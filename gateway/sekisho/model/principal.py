"""Who asks: a person or a service account, and the credential that proved it.

Roles are held by persons, not by credentials. A service account acts for its owner and a delegate
for whoever appointed them, so wherever two different people are required (reviewer and requester,
author and activator, proposer and confirmer) `model/duties.py` compares persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person may do besides asking; design.md section 9."""

    EMPLOYEE = "employee"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"
    POLICY_AUTHOR = "policy_author"
    POLICY_ACTIVATOR = "policy_activator"
    OPERATOR = "operator"
    BREAK_GLASS = "break_glass"


class Scope(StrEnum):
    """What a credential may be used for. A scope takes away; it never gives what a role does not.

    `ask` models, `review` holds, `self` for one's own history, `audit` for what auditors do,
    `admin` for operators, makers of rules and emergencies, and `scim` for a directory that
    provisions principals: that one has to be given by name.
    """

    ASK = "ask"
    REVIEW = "review"
    SELF = "self"
    AUDIT = "audit"
    ADMIN = "admin"
    SCIM = "scim"


DEFAULT_SCOPES = frozenset(Scope) - {Scope.SCIM}


# One of these roles is needed for what the scope is for; the others are for everybody.
_ROLES_FOR = {
    Scope.ASK: frozenset({Role.EMPLOYEE}),
    Scope.REVIEW: frozenset({Role.REVIEWER}),
    Scope.AUDIT: frozenset({Role.AUDITOR}),
    Scope.ADMIN: frozenset(
        {Role.OPERATOR, Role.POLICY_AUTHOR, Role.POLICY_ACTIVATOR, Role.BREAK_GLASS}
    ),
}


class Authentication(StrEnum):
    """How the credential proved who asks; policy may tell them apart."""

    API_KEY = "api_key"
    OIDC = "oidc"
    SESSION = "session"
    HEADER = "header"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a request is made.

    `owner` is the person answerable for a service account and None for a person. `stands_in_for`
    are the persons who appointed this one as their delegate, now. `roles` holds what they lent too;
    `lent` says by whom, for roles that are not the principal's own. `credential` names what was
    shown and is never the secret. `models` are patterns that narrow what this credential may ask;
    None narrows nothing. `signed_in_us` is when somebody with a session proved who they are; None
    where that is proved each time.
    """

    id: str
    roles: frozenset[Role]
    groups: frozenset[str]
    owner: str | None = None
    credential: str = ""
    authentication: Authentication = Authentication.API_KEY
    stands_in_for: frozenset[str] = frozenset()
    lent: frozenset[tuple[Role, str]] = frozenset()
    scopes: frozenset[Scope] = DEFAULT_SCOPES
    models: tuple[str, ...] | None = None
    training_until_us: int | None = None
    signed_in_us: int | None = None

    @property
    def person(self) -> str:
        """The human being behind this principal."""
        return self.owner or self.id

    @property
    def key_said(self) -> str:
        """What a message to the caller calls the key that narrows them."""
        signed_in = self.authentication is Authentication.SESSION
        return "The key you signed in with" if signed_in else "This key"

    @property
    def usable_scopes(self) -> frozenset[Scope]:
        """The scopes that this principal's roles give a meaning to."""
        return frozenset(
            scope
            for scope in self.scopes
            if scope not in _ROLES_FOR or not self.roles.isdisjoint(_ROLES_FOR[scope])
        )

    @property
    def persons(self) -> frozenset[str]:
        """Everyone in whose name this principal can act: separation of duties compares these."""
        return self.stands_in_for | {self.person}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows of who sends it. Everything here is a claim until the directory says.

    `secret` is what came as `Authorization: Bearer` or `x-api-key`. The last four are filled only
    when the connection itself came from a configured peer, or for `certificate`, from our own TLS.
    """

    secret: str = ""
    ip: str = ""
    asserted: str = ""
    asserted_groups: tuple[str, ...] = ()
    certificate: str = ""
    session: str = ""

    def __repr__(self) -> str:
        """Without secrets, so that no traceback or log can show one."""
        return f"Shown(ip={self.ip!r})"
