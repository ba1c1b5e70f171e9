from __future__ import annotations

from sekisho.model.principal import Principal


def test_a_person_answers_for_themselves() -> None:
    """Whatever key they use."""
    keys = ("k-1", "k-2")
    people = {Principal("staff-7", frozenset(), frozenset(), credential=key).person for key in keys}
    assert {"staff-7"} == people


def test_a_service_account_is_its_owner() -> None:
    """Two accounts of one owner are one person where two people are needed."""
    robots = [Principal(f"robot-{n}", frozenset(), frozenset(), owner="staff-7") for n in (1, 2)]
    assert {"staff-7"} == {robot.person for robot in robots}
