from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.errors import Forbidden
from sekisho.model.duties import (
    APART,
    SERVICE_ROLES,
    may_hold_together,
    may_review,
    may_service_hold,
)
from sekisho.model.principal import Principal, Role

PERSONS = st.sampled_from(["staff-1", "staff-2", "staff-3"])
ROLES = st.frozensets(st.sampled_from(Role))


@st.composite
def principals(draw: st.DrawFn) -> Principal:
    """A person, or one of the service accounts that persons own, with any of their keys."""
    person = draw(PERSONS)
    service = draw(st.none() | st.sampled_from(["svc-a", "svc-b"]))
    return Principal(
        id=service or person,
        roles=draw(ROLES),
        groups=frozenset(),
        owner=person if service else None,
        credential=draw(st.text(max_size=8)),
    )


@given(principals(), principals())
def test_review_needs_two_persons(reviewer: Principal, requester: Principal) -> None:
    """Whatever keys and service accounts are used, the persons behind them must differ."""
    owner_of = {True: reviewer.owner, False: reviewer.id}[reviewer.owner is not None]
    asked = requester.owner if requester.owner is not None else requester.id
    if owner_of == asked:
        with pytest.raises(Forbidden) as caught:
            may_review(reviewer, requester.person)
        assert caught.value.code == "self_approval"
    else:
        may_review(reviewer, requester.person)


@given(ROLES)
def test_no_person_holds_two_roles_that_check_one_another(roles: frozenset[Role]) -> None:
    """Any two of operator, policy activator and auditor together are refused, all else is not."""
    forbidden = any({a, b} <= roles for a, b in combinations(APART, 2))
    if forbidden:
        with pytest.raises(Forbidden) as caught:
            may_hold_together(roles)
        assert caught.value.code == "duties_conflict"
    else:
        may_hold_together(roles)


@given(ROLES)
def test_a_service_account_only_asks(roles: frozenset[Role]) -> None:
    """Roles that answer for something belong to persons."""
    if roles <= SERVICE_ROLES:
        may_service_hold(roles)
    else:
        with pytest.raises(Forbidden, match="persons hold that role"):
            may_service_hold(roles)
