from __future__ import annotations

from collections.abc import Iterator

import pytest

from sekisho import errors
from sekisho.errors import PolicyRejected, Refused, SekishoError, Unavailable


def _tree(root: type[SekishoError]) -> Iterator[type[SekishoError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from _tree(kind)


# Refused is only the branch; what is raised has a code and a status of its own.
KINDS = sorted(set(_tree(SekishoError)) - {Refused}, key=lambda kind: kind.__name__)


def test_the_tree_is_the_one_drawn_at_the_top() -> None:
    """Who reads the drawing knows every error there is."""
    drawn = {kind.__name__ for kind in KINDS if f"+-- {kind.__name__} " in str(errors.__doc__)}
    assert {"PolicyRejected"} == {
        kind.__name__ for kind in KINDS
    } - drawn  # for admins, off the line


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_statuses_say_whose_turn_it_is(kind: type[SekishoError]) -> None:
    """4xx: the client changes something. 5xx: somebody else does."""
    assert kind.code != SekishoError.code
    if issubclass(kind, Refused):
        assert 400 <= kind.status < 500
    if issubclass(kind, Unavailable):
        assert 503 == kind.status


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_status_makes_an_sdk_repeat_what_people_must_answer(kind: type[SekishoError]) -> None:
    """SDKs repeat 408, 409 and 429 by themselves: 409 is for reviewers' own calls only, 429 for
    limits, which say when to come back.
    """
    assert kind.status != 429 or issubclass(kind, errors.LimitReached | errors.TooManyFailures)
    assert kind.status != 409 or kind is errors.Conflict
    assert kind.status != 408 or kind is errors.TooSlow


def test_a_code_of_its_own_stays_with_the_one_error() -> None:
    """Giving one error a code does not change its class."""
    assert "policy_changed" == errors.DeniedByPolicy("x", code="policy_changed").code
    assert "policy_denied" == errors.DeniedByPolicy("x").code


def test_refused_rules_are_listed() -> None:
    """All faults at once, one a line, for the person who mends them."""
    error = PolicyRejected(["a.rego:1:2: bad", "b.rego:3:4: worse"])

    assert ("a.rego:1:2: bad", "b.rego:3:4: worse") == error.faults
    assert error.message.splitlines()[1:] == list(error.faults)
