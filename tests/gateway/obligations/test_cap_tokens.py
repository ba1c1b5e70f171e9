"""No answer longer than policy allows."""

from __future__ import annotations

from typing import Any

import pytest

from sekisho.obligations import cap_tokens


@pytest.mark.parametrize(
    ("body", "capped"),
    [
        ({}, {"max_tokens": 10}),
        ({"max_tokens": None}, {"max_tokens": 10}),
        ({"max_tokens": 11}, {"max_tokens": 10}),
        ({"max_completion_tokens": 11}, {"max_completion_tokens": 10}),
        (
            {"max_tokens": 5, "max_completion_tokens": 99},
            {"max_tokens": 5, "max_completion_tokens": 10},
        ),
        ({"max_tokens": "99"}, {"max_tokens": 10}),
    ],
)
def test_lowered(body: dict[str, Any], capped: dict[str, Any]) -> None:
    """Every limit is lowered, and one is set where there is none."""
    assert capped == cap_tokens.apply(body, 10)


@pytest.mark.parametrize("body", [{"max_tokens": 10}, {"max_completion_tokens": 1}])
def test_fits(body: dict[str, Any]) -> None:
    """A request within the cap is left alone, so its bytes are relayed."""
    assert cap_tokens.apply(body, 10) is None


def test_twice_changes_nothing_more() -> None:
    """What was capped fits: an approved request is not changed again at release."""
    once = cap_tokens.apply({"model": "m"}, 10)
    assert once is not None
    assert cap_tokens.apply(once, 10) is None


def test_the_given_body_stays() -> None:
    """The parsed body is shared by all stages and not touched."""
    body = {"max_tokens": 11}
    cap_tokens.apply(body, 10)
    assert {"max_tokens": 11} == body
