"""Separation of duties: which roles one person may hold, and which pairs need two people.

Persons are compared, never keys: a second key, or a service account one owns, does not make a
second person. This module is all there is about it; whoever needs a second pair of eyes asks here.
"""

from __future__ import annotations

from collections.abc import Collection

from sekisho.errors import Forbidden
from sekisho.model.principal import Principal, Role

# Who runs the gateway, who puts rules in force and who reads the record check one another.
APART = frozenset({Role.OPERATOR, Role.POLICY_ACTIVATOR, Role.AUDITOR})

# A service account asks; it answers for nothing. Every other role belongs to a person.
SERVICE_ROLES = frozenset({Role.EMPLOYEE})


def may_hold_together(roles: Collection[Role]) -> None:
    """Raises Forbidden (`duties_conflict`) if no one person may hold all of `roles`."""
    both = sorted(APART.intersection(roles))
    if len(both) > 1:
        raise Forbidden(
            f"One person cannot be {' and '.join(both)}: the roles check one another. "
            "Give them to different people.",
            code="duties_conflict",
        )


def may_service_hold(roles: Collection[Role]) -> None:
    """Raises Forbidden (`duties_conflict`) if `roles` are more than a service account may have."""
    more = sorted(frozenset(roles) - SERVICE_ROLES)
    if more:
        raise Forbidden(
            f"A service account cannot be {', '.join(more)}: persons hold that role. "
            "Grant it to its owner.",
            code="duties_conflict",
        )


def may_review(reviewer: Principal, requester_person: str) -> None:
    """Raises Forbidden (`self_approval`) if the reviewer is the person who asked.

    `requester_person` is `Principal.person` of the requester: the owner, for a service account.
    """
    if reviewer.person == requester_person:
        raise Forbidden(
            "Nobody reviews their own request, also not with another key or through a service "
            "account. Ask a colleague who may review it.",
            code="self_approval",
        )
