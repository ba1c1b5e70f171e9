from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekisho.errors import Forbidden
from sekisho.model.duties import (
    APART,
    LENDABLE,
    SERVICE_ROLES,
    may_activate,
    may_confirm,
    may_hold_together,
    may_lend,
    may_review,
    may_service_hold,
    seats,
)
from sekisho.model.principal import Principal, Role

PERSONS = st.sampled_from(["staff-1", "staff-2", "staff-3"])
ROLES = st.frozensets(st.sampled_from(Role))


@st.composite
def principals(draw: st.DrawFn) -> Principal:
    """A person or one of their service accounts, by any key, perhaps standing in for others."""
    person = draw(PERSONS)
    service = draw(st.none() | st.sampled_from(["svc-a", "svc-b"]))
    lent = draw(st.frozensets(st.tuples(st.sampled_from(Role), PERSONS), max_size=3))
    return Principal(
        id=service or person,
        roles=draw(ROLES) | {role for role, _ in lent},
        groups=frozenset(),
        owner=person if service else None,
        credential=draw(st.text(max_size=8)),
        stands_in_for=frozenset(lender for _, lender in lent),
        lent=lent,
    )


def names(principal: Principal) -> set[str]:
    """Everyone this principal is or speaks for, by a way of its own."""
    return {principal.owner or principal.id} | set(principal.stands_in_for)


PAIRS = {
    "self_approval": may_review,
    "self_activation": may_activate,
    "self_confirmation": may_confirm,
}


@pytest.mark.parametrize("code", PAIRS)
@given(second=principals(), first=principals())
def test_what_needs_two_persons_is_never_done_by_one(
    code: str, second: Principal, first: Principal
) -> None:
    """Whatever keys, service accounts and delegations are used, if anyone is on both sides it is
    refused; if nobody is and the second is a person who may, it is not.
    """
    one_behind_both = not names(second).isdisjoint({first.id, first.person})
    may = second.owner is None and (
        code != "self_activation" or Role.POLICY_ACTIVATOR in second.roles
    )
    if code == "self_approval":
        may = True  # whether a service account is asked at all is `seats`
    if may and not one_behind_both:
        PAIRS[code](second, {first.id, first.person})
        return
    with pytest.raises(Forbidden) as caught:
        PAIRS[code](second, {first.id, first.person})
    assert caught.value.code in {code, "role_missing"}


@given(principals(), st.sampled_from(Role))
def test_a_seat_is_ones_own_or_that_of_a_lender(principal: Principal, role: Role) -> None:
    """Nobody speaks in a name that lent them nothing, and a service account in none."""
    found = seats(principal, role)
    lenders = {lender for lent, lender in principal.lent if lent is role}
    if principal.owner is not None:
        assert found == ()
    elif lenders:
        assert set(found) == lenders
    else:
        assert found == ((principal.id,) if role in principal.roles else ())


@given(PERSONS, PERSONS, st.sampled_from(Role))
def test_only_some_roles_are_lent_and_only_to_others(
    lender: str, delegate: str, role: Role
) -> None:
    """What checks others is granted openly, not lent."""
    if lender != delegate and role in LENDABLE:
        may_lend(lender, delegate, role)
        return
    with pytest.raises(Forbidden) as caught:
        may_lend(lender, delegate, role)
    assert caught.value.code == "duties_conflict"


@given(ROLES)
def test_no_person_holds_two_roles_that_check_one_another(roles: frozenset[Role]) -> None:
    """Any two of operator, policy activator, auditor and break_glass together are refused, all
    else is not.
    """
    forbidden = any({a, b} <= roles for a, b in combinations(APART, 2))
    if forbidden:
        with pytest.raises(Forbidden) as caught:
            may_hold_together(roles)
        assert caught.value.code == "duties_conflict"
    else:
        may_hold_together(roles)


def test_what_is_for_emergencies_is_given_to_a_person_by_others() -> None:
    """Nobody lends it, no service account has it, and no operator gives it to themselves."""
    assert Role.BREAK_GLASS not in LENDABLE | SERVICE_ROLES
    assert {Role.BREAK_GLASS, Role.OPERATOR, Role.AUDITOR} <= APART


@given(ROLES)
def test_a_service_account_only_asks(roles: frozenset[Role]) -> None:
    """Roles that answer for something belong to persons."""
    if roles <= SERVICE_ROLES:
        may_service_hold(roles)
    else:
        with pytest.raises(Forbidden, match="persons hold that role"):
            may_service_hold(roles)


@given(st.sampled_from(Role), st.booleans())
def test_a_group_of_that_name_gives_no_role(role: Role, held: bool) -> None:
    """Directories and proxies name groups; roles are another thing, also by the same word."""
    roles = frozenset({role}) if held else frozenset[Role]()
    someone = Principal("staff-1", roles, frozenset({role.value, "security"}))
    assert seats(someone, role.value) == (("staff-1",) if held else ())
    assert seats(someone, "security") == ("staff-1",)
