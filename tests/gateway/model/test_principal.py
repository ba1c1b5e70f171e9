from __future__ import annotations

import pytest

from sekisho.model.principal import Authentication, Principal, Role, Scope


def test_a_person_answers_for_themselves() -> None:
    """Whatever key they use."""
    keys = ("k-1", "k-2")
    people = {Principal("staff-7", frozenset(), frozenset(), credential=key).person for key in keys}
    assert {"staff-7"} == people


def test_a_service_account_is_its_owner() -> None:
    """Two accounts of one owner are one person where two people are needed."""
    robots = [Principal(f"robot-{n}", frozenset(), frozenset(), owner="staff-7") for n in (1, 2)]
    assert {"staff-7"} == {robot.person for robot in robots}


@pytest.mark.parametrize(
    ("roles", "scopes"),
    [
        ((), {Scope.SELF}),
        ((Role.EMPLOYEE,), {Scope.SELF, Scope.ASK}),
        ((Role.REVIEWER,), {Scope.SELF, Scope.REVIEW}),
        ((Role.OPERATOR,), {Scope.SELF, Scope.ADMIN}),
        ((Role.AUDITOR,), {Scope.SELF, Scope.AUDIT}),
    ],
)
def test_a_scope_means_nothing_without_a_role_for_it(
    roles: tuple[Role, ...], scopes: set[Scope]
) -> None:
    """It only takes away; what it takes away from has to be there."""
    assert scopes == Principal("staff-7", frozenset(roles), frozenset()).usable_scopes


def test_a_message_says_which_key_is_meant() -> None:
    """Somebody in front of a page holds none in their hand."""
    keyed = Principal("staff-7", frozenset(), frozenset())
    session = Principal("staff-7", frozenset(), frozenset(), authentication=Authentication.SESSION)
    assert ("This key", "The key you signed in with") == (keyed.key_said, session.key_said)
