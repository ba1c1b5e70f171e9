"""Separation of duties: which roles one person may hold, and which pairs need two people.

    requester and reviewer      nobody reviews what they asked
    author and activator        nobody puts their own rules in force
    proposer and confirmer      nobody confirms their own erasure, legal hold or activation
    operator, activator, auditor  who runs, who rules and who reads the record check one another
    break_glass                   is none of these: they give it, end it and look at it afterwards
    opener and reviewer           nobody reviews what they let go on in an emergency

Persons are compared, never credentials: another key, a service account one owns and a delegation
one acts under do not make a second person. This module is all there is about it; whoever needs a
second pair of eyes asks here.
"""

from __future__ import annotations

from collections.abc import Collection

from sekisho.errors import Forbidden
from sekisho.model.principal import Principal, Role

# Who runs the gateway, who puts rules in force, who reads the record and who may go on without
# people in an emergency check one another: an operator could give themselves the last.
APART = frozenset({Role.OPERATOR, Role.POLICY_ACTIVATOR, Role.AUDITOR, Role.BREAK_GLASS})

# A service account asks; it answers for nothing. Every other role belongs to a person.
SERVICE_ROLES = frozenset({Role.EMPLOYEE})

_ROLES = frozenset(role.value for role in Role)

# What may be lent to a delegate: duties that stop when somebody is away. The others are granted.
LENDABLE = frozenset({Role.REVIEWER, Role.POLICY_ACTIVATOR})


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


def may_lend(lender: str, delegate: str, role: Role) -> None:
    """Raises Forbidden (`duties_conflict`) if `lender` cannot appoint `delegate` for `role`.

    Whether the delegate may hold the role beside their own is `may_hold_together`.
    """
    if lender == delegate:
        raise Forbidden("Nobody is their own delegate.", code="duties_conflict")
    if role not in LENDABLE:
        lendable = " and ".join(sorted(LENDABLE))
        raise Forbidden(
            f"The role {role} cannot be lent, only {lendable}. Grant it instead.",
            code="duties_conflict",
        )


def seats(principal: Principal, role_or_group: str) -> tuple[str, ...]:
    """In whose names `principal` can speak as `role_or_group`: their own, or those who lent it.

    The own name comes alone: who holds the role needs no one else's. Empty: in nobody's, as for
    every service account.
    """
    if principal.owner is not None:
        return ()
    lenders = tuple(sorted(lender for role, lender in principal.lent if role == role_or_group))
    if lenders:
        return lenders
    # A word that is a role is never a group: whoever names groups must not make reviewers.
    held = principal.roles if role_or_group in _ROLES else principal.groups
    return (principal.id,) if role_or_group in held else ()


def may_review(reviewer: Principal, requester_persons: Collection[str]) -> None:
    """Raises Forbidden (`self_approval`) if the reviewer is, or stands in for, who asked.

    `requester_persons` are the requester and the person behind it (a service account's owner).
    """
    if reviewer.persons.intersection(requester_persons):
        raise Forbidden(
            "Nobody reviews their own request, also not with another key, through a service "
            "account or as somebody's delegate. Ask a colleague who may review it.",
            code="self_approval",
        )


def may_activate(activator: Principal, author_persons: Collection[str]) -> None:
    """Raises Forbidden if this principal may not put those authors' rules in force.

    Codes: `role_missing`, or `self_activation` for one of the authors under any name.
    """
    if Role.POLICY_ACTIVATOR not in activator.roles or activator.owner is not None:
        raise Forbidden("Putting rules in force needs a policy_activator.", code="role_missing")
    if activator.persons.intersection(author_persons):
        raise Forbidden(
            "Nobody puts their own rules in force, also not with another key or as a delegate. "
            "Ask another policy_activator.",
            code="self_activation",
        )


def may_confirm(
    confirmer: Principal,
    proposer_persons: Collection[str],
    message: str = "What one person proposed, another confirms: not the same with another key, "
    "through a service account or as a delegate.",
) -> None:
    """Raises Forbidden (`self_confirmation`) if the confirmer is, or stands in for, who proposed.

    Service accounts confirm nothing.
    """
    if confirmer.owner is not None or confirmer.persons.intersection(proposer_persons):
        raise Forbidden(message, code="self_confirmation")
