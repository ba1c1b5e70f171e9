"""Who asks: a person or a service account, and the credential that proved it.

Roles are held by persons, not by keys. A service account acts for its owner, so wherever two
different people are required (reviewer and requester, author and activator) `person` is compared.
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


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a request is made.

    `owner` is the person answerable for a service account and None for a person.
    """

    id: str
    roles: frozenset[Role]
    groups: frozenset[str]
    owner: str | None = None
    credential: str = ""

    @property
    def person(self) -> str:
        """The human being behind this principal: separation of duties compares this."""
        return self.owner or self.id
